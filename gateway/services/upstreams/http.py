"""Calls to one upstream: its address, its credential, time limits, and what went wrong as errors of the gateway."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import NamedTuple

import httpx

from gateway import errand
from gateway.address_guard import AddressRefused
from gateway.errors import Unavailable
from gateway.services.register.sealing import Sealer, Unreadable
from gateway.services.snapshot.entries import UpstreamEntry
from gateway.services.upstreams.refusals import away, refusal
from gateway.transport import AsyncioTransport

CONNECT_PATIENCE = 5.0
"""Seconds; upstreams may be far away."""
MOST_OF_AN_ERROR = 64 * 1024
"""Bytes of an error's body that are read, where a stream was asked for."""
EVENT_STREAM = "text/event-stream"


class Answered(NamedTuple):
    """A reply of status 200."""

    headers: Mapping[str, str]
    body: bytes


class Streamed:
    """The body of a reply as it comes."""

    def __init__(self, response: httpx.Response) -> None:
        self._response = response

    @property
    def is_events(self) -> bool:
        """Whether it is a stream of server-sent events."""
        media: str = self._response.headers.get("content-type", "")
        return media.partition(";")[0].strip().lower() == EVENT_STREAM

    async def pieces(self) -> AsyncIterator[bytes]:
        """As they come. Raises EngineGone where the upstream breaks off or stands still."""
        try:
            async for piece in self._response.aiter_raw():
                yield piece
        except httpx.TransportError as error:
            raise away(f"broke off amid a reply: {error}") from error

    async def close(self) -> None:
        """Take no more; an upstream that is not done yet is told by the end of the connection."""
        await self._response.aclose()


class UpstreamHttp:
    """One upstream; its routes are below its base URL."""

    def __init__(self, upstream: UpstreamEntry, transport: AsyncioTransport, sealer: Sealer | None) -> None:
        self._transport = transport
        self._base = upstream.base_url
        self._unusable: str | None = None
        host = httpx.URL(self._base).netloc.decode("ascii")
        self.secrets: tuple[str, ...] = (self._base, host, host.rpartition(":")[0] or host)
        """What must not be in an answer to a caller."""
        self._headers = httpx.Headers(
            {"host": host, "content-type": "application/json", "accept-encoding": "identity", "user-agent": "shoal"}
        )
        if upstream.credential is not None:
            try:
                key = _opened(upstream, sealer)
            except Unreadable as error:
                self._unusable = f"can not be used: its credential can not be read. {error}".rstrip(".")
            else:
                self._headers["authorization"] = f"Bearer {key}"
                self.secrets = (key, *self.secrets)

    async def get(self, path: str, patience: float) -> Answered:
        """A whole reply within so many seconds. Raises what `refusal` says of any status but 200."""
        return await self._whole("GET", path, b"", patience)

    async def post(self, path: str, body: bytes, patience: float) -> Answered:
        """As `get`, with a body of JSON."""
        return await self._whole("POST", path, body, patience)

    async def stream(self, path: str, body: bytes, patience: float) -> Streamed:
        """A reply whose body is read as it comes; `patience` bounds the time to its head, and each silence after."""
        response = await self._send("POST", path, body, patience, stream=True)
        streamed = Streamed(response)
        if response.status_code == 200:
            return streamed
        try:
            content = bytearray()
            async for piece in streamed.pieces():
                content += piece
                if len(content) > MOST_OF_AN_ERROR:
                    break
        finally:
            await streamed.close()
        raise refusal(response.status_code, response.headers, bytes(content), self.secrets)

    async def _whole(self, method: str, path: str, body: bytes, patience: float) -> Answered:
        try:
            async with asyncio.timeout(patience):
                response = await self._send(method, path, body, patience)
        except TimeoutError as error:
            raise too_slow() from error
        if response.status_code != 200:
            raise refusal(response.status_code, response.headers, response.content, self.secrets)
        return Answered(response.headers, response.content)

    async def _send(
        self, method: str, path: str, body: bytes, patience: float, *, stream: bool = False
    ) -> httpx.Response:
        if self._unusable is not None:
            raise away(self._unusable)
        connect = min(CONNECT_PATIENCE, patience)
        request = httpx.Request(
            method,
            self._base + path,
            headers=httpx.Headers([*self._headers.raw, *errand.headers()]),
            stream=httpx.ByteStream(body),
            extensions={"timeout": {"connect": connect, "pool": patience, "read": patience}, "stream": stream},
        )
        try:
            response = await self._transport.handle_async_request(request)
            if response.headers.get("content-encoding", "identity").strip().lower() not in {"", "identity"}:
                await response.aclose()
                raise away("answers in an encoding that it was not asked for")  # unpacked, it has no bound
            if not stream:
                await response.aread()
        except AddressRefused as error:
            raise away(f"can not be called: {error}") from error
        except (httpx.ReadTimeout, httpx.PoolTimeout) as error:
            raise too_slow() from error
        except httpx.TransportError as error:
            raise away(f"can not be reached: {error}".rstrip(".")) from error
        return response


def too_slow() -> Unavailable:
    """The upstream said nothing in time."""
    return Unavailable("The engine took too long, please try again later.", code="engine_timeout", retry_after=1.0)


def _opened(upstream: UpstreamEntry, sealer: Sealer | None) -> str:
    if sealer is None:
        raise Unreadable("This gateway has no secret key (--secret-key).")
    return sealer.unseal(upstream.credential or b"", upstream.id)
