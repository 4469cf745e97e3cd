"""How a job that has all the time in the world spends limits that callers with less of it share: it leaves them some.

A job that spent all it could would leave a limit empty all the time, and whoever else draws from it would be refused.
"""

from policies.quota import Standings

LEFT = 0.25
"""Share of what a limit allows at once that a patient job leaves to others."""
LONGEST = 30.0
"""Seconds; after which it looks again."""


def pause(standings: Standings) -> float:
    """Seconds to wait before the next request, by how the limits stand after the last one.

    Limits per minute fill up evenly: after the pause every one of them has the share that is to be left. Budgets of a
    month and limits of requests at a time are not paced.
    """
    needed = 0.0
    for limit, standing in standings:
        if limit.kind in {"requests", "tokens"} and limit.amount:
            missing = LEFT * limit.amount - standing.remaining
            needed = max(needed, missing * limit.period / limit.amount)
    return min(needed, LONGEST)
