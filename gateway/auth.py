"""Who is asking: one check before every route, deny by default.

A route's own `opt` says that it is `public`, or which `scope` a key must have for it; an app with a route that says
neither is not made. The check goes by the headers and the policy snapshot alone: no database, no URL, no Host. Of the
header spellings that clients use, the first that is there counts.

A caller in this process may vouch for a tenant or a key instead: it puts `Vouched` into the ASGI scope, where no header
gets. The rules are the same, and nobody needs a secret that is kept as its hash alone.
"""

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from litestar import Litestar
from litestar.routes import HTTPRoute
from litestar.types import ASGIApp, Receive, Scope, Send

from gateway.call import call_of
from gateway.errors import AuthenticationFailed, PermissionDenied, TenantSuspended
from gateway.services.register.keys import SCOPES, hash_secret, parse_key
from gateway.services.snapshot.entries import KeyEntry, PolicySnapshot
from gateway.services.snapshot.feed import SnapshotFeed

CREDENTIAL_HEADERS = (b"authorization", b"api-key", b"x-api-key", b"x-chroma-token")
PUBLIC = {"public": True}
"""The `opt` of a route that asks for no API key."""

NO_KEY = (
    "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth "
    "(i.e. Authorization: Bearer YOUR_KEY)."
)


VOUCHED = "shoal.vouched"
"""Under this name in the ASGI scope: for whom a caller in this process asks."""
PLAYGROUND = "playground"
"""Stands for a key in the usage of what was asked for a tenant without one; no key has such an id."""


@dataclass(frozen=True, slots=True)
class Vouched:
    """For whom a caller in this process asks, having seen to it that it may."""

    tenant_id: str
    key_id: str | None = None
    """None: for the tenant alone, whose grants and limits hold, and no key's."""


class KeyCheck:
    """ASGI around every route that Litestar finds; as a Litestar guard it would cost 45 µs more: a handler's copy."""

    def __init__(self, app: ASGIApp, *, feed: SnapshotFeed, note_use: Callable[[str], None]) -> None:
        self._app = app
        self._feed = feed
        self._note_use = note_use
        """Told the id of every key that is let in."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through, its call knowing who asks, or raise."""
        call, opt = call_of(scope), scope["route_handler"].opt
        call.endpoint = opt.get("endpoint", "other")
        call.plain_errors = opt.get("plain_errors", False)
        if not opt.get("public", False):
            call.policies = self._feed.current
            vouched: Vouched | None = cast(Mapping[str, Any], scope).get(VOUCHED)
            if vouched is None:
                call.key = authenticate(call.headers, call.policies)
                self._note_use(call.key.id)
            else:  # nobody used the key itself, so that its last use stays what clients did
                call.key = vouched_key(vouched, call.policies)
            if (needed := opt.get("scope")) is not None:
                authorize(call.key, needed)
        await self._app(scope, receive, send)


def check_routes(app: Litestar) -> None:
    """Raise where a route says neither that it is public nor which scope it needs: nobody thought of who may use it."""
    for route in app.routes:
        if not isinstance(route, HTTPRoute):
            raise TypeError(f"{route.path} is not HTTP: no key would be asked for")
        for handler in route.route_handlers:
            if handler.http_methods == {"OPTIONS"}:  # Litestar's own: says which methods there are, to any good key
                continue
            if not handler.opt.get("public", False) and handler.opt.get("scope") not in SCOPES:
                raise RuntimeError(f"{route.path} is not public and names no scope of {', '.join(SCOPES)}")


def authorize(key: KeyEntry, scope: str) -> None:
    """Return if the key may be used for this. Raises PermissionDenied, code `missing_scope`."""
    if key.scopes is not None and scope not in key.scopes:
        raise PermissionDenied(
            f"This API key may not be used here: it has no scope '{scope}', only {', '.join(sorted(key.scopes))}. "
            "Please ask the operator of this service for one that has.",
            code="missing_scope",
            param=scope,
        )


def authenticate(headers: Mapping[bytes, bytes], snapshot: PolicySnapshot) -> KeyEntry:
    """The API key that the headers carry.

    Raises AuthenticationFailed or TenantSuspended.
    """
    text = credential(headers)
    if text is None:
        raise AuthenticationFailed(NO_KEY, headers=CHALLENGE)
    parsed = parse_key(text)
    if parsed is None:
        raise _incorrect(f"{text[:5]}***" if len(text) > 16 else "***")
    key_id, secret = parsed
    entry = snapshot.keys.get(key_id)
    # An unknown key is compared too, so that time does not tell it from a known one.
    stored = entry.secret_sha256 if entry is not None else bytes(32)
    if not hmac.compare_digest(hash_secret(secret), stored) or entry is None:
        raise _incorrect(f"sk-shoal-{key_id}-***")
    return _usable(entry)


def vouched_key(vouched: Vouched, snapshot: PolicySnapshot) -> KeyEntry:
    """The key that somebody vouches for, or one that stands for the tenant alone. Raises as `authenticate` does."""
    tenant = snapshot.tenants.get(vouched.tenant_id)
    if tenant is None:
        raise AuthenticationFailed("There is no such tenant, or not yet on this gateway.", code="invalid_api_key")
    if vouched.key_id is None:
        return _usable(KeyEntry(PLAYGROUND, PLAYGROUND, b"", tenant, None, revoked=False, grants=(), limits=()))
    entry = snapshot.keys.get(vouched.key_id)
    if entry is None or entry.tenant.id != tenant.id:
        raise _incorrect(f"sk-shoal-{vouched.key_id}-***", "The tenant has no such key, or not yet on this gateway.")
    return _usable(entry)


def _usable(entry: KeyEntry) -> KeyEntry:
    """The key, if it works now."""
    if entry.revoked:
        raise _incorrect(f"sk-shoal-{entry.id}-***", "It was revoked.")
    if entry.expires_at is not None and entry.expires_at <= datetime.now(UTC):
        raise _incorrect(f"sk-shoal-{entry.id}-***", "It has expired.")
    if entry.tenant.suspended:
        raise TenantSuspended(
            "Your account is suspended; please ask the operator of this service.", code="tenant_suspended"
        )
    return entry


def credential(headers: Mapping[bytes, bytes]) -> str | None:
    """The text of the credential, without `Bearer` however often it was put in front."""
    for name in CREDENTIAL_HEADERS:
        value = headers.get(name, b"").strip()
        while value[:7].lower() == b"bearer ":
            value = value[7:].strip()
        if value and value.lower() != b"bearer":
            return value.decode("latin-1")
    return None


CHALLENGE = {"www-authenticate": "Bearer"}


def _incorrect(
    masked: str, why: str = "Please ask the operator of this service for a valid one."
) -> AuthenticationFailed:
    return AuthenticationFailed(
        f"Incorrect API key provided: {masked}. {why}", code="invalid_api_key", headers=CHALLENGE
    )
