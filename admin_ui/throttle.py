"""How often somebody may try to sign in: a few times at once, then slowly. The counts are those of all gateways.

Tries count for the operator's name together with the address they come from, and for that address over all names, and
not for a name alone: otherwise anybody could keep an operator out by trying wrong passwords for their name. A try
counts before its password is looked at, so that trying in parallel gains nothing; the right one takes its own try back.
"""

import asyncio
import hmac
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address

from admin_ui.ports import OpensDatabase
from gateway.services.access.sign_in_tries import Allowance, Counts, count_try, forget_tries, forgive_try

MOST_KEPT = 10_000
CHECKS_AT_ONCE = 2
"""Passwords looked at side by side: each takes a core for a fifth of a second, and 64 MiB."""
TIDY_INTERVAL = 10.0
"""Seconds between two deletions of what counts no more."""

PER_NAME = Allowance(burst=5, seconds_each=60.0)
"""For one name from one address."""
PER_ADDRESS = Allowance(burst=20, seconds_each=15.0)


class SignInThrottle:
    """Counts tries. `clock` gives Unix seconds. Passwords are looked at within `checking`."""

    def __init__(self, database: OpensDatabase, key: bytes, clock: Callable[[], float]) -> None:
        self.checking = asyncio.Semaphore(CHECKS_AT_ONCE)
        self._database = database
        self._key = key
        self._clock = clock
        self._tidied = 0.0

    async def admit(self, name: str, address: str) -> float:
        """Count one try. Returns 0, or the seconds to wait; a refused try does not count."""
        now = self._clock()
        async with self._database.transaction() as session:
            wait = await count_try(session, self._counts(name, address), now)
        if abs(now - self._tidied) > TIDY_INTERVAL:
            self._tidied = now
            async with self._database.transaction() as session:
                await forget_tries(session, now, MOST_KEPT)
        return wait

    async def forgive(self, name: str, address: str) -> None:
        """Take one try back: its password was right."""
        async with self._database.transaction() as session:
            await forgive_try(session, self._counts(name, address), self._clock())

    def _counts(self, name: str, address: str) -> Counts:
        place = _network(address)
        return (self._subject("name", place, name), PER_NAME), (self._subject("address", place), PER_ADDRESS)

    def _subject(self, *parts: str) -> bytes:
        """Nobody who reads the database can tell what was typed."""
        return hmac.digest(self._key, "\0".join(("sign-in", *parts)).encode("utf-8", "surrogatepass"), "sha256")


def _network(address: str) -> str:
    """An IPv6 customer has a /64 to choose addresses from, so it counts as one."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    return parsed.exploded[:19] if isinstance(parsed, IPv6Address) else str(parsed)
