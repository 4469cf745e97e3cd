"""Which models a caller may use: deny by default, deny wins, and the order of patterns never matters."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from policies.pattern import matches


@dataclass(frozen=True, slots=True)
class Grant:
    """One pattern over model names (see `policies.pattern`) that allows or denies what it covers."""

    pattern: str
    deny: bool = False


def allows(grants: Sequence[Grant], names: Collection[str]) -> bool:
    """Whether some pattern allows one of a model's names (its id and aliases) and none denies any of them."""
    return _allowed(grants, names) and not _denied(grants, names)


def permitted(tenant_grants: Sequence[Grant], key_grants: Sequence[Grant], names: Collection[str]) -> bool:
    """Whether tenant and key together may use the model that bears these names.

    A key narrows its tenant and never widens it. A key that only denies keeps the rest of what its tenant may use.
    """
    if not allows(tenant_grants, names) or _denied(key_grants, names):
        return False
    return all(grant.deny for grant in key_grants) or _allowed(key_grants, names)


def _allowed(grants: Sequence[Grant], names: Collection[str]) -> bool:
    return any(matches(grant.pattern, names) for grant in grants if not grant.deny)


def _denied(grants: Sequence[Grant], names: Collection[str]) -> bool:
    return any(matches(grant.pattern, names) for grant in grants if grant.deny)
