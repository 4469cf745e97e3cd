"""Options that commands share, as one parameter of theirs: a dataclass whose fields are options."""

import inspect
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import wraps
from typing import Any


def with_groups(command: Callable[..., None]) -> Callable[..., None]:
    """The same command, in whose parameters each that is a dataclass is spread out: Typer knows options alone."""
    groups: dict[str, type] = {}
    spread: list[inspect.Parameter] = []
    for each in inspect.signature(command).parameters.values():
        if isinstance(each.annotation, type) and is_dataclass(each.annotation):
            groups[each.name] = each.annotation
            spread += inspect.signature(each.annotation).parameters.values()
        else:
            spread.append(each.replace(kind=each.KEYWORD_ONLY))

    @wraps(command)
    def called(**values: Any) -> None:
        for name, group in groups.items():
            values[name] = group(**{field.name: values.pop(field.name) for field in fields(group)})
        command(**values)

    called.__signature__ = inspect.Signature(spread)  # type: ignore[attr-defined]
    called.__annotations__ = {each.name: each.annotation for each in spread}
    return called
