"""`shoal engine`: one engine node on this machine's device."""

import asyncio
import os
import sys
import threading
from contextlib import closing as closed_after
from contextlib import suppress
from ipaddress import ip_address
from typing import Annotated

import typer

from engine.runtime import open_runtime
from engine.server import create_engine_app
from engine.settings import EngineSettings
from engine.work import LOADER
from gateway.certificates import CertificateFiles
from shoal import process
from shoal.failures import StartFailure
from shoal.logs import configure_logs
from shoal.options.edge import GracePeriod
from shoal.options.engine import (
    BulkShare,
    Device,
    EvictionOrder,
    HostBudget,
    IdleTimeout,
    LoadTimeout,
    MemoryBudget,
    Threads,
)
from shoal.options.nodes import EngineSecret
from shoal.options.observation import LogFormatOption, LogLevelOption, OtlpEndpoint, OtlpHeaders, observation_of
from shoal.options.shared import Host, Port
from shoal.options.tls import TlsCert, TlsClientCa, TlsKey
from shoal.supervisor import parent_gone
from shoal.tls import door_tls
from shoal.tracing.opened import node_tracing
from shoal.tracing.settings import TracingSettings

CLOSING = 2.0
"""Seconds of the grace period that are kept for sending the last answers and closing."""


def engine(
    host: Host = "127.0.0.1",
    port: Port = 9000,
    device: Device = "auto",
    memory_budget: MemoryBudget = None,
    host_budget: HostBudget = None,
    idle_timeout: IdleTimeout = None,
    load_timeout: LoadTimeout = 600.0,
    eviction: EvictionOrder = "lru",
    bulk_share: BulkShare = 0.1,
    engine_secret: EngineSecret = "",
    threads: Threads = None,
    grace_period: GracePeriod = 30.0,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    tls_client_ca: TlsClientCa = None,
    log_format: LogFormatOption = "auto",
    log_level: LogLevelOption = "info",
    otlp_endpoint: OtlpEndpoint = None,
    otlp_headers: OtlpHeaders = None,
    supervised: Annotated[
        bool, typer.Option("--supervised", hidden=True, help="End when standard input is closed.")
    ] = False,
) -> None:
    """Run models for gateways elsewhere, which prove themselves by a shared secret, or by certificates."""
    if not engine_secret and tls_client_ca is None and not is_loopback(host):
        raise StartFailure(
            f"A node on {host} can be reached from other machines: give it and its gateways a secret "
            "by --engine-secret or SHOAL_ENGINE_SECRET, or certificates by --tls-client-ca."
        )
    files = CertificateFiles(certificate=tls_cert, key=tls_key, trusted=tls_client_ca)
    settings = EngineSettings(
        device=device,
        memory_budget=memory_budget,
        host_budget=host_budget,
        idle_timeout=idle_timeout,
        load_timeout=load_timeout,
        eviction=eviction,
        bulk_share=bulk_share,
        secret=engine_secret,
        threads=threads,
    )
    observation = observation_of(log_format, log_level, otlp_endpoint, otlp_headers)
    configure_logs(observation.logs)
    process.run(_engine(settings, host, port, grace_period, files, observation.tracing, supervised=supervised))
    if any(thread.name == LOADER for thread in threading.enumerate()):
        # A load that never ends can not be stopped, and unwinding it below native code could crash the exit.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine reaches what listens there; a name says nothing, except the one."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


async def _engine(
    settings: EngineSettings,
    host: str,
    port: int,
    grace_period: float,
    files: CertificateFiles,
    tracing: TracingSettings | None,
    *,
    supervised: bool,
) -> None:
    with closed_after(process.listen(host, port)) as sock:
        stop = process.StopSignal()
        async with door_tls(files) as tls, node_tracing(tracing) as tracer, open_runtime(settings, tracer) as runtime:
            if not supervised:
                print(f"Serving on {process.address(sock, files.certificate)}. Stop with Ctrl-C.", flush=True)

            closing = min(CLOSING, grace_period / 2)

            async def finish() -> None:
                with suppress(TimeoutError):
                    async with asyncio.timeout(grace_period - closing):
                        await runtime.drain()
                await runtime.close()

            await process.serve(
                create_engine_app(runtime),
                sock,
                stop,
                grace_period=closing,
                tls=tls,
                beside=_stop_with_parent(stop) if supervised else None,
                before_stop=finish,
            )


async def _stop_with_parent(stop: process.StopSignal) -> None:
    await parent_gone()
    stop.set()
