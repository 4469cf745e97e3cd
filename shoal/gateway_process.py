"""A gateway in this process: services opened, the API and the console side by side, served until a stop."""

import gc
import socket
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from litestar.types import ASGIApp, Receive, Scope, Send

from admin_ui.app import create_admin_app
from gateway.app import create_app, open_services
from gateway.services.opened import Services
from gateway.settings import GatewaySettings
from shoal import process

CONSOLE = "/admin"


async def serve_gateway(
    settings: GatewaySettings,
    sock: socket.socket,
    stop: process.StopSignal,
    *,
    session_key: bytes,
    beside: Callable[[Services], Awaitable[None]] | None = None,
) -> None:
    """Serve on `sock` until `stop`; what is in flight then is finished, and all usage is written, before this returns.

    `beside` runs while the gateway serves; a failure in it stops the gateway.
    """
    async with AsyncExitStack() as stack:
        services = await stack.enter_async_context(open_services(settings))
        app = side_by_side(create_app(services), create_admin_app(services, session_key=session_key))
        settle_garbage_collection()
        companion = beside(services) if beside is not None else None
        await process.serve(app, sock, stop, grace_period=settings.grace_period, beside=companion)


def settle_garbage_collection() -> None:
    """Take what was made at the start out of the collector's rounds, and make these rarer.

    Requests leave few cycles; going through a hundred thousand long-lived objects for them costs up to a fifth of the
    processor time at 32 connections (measured).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def side_by_side(api: ASGIApp, console: ASGIApp) -> ASGIApp:
    """One app of two: the console has its own prefix, errors and headers; everything else is the API's."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        chosen = console if path == CONSOLE or path.startswith(CONSOLE + "/") else api
        await chosen(scope, receive, send)

    return app
