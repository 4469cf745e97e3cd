"""Console sessions: a signed cookie that says who signed in and until when. The browser holds it, the key proves it.

A visitor who has not signed in gets a session too, so that the sign-in form is guarded against forgery like any other.
Signing in always starts a new session under a new id. Its lifetime is fixed: use does not lengthen it.
"""

import base64
import binascii
import hmac
import secrets
from collections.abc import Callable

import msgspec

COOKIE = "shoal_console"
LIFETIME = 12 * 3600
"""Seconds."""
SHORTEST_KEY = 32
"""Bytes."""


class Session(msgspec.Struct, frozen=True):
    """What the cookie says."""

    id: str
    expires: int
    """Unix seconds."""
    operator: str | None = None
    """None: a visitor."""


class Sessions:
    """Starts and reads sessions under one signing key. `clock` gives Unix seconds.

    Those of operators last while the database has them, too (`gateway.services.access.sessions`).
    """

    def __init__(self, key: bytes, clock: Callable[[], float]) -> None:
        if len(key) < SHORTEST_KEY:
            raise ValueError(f"the session key has {len(key)} bytes; at least {SHORTEST_KEY} are needed")
        self._key = key
        self._clock = clock

    def start(self, operator: str | None = None) -> Session:
        """A new session, of an operator or a visitor."""
        return Session(secrets.token_urlsafe(24), int(self._clock()) + LIFETIME, operator)

    @property
    def now(self) -> float:
        """Unix seconds."""
        return self._clock()

    def cookie(self, session: Session) -> str:
        """The cookie's value."""
        payload = msgspec.json.encode(session)
        return f"{_text(payload)}.{_text(self._sign('session', payload))}"

    def read(self, cookie: str | None) -> Session | None:
        """The session that a cookie proves; None for one that is absent, forged or over."""
        payload, _, signature = (cookie or "").partition(".")
        try:
            signed, mac = _bytes(payload), _bytes(signature)
        except (ValueError, binascii.Error):
            return None
        if not hmac.compare_digest(mac, self._sign("session", signed)):
            return None
        session = msgspec.json.decode(signed, type=Session)
        return session if session.expires > self._clock() else None

    def csrf_token(self, session: Session) -> str:
        """What every form of this session carries."""
        return _text(self._sign("csrf", session.id.encode()))

    def is_csrf_token(self, session: Session, token: str) -> bool:
        """Whether a form comes from a page of this session."""
        return hmac.compare_digest(token.encode(), self.csrf_token(session).encode())

    def sealed(self, session: Session, purpose: str, content: bytes) -> str:
        """Content for a cookie beside the session's own: nobody else can have made it, and for no other session."""
        return f"{_text(content)}.{_text(self._sign(f'{purpose} {session.id}', content))}"

    def opened(self, session: Session, purpose: str, sealed: str | None) -> bytes | None:
        """What was sealed; None for what is absent or forged."""
        content, _, signature = (sealed or "").partition(".")
        try:
            plain, mac = _bytes(content), _bytes(signature)
        except (ValueError, binascii.Error):
            return None
        return plain if hmac.compare_digest(mac, self._sign(f"{purpose} {session.id}", plain)) else None

    def _sign(self, purpose: str, content: bytes) -> bytes:
        return hmac.digest(self._key, purpose.encode() + b"\0" + content, "sha256")


def _text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
