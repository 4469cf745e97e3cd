"""Clients that write down what they received: an answer counts once its last byte is here, and not before."""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import msgspec

from benchmarks.served import MODEL

THINKING = 0.005
"""Seconds between two requests of a client, on average."""
PATIENCE = 20.0
"""Seconds after which a request counts as cut off."""


@dataclass(slots=True)
class Tally:
    """What all clients saw, by request id."""

    answered: dict[str, int] = field(default_factory=dict)
    """Tokens of the answers that came whole."""
    cut: dict[str, int] = field(default_factory=dict)
    """Tokens that the answers would have had which never came, or not to their end."""
    refused: Counter[int] = field(default_factory=Counter)
    """Answers of another status than 200."""


@dataclass(frozen=True, slots=True)
class Client:
    """Sends one request at a time, to any of the gateways."""

    number: int
    urls: Sequence[str]
    key: str
    tally: Tally

    async def run(self, ended: asyncio.Event, seed: int) -> None:
        """Ask until the end; whatever breaks, go on with the next gateway."""
        chance = random.Random(f"{seed} {self.number}")
        sent = 0
        while not ended.is_set():
            address = urlsplit(chance.choice(self.urls))
            try:
                reader, writer = await asyncio.open_connection(address.hostname, address.port)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            try:
                for _ in range(chance.randint(1, 50)):
                    if ended.is_set():
                        break
                    sent += 1
                    words = chance.randint(1, 40)
                    if not await self._ask(reader, writer, f"{self.number}-{sent}", words):
                        break
                    await asyncio.sleep(chance.uniform(0, 2 * THINKING))
            finally:
                writer.close()

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: str, words: int) -> bool:
        """Whether the connection can be used again."""
        body = msgspec.json.encode({"model": MODEL, "input": " ".join(["herring"] * words)})
        head = (
            f"POST /v1/embeddings HTTP/1.1\r\nhost: crashes\r\nauthorization: Bearer {self.key}\r\n"
            f"x-request-id: {name}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        try:
            async with asyncio.timeout(PATIENCE):
                writer.write(head.encode() + body)
                status, content = await _read_reply(reader)
        except (OSError, EOFError, TimeoutError):
            self.tally.cut[name] = words + 2  # as the fake engine counts them
            return False
        if status == 200:
            self.tally.answered[name] = msgspec.json.decode(content)["usage"]["total_tokens"]
            return True
        self.tally.refused[status] += 1
        await asyncio.sleep(0.05)
        return True


async def _read_reply(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    length = int(head.partition("content-length:")[2].split(maxsplit=1)[0])
    return int(head.split(maxsplit=2)[1]), await reader.readexactly(length)
