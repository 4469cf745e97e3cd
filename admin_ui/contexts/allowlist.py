"""Which models a tenant or a key may use."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from admin_ui.contexts.tenant import KeyHead, TenantHead
from admin_ui.forms import Form


@dataclass(frozen=True, slots=True)
class MatchedModel:
    """A model that may be used."""

    id: str
    aliases: Sequence[str]


@dataclass(frozen=True, slots=True)
class Matches:
    """What the patterns match now: the first of them by id. A part that the page's script asks for while one types."""

    template: ClassVar[str] = "matches.html"

    models: Sequence[MatchedModel]
    count: int
    registered: int | None
    """Models that there are; None: that is none of its operator's business."""
    wrong: Sequence[str] = ()
    """Lines that are no patterns; nothing is matched by them."""
    idle: Sequence[str] = ()
    """Patterns that match no model now."""


@dataclass(frozen=True, slots=True)
class AllowlistPage:
    """The patterns, and what they match."""

    template: ClassVar[str] = "allowlist.html"

    head: TenantHead
    key: KeyHead | None
    here: str
    may_change: bool
    form: Form
    saved_allow: str
    saved_deny: str
    preview: bool
    """Whether what is shown is not saved."""
    matches: Matches
