"""`x-ratelimit-*`: how the tightest limits stand, in the form that clients parse."""

from collections.abc import Iterable

from gateway.services.quota import Standings, go_duration

UNLIMITED = 1_000_000_000
"""Shown where no limit applies: clients want a number above zero."""
KINDS = ("requests", "tokens")
NAMES = {
    kind: tuple(f"x-ratelimit-{what}-{kind}".encode() for what in ("limit", "remaining", "reset")) for kind in KINDS
}


def rate_headers(standings: Standings) -> Iterable[tuple[bytes, bytes]]:
    """Six headers: limit, what remains of it, and the time until it is whole again, for requests and for tokens."""
    tightest = dict.fromkeys(KINDS, (UNLIMITED, UNLIMITED, 0.0))
    for limit, standing in standings:
        if standing.remaining < tightest[limit.kind][1]:
            tightest[limit.kind] = limit.amount, standing.remaining, standing.reset_after
    for kind, (amount, remaining, reset_after) in tightest.items():
        limit_name, remaining_name, reset_name = NAMES[kind]
        yield limit_name, b"%d" % amount
        yield remaining_name, b"%d" % remaining
        yield reset_name, go_duration(reset_after).encode()
