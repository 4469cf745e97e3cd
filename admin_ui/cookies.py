"""The console's cookies: for this host alone, for no script, and over TLS only where the console is reached so.

There their names begin with `__Host-`, and browsers take such a cookie from nobody but this very host over TLS: no
neighbour in the domain can put a session of their own in its place.
"""

from typing import Any

from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie

from admin_ui.navigation import PREFIX
from admin_ui.ports import ConsoleServices
from admin_ui.sessions import COOKIE, LIFETIME, Session, Sessions

HOST_ONLY = "__Host-"
AnyConnection = ASGIConnection[Any, Any, Any, Any]


def cookie(connection: AnyConnection, services: ConsoleServices, name: str, value: str, max_age: int) -> Cookie:
    """A cookie that lasts so many seconds."""
    secure = _is_secure(connection, services)
    return Cookie(
        key=_full_name(name, secure=secure),
        value=value,
        path="/" if secure else PREFIX,  # the prefix of the name asks for this path
        max_age=max_age,
        httponly=True,
        samesite="lax",
        secure=secure,
    )


def session_cookie(
    connection: AnyConnection, services: ConsoleServices, sessions: Sessions, session: Session
) -> Cookie:
    """The cookie that carries a session."""
    return cookie(connection, services, COOKIE, sessions.cookie(session), LIFETIME)


def no_cookie(connection: AnyConnection, services: ConsoleServices, name: str) -> Cookie:
    """What makes the browser forget one."""
    return cookie(connection, services, name, "", 0)


def cookie_value(connection: AnyConnection, services: ConsoleServices, name: str) -> str | None:
    """What the browser brings back; where there is TLS nothing counts that came without."""
    return connection.cookies.get(_full_name(name, secure=_is_secure(connection, services)))


def _is_secure(connection: AnyConnection, services: ConsoleServices) -> bool:
    """Whether the console was reached over TLS, or says that it is."""
    return connection.scope["scheme"] == "https" or (services.settings.public_url or "").startswith("https:")


def _full_name(name: str, *, secure: bool) -> str:
    return f"{HOST_ONLY}{name}" if secure else name
