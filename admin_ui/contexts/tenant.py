"""What stands at the head of every page of a tenant."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tab:
    """One of its pages."""

    label: str
    url: str
    here: bool


@dataclass(frozen=True, slots=True)
class TenantHead:
    """Whose page it is."""

    id: str
    name: str
    suspended: bool
    home: str
    """The address of its first page."""
    tabs: Sequence[Tab]
    """None for its own operators, whose navigation they are."""


@dataclass(frozen=True, slots=True)
class KeyHead:
    """Of pages about one of its keys."""

    id: str
    name: str
    state: str
    """`active`, `expired` or `revoked`."""
    url: str
