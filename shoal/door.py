"""Where connections come from, and how a listening socket closes without losing one that it has been sent."""

import asyncio
import contextlib
import ctypes
import socket
import ssl
import struct
from collections.abc import Callable
from typing import Protocol

from shoal.http_protocol import BoundedHttp

SO_ATTACH_FILTER = 26
TCP_FLAGS, SYN, SYN_OR_ACK = 13, 0x02, 0x12
DROP_NEW = (
    (0x30, 0, 0, TCP_FLAGS),  # load the byte of flags
    (0x54, 0, 0, SYN_OR_ACK),  # and
    (0x15, 0, 1, SYN),  # only SYN: the next line, else the one after
    (0x06, 0, 0, 0),  # drop
    (0x06, 0, 0, 0xFFFFFFFF),  # take
)
"""A program of the kernel's packet filter: what asks for a new connection is not heard."""
SETTLING = 0.05
"""Seconds in which connections that were being made are complete, and taken."""


class Door(Protocol):
    """Where connections come from."""

    async def open(self, protocol: Callable[[], BoundedHttp], tls: ssl.SSLContext | None) -> None:
        """Let connections in, each with a new protocol, over TLS if a context is given."""

    async def close(self) -> None:
        """Let no more in; returns when the last one is."""


class ListeningDoor:
    """Connections of a listening socket of this process."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._listening: asyncio.Server | None = None

    async def open(self, protocol: Callable[[], BoundedHttp], tls: ssl.SSLContext | None) -> None:
        """Accept from now on."""
        loop = asyncio.get_running_loop()
        self._listening = await loop.create_server(protocol, sock=self._sock, ssl=tls, backlog=2048)

    async def close(self) -> None:
        """Take what was on its way, then stop listening."""
        if self._listening is not None:
            turn_new_away(self._sock)
            await asyncio.sleep(SETTLING)
            self._listening.close()
        self._sock.close()


def turn_new_away(listening: socket.socket) -> None:
    """Let nobody begin a connection, while those that wait to be accepted stay: closing would reset them.

    Who comes now tries again a second later and is refused, and so goes elsewhere. Where the kernel has no such filter
    nothing happens.
    """
    lines = b"".join(struct.pack("HBBI", *line) for line in DROP_NEW)
    program = ctypes.create_string_buffer(lines, len(lines))
    with contextlib.suppress(OSError):
        listening.setsockopt(
            socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", len(DROP_NEW), ctypes.addressof(program))
        )
