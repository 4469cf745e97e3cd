"""What the transport asks before it connects to an upstream: whether an operator's URL may lead to this address."""

from collections.abc import Sequence

import httpx

from policies.addresses import Network, why_refused


class AddressRefused(httpx.ConnectError):
    """The host stands for an address that may not be called."""


class AddressGuard:
    """Refuses every address that is not public, but for the networks that the operator of this process allows."""

    def __init__(self, allowed: Sequence[Network] = ()) -> None:
        self._allowed = tuple(allowed)

    def __call__(self, host: str, address: str) -> None:
        """Pass, or raise AddressRefused."""
        why = why_refused(address, self._allowed)
        if why is not None:
            named = host if host == address else f"{host} ({address})"
            raise AddressRefused(f"{named} is {why}, and may be called only where --allow-upstream names its network.")
