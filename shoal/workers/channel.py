"""Questions and answers between a parent and its worker, both ways, over one socket that has no name in any folder.

The end of the socket is the end of the other process, however it went.
"""

import asyncio
import contextlib
import itertools
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Literal, Self

import msgspec

LENGTH = struct.Struct(">I")


class ChannelClosed(Exception):
    """The other process has gone."""


class Frame(msgspec.Struct, frozen=True, array_like=True):
    """One thing said. An answer has the number of its question."""

    kind: Literal["question", "answer", "notice"]
    number: int
    word: str
    body: bytes


class Channel:
    """One end. `answer` is asked what the other end wants to know, `notice` hears what it says unasked."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        answer: Callable[[str], Awaitable[bytes]],
        notice: Callable[[str, bytes], None],
    ) -> None:
        self._reader, self._writer = reader, writer
        self._answer, self._notice = answer, notice
        self._numbers = itertools.count()
        self._asked: dict[int, asyncio.Future[bytes]] = {}
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(Frame).decode

    @classmethod
    async def open(
        cls,
        sock: socket.socket,
        *,
        answer: Callable[[str], Awaitable[bytes]],
        notice: Callable[[str, bytes], None] = lambda word, body: None,  # noqa: ARG005 (nothing to hear)
    ) -> Self:
        """The end that `sock` is; `run` must be running for anything to be heard."""
        reader, writer = await asyncio.open_unix_connection(sock=sock)
        return cls(reader, writer, answer, notice)

    async def run(self) -> None:
        """Hear the other end until it is gone."""
        try:
            async with asyncio.TaskGroup() as answering:
                while (frame := await self._next()) is not None:
                    match frame.kind:
                        case "question":
                            answering.create_task(self._reply(frame))
                        case "notice":
                            self._notice(frame.word, frame.body)
                        case "answer":
                            if (asked := self._asked.get(frame.number)) is not None and not asked.done():
                                asked.set_result(frame.body)
        finally:
            for asked in self._asked.values():
                if not asked.done():
                    asked.set_exception(ChannelClosed())
            self._writer.close()

    async def ask(self, word: str, patience: float) -> bytes:
        """What the other end answers. Raises ChannelClosed, or TimeoutError after `patience` seconds."""
        number = next(self._numbers)
        asked: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._asked[number] = asked
        try:
            self._say(Frame("question", number, word, b""))
            async with asyncio.timeout(patience):
                return await asked
        finally:
            del self._asked[number]

    def tell(self, word: str, body: bytes = b"") -> None:
        """Say something that wants no answer. Raises ChannelClosed."""
        self._say(Frame("notice", 0, word, body))

    async def close(self) -> None:
        """Send what was said, then end."""
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    async def _reply(self, question: Frame) -> None:
        body = await self._answer(question.word)
        if not self._writer.is_closing():
            self._say(Frame("answer", question.number, question.word, body))

    def _say(self, frame: Frame) -> None:
        if self._writer.is_closing():
            raise ChannelClosed
        content = self._encode(frame)
        self._writer.write(LENGTH.pack(len(content)) + content)

    async def _next(self) -> Frame | None:
        try:
            [length] = LENGTH.unpack(await self._reader.readexactly(LENGTH.size))
            return self._decode(await self._reader.readexactly(length))
        except (asyncio.IncompleteReadError, OSError):
            return None
