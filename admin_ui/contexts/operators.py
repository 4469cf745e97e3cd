"""Operators: the list, one of them with sessions and tokens, and what changes them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from admin_ui.contexts.frame import Pager
from admin_ui.forms import Form
from gateway.services.access.operator_tokens import TokenInfo
from gateway.services.access.operators import OperatorInfo
from gateway.services.access.sessions import SessionInfo


@dataclass(frozen=True, slots=True)
class OperatorLine:
    """One operator of the list."""

    info: OperatorInfo
    url: str
    tenant: str | None
    """The name of the one tenant that a tenant admin sees."""
    sessions: int
    """That last now."""
    tokens: int
    """That work now."""
    you: bool


@dataclass(frozen=True, slots=True)
class OperatorsPage:
    """Everybody who may sign in, by name."""

    template: ClassVar[str] = "operators.html"

    here: str
    q: str
    lines: Sequence[OperatorLine]
    pager: Pager


@dataclass(frozen=True, slots=True)
class OperatorHead:
    """Whose page it is."""

    name: str
    role: str
    url: str
    you: bool
    """Whether it is whoever looks."""


@dataclass(frozen=True, slots=True)
class NewOperatorPage:
    """The form for another operator."""

    template: ClassVar[str] = "new_operator.html"

    form: Form
    roles: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class PasswordShownPage:
    """A password that was made: shown now, and never again."""

    template: ClassVar[str] = "password_shown.html"

    head: OperatorHead
    password: str


@dataclass(frozen=True, slots=True)
class SessionLine:
    """A session that lasts."""

    info: SessionInfo
    browser: str
    this: bool
    """Whether it is the one that looks."""


@dataclass(frozen=True, slots=True)
class TokenLine:
    """An operator token."""

    info: TokenInfo
    state: str
    """`active`, `expired` or `revoked`."""


@dataclass(frozen=True, slots=True)
class OperatorPage:
    """One operator."""

    template: ClassVar[str] = "operator.html"

    head: OperatorHead
    info: OperatorInfo
    tenant: str | None
    sessions: Sequence[SessionLine]
    tokens: Sequence[TokenLine]


@dataclass(frozen=True, slots=True)
class RolePage:
    """What an operator may do."""

    template: ClassVar[str] = "operator_role.html"

    head: OperatorHead
    form: Form
    roles: Sequence[tuple[str, str]]
    saved_role: str
    saved_tenant: str


@dataclass(frozen=True, slots=True)
class PasswordResetPage:
    """Asks once more."""

    template: ClassVar[str] = "password_reset.html"

    head: OperatorHead
    version: int
    sessions: int
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class OperatorRemovalPage:
    """Asks for the operator's name."""

    template: ClassVar[str] = "operator_removal.html"

    head: OperatorHead
    form: Form
    tokens: int


@dataclass(frozen=True, slots=True)
class NewTokenPage:
    """The form for another token of an operator."""

    template: ClassVar[str] = "new_token.html"

    head: OperatorHead
    form: Form


@dataclass(frozen=True, slots=True)
class TokenMadePage:
    """A new token: shown now, and never again."""

    template: ClassVar[str] = "token_made.html"

    head: OperatorHead
    name: str
    text: str
    """The token itself."""
    read_only: bool
    expires_at: datetime | None
    example: str
    """A command that uses it."""


@dataclass(frozen=True, slots=True)
class TokenRevocationPage:
    """Asks once more."""

    template: ClassVar[str] = "token_revocation.html"

    head: OperatorHead
    info: TokenInfo
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class AccountPage:
    """An operator's own: password and sessions."""

    template: ClassVar[str] = "account.html"

    here: str
    role: str
    outside: bool
    form: Form
    sessions: Sequence[SessionLine]
