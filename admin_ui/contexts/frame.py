"""What stands around every page, and what pages are made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol, get_args

from gateway.services.access.roles import Right

Theme = Literal["auto", "light", "dark"]
THEMES: tuple[Theme, ...] = get_args(Theme)
Tone = Literal["good", "bad"]


class Page(Protocol):
    """A dataclass that a template shows, as `page`; or a part of one that is refreshed by itself, as `part`."""

    @property
    def template(self) -> str:
        """The template's file."""


@dataclass(frozen=True, slots=True)
class NavLink:
    """One entry of the navigation."""

    label: str
    url: str
    icon: str
    """One of components/icons.html."""
    here: bool


@dataclass(frozen=True, slots=True)
class Flash:
    """What became of the form before: said once, on the page that follows it."""

    text: str
    tone: Tone = "good"


@dataclass(frozen=True, slots=True)
class Shell:
    """What stands around the page of an operator."""

    operator: str
    role: str
    may: frozenset[Right]
    """What to offer; whether it is done is decided elsewhere."""
    csrf_token: str
    theme: Theme
    here: str
    """The page's own address with its query, to come back to."""
    links: Sequence[NavLink]
    flash: Flash | None = None


@dataclass(frozen=True, slots=True)
class Pager:
    """Where a long list goes on."""

    first: str | None
    """The address of its beginning; None: this is it."""
    next: str | None
    """None: this is its end."""


@dataclass(frozen=True, slots=True)
class HeldForm:
    """A form that came when its session was over: sent again by its operator, after signing in."""

    action: str
    """Where it was to go; a path of the console."""
    fields: str
    """What was typed, URL-encoded; nothing secret."""


@dataclass(frozen=True, slots=True)
class SignInPage:
    """The sign-in form."""

    template: ClassVar[str] = "sign_in.html"

    csrf_token: str
    next: str
    """Where to go then; a path of the console."""
    name: str = ""
    problem: str | None = None
    held: HeldForm | None = None
    elsewhere: str | None = None
    """Where one may sign in besides; None: nowhere."""


@dataclass(frozen=True, slots=True)
class GoOnPage:
    """After signing in: the form that was held, to be sent by its operator."""

    template: ClassVar[str] = "go_on.html"

    action: str
    fields: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class ErrorPage:
    """What went wrong, in words."""

    template: ClassVar[str] = "error.html"

    status: int
    title: str
    message: str
    hint: str | None = None
    """What to do now."""
