"""The audit log."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from admin_ui.contexts.frame import Pager
from admin_ui.contexts.tenant import TenantHead
from admin_ui.forms import Form


@dataclass(frozen=True, slots=True)
class Change:
    """One value that a change gave another; None: there was, or is, nothing."""

    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class AuditLine:
    """One event."""

    id: int
    time: datetime
    actor: str
    origin: str
    action: str
    target: str
    target_url: str | None
    """The page of what was changed, where there is one."""
    tenant: str | None
    """Whose policies it changed, by name; by id where the tenant is gone."""
    tenant_id: str | None
    changes: Sequence[Change]


@dataclass(frozen=True, slots=True)
class AuditPage:
    """A page of the log, newest first."""

    template: ClassVar[str] = "audit.html"

    here: str
    """Its address, without the query."""
    filters: Form
    filtered: bool
    actions: Sequence[str]
    """What may stand in the filter of actions."""
    of_fleet: bool
    """Whether it shows every tenant's."""
    head: TenantHead | None
    """Of the tenant whose it is, if that still is."""
    lines: Sequence[AuditLine]
    pager: Pager
