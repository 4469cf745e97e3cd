"""Upstreams, which are servers of others: the list, one of them, and the forms that register and change them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from admin_ui.contexts.frame import Pager
from admin_ui.forms import Form
from gateway.services.register.upstreams import UpstreamInfo

Choices = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class UpstreamHealth:
    """How an upstream is, as this gateway knows it."""

    state: str
    """In words."""
    tone: str
    problem: str | None
    age: float | None
    """Seconds since it was heard; None: never."""
    in_flight: int
    """Requests of this gateway."""
    models: Sequence[str]
    """That it says it has."""
    node: str | None
    """Its page as a node of its pool; None: it is none yet."""


@dataclass(frozen=True, slots=True)
class UpstreamLine:
    """One upstream of the list."""

    upstream: UpstreamInfo
    url: str
    health: UpstreamHealth


@dataclass(frozen=True, slots=True)
class UpstreamsPart:
    """The lines; what is refreshed."""

    template: ClassVar[str] = "upstreams/lines.html"

    lines: Sequence[UpstreamLine]
    q: str
    pager: Pager


@dataclass(frozen=True, slots=True)
class UpstreamsPage:
    """All upstreams, by pool."""

    template: ClassVar[str] = "upstreams.html"

    here: str
    live: str
    part: UpstreamsPart


@dataclass(frozen=True, slots=True)
class UpstreamHead:
    """What the pages of an upstream begin with."""

    id: str
    base_url: str
    home: str


@dataclass(frozen=True, slots=True)
class HealthPart:
    """How it is now; what is refreshed."""

    template: ClassVar[str] = "upstreams/health.html"

    health: UpstreamHealth
    register: str
    """Where a model of its pool is registered."""


@dataclass(frozen=True, slots=True)
class UpstreamPage:
    """One upstream."""

    template: ClassVar[str] = "upstream.html"

    head: UpstreamHead
    upstream: UpstreamInfo
    live: str
    part: HealthPart
    models: Sequence[tuple[str, str]]
    """Registered ones that its pool serves: ids, and their pages."""


@dataclass(frozen=True, slots=True)
class NewUpstreamPage:
    """The form for another one."""

    template: ClassVar[str] = "new_upstream.html"

    form: Form
    kinds: Choices
    here: str
    can_seal: bool
    """Whether this gateway could keep a credential."""


@dataclass(frozen=True, slots=True)
class UpstreamSettingsPage:
    """Where it is, which wire it speaks, and its pool."""

    template: ClassVar[str] = "upstream_settings.html"

    head: UpstreamHead
    form: Form
    kinds: Choices
    saved: UpstreamInfo


@dataclass(frozen=True, slots=True)
class UpstreamKeyPage:
    """Another credential, or none."""

    template: ClassVar[str] = "upstream_key.html"

    head: UpstreamHead
    form: Form
    saved: UpstreamInfo
    can_seal: bool


@dataclass(frozen=True, slots=True)
class UpstreamRemovalPage:
    """Asks once more."""

    template: ClassVar[str] = "upstream_removal.html"

    head: UpstreamHead
    form: Form
    saved: UpstreamInfo
    others: int
    """Upstreams of the same pool that stay."""
    models: int
    """That its pool serves."""
