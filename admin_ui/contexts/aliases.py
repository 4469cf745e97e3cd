"""Names that a model has for one tenant: those of a tenant, those of a model, and the forms that set them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from admin_ui.contexts.models import ModelHead
from admin_ui.contexts.tenant import TenantHead
from admin_ui.forms import Form


@dataclass(frozen=True, slots=True)
class AliasLine:
    """One alias of a tenant."""

    alias: str
    model: str
    model_url: str | None
    """None: who looks may not see models of the fleet."""
    change: str
    removal: str


@dataclass(frozen=True, slots=True)
class AliasesPage:
    """What a tenant calls models, and the form for another name."""

    template: ClassVar[str] = "aliases.html"

    head: TenantHead
    here: str
    may_change: bool
    lines: Sequence[AliasLine]
    form: Form
    saved: str
    """What the name that was typed means now; nothing: no model."""


@dataclass(frozen=True, slots=True)
class AliasPage:
    """Another meaning for a name."""

    template: ClassVar[str] = "alias.html"

    head: TenantHead
    alias: str
    here: str
    back: str
    form: Form
    saved: str


@dataclass(frozen=True, slots=True)
class AliasRemovalPage:
    """Asks once more."""

    template: ClassVar[str] = "alias_removal.html"

    head: TenantHead
    alias: str
    model: str
    meant_otherwise: bool
    """Everybody else calls a model so, too."""
    here: str
    back: str
    form: Form


@dataclass(frozen=True, slots=True)
class TenantAlias:
    """A tenant's name for the model of a page."""

    tenant: str
    alias: str
    change: str
    removal: str


@dataclass(frozen=True, slots=True)
class ModelNamesPage:
    """All names of a model, and the form for one more of one tenant."""

    template: ClassVar[str] = "model_names.html"

    head: ModelHead
    everybody: Sequence[str]
    settings: str
    """Where those are changed."""
    lines: Sequence[TenantAlias]
    """The first of them, by tenant."""
    count: int
    here: str
    form: Form
