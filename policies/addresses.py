"""Which network addresses a server may call on an operator's word: public ones, and what the operator allowed by name.

Everything else is where a URL does harm that was slipped in or whose name was pointed elsewhere: this machine, the
network around it, a cloud's metadata service.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

METADATA: Sequence[Network] = tuple(
    ip_network(address)
    for address in (
        "169.254.169.254", "169.254.170.2", "169.254.170.23", "fd00:ec2::254", "fd00:ec2::23", "100.100.100.200",
        "192.0.0.192", "168.63.129.16",
    )
)  # fmt: skip
"""Where clouds hand out credentials to whoever asks (Amazon's three, Alibaba's, Oracle's, Azure's host, which is a
public address); a network that is allowed does not allow these along."""
LOCAL_NAT64 = IPv6Network("64:ff9b:1::/48")
"""Leads wherever this network has it lead (RFC 8215); where in it an IPv4 address stands is the network's choice."""
CARRIES_IPV4: Sequence[tuple[IPv6Network, int]] = (
    (IPv6Network("::ffff:0:0/96"), 0),
    (IPv6Network("::/96"), 0),
    (IPv6Network("64:ff9b::/96"), 0),
    (IPv6Network("2002::/16"), 80),
)
"""IPv6 networks in whose addresses an IPv4 address stands (mapped, compatible, NAT64, 6to4); how far from the end."""


def why_refused(address: str, allowed: Sequence[Network] = ()) -> str | None:
    """What is wrong with calling this address, in words to put after "it is"; None where it may be called."""
    parsed = ip_address(address.partition("%")[0])
    meant = _carried(parsed)
    for one in dict.fromkeys((parsed, meant)):
        if any(_within(one, network) for network in METADATA) and not any(
            _within(one, network) and network.num_addresses == 1 for network in allowed
        ):
            return "a cloud's metadata service"
    if any(_within(one, network) for one in (parsed, meant) for network in allowed):
        return None
    return _kind(meant) or (_kind(parsed) if meant == parsed else None)


def _kind(address: Address) -> str | None:
    """Which of the ranges that are not the public internet it is in."""
    named = (
        ("this machine (loopback)", address.is_loopback),
        ("of the local link", address.is_link_local),
        ("unspecified", address.is_unspecified),
        ("multicast", address.is_multicast),
        (
            "private",
            address.is_private or (address.version == 6 and (address.is_site_local or address in LOCAL_NAT64)),
        ),
        ("reserved", address.is_reserved or not address.is_global),
    )
    return next((words for words, is_it in named if is_it), None)


def _carried(address: Address) -> Address:
    """The IPv4 address that an IPv6 address stands for, or the address itself."""
    if isinstance(address, IPv6Address) and int(address) > 1:
        for network, shift in CARRIES_IPV4:
            if address in network:
                return IPv4Address(int(address) >> shift & 0xFFFFFFFF)
    return address


def _within(address: Address, network: Network) -> bool:
    return address.version == network.version and address in network
