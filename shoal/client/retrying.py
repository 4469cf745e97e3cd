"""Whether to ask again, and when: pure rules over what the server said."""

import email.utils
from collections.abc import Mapping

RETRIED = frozenset({408, 409, 429})
"""Besides 5xx."""
THROTTLED = frozenset({429, 503})
"""Of which all requests of a client take heed, not only the one that was told."""
FIRST, LONGEST = 0.5, 8.0
"""Seconds: the first wait where the server names none, and the last it doubles to."""
SPREAD = 0.25
"""Part of a wait that differs from caller to caller, so that they do not come back together."""


def asked_for(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds that the server wants to be left alone for: `retry-after-ms`, or `retry-after`, which may be a date."""
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            wait = float(headers[name]) / unit
        except (KeyError, ValueError):
            continue
        if wait >= 0:
            return wait
    try:
        date = email.utils.parsedate_to_datetime(headers["retry-after"])
    except (KeyError, ValueError):
        return None
    return max(0.0, date.timestamp() - now)


def may_ask_again(status: int, headers: Mapping[str, str]) -> bool:
    """The server's own word on it (`x-should-retry`) goes before the status."""
    match headers.get("x-should-retry"):
        case "true":
            return True
        case "false":
            return False
        case _:
            return status in RETRIED or status >= 500


def wait_before(attempt: int, asked: float | None, longest: float, chance: float) -> float | None:
    """Seconds before the try after the `attempt`th (from 0); None where the server asks for longer than `longest`.

    `chance` is uniform in [0, 1). A wait that the server named is never made shorter.
    """
    if asked is None:
        return min(longest, LONGEST, FIRST * 2.0 ** min(attempt, 30)) * (1 - SPREAD * chance)
    if asked > longest:
        return None
    return asked + min(asked, FIRST) * SPREAD * chance
