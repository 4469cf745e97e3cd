"""Models: the list, one of them, and the forms that register and change it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from admin_ui.contexts.frame import Pager
from admin_ui.forms import Form
from gateway.services.pools.loads import Load
from gateway.services.register.models import ModelInfo


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where a model is, in a few words."""

    text: str
    tone: str


@dataclass(frozen=True, slots=True)
class Place:
    """A model on one node of its pool."""

    node: str
    url: str
    healthy: bool
    age: float | None
    """Seconds since the node was heard; None: never."""
    tier: str
    """`absent` where it is not there."""
    bytes: int
    in_use: int
    idle: float
    pinned: bool
    load: Load | None
    """How far it is, while it is loading."""
    failure: str | None
    next: str
    """What to do about that."""


@dataclass(frozen=True, slots=True)
class Fit:
    """Whether a model has room in a pool."""

    pool: str
    verdict: str
    tone: str
    why: str


@dataclass(frozen=True, slots=True)
class ModelLine:
    """One model of the list."""

    model: ModelInfo
    url: str
    where: Whereabouts


@dataclass(frozen=True, slots=True)
class ModelsPart:
    """The lines; what is refreshed."""

    template: ClassVar[str] = "models/lines.html"

    lines: Sequence[ModelLine]
    q: str
    pager: Pager


@dataclass(frozen=True, slots=True)
class ModelsPage:
    """All models, by id."""

    template: ClassVar[str] = "models.html"

    here: str
    live: str
    part: ModelsPart


@dataclass(frozen=True, slots=True)
class ModelHead:
    """What the pages of a model begin with."""

    id: str
    home: str
    pinned: bool
    adapter: bool
    native: bool | None
    of_upstreams: bool


@dataclass(frozen=True, slots=True)
class OrderLine:
    """What was ordered of nodes last."""

    verb: str
    going_on: bool
    seconds: float
    at: datetime
    failure: str | None


@dataclass(frozen=True, slots=True)
class PlacesPart:
    """Where the model is now; what is refreshed."""

    template: ClassVar[str] = "models/places.html"

    pool: str
    of_upstreams: bool
    places: Sequence[Place]
    order: OrderLine | None
    settings: str
    """Where its pool is changed."""
    inspection: str | None
    """Where its source is looked at again; None: it has none here."""


@dataclass(frozen=True, slots=True)
class AllowedTenant:
    """A tenant that may use a model."""

    name: str
    url: str
    suspended: bool
    aliases: Sequence[str]
    """Its own names for the model."""


@dataclass(frozen=True, slots=True)
class ModelPage:
    """One model."""

    template: ClassVar[str] = "model.html"

    head: ModelHead
    model: ModelInfo
    actions: Mapping[str, str]
    """Addresses by verb."""
    names: str
    """Where its names are."""
    adapters: str | None
    """Where adapters on it are; None: it can have none."""
    adapter_count: int
    live: str
    part: PlacesPart
    tenants: Sequence[AllowedTenant]
    """The first of them."""
    tenant_count: int
    all_tenants: int


@dataclass(frozen=True, slots=True)
class ModelSettingsPage:
    """Its pool, names, numbers and limit."""

    template: ClassVar[str] = "model_settings.html"

    head: ModelHead
    form: Form
    pools: Sequence[tuple[str, str]]
    dtypes: Sequence[tuple[str, str]]
    saved: ModelInfo
    here: str


@dataclass(frozen=True, slots=True)
class ModelRemovalPage:
    """Asks for the model's id, so that none is removed by a slip."""

    template: ClassVar[str] = "model_removal.html"

    head: ModelHead
    form: Form
    here: str
    tenants: int
    """That may use it."""


@dataclass(frozen=True, slots=True)
class NewSourcePage:
    """The first step of registering: where it is."""

    template: ClassVar[str] = "new_model.html"

    form: Form
    can_look: bool
    upstream_pools: Sequence[tuple[str, str]]
    """Names, and the addresses of their forms."""


@dataclass(frozen=True, slots=True)
class LookPart:
    """How far the look is; what is refreshed."""

    template: ClassVar[str] = "models/look.html"

    source: str
    seconds: float
    done: bool
    next: str
    """The page with what was found."""


@dataclass(frozen=True, slots=True)
class LookPage:
    """While a source is looked at."""

    template: ClassVar[str] = "look.html"

    live: str
    part: LookPart


@dataclass(frozen=True, slots=True)
class LookRefusedPage:
    """What was looked at could not be served."""

    template: ClassVar[str] = "look_refused.html"

    form: Form
    source: str
    reason: str
    advice: str
    unseen: str | None
    """The form that registers it all the same; None: that would help nobody."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a look found."""

    source: str
    revision: str | None
    architecture: str | None
    family: str | None
    native: bool | None
    tasks: Sequence[str]
    outputs: Sequence[str]
    dimensions: int | None
    widths: str
    """That its vectors may be cut to."""
    normalized: bool
    input_limit: int
    prompts: Sequence[tuple[str, str]]
    labels: Sequence[str]
    parameters: int
    weight_bytes: int
    resident: Sequence[tuple[str, int]]
    """Numbers, and bytes in memory with them."""
    fits: Sequence[Fit]


@dataclass(frozen=True, slots=True)
class RegisterPage:
    """The last step of registering: names and place."""

    template: ClassVar[str] = "register_model.html"

    form: Form
    report: Report | None
    """None: nobody looked."""
    upstream_pool: str | None
    """It is asked of this pool's upstreams; None: engine nodes load it."""
    offered: Sequence[str]
    """Models that those say they have."""
    pools: Sequence[tuple[str, str]]
    dtypes: Sequence[tuple[str, str]]
    back: str
