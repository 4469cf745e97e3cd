"""Where a request comes from."""

from typing import Any
from urllib.parse import urlsplit

from litestar import Request

from admin_ui.ports import ConsoleServices
from gateway.services.access.callers import caller_address, networks


def caller(request: Request[Any, Any, Any], services: ConsoleServices) -> str:
    """The address of whoever asks, as far as proxies are trusted."""
    peer = request.client.host if request.client else ""
    forwarded_for = ",".join(request.headers.getall("x-forwarded-for", []))
    return caller_address(peer, forwarded_for, networks(services.settings.trusted_proxies))


def elsewhere_of(services: ConsoleServices) -> str | None:
    """Where operators may sign in besides by password, as people call it."""
    oidc = services.settings.oidc
    return None if oidc is None else urlsplit(oidc.issuer).hostname or oidc.issuer
