"""Where a request comes from, when a proxy stands before the gateway: only what a trusted proxy says is believed."""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network


def networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """The networks of trusted proxies: `10.0.0.0/8` or one address. Raises ValueError."""
    return tuple(ip_network(text, strict=False) for text in texts)


def caller_address(peer: str, forwarded_for: str, trusted: Sequence[Network]) -> str:
    """The address of whoever spoke to the first proxy that is ours; the peer's own where it is none of them.

    Every proxy appends whom it heard from, so the header is read from its end; what stands before the first stranger
    is the stranger's own word.
    """
    address = peer
    for said in reversed(forwarded_for.split(",") if forwarded_for else []):
        if not _among(address, trusted):
            break
        address = said.strip()
    return address


def _among(address: str, trusted: Sequence[Network]) -> bool:
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    return any(parsed.version == network.version and parsed in network for network in trusted)
