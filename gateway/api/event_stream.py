"""A stream of generated text as it passes: whole events as soon as they are whole, and what they say of usage.

Events go on byte for byte, but for the model's name. The usage chunk that the gateway asked for is kept back where the
caller did not; what is no event of data, a comment or a retry time, is left out.
"""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from gateway.services.upstreams.openai_wire import Used

MOST_EVENT = 4 * 1024**2
"""Bytes of one event."""
DONE = b"[DONE]"
MODEL = re.compile(rb'"model"\s*:\s*"(?:[^"\\]|\\.)*"')
"""A key, never a part of a text: quotes inside of texts are escaped."""
END = re.compile(rb"\r\n\r\n|\n\n|\r\r")
ENCODE = msgspec.json.Encoder().encode


class EventTooLong(Exception):
    """An event that does not end."""


class Delta(msgspec.Struct):
    """What a chunk adds to one answer."""

    content: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    refusal: Any = None
    tool_calls: Any = None
    function_call: Any = None
    audio: Any = None

    @property
    def says_something(self) -> bool:
        """Whether there is any text in it."""
        fields = (self.content, self.reasoning_content, self.reasoning, self.refusal, self.tool_calls, self.audio)
        return any(fields) or bool(self.function_call)


class Choice(msgspec.Struct):
    """A chunk's part of one answer, or all of it."""

    delta: Delta | None = None
    message: Delta | None = None
    text: Any = None
    finish_reason: Any = None
    index: int | None = 0

    @property
    def says_something(self) -> bool:
        """Whether it has a token at least."""
        return bool(self.text) or (self.delta is not None and self.delta.says_something)


class Chunk(msgspec.Struct):
    """One event's data."""

    choices: list[Choice] | None = None
    usage: Used | None = None
    error: Any = None


DECODE = msgspec.json.Decoder(Chunk).decode


class EventStream:
    """Takes pieces of a stream as they come and gives the events that are to go on."""

    def __init__(self, name: str, *, with_usage: bool) -> None:
        self.done = False
        """Whether the stream said that it is complete."""
        self.failed = False
        """Whether it said that it failed."""
        self.usage: Used | None = None
        """As it was last said."""
        self.heard = 0
        """Tokens that were heard at least: parts of an answer that said something."""
        self._begun: set[int | None] = set()
        self._ended: set[int | None] = set()
        self._model = b'"model":' + ENCODE(name)
        self._with_usage = with_usage
        self._rest = bytearray()
        self._looked = 0
        """Bytes of the rest in which no event ends: looked at once, in however small pieces they came."""

    @property
    def complete(self) -> bool:
        """Whether nothing is missing: it said so, or every answer in it that was begun came to an end."""
        return self.done or (bool(self._begun) and self._begun == self._ended and not self._rest.strip())

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """The events that are whole now. Raises EventTooLong."""
        whole, start = self._rest, 0
        whole += piece
        for found in END.finditer(whole, max(0, self._looked - 3)):
            event = self._passed(bytes(whole[start : found.start()]))
            start = found.end()
            if event:
                yield event
            if self.done or self.failed:
                return
        del whole[:start]
        self._looked = len(whole)
        if len(whole) > MOST_EVENT:
            raise EventTooLong

    def _passed(self, event: bytes) -> bytes:
        """An event as it goes on; empty where it does not."""
        lines = [line[5:].removeprefix(b" ") for line in event.splitlines() if line.startswith(b"data:")]
        if not lines:
            return b""
        data = b"\n".join(lines)
        if data.strip() == DONE:
            self.done = True
            return b""  # said when all is settled
        try:
            chunk = DECODE(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self.failed = True
            return b""
        if chunk.error is not None:
            self.failed = True
            return b""
        return self._counted(chunk, data)

    def _counted(self, chunk: Chunk, data: bytes) -> bytes:
        choices = chunk.choices or []
        self.heard += sum(choice.says_something for choice in choices)
        self._begun.update(choice.index for choice in choices)
        self._ended.update(choice.index for choice in choices if choice.finish_reason)
        if chunk.usage is not None:
            self.usage = chunk.usage
            if not choices and not self._with_usage:
                return b""
        return b"data: " + MODEL.sub(lambda _: self._model, data.replace(b"\n", b" "), count=1) + b"\n\n"
