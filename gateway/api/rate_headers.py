"""`x-ratelimit-*`: how the tightest limits stand, in the form that clients parse."""

from collections.abc import Iterable, Mapping

from gateway.services.quota.reserving import go_duration
from policies.quota import Kind, Standings

UNLIMITED = 1_000_000_000
"""Shown where no limit applies: clients want a number above zero."""
SHOWN: Mapping[Kind, str] = {"requests": "requests", "tokens": "tokens", "tokens_per_month": "tokens"}
"""What a limit is shown as. Places of concurrency are no rate: they come back by waiting for answers, not for time."""
NAMES = {
    unit: tuple(f"x-ratelimit-{what}-{unit}".encode() for what in ("limit", "remaining", "reset"))
    for unit in ("requests", "tokens")
}


def rate_headers(standings: Standings) -> Iterable[tuple[bytes, bytes]]:
    """Six headers: limit, what remains of it, and the time until it is whole again, for requests and for tokens.

    Of several limits the one of which least remains is shown, whether it counts by the minute or by the month.
    """
    tightest = dict.fromkeys(NAMES, (UNLIMITED, UNLIMITED, 0.0))
    for limit, standing in standings:
        unit = SHOWN.get(limit.kind)
        if unit is not None and standing.remaining < tightest[unit][1]:
            tightest[unit] = limit.amount, standing.remaining, standing.reset_after
    for unit, (amount, remaining, reset_after) in tightest.items():
        limit_name, remaining_name, reset_name = NAMES[unit]
        yield limit_name, b"%d" % amount
        yield remaining_name, b"%d" % remaining
        yield reset_name, go_duration(reset_after).encode()
