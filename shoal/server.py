"""One ASGI app behind one door: a clock that looks after all connections, and an end that drops no request."""

import asyncio
import contextlib
import ssl
import time
from email.utils import formatdate
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from shoal.door import Door
from shoal.doorkeeper import Doorkeeper, Limits
from shoal.http_protocol import BoundedHttp

KEEP_ALIVE = 75.0
"""Seconds that an idle client connection stays open: longer than clients and proxies keep theirs (60 s is common)."""
LOOK_INTERVAL = 1.0
"""Seconds between two looks at how long clients take, and at how much is held for them."""
LINGER = 0.5
"""Seconds without a request after which a connection is closed once the door is: who uses it is told by an answer."""
FAREWELL = 2.0
"""Seconds for what is cut short at the end of the grace period to clean up."""
TICK = 0.02
ROOMY = 0.9
"""Of the memory for clients, what is left to them when it was too much."""


class Server:
    """Serves from `open` to `close`."""

    def __init__(self, app: Any, door: Door, limits: Limits, tls: ssl.SSLContext | None = None) -> None:
        self._config = uvicorn.Config(
            app,
            http=BoundedHttp,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # who the caller is must not be the caller's to say
            timeout_keep_alive=int(KEEP_ALIVE),
        )
        self._config.load()
        self._door, self._tls, self._limits = door, tls, limits
        self._keeper = Doorkeeper(limits)
        self._state = ServerState()
        self._looking: asyncio.Task[None] | None = None
        self._leaving = False
        self._held = 0
        """Bytes, at most, that clients make us hold: counted at the last look, and all that came since."""

    async def open(self) -> None:
        """Open the door."""
        self._tell_time()
        self._looking = asyncio.create_task(self._look_after())
        await self._door.open(self._welcome, self._tls)

    def leave(self) -> None:
        """Say `connection: close` in every answer from now on."""
        self._leaving = True
        for connection in self._connections:
            connection.leave()

    async def close(self, grace_period: float) -> None:
        """Close the door, let what is in flight finish, and cut short what takes longer than `grace_period` seconds."""
        self.leave()
        await self._door.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_period):
                await self._see_off()
        for connection in self._connections:
            connection.give_up()
        for task in tuple(self._state.tasks):
            task.cancel()
        if self._state.tasks:
            await asyncio.wait(tuple(self._state.tasks), timeout=FAREWELL)
        if self._looking is not None:
            self._looking.cancel()

    @property
    def _connections(self) -> tuple[BoundedHttp, ...]:
        return tuple(self._state.connections)  # type: ignore[arg-type]

    def _welcome(self) -> BoundedHttp:
        made = BoundedHttp(self._config, self._state, self._limits, self._keeper, self._note_held)
        if self._leaving:
            made.leave()
        return made

    async def _see_off(self) -> None:
        door_closed = asyncio.get_running_loop().time()
        while self._state.connections or self._state.tasks:
            idle_since = asyncio.get_running_loop().time() - LINGER
            for connection in self._connections:
                if door_closed <= idle_since:
                    connection.close_if_idle(idle_since)
            await asyncio.sleep(TICK)

    async def _look_after(self) -> None:
        while True:
            await asyncio.sleep(LOOK_INTERVAL)
            self._tell_time()
            now = asyncio.get_running_loop().time()
            for connection in self._connections:
                connection.look(now)
            self._make_room()

    def _note_held(self, size: int) -> None:
        self._held += size
        if self._held > self._limits.memory:
            self._make_room()

    def _make_room(self) -> None:
        """Cut off those for whom most has been held for longest, while it is too much for all."""
        sizes = {connection: connection.held for connection in self._connections}
        self._held = sum(sizes.values())
        if self._held <= self._limits.memory:
            return
        for connection in sorted(sizes, key=lambda connection: connection.held_since):
            if self._held <= self._limits.memory * ROOMY:
                break
            if sizes[connection]:
                self._held -= sizes[connection]
                connection.cut_off()

    def _tell_time(self) -> None:
        self._state.default_headers = [(b"date", formatdate(time.time(), usegmt=True).encode())]
