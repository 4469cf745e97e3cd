"""Generated text as it is made: admitted, begun at an upstream, passed on event by event, and paid for at its end.

Until the first event is there, whatever goes wrong is an answer of its own, and another upstream may be tried. From
then on the stream can only break off: it says so by an event of OpenAI's shape, never by ending as if it were complete.
What was delivered is paid for, however it ended.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from litestar.types import Receive, Scope, Send

from gateway.api.attendance import Attended
from gateway.api.event_stream import EventStream, EventTooLong
from gateway.api.generation_work import Generation, client_of, tokens_used
from gateway.api.model_choice import key_of
from gateway.api.urgency import time_left
from gateway.call import Call, Stream
from gateway.errors import ClientGone, EngineGone, GatewayError, Unavailable, error_body
from gateway.services.opened import Services
from gateway.services.pools.node import Node
from gateway.services.quota.reserving import Reservation
from gateway.services.upstreams.http import Streamed
from gateway.services.upstreams.refusals import away

HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # proxies of one kind hold pieces back otherwise
]
DONE = b"data: [DONE]\n\n"


@dataclass(slots=True)
class Begun:
    """A stream whose first events are there."""

    body: Streamed
    pieces: AsyncIterator[bytes]
    events: EventStream
    first: list[bytes]


class GeneratedStream:
    """An ASGI response."""

    def __init__(self, services: Services, call: Call, work: Generation) -> None:
        self._services = services
        self._call = call
        self._work = work

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Do all of it. Raises what is to be an answer of its own, before the first byte."""
        services, call, chosen = self._services, self._call, self._work.chosen
        services.usage.check_room()
        last = b""
        async with services.quota.reserve(
            key_of(call), chosen.model.names, model=chosen.name, tokens=self._work.cost
        ) as reservation:
            call.reservation = reservation
            try:
                with Attended(receive):
                    async with asyncio.timeout(services.settings.request_timeout):
                        await self._pass_on(reservation, send)
                last = self._complete()
            except (GatewayError, TimeoutError) as error:
                last = self._broken(error)
            reservation.used = reservation.delivered
        if last:
            await send({"type": "http.response.body", "body": last, "more_body": False})

    def _complete(self) -> bytes:
        if self._call.stream is not None:
            self._call.stream.status = 200
        return DONE

    def _broken(self, error: GatewayError | TimeoutError) -> bytes:
        """What is left to say to the caller; nothing where it has left. Raises where nothing was said yet."""
        if isinstance(error, TimeoutError):
            error = Unavailable("The answer took too long; it ends here.", code="engine_timeout", retry_after=1.0)
        if self._call.stream is None:
            if self._call.reservation is not None and not isinstance(error, ClientGone):
                self._call.reservation.delivered = 0
            raise error
        self._call.stream.status = error.status
        return b"" if isinstance(error, ClientGone) else b"data: " + error_body(error) + b"\n\n"

    async def _pass_on(self, reservation: Reservation, send: Send) -> None:
        call, model = self._call, self._work.chosen.model
        began = call.elapsed
        async with self._services.nodes.streaming(model.pool, model.id, self._begin, patience=time_left(call)) as begun:
            call.upstream += call.elapsed - began
            try:
                call.stream = Stream(call.elapsed, call.upstream)
                start: Any = {"type": "http.response.start", "status": 200, "headers": list(HEADERS)}
                await send(start)
                for event in begun.first:
                    await self._send(event, begun.events, reservation, send)
                if not begun.events.done:
                    await self._send_rest(begun, reservation, send)
            finally:
                await begun.body.close()

    async def _send_rest(self, begun: Begun, reservation: Reservation, send: Send) -> None:
        """Raises EngineGone where the upstream breaks off."""
        events = begun.events
        try:
            async for piece in begun.pieces:
                for event in events.feed(piece):
                    await self._send(event, events, reservation, send)
                self._count(events, reservation)
                if events.done or events.failed:
                    break
        except EventTooLong as error:
            raise away("sends an event that does not end") from error
        if not events.complete:
            raise _ended("ended a stream before its end" if not events.failed else "broke off a stream with an error")

    async def _send(self, event: bytes, events: EventStream, reservation: Reservation, send: Send) -> None:
        self._count(events, reservation)
        await send({"type": "http.response.body", "body": event, "more_body": True})

    def _count(self, events: EventStream, reservation: Reservation) -> None:
        reservation.delivered = tokens_used(events.usage, self._work, events.heard)

    async def _begin(self, node: Node, seconds: float) -> Begun:
        """Begin at this upstream; what goes wrong before its first event is no more than an attempt."""
        events = EventStream(self._work.chosen.name, with_usage=self._work.body.wants_usage)
        client = client_of(node)
        if self._call.reservation is not None:  # should the caller leave: the upstream bills what it began
            self._count(events, self._call.reservation)
        body = await client.generate(self._work.path, self._work.content, seconds)
        try:
            return await _first_events(body, events)
        except BaseException:
            await body.close()
            raise


async def _first_events(body: Streamed, events: EventStream) -> Begun:
    if not body.is_events:
        raise _ended("answers a stream with something else")
    pieces = body.pieces()
    try:
        async for piece in pieces:
            first = list(events.feed(piece))
            if events.failed:
                break
            if first or events.done:
                return Begun(body, pieces, events, first)
    except EventTooLong as error:
        raise away("sends an event that does not end") from error
    raise _ended("broke off a stream with an error" if events.failed else "ended a stream before its beginning")


def _ended(how: str) -> EngineGone:
    """An end that one request has had, which says nothing of others."""
    error = away(how)
    error.answered = True
    return error
