"""A gateway in this process: services opened, the API and the console side by side, served until a stop."""

import asyncio
import gc
import socket
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from litestar.types import ASGIApp, Receive, Scope, Send

from admin_ui.app import create_admin_app
from gateway.api.crew import Crew
from gateway.app import create_admin_api, create_app, open_services
from gateway.certificates import CertificateFiles
from gateway.services.opened import Services
from gateway.settings import GatewaySettings
from shoal import process
from shoal.console_asking import asking
from shoal.console_inspection import inspect_adapter_apart, inspect_apart
from shoal.door import Door
from shoal.doorkeeper import limits_of
from shoal.failures import StartFailure
from shoal.observation import Observation
from shoal.tls import door_tls
from shoal.tracing.opened import gateway_tracing
from shoal.tracing.settings import TracingSettings
from shoal.workers.crew import serve_by_crew
from shoal.workers.orders import Orders

ADMIN_API = "/admin/api"
CONSOLE = "/admin"


def check_workers(workers: int, settings: GatewaySettings) -> None:
    """Raises StartFailure where so many workers would not behave as one."""
    if workers > 1 and settings.redis_url is None:
        raise StartFailure(
            f"{workers} workers would count quotas apart: give them one Redis with --redis-url, or leave out --workers."
        )


async def serve_gateway(
    settings: GatewaySettings,
    sock: socket.socket,
    stop: process.StopSignal,
    *,
    session_key: bytes,
    workers: int = 1,
    beside: Awaitable[None] | None = None,
    observation: Observation,
) -> None:
    """Serve on `sock` until `stop`, in this process or by several workers.

    What is in flight then is finished, and all usage is written, before this returns. `beside` runs while the gateway
    serves; a failure in it stops the gateway.
    """
    if workers > 1:
        orders = Orders(settings=settings, session_key=session_key, observation=observation)
        await serve_by_crew(orders, sock, stop, workers, beside)
        return

    async def accompany(_: Services) -> None:
        if beside is not None:
            await beside

    await serve_alone(settings, sock, stop, session_key=session_key, beside=accompany, tracing=observation.tracing)


async def serve_alone(
    settings: GatewaySettings,
    door: socket.socket | Door,
    stop: process.StopSignal,
    *,
    session_key: bytes,
    beside: Callable[[Services], Awaitable[None]],
    crew: Crew | None = None,
    before_stop: Callable[[], Awaitable[None]] | None = None,
    tracing: TracingSettings | None = None,
) -> None:
    """Serve in this process; `crew` where it is one of several."""
    async with AsyncExitStack() as stack:
        tracer = await stack.enter_async_context(gateway_tracing(tracing))
        services = await stack.enter_async_context(open_services(settings, tracer))
        api = create_app(services, crew)
        console = create_admin_app(
            services,
            session_key=session_key,
            inspect=inspect_apart,
            inspect_adapter=inspect_adapter_apart,
            ask=asking(api),
        )
        app = side_by_side(api, create_admin_api(services), console)
        tls = await stack.enter_async_context(
            door_tls(CertificateFiles(certificate=settings.tls_cert, key=settings.tls_key))
        )
        settle_garbage_collection()

        async def say_goodbye() -> None:
            services.standing.draining = True
            await asyncio.sleep(settings.drain_delay)
            if before_stop is not None:
                await before_stop()

        await process.serve(
            app,
            door,
            stop,
            grace_period=settings.grace_period,
            limits=limits_of(settings),
            tls=tls,
            beside=beside(services),
            before_stop=say_goodbye,
        )


def settle_garbage_collection() -> None:
    """Take what was made at the start out of the collector's rounds, and make these rarer.

    Requests leave few cycles; going through a hundred thousand long-lived objects for them costs up to a fifth of the
    processor time at 32 connections (measured).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def side_by_side(api: ASGIApp, admin_api: ASGIApp, console: ASGIApp) -> ASGIApp:
    """One app of three, by prefix: operators' programs, operators' browsers, and everybody else."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"] + "/"
        chosen = admin_api if path.startswith(ADMIN_API + "/") else console if path.startswith(CONSOLE + "/") else api
        await chosen(scope, receive, send)

    return app
