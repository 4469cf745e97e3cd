"""What the hot path knows of policies: keys, tenants, grants, limits and models, immutable, in memory.

services/snapshot/build.py reads it, services/snapshot/feed.py keeps it current.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from gateway.engine_client import Lane
from gateway.services.register.model_facts import NOTHING_KNOWN, ModelFacts
from gateway.services.register.upstreams import Kind
from policies.allowlist import Grant
from policies.quota import Limit


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A registered model as requests see it."""

    id: str
    aliases: tuple[str, ...]
    source: str
    revision: str | None
    pool: str
    dtype: str | None
    max_tokens: int | None
    pinned: bool
    created: int
    """Unix seconds."""
    dimensions: int | None
    input_limit: int | None
    """Tokens that one input may have, as read from the source at registration; None where it was out of reach."""
    facts: ModelFacts = NOTHING_KNOWN
    """What else was read there."""

    @property
    def names(self) -> tuple[str, ...]:
        """Every name a request or a pattern may use."""
        return (self.id, *self.aliases)


@dataclass(frozen=True, slots=True)
class TenantEntry:
    """A tenant's policies, shared by all of its keys."""

    id: str
    name: str
    suspended: bool
    grants: tuple[Grant, ...]
    limits: tuple[Limit, ...]
    lane: Lane = "interactive"
    """`bulk`: its requests may not choose another."""
    weight: float = 1.0
    """Its share of a node beside that of other tenants."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Names of its own for models, and the ids that they stand for; they win over names that everybody uses."""


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """An API key and what narrows it below its tenant."""

    id: str
    name: str
    secret_sha256: bytes
    tenant: TenantEntry
    expires_at: datetime | None
    revoked: bool
    grants: tuple[Grant, ...]
    """Empty: whatever the tenant may use."""
    limits: tuple[Limit, ...]
    lineage: str = ""
    """The first key of its line of rotations; its limits are those of the line."""
    scopes: frozenset[str] | None = None
    """What it may be used for; None: everything."""


@dataclass(frozen=True, slots=True)
class UpstreamEntry:
    """A server that somebody else runs, as a node of a pool."""

    id: str
    pool: str
    kind: Kind
    base_url: str
    credential: bytes | None = field(repr=False)
    """Encrypted; None: it asks for none."""


@dataclass(frozen=True, slots=True)
class PolicySnapshot:
    """All policies at one revision."""

    revision: int = 0
    tenants: Mapping[str, TenantEntry] = field(default_factory=dict)
    """By id."""
    keys: Mapping[str, KeyEntry] = field(default_factory=dict)
    """By key id."""
    keys_of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Ids of a tenant's keys, by its own; tenants without any are not in it."""
    models: Mapping[str, ModelEntry] = field(default_factory=dict)
    """By id and by alias."""
    upstreams: Mapping[str, tuple[UpstreamEntry, ...]] = field(default_factory=dict)
    """By pool."""
