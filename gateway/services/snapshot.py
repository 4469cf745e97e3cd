"""What the hot path knows of policies: keys, tenants, grants, limits and models, immutable, in memory, one attribute away.

The database is read when its policy revision moves, never by a request. Every change bumps the revision in its own
transaction, so any process that wrote is followed by every gateway within `snapshot_interval`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

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


@dataclass(frozen=True, slots=True)
class PolicySnapshot:
    """All policies at one revision."""

    revision: int = 0
    keys: Mapping[str, KeyEntry] = field(default_factory=dict)
    """By key id."""
    models: Mapping[str, ModelEntry] = field(default_factory=dict)
    """By id and by alias."""
