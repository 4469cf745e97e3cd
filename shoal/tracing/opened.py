"""Tracing for the length of a process, where a collector is named; OpenTelemetry's SDK is loaded only then."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from engine.tracing import NodeTracing
from gateway.observability import own_version
from gateway.tracing import NO_TRACER, Tracer
from shoal.failures import StartFailure
from shoal.tracing.settings import TracingSettings

if TYPE_CHECKING:
    from shoal.tracing.delivery import Delivery

CLOSE_PATIENCE = 2.0
"""Seconds at the end of a process for the last spans; of its grace period, as answers have left by then."""


@asynccontextmanager
async def gateway_tracing(settings: TracingSettings | None) -> AsyncIterator[Tracer]:
    """What begins traces in a gateway; NO_TRACER without settings."""
    if settings is None:
        yield NO_TRACER
        return
    async with _delivering(settings) as delivery:
        from shoal.tracing.tracer import GatewayTracer  # noqa: PLC0415 (an extra)

        yield GatewayTracer(delivery, _resource("shoal-gateway"), settings.share)


@asynccontextmanager
async def node_tracing(settings: TracingSettings | None) -> AsyncIterator[NodeTracing | None]:
    """What goes on with them in a node."""
    if settings is None:
        yield None
        return
    async with _delivering(settings) as delivery:
        from shoal.tracing.tracer import NodeTracer  # noqa: PLC0415 (an extra)

        yield NodeTracer(delivery, _resource("shoal-engine"))


@asynccontextmanager
async def _delivering(settings: TracingSettings) -> AsyncIterator["Delivery"]:
    try:
        from shoal.tracing.delivery import Delivery  # noqa: PLC0415 (an extra)
    except ImportError:
        raise StartFailure("Traces need OpenTelemetry's SDK: pip install 'shoal-server[otel]'.") from None
    delivery = Delivery(settings)
    try:
        yield delivery
    finally:
        await asyncio.to_thread(delivery.close, CLOSE_PATIENCE)


def _resource(service: str) -> dict[str, str]:
    return {
        "service.name": service,
        "service.version": own_version(),
        "service.instance.id": f"{socket.gethostname()}:{os.getpid()}",
        "host.name": socket.gethostname(),
    }
