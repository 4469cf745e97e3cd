"""Limits of a tenant or a key, each with what is used of it now."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from admin_ui.contexts.tenant import KeyHead, TenantHead
from admin_ui.forms import Form


@dataclass(frozen=True, slots=True)
class LimitLine:
    """One limit."""

    pattern: str
    """Of models; all that it covers draw from the one limit."""
    edit: str
    """The address of its form."""
    label: str
    amount: int
    used: int | None
    """None: nobody knows now."""
    share: float | None
    """Of one, used."""
    capped_by: int | None
    """A wider limit that is smaller, so that this one is never reached."""


@dataclass(frozen=True, slots=True)
class LimitField:
    """One amount of the form."""

    name: str
    label: str
    hint: str
    saved: str
    """As it is now; nothing: there is no such limit."""
    line: LimitLine | None


@dataclass(frozen=True, slots=True)
class LimitsPage:
    """All of an owner's limits, and the form for those of one pattern of models."""

    template: ClassVar[str] = "limits.html"

    head: TenantHead
    key: KeyHead | None
    here: str
    may_change: bool
    lines: Sequence[LimitLine]
    form: Form
    fields: Sequence[LimitField]
    known: bool
    """Whether the store of quotas answers."""
