"""A process of the fleet, always at the same address: killed or stopped, and started again as a supervisor would."""

import asyncio
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.processes import START_LIMIT, STOP_LIMIT, NotMeasurable

LOOK = 0.05


@dataclass(slots=True, eq=False)
class Member:
    """`ready` is the path that is answered with 200 once it serves."""

    name: str
    url: str
    command: Sequence[str]
    ready: str
    log: Path
    process: subprocess.Popen[bytes] | None = None
    longest_start: float = 0.0
    """Seconds from a start until it served."""

    async def start(self) -> None:
        """Run it until it serves. Raises NotMeasurable where it does not come to that."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        self._begin()
        while not await answers(self.url, self.ready):
            if self.process is None or self.process.poll() is not None or loop.time() - began > START_LIMIT:
                raise NotMeasurable(f"{self.name} does not start; see {self.log}: {self.log.read_text()[-500:]}")
            await asyncio.sleep(LOOK)
        self.longest_start = max(self.longest_start, loop.time() - began)

    def _begin(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log)

    async def kill(self) -> None:
        """As the system does when memory is short."""
        if self.process is not None:
            self.process.kill()
            await asyncio.to_thread(self.process.wait)

    async def stop(self) -> float:
        """In good order; the seconds that it took. Raises NotMeasurable where it does not end so."""
        if self.process is None:
            return 0.0
        began = asyncio.get_running_loop().time()
        self.process.send_signal(signal.SIGTERM)
        if code := await asyncio.to_thread(self.process.wait, STOP_LIMIT):
            raise NotMeasurable(f"{self.name} ended with {code} when it was stopped; see {self.log}.")
        return asyncio.get_running_loop().time() - began


async def answers(url: str, path: str) -> bool:
    """Whether a GET is answered with 200; asked by hand, for nothing may block the clients' loop."""
    address = urlsplit(url)
    try:
        async with asyncio.timeout(1.0):
            reader, writer = await asyncio.open_connection(address.hostname, address.port)
            try:
                writer.write(f"GET {path} HTTP/1.1\r\nhost: fleet\r\nconnection: close\r\n\r\n".encode())
                return (await reader.readline()).startswith(b"HTTP/1.1 200")
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False
