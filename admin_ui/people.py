"""How operators, their sessions and their tokens stand on pages."""

from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import quote

from admin_ui.browsers import browser_text
from admin_ui.contexts.operators import OperatorHead, SessionLine, TokenLine
from admin_ui.navigation import PREFIX
from admin_ui.visit import Visit
from gateway.services.access.operator_tokens import TokenInfo
from gateway.services.access.operators import OperatorInfo
from gateway.services.access.sessions import SessionInfo, reference

OPERATORS = f"{PREFIX}/operators"
ACCOUNT = f"{PREFIX}/account"


def operator_url(name: str, rest: str = "") -> str:
    """The address of an operator's page."""
    return f"{OPERATORS}/at/{quote(name, safe='')}{rest}"


def operator_head(visit: Visit, operator: OperatorInfo) -> OperatorHead:
    """Of the pages about this operator."""
    you = operator.name == visit.operator.name
    return OperatorHead(operator.name, operator.role.replace("_", " "), operator_url(operator.name), you)


def session_lines(visit: Visit, sessions: Sequence[SessionInfo]) -> Sequence[SessionLine]:
    """How sessions are listed."""
    here = reference(visit.request.auth.id)
    return [SessionLine(one, browser_text(one.agent), one.ref == here) for one in sessions]


def token_lines(tokens: Sequence[TokenInfo]) -> Sequence[TokenLine]:
    """How tokens are listed: the newest first, those that work before the others."""
    now = datetime.now(UTC)
    lines = [TokenLine(token, token.state(now)) for token in reversed(tokens)]
    return sorted(lines, key=lambda line: line.state != "active")
