"""Sums of sums: days are folded from hours, and the totals over all tenants from days. Pure.

So whatever a transaction adds to hours it adds to the others too, and they agree to the last token.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from gateway.db.usage_rows import COUNTED

Row = Mapping[str, Any]


def days_of(hours: Iterable[Row]) -> Sequence[dict[str, Any]]:
    """One row per tenant, day (UTC), key and model, in that order."""
    places = (
        (
            {"tenant_id": row["tenant_id"], "day": row["hour"].date(), "key_id": row["key_id"], "model": row["model"]},
            {"tenant_name": row["tenant_name"]},
            row,
        )
        for row in hours
    )
    return _folded(places)


def totals_of(days: Iterable[Row]) -> Sequence[dict[str, Any]]:
    """One row per day over everything, and per month and year of each model, tenant and key; in their keys' order."""
    return _folded(place for row in days for place in _totals(row))


def month_of(day: date) -> date:
    """Its first day."""
    return day.replace(day=1)


def _totals(row: Row) -> Iterable[tuple[Row, Row, Row]]:
    month, year = month_of(row["day"]), row["day"].replace(month=1, day=1)
    nobody, owner = {"owner": None, "owner_name": ""}, {"owner": row["tenant_id"], "owner_name": row["tenant_name"]}
    key, named = f"{row['tenant_id']}/{row['key_id']}", f"{row['tenant_id']}/{row['tenant_name']}"
    yield {"kind": "day", "start": row["day"], "name": ""}, nobody, row
    yield {"kind": "model", "start": month, "name": row["model"]}, nobody, row
    yield {"kind": "tenant", "start": month, "name": row["tenant_id"]}, owner, row
    yield {"kind": "key", "start": month, "name": key}, owner, row
    yield {"kind": "year_model", "start": year, "name": row["model"]}, nobody, row
    yield {"kind": "year_tenant", "start": year, "name": named}, owner, row
    yield {"kind": "year_key", "start": year, "name": key}, owner, row


def _folded(rows: Iterable[tuple[Row, Row, Row]]) -> Sequence[dict[str, Any]]:
    """Rows of the same key added up: key, what else the last of them says, and numbers."""
    sums: dict[tuple[Any, ...], dict[str, Any]] = {}
    for key, rest, row in rows:
        place = tuple(key.values())
        found = sums.get(place) or sums.setdefault(place, {**key, **dict.fromkeys(COUNTED, 0)})
        found.update(rest)
        for name in COUNTED:
            found[name] += row[name]
    return [sums[place] for place in sorted(sums)]
