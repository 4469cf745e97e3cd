"""Two who change one thing at once: the second is told, not overruled. Each change of a row raises its version."""

from gateway.db.tables import ApiKey, Model, Operator, Tenant, Upstream
from gateway.errors import Conflict

Versioned = Tenant | ApiKey | Model | Operator | Upstream


def check_version(row: Versioned, seen: int | None) -> None:
    """Pass if the row is as whoever changes it has seen it; None stands for "however it is".

    Comes after `begin_change`, which lets one change at a time look. Raises Conflict, code `version_conflict`.
    """
    if seen is not None and seen != row.version:
        raise Conflict(
            f"It was changed meanwhile: you saw version {seen}, it is at {row.version} now. "
            "Look again, then decide; the audit log says who changed what.",
            code="version_conflict",
            param="version",
        )


def count_change(row: Versioned) -> None:
    """The row was changed, or something that belongs to it: a key's grants, a tenant's limits or aliases."""
    row.version += 1
