"""The playground: what to ask a model in a tenant's name, and what it said."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from admin_ui.contexts.frame import Pager
from admin_ui.contexts.keys import Snippet
from admin_ui.contexts.tenant import Tab, TenantHead
from admin_ui.forms import Form
from gateway.services.register.tenants import TenantInfo


@dataclass(frozen=True, slots=True)
class PlaygroundTenantsPage:
    """In whose name."""

    template: ClassVar[str] = "playground_tenants.html"

    here: str
    q: str
    tenants: Sequence[TenantInfo]
    pager: Pager


@dataclass(frozen=True, slots=True)
class Cell:
    """How alike two texts are: their cosine."""

    value: float
    shade: int
    """0 to 10."""


@dataclass(frozen=True, slots=True)
class MatrixRow:
    """One text beside all."""

    number: int
    text: str
    cells: Sequence[Cell]
    begins: str
    """The first numbers of its vector."""


@dataclass(frozen=True, slots=True)
class Score:
    """A text or a label, and how well it fits."""

    text: str
    value: float
    share: float
    """Of its bar, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Scores:
    """What fits, the best first."""

    title: str
    lines: Sequence[Score]


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a text, found or between what was found."""

    text: str
    label: str | None = None
    score: float = 0.0
    colour: int = 0
    """0 to 7: the label's."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the API said."""

    status: int
    problem: str | None
    """Its own words, where it refused."""
    code: str | None
    seconds: float
    tokens: int | None
    request_id: str
    left: Sequence[tuple[str, str]]
    """What of the limits is left, in the words of its headers."""
    dimensions: int
    """Of the vectors; 0: there are none."""
    matrix: Sequence[MatrixRow]
    scores: Sequence[Scores]
    pieces: Sequence[Piece]
    found: int
    """How many pieces are."""
    body: str
    """The answer itself, long lists cut."""


@dataclass(frozen=True, slots=True)
class PlaygroundPage:
    """What to ask, and the answer."""

    template: ClassVar[str] = "playground.html"

    head: TenantHead
    here: str
    task: str
    tasks: Sequence[Tab]
    form: Form
    keys: Sequence[tuple[str, str]]
    models: Sequence[tuple[str, str]]
    """The first of those that can do it."""
    more_models: int
    """Besides those: where there are any, names are typed."""
    kinds: Sequence[tuple[str, str]]
    works: bool
    """Whether there is an API to ask in this process."""
    outcome: Outcome | None
    snippets: Sequence[Snippet]
    """The very request, as code."""
