"""Tenants: the list, one of them, and what changes it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from admin_ui.charts import Chart
from admin_ui.contexts.allowlist import Matches
from admin_ui.contexts.frame import Pager
from admin_ui.contexts.keys import KeyLine
from admin_ui.contexts.limits import LimitLine
from admin_ui.contexts.tenant import TenantHead
from admin_ui.forms import Form
from gateway.services.register.tenants import TenantInfo


@dataclass(frozen=True, slots=True)
class TenantLine:
    """One tenant of the list."""

    tenant: TenantInfo
    keys: int
    """That work now."""
    tokens: int
    """Of the last day."""


@dataclass(frozen=True, slots=True)
class TenantsPage:
    """All tenants, by name."""

    template: ClassVar[str] = "tenants.html"

    here: str
    q: str
    lines: Sequence[TenantLine]
    pager: Pager


@dataclass(frozen=True, slots=True)
class NewTenantPage:
    """The form for another tenant."""

    template: ClassVar[str] = "new_tenant.html"

    form: Form
    lanes: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class TenantPage:
    """One tenant at a glance."""

    template: ClassVar[str] = "tenant.html"

    head: TenantHead
    tenant: TenantInfo
    keys: Sequence[KeyLine]
    """Those that were used last."""
    key_count: int
    limits: Sequence[LimitLine]
    matches: Matches
    tokens: Chart
    token_sum: int
    request_sum: int
    days: int


@dataclass(frozen=True, slots=True)
class TenantSettingsPage:
    """Its name, and how it is served beside others."""

    template: ClassVar[str] = "tenant_settings.html"

    head: TenantHead
    form: Form
    lanes: Sequence[tuple[str, str]]
    saved: TenantInfo


@dataclass(frozen=True, slots=True)
class SuspensionPage:
    """Asks once more."""

    template: ClassVar[str] = "suspension.html"

    head: TenantHead
    version: int
    keys: int
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class DeletionPage:
    """Asks for the tenant's name, so that nobody is deleted by a slip."""

    template: ClassVar[str] = "deletion.html"

    head: TenantHead
    form: Form
    keys: int
