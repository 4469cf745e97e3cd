"""How to reach a server and how hard to try, as one value that shows and keeps no API key."""

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from shoal.client.errors import KeyMissing

DEFAULT_URL = "http://127.0.0.1:8080"
API_KEY_ENV = "SHOAL_API_KEY"
PREFIXES = ("/v1", "/v2")


@dataclass(frozen=True, kw_only=True, repr=False)
class ClientSettings:
    """Where the server is, whose key is used, and the limits of batches, tries and waiting."""

    url: str = DEFAULT_URL
    """The server's address; `/v1` at its end, as other clients want it, does no harm."""
    api_key: str | Callable[[], str | None] | None = field(default=None, compare=False)
    """It, or what gives it; never saved: what is opened again finds it by the variable's name."""
    api_key_env: str = API_KEY_ENV
    """The environment variable that holds the key, read at each request, so that a key may change."""
    timeout: float = 60.0
    """Seconds for one request. The server is told, and does nothing for callers that have gone."""
    max_retries: int = 4
    """Further tries after the first, for what may go better the next time."""
    max_wait: float = 60.0
    """The longest wait between two tries, in seconds; a server that asks for more is not asked again."""
    batch_size: int = 256
    """Texts in one request."""
    batch_bytes: int = 4 * 2**20
    """Bytes of text in one request."""
    concurrency: int = 4
    """Requests under way at one time, those included that wait for their next try."""
    lane: Literal["interactive", "bulk"] | None = None
    """`bulk` lets others' interactive requests go first."""

    def __post_init__(self) -> None:
        for name in ("timeout", "max_wait", "batch_size", "batch_bytes", "concurrency"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be above 0")
        if self.max_retries < 0:
            raise ValueError(f"max_retries is {self.max_retries}; it can not be below 0")
        if not self.url.startswith(("http://", "https://")):
            raise ValueError(f"the address {self.url!r} does not begin with http:// or https://")

    def __repr__(self) -> str:
        return f"ClientSettings({', '.join(f'{name}={value!r}' for name, value in self.saved().items())})"

    @property
    def origin(self) -> str:
        """The address that paths such as `/v1/embeddings` are put behind."""
        url = self.url.rstrip("/")
        return next((url.removesuffix(end) for end in PREFIXES if url.endswith(end)), url)

    def key(self) -> str:
        """The API key. Raises KeyMissing."""
        # The caller names the variable: this is no setting of the command, which shoal/options.py reads.
        given = self.api_key() if callable(self.api_key) else self.api_key
        found = (given or os.environ.get(self.api_key_env, "")).strip()  # noqa: TID251
        if not found:
            raise KeyMissing(f"There is no API key: set the variable {self.api_key_env}, or give api_key.")
        if not (found.isascii() and found.isprintable()):  # else the error would show it
            raise KeyMissing("The API key has characters that no key has.")
        return found

    def saved(self) -> dict[str, Any]:
        """What is not as it is by default, and the address; without the key."""
        plain, default = asdict(replace(self, api_key=None)), asdict(ClientSettings())
        return {"url": self.url} | {name: value for name, value in plain.items() if value != default[name]}

    def headers(self, version: str) -> dict[str, str]:
        """What every request bears; the time-out as OpenAI's clients tell it. Raises KeyMissing."""
        headers = {
            "authorization": f"Bearer {self.key()}",
            "accept": "application/json",
            "content-type": "application/json",
            "user-agent": f"shoal-python/{version}",
            "x-stainless-read-timeout": f"{self.timeout:g}",
        }
        return headers | ({"x-shoal-lane": self.lane} if self.lane else {})
