"""The engine node of `shoal serve`: a supervised child, followed by its parent as a gateway follows its nodes."""

import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, field

import structlog

from gateway.engine_client import EngineClient
from gateway.services.pools.directory import NodeDirectory
from gateway.services.pools.patience import Patience
from gateway.services.register.models import ModelInfo
from gateway.settings import GatewaySettings
from gateway.transport import AsyncioTransport
from shoal.data_folder import RunningEngine
from shoal.options.environment import child_environment
from shoal.supervisor import Supervisor, piped

HANG_INTERVAL = 5.0
"""Seconds between two looks at whether the engine hangs."""
HUNG_LOOKS = 5
"""Questions for its status that it did not answer within their five seconds each."""

log = structlog.get_logger("shoal.serve")


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """What of the command line is for the engine node."""

    device: str
    memory_budget: int | None
    host_budget: int | None
    idle_timeout: float | None
    load_timeout: float
    eviction: str
    bulk_share: float
    threads: int | None
    log_format: str = "auto"
    log_level: str = "info"
    otlp_endpoint: str | None = None
    otlp_headers: str | None = field(default=None, repr=False)
    """A secret, so no word of the command."""

    def command(self, port: int, grace_period: float) -> list[str]:
        """The engine node as a child of this process."""
        words = [sys.executable, "-m", "shoal", "engine", "--supervised", "--port", str(port)]
        words += ["--grace-period", str(grace_period)]
        for name, value in asdict(self).items():
            if value is not None and name != "otlp_headers":
                words += [f"--{name.replace('_', '-')}", str(value)]
        return words


@contextlib.asynccontextmanager
async def supervised(engine: RunningEngine, options: EngineOptions, grace_period: float) -> AsyncIterator[Supervisor]:
    """The engine node, kept alive for the length of the block."""
    port = int(engine.node_url.rpartition(":")[2])
    start = piped(options.command(port, grace_period), child_environment(engine.engine_secret, options.otlp_headers))
    supervisor = Supervisor(start, "engine")
    watching = asyncio.create_task(supervisor.run())
    try:
        yield supervisor
    finally:
        await supervisor.stop(grace_period)
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching


@dataclass(frozen=True, slots=True)
class EngineView:
    """The engine node as this process sees it, beside the gateway or its workers."""

    engines: EngineClient
    nodes: NodeDirectory
    starter: ModelInfo | None


@contextlib.asynccontextmanager
async def viewing(
    engine: RunningEngine, settings: GatewaySettings, starter: ModelInfo | None
) -> AsyncIterator[EngineView]:
    """Follow the engine node for the length of the block."""
    engines = EngineClient(AsyncioTransport(), engine.engine_secret)
    nodes = NodeDirectory(
        engines.for_service,
        settings.nodes,
        poll_interval=settings.poll_interval,
        patience=Patience.of(settings),
        request_timeout=settings.request_timeout,
        quiet=True,
    )
    nodes.start()
    try:
        yield EngineView(engines, nodes, starter)
    finally:
        await nodes.close()
        await engines.close()


async def kill_when_it_hangs(view: EngineView, supervisor: Supervisor) -> None:
    """Look for ever; the supervisor starts it again."""
    [node] = view.nodes.nodes
    while True:
        await asyncio.sleep(HANG_INTERVAL)
        if node.unanswered >= HUNG_LOOKS:
            log.error("engine lives and answers nothing; killed", looks=node.unanswered)
            supervisor.kill()
            node.unanswered = 0


def free_port() -> int:
    """A port on loopback that nobody uses now."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port
