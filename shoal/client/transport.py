"""What both clients want of httpx, and what its failures mean."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import httpx

from shoal.client.errors import TimedOut, Unreachable
from shoal.client.settings import ClientSettings

Client = TypeVar("Client")
CONNECT_LIMIT = 5.0
"""Seconds for a connection."""


def settings_of(url: str | None, settings: ClientSettings | None, options: Mapping[str, Any]) -> ClientSettings:
    """Settings with what was said besides. Raises TypeError for options that there are not."""
    said = dict(options) | ({} if url is None else {"url": url})
    return replace(settings or ClientSettings(), **said)


def reopened(kind: Callable[..., Client], saved: Mapping[str, Any]) -> Client:
    """A client that went through pickle, which holds no key."""
    return kind(settings=ClientSettings(**saved))


def connection_options(settings: ClientSettings) -> dict[str, Any]:
    """As many connections as requests, each of which has the time-out to itself."""
    return {
        "base_url": settings.origin,
        "timeout": httpx.Timeout(settings.timeout, connect=min(CONNECT_LIMIT, settings.timeout)),
        "limits": httpx.Limits(max_connections=settings.concurrency, max_keepalive_connections=settings.concurrency),
    }


def unreachable(error: httpx.RequestError, settings: ClientSettings) -> Unreachable:
    """Why there is no answer."""
    if isinstance(error, httpx.TimeoutException):
        return TimedOut(f"{settings.origin} did not answer within {settings.timeout:g} s.")
    return Unreachable(f"{settings.origin} can not be reached, or broke off: {error or type(error).__name__}")
