"""`shoal engine`: one engine node on this machine's device."""

import asyncio
from contextlib import closing
from typing import Annotated

import typer

from engine.runtime import open_runtime
from engine.server import create_engine_app
from engine.settings import EngineSettings
from shoal import process
from shoal.failures import StartFailure
from shoal.logs import configure_logs
from shoal.options import Device, EngineSecret, GracePeriod, Host, MemoryBudget, Port, Threads
from shoal.supervisor import parent_gone

LOOPBACK = ("127.", "::1", "localhost")


def engine(
    host: Host = "127.0.0.1",
    port: Port = 9000,
    device: Device = "auto",
    memory_budget: MemoryBudget = None,
    engine_secret: EngineSecret = "",
    threads: Threads = None,
    grace_period: GracePeriod = 30.0,
    supervised: Annotated[
        bool, typer.Option("--supervised", hidden=True, help="End when standard input is closed.")
    ] = False,
) -> None:
    """Run models for gateways elsewhere, which prove themselves by a shared secret."""
    if not engine_secret and not host.startswith(LOOPBACK):
        raise StartFailure(
            f"A node on {host} can be reached from other machines: give it and its gateways a secret "
            "by --engine-secret or SHOAL_ENGINE_SECRET."
        )
    settings = EngineSettings(device=device, memory_budget=memory_budget, secret=engine_secret, threads=threads)
    configure_logs()
    process.run(_engine(settings, host, port, grace_period, supervised=supervised))


async def _engine(settings: EngineSettings, host: str, port: int, grace_period: float, *, supervised: bool) -> None:
    with closing(process.listen(host, port)) as sock:
        stop = process.StopSignal()
        async with open_runtime(settings) as runtime:
            if not supervised:
                print(f"Serving on {process.address(sock)}. Stop with Ctrl-C.", flush=True)

            async def drain() -> None:
                async with asyncio.timeout(grace_period):
                    await runtime.drain()

            await process.serve(
                create_engine_app(runtime),
                sock,
                stop,
                grace_period=grace_period,
                beside=_stop_with_parent(stop) if supervised else None,
                before_stop=drain,
            )


async def _stop_with_parent(stop: process.StopSignal) -> None:
    await parent_gone()
    stop.set()
