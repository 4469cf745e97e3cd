"""Adapters on a model, and the form that adds one."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from admin_ui.contexts.models import ModelHead, Whereabouts
from admin_ui.forms import Form


@dataclass(frozen=True, slots=True)
class AdapterLine:
    """One of them."""

    id: str
    url: str
    aliases: Sequence[str]
    source: str
    where: Whereabouts
    created_at: datetime
    removal: str


@dataclass(frozen=True, slots=True)
class AdaptersPage:
    """All of them by id."""

    template: ClassVar[str] = "adapters.html"

    head: ModelHead
    lines: Sequence[AdapterLine]
    form: Form
    here: str
    can_look: bool
