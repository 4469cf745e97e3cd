"""Gateway processes that are killed and started again, as a supervisor would."""

import asyncio
import contextlib
import random
import signal
import subprocess
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from benchmarks.processes import STOP_LIMIT, NotMeasurable

START_AGAIN = 0.3
"""Seconds before a gateway that ended by itself is started again: its database may be away."""
CAUGHT_STARTING = 0.2
"""Share of the kills that do not wait until the process serves."""


@dataclass(slots=True)
class Gateway:
    """One of them, always on the same port."""

    url: str
    command: Sequence[str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    serving: asyncio.Event = field(default_factory=asyncio.Event)

    async def live(self) -> None:
        """Start it, and again whenever it is gone."""
        with self.log.open("ab") as said:
            while True:
                self._start(said)
                while self.process is not None and self.process.poll() is None:
                    if not self.serving.is_set() and await answers(self.url):
                        self.serving.set()
                    await asyncio.sleep(0.02)
                self.serving.clear()
                if self.process is not None and self.process.returncode > 0:
                    await asyncio.sleep(START_AGAIN)

    def _start(self, said: BinaryIO) -> None:
        self.process = subprocess.Popen(self.command, stdout=said, stderr=said)

    def kill(self) -> None:
        """As the system does when memory is short."""
        if self.process is not None:
            self.serving.clear()
            self.process.kill()
            self.process.wait()

    def stop(self) -> None:
        """In good order. Raises NotMeasurable where it does not end so."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        if code := self.process.wait(STOP_LIMIT):
            raise NotMeasurable(f"A gateway ended with {code} when it was stopped; see {self.log}.")


async def kill_at_random(
    gateways: Sequence[Gateway], kills: int, seed: int, *, held: asyncio.Event, longest: float = 1.0
) -> None:
    """SIGKILL so many times; while `held` is not set, one gateway at most is down."""
    chance = random.Random(seed)
    for _ in range(kills):
        await asyncio.sleep(chance.uniform(0, longest))
        gateway = chance.choice(gateways)
        if not held.is_set() and not all(one.serving.is_set() for one in gateways):
            await held.wait()
        if chance.random() > CAUGHT_STARTING:
            await gateway.serving.wait()
            await asyncio.sleep(chance.uniform(0, longest / 2))
        gateway.kill()


async def answers(url: str) -> bool:
    """Whether a gateway says that it is alive; asked by hand, for nothing may block the clients' loop."""
    address = urlsplit(url)
    try:
        async with asyncio.timeout(1.0):
            reader, writer = await asyncio.open_connection(address.hostname, address.port)
            try:
                writer.write(b"GET /health/live HTTP/1.1\r\nhost: crashes\r\nconnection: close\r\n\r\n")
                return (await reader.readline()).startswith(b"HTTP/1.1 200")
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False


@contextlib.asynccontextmanager
async def kept_alive(gateways: Sequence[Gateway]) -> AsyncIterator[None]:
    """Run them all for the length of the block."""
    lives = [asyncio.create_task(gateway.live()) for gateway in gateways]
    try:
        for gateway in gateways:
            async with asyncio.timeout(60):
                await gateway.serving.wait()
        yield
    finally:
        for life in lives:
            life.cancel()
        await asyncio.gather(*lives, return_exceptions=True)
        for gateway in gateways:
            if gateway.process is not None and gateway.process.poll() is None:
                gateway.stop()
