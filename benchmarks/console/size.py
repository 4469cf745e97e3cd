"""How large a fleet is, and what its parts are called: the same words for the same size."""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.services.register.model_facts import Task

POOLS = (("default", 0.4), ("gpu-large", 0.3), ("gpu-small", 0.2), ("batch", 0.1))
"""Each with its share of nodes and models."""
KINDS: Sequence[Task] = ("embed", "rerank", "classify", "extract")


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """What there is."""

    tenants: int = 5000
    keys: int = 3
    """Of each tenant."""
    models: int = 500
    nodes: int = 100
    resident: int = 30
    """Models in each node's memory."""
    records: int = 10_000_000
    events: int = 200_000
    """Of the audit log."""
    days: int = 365
    """Before now, in which all of it was used."""

    @property
    def tenant_ids(self) -> Sequence[str]:
        """The ids."""
        return [tenant_id(number) for number in range(self.tenants)]

    @property
    def model_ids(self) -> Sequence[str]:
        """The ids."""
        return [model_id(number) for number in range(self.models)]


SMALL = Size(tenants=300, models=50, nodes=10, records=20_000, events=3000)
"""Enough that whatever grows with the number of things is seen to grow."""


def tenant_id(number: int) -> str:
    """Of a tenant."""
    return f"tn_{number:012d}"


def tenant_name(number: int) -> str:
    """As people call it."""
    return f"{('Northern', 'Harbour', 'Atlas', 'Meadow', 'Quarry')[number % 5]} {number:05d} Ltd"


def key_id(tenant: int, number: int) -> str:
    """Of one of its keys."""
    return f"k{tenant:07d}{number:04d}"


def model_id(number: int) -> str:
    """As hubs name models."""
    return f"org-{number % 40:02d}/{KINDS[number % 4]}-multilingual-base-v{number}"


def pool_of(number: int, count: int) -> str:
    """The pool of one of so many nodes or models."""
    end = 0.0
    for name, share in POOLS:
        end += share
        if number < round(end * count):
            return name
    return POOLS[-1][0]
