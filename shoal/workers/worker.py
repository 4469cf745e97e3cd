"""One worker: a gateway whose connections come from the parent, and whose /metrics and readiness are those of all."""

import asyncio
import contextlib
import socket
from dataclasses import replace

import msgspec

from gateway.api.metrics import observe_background
from gateway.errors import Unavailable
from gateway.metric_families import families_of
from gateway.services.opened import Services
from shoal import process
from shoal.failures import StartFailure
from shoal.gateway_process import serve_alone
from shoal.logs import configure_logs
from shoal.workers.channel import Channel, ChannelClosed
from shoal.workers.intake import Intake
from shoal.workers.orders import decode

START_PATIENCE = 30.0
PATIENCE = 5.0
"""Seconds that the parent may take to ask every worker."""


async def work(descriptor: int) -> None:
    """Serve the connections that come over `descriptor`, as the parent at our standard input orders."""
    stop = process.StopSignal()
    worker = Worker()
    channel = await Channel.open(socket.socket(fileno=0), answer=worker.answer, notice=worker.notice)
    hearing = asyncio.create_task(channel.run())
    hearing.add_done_callback(lambda _: stop.set())
    try:
        orders = decode(await channel.ask("orders", START_PATIENCE))
    except (ChannelClosed, TimeoutError):
        raise StartFailure("The worker's parent is gone.") from None
    configure_logs(orders.observation.logs)

    async def accompany(services: Services) -> None:
        worker.services = services
        channel.tell("serving")
        try:
            await asyncio.Event().wait()
        finally:
            with contextlib.suppress(ChannelClosed):
                channel.tell("metrics", await worker.answer("metrics"))

    async def say_closing() -> None:
        with contextlib.suppress(ChannelClosed):
            channel.tell("closing")

    await serve_alone(
        replace(orders.settings, drain_delay=0.0),  # it is the parent's, who closes the door
        Intake(socket.socket(fileno=descriptor)),
        stop,
        session_key=orders.session_key,
        crew=WholeCrew(channel),
        beside=accompany,
        before_stop=say_closing,
        tracing=orders.observation.tracing,
    )
    await channel.close()
    await hearing


class Worker:
    """Answers what the parent asks of this worker."""

    services: Services | None = None

    async def answer(self, word: str) -> bytes:
        """`metrics`: every family; `readiness`: whether this worker could serve now."""
        if self.services is None:
            return b""
        if word == "metrics":
            observe_background(self.services)
            return msgspec.msgpack.encode(families_of(self.services.metrics.registry))
        return msgspec.msgpack.encode(self.services.standing.report())

    def notice(self, word: str, body: bytes) -> None:  # noqa: ARG002 (no word has one)
        """`draining`: the parent is about to stop."""
        if word == "draining" and self.services is not None:
            self.services.standing.draining = True


class WholeCrew:
    """All workers, by way of the parent."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    async def metrics_page(self) -> bytes:
        """The page of /metrics."""
        return await self._ask("metrics page")

    async def readiness(self) -> tuple[int, bytes]:
        """Status and body of /health/ready."""
        return msgspec.msgpack.decode(await self._ask("whole readiness"), type=tuple[int, bytes])

    async def _ask(self, word: str) -> bytes:
        try:
            return await self._channel.ask(word, PATIENCE)
        except (ChannelClosed, TimeoutError):
            raise Unavailable("This server is stopping.", retry_after=1.0) from None
