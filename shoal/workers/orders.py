"""What a worker must know to serve: told over its channel, since a command line can be read by everybody."""

from pathlib import Path
from typing import Any

import msgspec

from gateway.settings import GatewaySettings
from shoal.observation import Observation


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    """The same for every worker."""

    settings: GatewaySettings
    session_key: bytes
    observation: Observation

    def encode(self) -> bytes:
        """For `decode`."""
        return msgspec.msgpack.encode(self, enc_hook=_plain)


def decode(content: bytes) -> Orders:
    """What `Orders.encode` made."""
    return msgspec.msgpack.decode(content, type=Orders, dec_hook=_typed)


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError(f"no setting is a {type(value).__name__}")


def _typed(wanted: type, value: Any) -> Any:
    if wanted is Path:
        return Path(value)
    raise NotImplementedError(f"no setting is a {wanted.__name__}")
