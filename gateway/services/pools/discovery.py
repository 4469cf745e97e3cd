"""The nodes behind a name: all addresses that DNS has for it, looked up again and again.

A Kubernetes headless service is such a name. The system's resolver is asked, in a thread, by `getaddrinfo`, which says
nothing of how long its answer holds; so nothing is kept: it is asked every few seconds, which is what the records of
such services hold for.
"""

import asyncio
import random
import re
import socket
from collections.abc import Awaitable, Callable, Iterable
from ipaddress import ip_address
from typing import NamedTuple, Self

import structlog

from gateway.services.pools.node import Node
from gateway.services.pools.pool import Pool

INTERVAL = 5.0
"""Seconds between two lookups."""
EAGER_INTERVAL = 0.5
"""The same while somebody waits for a node."""
LOOKUP_PATIENCE = 10.0
"""Seconds that a lookup may take."""
MISSED = 30.0
"""Seconds for which DNS leaves out a node that is well before it is believed."""

SERVICE = re.compile(r"dns\+(https?)://([^\s/?#:\[\]]+)(?::([0-9]{1,5}))?/?")
NO_SUCH_NAME = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}

Resolve = Callable[[str, int], Awaitable[Iterable[str]]]
"""All addresses of a name. Raises OSError where they can not be had now."""


class Service(NamedTuple):
    """A name whose every address is a node."""

    scheme: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """`dns+http://name:port`; None where it is something else."""
        match = SERVICE.fullmatch(text)
        return match and cls(match[1], match[2], int(match[3] or (443 if match[1] == "https" else 80)))

    @property
    def certified(self) -> str | None:
        """Whose certificate all of its nodes show."""
        return self.host if self.scheme == "https" else None

    def url(self, address: str) -> str:
        """The base URL of the node at one of its addresses."""
        host = f"[{address}]" if ip_address(address.partition("%")[0]).version == 6 else address
        return f"{self.scheme}://{host}:{self.port}"


async def resolve(host: str, port: int) -> list[str]:
    """By the system's resolver. A name that does not exist has no addresses; every other failure is an OSError."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno in NO_SUCH_NAME:
            return []
        raise
    return [str(address[0]) for *_, address in found]


class Discovery:
    """Keeps the nodes of one service in a pool: `have` is called with the URL of each, `forget` with a node to drop.

    A lookup that fails changes nothing. A node that DNS knows no more stays while it is well, unless DNS knows others
    and has left it out for `MISSED` seconds; what it is doing it may finish in any case.
    """

    def __init__(
        self,
        service: Service,
        pool: Pool,
        *,
        have: Callable[[str], Node],
        forget: Callable[[Node], None],
        resolve: Resolve = resolve,
    ) -> None:
        self._service = service
        self._pool = pool
        self._have = have
        self._forget = forget
        self._resolve = resolve
        self._nodes: dict[str, Node] = {}
        self._missed_since: dict[str, float] = {}
        self._failing = False
        self._draw = random.Random().uniform  # noqa: S311 (jitter)
        self._loop = asyncio.get_running_loop()
        self._log = structlog.get_logger("shoal.nodes")

    async def follow(self) -> None:
        """Look for ever."""
        while True:
            await self.look()
            await asyncio.sleep(EAGER_INTERVAL)
            pause = self._draw(0.8, 1.2) * INTERVAL - EAGER_INTERVAL
            try:
                async with asyncio.timeout(pause):
                    await self._pool.wanted.wait()
            except TimeoutError:
                continue

    async def look(self) -> None:
        """Look once."""
        try:
            async with asyncio.timeout(LOOKUP_PATIENCE):
                addresses = await self._resolve(self._service.host, self._service.port)
        except OSError as error:  # TimeoutError is one
            if not self._failing:
                self._log.warning("name can not be looked up", name=self._service.host, reason=str(error) or "too slow")
            self._failing = True
            return
        self._failing = False
        self._amend({self._service.url(address) for address in addresses})

    def _amend(self, found: set[str]) -> None:
        now = self._loop.time()
        for url in found - self._nodes.keys():
            self._nodes[url] = self._have(url)
        for url, node in tuple(self._nodes.items()):
            if url in found:
                self._missed_since.pop(url, None)
                continue
            missed_for = now - self._missed_since.setdefault(url, now)
            if not node.health.well or (found and missed_for >= MISSED):
                del self._nodes[url], self._missed_since[url]
                self._forget(node)
