"""Looks at models for the console, each in a process of its own: a gateway serves on meanwhile, and keeps its memory.

`python -m shoal.console_inspection` reads what to look at from its input and answers on its output, once.
"""

import asyncio
import sys
from contextlib import redirect_stdout

import msgspec

from admin_ui.inspections import Inspected, InspectedAdapter, InspectionRefused
from engine.catalog import ModelSpec
from engine.errors import EngineError
from shoal.inspection import absolute, found, inspect, inspect_adapter
from shoal.model_report import report

LONGEST_WORDS = 500


class Question(msgspec.Struct, frozen=True):
    """What to look at."""

    source: str
    revision: str | None
    adapter: str | None = None
    """Not at the model itself, but at this adapter on it."""


class Refusal(msgspec.Struct, frozen=True, tag="refusal"):
    """Why it could not be served."""

    code: str
    message: str


class Finding(msgspec.Struct, frozen=True, tag="finding"):
    """What it is."""

    inspected: Inspected


class AdapterFinding(msgspec.Struct, frozen=True, tag="adapter"):
    """What an adapter is."""

    inspected: InspectedAdapter


Answer = Refusal | Finding | AdapterFinding


async def inspect_apart(source: str, revision: str | None) -> Inspected:
    """Look, in another process, which ends with whoever waits for it. Raises InspectionRefused."""
    answer = await _ask(Question(source, revision))
    if not isinstance(answer, Finding):
        raise _failed("it told of an adapter")
    return answer.inspected


async def inspect_adapter_apart(source: str, revision: str | None, adapter: str) -> InspectedAdapter:
    """As `inspect_apart`, at an adapter on that model."""
    answer = await _ask(Question(source, revision, adapter))
    if not isinstance(answer, AdapterFinding):
        raise _failed("it told of a model")
    return answer.inspected


async def _ask(question: Question) -> Finding | AdapterFinding:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "shoal.console_inspection",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        answer, words = await process.communicate(msgspec.json.encode(question))
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        last = words.decode(errors="replace").strip().rpartition("\n")[2][-LONGEST_WORDS:]
        raise _failed(last or "it said nothing")
    told: Answer = msgspec.json.decode(answer, type=Refusal | Finding | AdapterFinding)
    if isinstance(told, Refusal):
        raise InspectionRefused(told.code, told.message)
    return told


def _failed(why: str) -> InspectionRefused:
    return InspectionRefused("failed", f"The look itself failed: {why}.")


def look(question: Question) -> Answer:
    """Look, in this process."""
    where = absolute(question.source)
    try:
        spec = inspect(where, question.revision)
        if question.adapter is not None:
            return AdapterFinding(look_at_adapter(absolute(question.adapter), spec))
    except EngineError as error:
        return Refusal(error.code, error.message)
    told, kept = report(where, spec), found(spec)
    return Finding(
        Inspected(
            source=where,
            facts=kept["facts"],
            dimensions=kept["dimensions"],
            input_limit=kept["input_limit"],
            matryoshka=told.matryoshka,
            normalized=told.normalized,
            prompts=told.prompts,
            default_prompt=told.default_prompt,
            parameters=told.parameters,
            resident_bytes=told.resident_bytes,
        )
    )


def look_at_adapter(adapter: str, spec: ModelSpec) -> InspectedAdapter:
    """Look at an adapter on a model, in this process. Raises the EngineError that says why it could not be served."""
    pairs = inspect_adapter(adapter, spec)
    return InspectedAdapter(
        adapter=adapter,
        rank=max(min(pair.first.shape) for pair in pairs),
        modules=len(pairs),
        bytes=sum(pair.first.nbytes + pair.second.nbytes for pair in pairs),
    )


def main() -> None:
    """Answer the one question."""
    question = msgspec.json.decode(sys.stdin.buffer.read(), type=Question)
    with redirect_stdout(sys.stderr):  # whatever libraries may say is no answer
        answer = msgspec.json.encode(look(question))
    sys.stdout.buffer.write(answer)


if __name__ == "__main__":
    main()
