"""API keys of a tenant."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from admin_ui.contexts.allowlist import Matches
from admin_ui.contexts.frame import Pager
from admin_ui.contexts.limits import LimitLine
from admin_ui.contexts.tenant import KeyHead, TenantHead
from admin_ui.forms import Form
from gateway.services.register.keys import KeyInfo


@dataclass(frozen=True, slots=True)
class KeyLine:
    """One key of a list."""

    key: KeyInfo
    state: str
    """`active`, `expired` or `revoked`."""
    ends_soon: bool


@dataclass(frozen=True, slots=True)
class KeysPage:
    """A tenant's keys, the newest first."""

    template: ClassVar[str] = "keys.html"

    head: TenantHead
    here: str
    filters: Form
    filtered: bool
    lines: Sequence[KeyLine]
    pager: Pager


@dataclass(frozen=True, slots=True)
class NewKeyPage:
    """The form for another key."""

    template: ClassVar[str] = "new_key.html"

    head: TenantHead
    here: str
    form: Form
    scopes: Sequence[str]


@dataclass(frozen=True, slots=True)
class Snippet:
    """How to call the API with a key, in one language or with one database."""

    id: str
    label: str
    code: str


@dataclass(frozen=True, slots=True)
class KeyMadePage:
    """A new key: shown now, and never again."""

    template: ClassVar[str] = "key_made.html"

    head: TenantHead
    key: KeyHead
    text: str
    """The key itself."""
    snippets: Sequence[Snippet]
    model: str | None
    """What the snippets ask; None: the key may use no model yet."""
    expires_at: datetime | None
    old_id: str | None = None
    """The key in whose place it comes."""
    old_ends_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class KeyPage:
    """One key."""

    template: ClassVar[str] = "key.html"

    head: TenantHead
    key: KeyHead
    info: KeyInfo
    ends_soon: bool
    limits: Sequence[LimitLine]
    matches: Matches


@dataclass(frozen=True, slots=True)
class KeySettingsPage:
    """Its name, end and scopes."""

    template: ClassVar[str] = "key_settings.html"

    head: TenantHead
    key: KeyHead
    form: Form
    scopes: Sequence[str]
    saved: KeyInfo
    saved_expires: str
    saved_scopes: str


@dataclass(frozen=True, slots=True)
class RotationPage:
    """For how long both keys shall work."""

    template: ClassVar[str] = "rotation.html"

    head: TenantHead
    key: KeyHead
    form: Form
    overlaps: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class RevocationPage:
    """Asks once more."""

    template: ClassVar[str] = "revocation.html"

    head: TenantHead
    key: KeyHead
    version: int
    last_used_at: datetime | None
    problem: str | None = None
