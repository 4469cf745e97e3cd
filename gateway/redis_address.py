"""Where a Redis is, and how to get in: what a `redis://` URL says."""

import ssl
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit

FORM = "redis://user:password@host:6379/0, with rediss:// for TLS"
DEFAULT_PORT = 6379


class RedisAddressInvalid(ValueError):
    """A URL that names no Redis. The message never repeats it: there may be a password in it."""


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """One server."""

    host: str
    port: int = DEFAULT_PORT
    tls: bool = False
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    database: int = 0

    @classmethod
    def parse(cls, url: str) -> "RedisAddress":
        """Raises RedisAddressInvalid."""
        try:
            parts = urlsplit(url)
            port = parts.port or DEFAULT_PORT
        except ValueError:
            raise RedisAddressInvalid(f"This is no address of a Redis; write it like {FORM}.") from None
        if parts.scheme not in {"redis", "rediss"} or not parts.hostname:
            raise RedisAddressInvalid(f"This is no address of a Redis; write it like {FORM}.")
        if parts.query or parts.fragment:
            raise RedisAddressInvalid(
                "The address of a Redis takes no options after ? or #; a private authority that signed its "
                "certificate is named by the environment's SSL_CERT_FILE."
            )
        user = unquote(parts.username) if parts.username else None
        password = unquote(parts.password) if parts.password else None
        if user and password is None:
            raise RedisAddressInvalid("A user of a Redis needs a password: redis://user:password@host.")
        return cls(parts.hostname, port, parts.scheme == "rediss", user, password, _database(parts))

    def __str__(self) -> str:
        return f"{self.host}:{self.port}/{self.database}"

    @property
    def tls_context(self) -> ssl.SSLContext | None:
        """How to check the server's certificate; None: no TLS."""
        return ssl.create_default_context() if self.tls else None

    @property
    def greeting(self) -> list[tuple[str, ...]]:
        """The commands that a new connection begins with."""
        commands: list[tuple[str, ...]] = []
        if self.password is not None:
            commands.append(("AUTH", self.user, self.password) if self.user else ("AUTH", self.password))
        if self.database:
            commands.append(("SELECT", str(self.database)))
        return commands


def _database(parts: SplitResult) -> int:
    name = parts.path.strip("/")
    if not name:
        return 0
    if not (name.isascii() and name.isdigit()):
        raise RedisAddressInvalid("The database of a Redis is a number: redis://host:6379/0.")
    return int(name)
