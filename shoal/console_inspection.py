"""Looks at models for the console, each in a process of its own: a gateway serves on meanwhile, and keeps its memory.

`python -m shoal.console_inspection` reads what to look at from its input and answers on its output, once.
"""

import asyncio
import sys
from contextlib import redirect_stdout

import msgspec

from admin_ui.inspections import Inspected, InspectionRefused
from engine.errors import EngineError
from shoal.inspection import absolute, found, inspect
from shoal.model_report import report

LONGEST_WORDS = 500


class Question(msgspec.Struct, frozen=True):
    """What to look at."""

    source: str
    revision: str | None


class Refusal(msgspec.Struct, frozen=True, tag="refusal"):
    """Why it could not be served."""

    code: str
    message: str


class Finding(msgspec.Struct, frozen=True, tag="finding"):
    """What it is."""

    inspected: Inspected


Answer = Refusal | Finding


async def inspect_apart(source: str, revision: str | None) -> Inspected:
    """Look, in another process, which ends with whoever waits for it. Raises InspectionRefused."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "shoal.console_inspection",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        answer, words = await process.communicate(msgspec.json.encode(Question(source, revision)))
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        last = words.decode(errors="replace").strip().rpartition("\n")[2][-LONGEST_WORDS:]
        raise InspectionRefused("failed", f"The look itself failed: {last or 'it said nothing'}.")
    told: Answer = msgspec.json.decode(answer, type=Refusal | Finding)
    if isinstance(told, Refusal):
        raise InspectionRefused(told.code, told.message)
    return told.inspected


def look(question: Question) -> Answer:
    """Look, in this process."""
    where = absolute(question.source)
    try:
        spec = inspect(where, question.revision)
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


def main() -> None:
    """Answer the one question."""
    question = msgspec.json.decode(sys.stdin.buffer.read(), type=Question)
    with redirect_stdout(sys.stderr):  # whatever libraries may say is no answer
        answer = msgspec.json.encode(look(question))
    sys.stdout.buffer.write(answer)


if __name__ == "__main__":
    main()
