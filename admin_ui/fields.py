"""Fields that several forms have, checked as the register checks them, so that all errors are seen at once."""

from collections.abc import Sequence
from datetime import UTC, datetime

from admin_ui.forms import Form
from gateway.errors import RequestError
from gateway.services.register.keys import check_expiry, parse_expiry
from gateway.services.register.names import checked_name, checked_pattern


def read_name(form: Form, of: str) -> str:
    """The name of a tenant or a key."""
    name = form.text("name")
    if name:
        with form.catching():
            checked_name(name, of)
    return name


def read_expiry(form: Form, unchanged: datetime | None = None) -> datetime | None:
    """When a key ends; None where nothing was typed. What stands there already may have passed."""
    text = form.text("expires", optional=True)
    if not text or (unchanged is not None and text == expiry_text(unchanged)):
        return unchanged if text else None
    with form.catching():
        moment = parse_expiry(text, datetime.now(UTC))
        check_expiry(moment)
        return moment
    return None


def expiry_text(moment: datetime | None) -> str:
    """As it is typed: to the second, UTC."""
    return "" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S%z}".replace("+0000", "Z")


def read_patterns(form: Form, name: str) -> Sequence[str]:
    """The patterns of models in a field, one a line; those that are none are blamed together."""
    good, wrong = split_patterns(form.lines(name))
    if wrong:
        shown = ", ".join(repr(line[:60]) for line in wrong[:5])
        what = "This is no pattern" if len(wrong) == 1 else f"These {len(wrong)} are no patterns"
        rule = "Use letters, digits and ._:/@+- with * for anything and ? for one character, at most 200."
        form.refuse(name, f"{what}: {shown}. {rule}")
    return good


def split_patterns(lines: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """Patterns, each once, and what is none."""
    good: dict[str, None] = {}
    wrong: list[str] = []
    for line in lines:
        try:
            good[checked_pattern(line)] = None
        except RequestError:
            wrong.append(line)
    return tuple(good), wrong
