"""HTTP over connections of our own (http1.py), and httpx's transport interface to it, where stock httpx costs 3 ms.

Made for the hop to an engine node: whole bodies both ways, one write per request, connections kept and reused per
origin. A reused connection that its peer closes before the first byte of the reply was stale: that request is sent once
more on a fresh one, so callers must send only what may arrive twice. A caller that is cancelled closes its connection.
No proxies, redirects, cookies or decompression. For upstreams, which are strangers: a guard that looks at every address
before it is connected to, a limit of what a reply may hold, and replies that are read as they come.
"""

import ssl
from collections.abc import AsyncIterator
from typing import NamedTuple, Self

import httpx

from gateway.connection_pool import ConnectionPool, Guard
from gateway.http1 import Connection, Reply
from gateway.http1_stream import StreamingConnection

FRAMING = frozenset({b"content-length", b"transfer-encoding"})


class Origin(NamedTuple):
    """Where connections lead."""

    scheme: str
    host: str
    port: int
    certified: str
    """Whose certificate the peer must show, by `https`."""

    @classmethod
    def of(cls, url: httpx.URL, certified: str | None = None) -> Self:
        """That of a URL; `certified` where a certificate is not its host's."""
        port = url.port or (443 if url.scheme == "https" else 80)
        return cls(url.scheme, url.host, port, certified or url.host)


class Patience(NamedTuple):
    """Seconds at most; None: no limit."""

    connect: float | None
    """To be connected."""
    pool: float | None
    """Until one of the connections is free."""
    read: float | None
    """Of silence."""


class AsyncioTransport(httpx.AsyncBaseTransport):
    """Keeps at most `max_connections` per origin, and an idle one for `idle_seconds`.

    `ssl_context` says whom `https` trusts and which certificate it shows; None: whom this machine trusts, and none.
    `guard` is shown every address before it is connected to. `reply_limit`: bytes that the body of a whole reply may
    have. `streaming`: replies can be read as they come.
    """

    def __init__(
        self,
        *,
        max_connections: int = 512,
        idle_seconds: float = 4.0,
        ssl_context: ssl.SSLContext | None = None,
        guard: Guard | None = None,
        reply_limit: int | None = None,
        streaming: bool = False,
    ) -> None:
        self._max_connections = max_connections
        self._idle_seconds = idle_seconds
        self._ssl_context = ssl_context
        self._guard = guard
        self._reply_limit = reply_limit
        self._kind = StreamingConnection if streaming else Connection
        self._pools: dict[Origin, ConnectionPool] = {}
        self._closed = False

    async def exchange(self, origin: Origin, data: bytes, patience: Patience, *, bodiless: bool = False) -> Reply:
        """Send a request's bytes and read its reply whole. Raises httpx.TransportError.

        `bodiless`: the reply has no body whatever its headers say (HEAD).
        """
        pool = self._pool(origin)
        connection, reused = await pool.take(patience.pool, patience.connect)
        try:
            return await _converse(pool, connection, data, patience.read, bodiless=bodiless)
        except (httpx.NetworkError, httpx.RemoteProtocolError):
            if connection.heard_back or not reused:
                raise
        fresh = await pool.open(patience.pool, patience.connect)
        return await _converse(pool, fresh, data, patience.read, bodiless=bodiless)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The same for httpx's requests. `extensions["timeout"]` bounds connect, pool and read in seconds.

        `extensions["sni_hostname"]` is whose certificate the peer must show, where that is not the URL's host.
        With `extensions["stream"]` only the head is read, and the body as its reader takes it: then `read` bounds the
        silence between two pieces too. Whoever asks for that closes the response.
        """
        body = request.read() if isinstance(request.stream, httpx.ByteStream) else await request.aread()
        data = _head(request, len(body)) + body
        extensions = request.extensions
        timeout = extensions.get("timeout", {})
        patience = Patience(timeout.get("connect"), timeout.get("pool"), timeout.get("read"))
        origin = Origin.of(request.url, extensions.get("sni_hostname"))
        try:
            if extensions.get("stream", False):
                return await self._begin(origin, data, patience)
            reply = await self.exchange(origin, data, patience, bodiless=request.method == "HEAD")
        except httpx.TransportError as error:
            error.request = request
            raise
        return httpx.Response(reply.status, headers=reply.headers, stream=httpx.ByteStream(reply.body), request=request)

    async def aclose(self) -> None:
        """Close every connection; requests under way fail."""
        self._closed = True
        for pool in self._pools.values():
            pool.close()

    async def _begin(self, origin: Origin, data: bytes, patience: Patience) -> httpx.Response:
        pool = self._pool(origin)
        connection, reused = await pool.take(patience.pool, patience.connect)
        try:
            return await _converse_as_it_comes(pool, connection, data, patience.read)
        except (httpx.NetworkError, httpx.RemoteProtocolError):
            if connection.heard_back or not reused:
                raise
        fresh = await pool.open(patience.pool, patience.connect)
        return await _converse_as_it_comes(pool, fresh, data, patience.read)

    def _pool(self, origin: Origin) -> ConnectionPool:
        if self._closed:
            raise httpx.ConnectError("The transport is closed.")
        pool = self._pools.get(origin)
        if pool is None:
            pool = self._pools[origin] = ConnectionPool(
                origin.host,
                origin.port,
                certified=origin.certified,
                tls=self._tls if origin.scheme == "https" else None,
                limit=self._max_connections,
                idle_seconds=self._idle_seconds,
                guard=self._guard,
                made=lambda lost: self._kind(lost, self._reply_limit),
            )
        return pool

    @property
    def _tls(self) -> ssl.SSLContext:
        if self._ssl_context is None:
            self._ssl_context = ssl.create_default_context()
        return self._ssl_context


async def _converse(
    pool: ConnectionPool, connection: Connection, data: bytes, patience: float | None, *, bodiless: bool
) -> Reply:
    """One request and reply on a connection that was taken; whatever goes wrong closes it."""
    try:
        reply = await connection.exchange(data, bodiless=bodiless, patience=patience)
    except BaseException:
        connection.close()
        raise
    pool.give_back(connection)
    return reply


async def _converse_as_it_comes(
    pool: ConnectionPool, connection: Connection, data: bytes, patience: float | None
) -> httpx.Response:
    if not isinstance(connection, StreamingConnection):
        raise TypeError("this transport reads whole replies only")
    try:
        head = await connection.begin(data, patience=patience)
    except BaseException:
        connection.close()
        raise
    return httpx.Response(head.status, headers=head.headers, stream=Pieces(pool, connection, patience))


class Pieces(httpx.AsyncByteStream):
    """The body of a reply as it comes. Closed before its end, it closes the connection: the peer may stop."""

    def __init__(self, pool: ConnectionPool, connection: StreamingConnection, patience: float | None) -> None:
        self._pool = pool
        self._connection: StreamingConnection | None = connection
        self._patience = patience

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Every piece. Raises httpx.TransportError where the body breaks off or stands still."""
        while self._connection is not None and (piece := await self._connection.piece(self._patience)):
            yield piece
        await self.aclose()

    async def aclose(self) -> None:
        """Keep the connection for others, or end it."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if connection.complete:
            self._pool.give_back(connection)
        else:
            connection.close()


def _head(request: httpx.Request, length: int) -> bytes:
    lines = [b"%b %b HTTP/1.1" % (request.method.encode("ascii"), request.url.raw_path)]
    lines += [b"%b: %b" % (name, value) for name, value in request.headers.raw if name.lower() not in FRAMING]
    if length or request.method not in {"GET", "HEAD"}:
        lines.append(b"content-length: %d" % length)
    lines.append(b"\r\n")
    return b"\r\n".join(lines)
