"""What a client's script is told and what it says: questions as JSON in, answers as JSON out.

The scripts run in environments of their own, where nothing of Shoal is installed; so this is the standard library only.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

Operation = Callable[..., Any]


@dataclass(frozen=True)
class At:
    """Where to ask, and as whom."""

    url: str
    key: str


def answer(clients: Mapping[str, Mapping[str, Operation]]) -> None:
    """Ask what standard input says, each question by the client and the operation that it names; print the answers.

    So many at once as they say: most of an error's time is waiting for the next try.
    """
    told = json.load(sys.stdin)
    out, sys.stdout = sys.stdout, sys.stderr  # some clients print
    with ThreadPoolExecutor(told["at_once"]) as pool:
        answers = list(pool.map(lambda question: ask(clients, question), told["questions"]))
    json.dump({"versions": {package: version(package) for package in told["packages"]}, "answers": answers}, out)
    out.flush()
    os._exit(0)  # some leave threads that would keep the process


def ask(clients: Mapping[str, Mapping[str, Operation]], question: Mapping[str, Any]) -> dict[str, Any]:
    """The value, or what was raised. Of many vectors a few and their number, which is all that is looked at."""
    try:
        operation = clients[question["client"]][question["operation"]]
        value = operation(At(question["url"], question["key"]), **question["arguments"])
    except BaseException as error:  # noqa: BLE001 - it is the answer
        return {"raised": type(error).__name__, "message": str(error)}
    if (keep := question.get("keep")) is not None:
        return {"count": len(value), "value": plain([value[place] for place in keep])}
    return {"value": plain(value)}


def plain(value: Any) -> Any:
    """Numbers of every kind as JSON has them."""
    if hasattr(value, "tolist"):
        return value.tolist()
    return [plain(each) for each in value] if isinstance(value, Sequence) and not isinstance(value, str) else value
