"""The first look at a batch's input: every line, before anything is done, and everything that is wrong with it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from gateway.errors import GatewayError
from gateway.services.bulk.batches import MOST_INPUTS, MOST_REQUESTS
from gateway.services.bulk.breathing import Breather
from gateway.services.bulk.reading import BatchLine, Line, LineTooLong, Stretch
from gateway.services.bulk.wire import LineWire
from gateway.services.snapshot.entries import KeyEntry, PolicySnapshot

MOST_ERRORS = 100
"""That are listed."""
LONGEST_ID = 512
DECODE = msgspec.json.Decoder(BatchLine).decode


@dataclass(slots=True)
class Findings:
    """What there is in an input."""

    requests: int = 0
    inputs: int = 0
    models: set[str] = field(default_factory=set)
    """Names that lines give."""
    errors: list[dict[str, Any]] = field(default_factory=list)
    """As the wire lists them."""

    def blame(self, code: str, message: str, line: int | None = None, param: str | None = None) -> None:
        """One more error."""
        self.errors.append({"code": code, "line": line, "message": message, "param": param})


async def look_through(
    found: AsyncIterator[Stretch], wire: LineWire, endpoint: str, policies: PolicySnapshot, key: KeyEntry
) -> Findings:
    """Look at every line, until there are too many or too many errors."""
    findings, ids, breather = Findings(), set[str](), Breather()
    try:
        async for stretch in found:
            for line in stretch.lines:
                findings.requests += 1
                if findings.requests > MOST_REQUESTS:
                    findings.blame("too_many_tasks", f"A batch has at most {MOST_REQUESTS:,} requests.", line.number)
                    return findings
                read = _read(line, findings, ids, endpoint)
                if read is not None:
                    await _try(read, line.number, findings, wire, policies, key)
                if findings.inputs > MOST_INPUTS:
                    findings.blame(
                        "too_many_inputs", f"The requests of a batch have at most {MOST_INPUTS:,} inputs.", line.number
                    )
                    return findings
                if len(findings.errors) >= MOST_ERRORS:
                    return findings
                await breather.breathe()
    except LineTooLong:
        findings.blame("line_too_long", "A line is longer than a request may be.")
    if not findings.requests and not findings.errors:
        findings.blame("empty_file", "The input file has no requests.", param="input_file_id")
    return findings


def _read(line: Line, findings: Findings, ids: set[str], endpoint: str) -> BatchLine | None:
    """What the line says; None where it is not as lines are."""
    try:
        read = DECODE(line.content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        wrong_shape = isinstance(error, msgspec.ValidationError)
        code = "invalid_request" if wrong_shape else "invalid_json_line"
        why = f"This line is no request of a batch: {error}." if wrong_shape else "This line is not parseable as JSON."
        findings.blame(code, why, line.number)
        return None
    before = len(findings.errors)
    if not 0 < len(read.custom_id) <= LONGEST_ID:
        findings.blame("invalid_custom_id", f"A custom_id has 1 to {LONGEST_ID} characters.", line.number, "custom_id")
    elif read.custom_id in ids:
        findings.blame(
            "duplicate_custom_id", f"The custom_id '{read.custom_id}' is used before.", line.number, "custom_id"
        )
    ids.add(read.custom_id)
    if read.method != "POST":
        findings.blame("invalid_method", "The method of every request must be POST.", line.number, "method")
    if read.url != endpoint:
        findings.blame(
            "invalid_url", f"The url of every request must be that of the batch, {endpoint}.", line.number, "url"
        )
    return read if len(findings.errors) == before else None


async def _try(
    read: BatchLine, number: int, findings: Findings, wire: LineWire, policies: PolicySnapshot, key: KeyEntry
) -> None:
    try:
        work = await wire.prepare(policies, key, bytes(read.body))
    except GatewayError as error:
        param = f"body.{error.param}" if error.param else "body"
        findings.blame(error.code or error.type, error.message, number, param)
        return
    findings.inputs += len(work.request.inputs)
    findings.models.add(work.name)
