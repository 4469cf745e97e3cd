"""Tracing for the length of a process, where a collector is named."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from engine.tracing import NodeTracing
from gateway.observability import own_version
from gateway.tracing import NO_TRACER, Tracer
from shoal.failures import StartFailure
from shoal.tracing.exporter import Exporter
from shoal.tracing.settings import TracingSettings
from shoal.tracing.tracer import GatewayTracer, NodeTracer

CLOSE_PATIENCE = 2.0
"""Seconds at the end of a process for the last spans; of its grace period, as answers have left by then."""


@asynccontextmanager
async def gateway_tracing(settings: TracingSettings | None) -> AsyncIterator[Tracer]:
    """What begins traces in a gateway; NO_TRACER without settings."""
    if settings is None:
        yield NO_TRACER
        return
    async with _exporting(settings, "shoal-gateway") as exporter:
        yield GatewayTracer(exporter, settings.share)


@asynccontextmanager
async def node_tracing(settings: TracingSettings | None) -> AsyncIterator[NodeTracing | None]:
    """What goes on with them in a node."""
    if settings is None:
        yield None
        return
    async with _exporting(settings, "shoal-engine") as exporter:
        yield NodeTracer(exporter)


@asynccontextmanager
async def _exporting(settings: TracingSettings, name: str) -> AsyncIterator[Exporter]:
    try:
        from shoal.tracing.otlp import encoded  # noqa: PLC0415 (an extra, and a megabyte that few need)
    except ImportError:
        raise StartFailure("Traces need one more package: pip install 'shoal-server[otel]'.") from None
    resource = {
        "service.name": name,
        "service.version": own_version(),
        "service.instance.id": f"{socket.gethostname()}:{os.getpid()}",
        "host.name": socket.gethostname(),
    }
    exporter = Exporter(settings, resource, encoded)
    try:
        yield exporter
    finally:
        await asyncio.to_thread(exporter.close, CLOSE_PATIENCE)
