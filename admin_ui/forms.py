"""What an operator typed into a form, and what is wrong with it: all of it at once, and nothing typed is lost.

form = await visit.form()
name, weight = form.text("name"), form.number("weight", at_least=0.01)
if form.ok:
with form.catching({"id": "name"}):
async with visit.changing() as session:
tenant = await create_tenant(session, visit.actor, name, weight=weight)
return visit.done(f"{PREFIX}/tenants/{tenant.id}", "The tenant is there.")
return visit.page(NewTenantPage(form), status=form.status)
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from gateway.errors import Conflict, GatewayError, NotFound, RequestError

Choice = TypeVar("Choice", bound=str)
WHOLE = ""
"""Under this name stands what is wrong with a form as a whole."""
NEEDED = "This is needed."


class Form:
    """The fields by name, as they were typed. Reading one checks it; what is wrong with it is kept in `errors`."""

    def __init__(self, typed: Mapping[str, Sequence[str]] | None = None, *, version: int | None = None) -> None:
        self._typed = typed or {}
        self._version = version
        self.errors: dict[str, str] = {}
        self.conflict = False
        """Somebody else changed the thing meanwhile."""

    @classmethod
    def showing(cls, values: Mapping[str, object], *, version: int | None = None) -> "Form":
        """A form that is shown for the first time, with these values; `version` is that of what it changes."""
        return cls({name: _typed_as(value) for name, value in values.items()}, version=version)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong so far."""
        return not self.errors

    @property
    def status(self) -> int:
        """Of the answer that shows the form again."""
        return 200 if self.ok else 409 if self.conflict else 422

    @property
    def version(self) -> int | None:
        """The version of what the form changes, as its operator saw it."""
        text = self.value("version")
        return self._version if self._version is not None or not text.isdecimal() else int(text[:18])

    def now_at(self, version: int) -> None:
        """What it changes has this version by now: shown beside what is saved, and sent again, it passes."""
        self._version = version

    def value(self, name: str) -> str:
        """What was typed there, as it was."""
        return next(iter(self._typed.get(name, ())), "")

    def values(self, name: str) -> Sequence[str]:
        """What was chosen of many."""
        return self._typed.get(name, ())

    def error(self, name: str = WHOLE) -> str | None:
        """What is wrong there."""
        return self.errors.get(name)

    def refuse(self, name: str, why: str) -> None:
        """Say what is wrong with a field; what was said of it first stays."""
        self.errors.setdefault(name, why)

    def text(self, name: str, *, optional: bool = False, most: int = 1000) -> str:
        """A line of text without the spaces around it."""
        text = self.value(name).strip()
        if not text and not optional:
            self.refuse(name, NEEDED)
        if len(text) > most:
            self.refuse(name, f"This has {len(text)} characters; at most {most} are possible.")
        return text

    def lines(self, name: str) -> Sequence[str]:
        """The lines of a larger field that are not empty."""
        return [line.strip() for line in self.value(name).splitlines() if line.strip()]

    def whole(self, name: str, *, at_least: int = 0, at_most: int = 2**53) -> int | None:
        """A whole number, also with spaces or commas between its thousands; None where nothing was typed."""
        text = "".join(self.value(name).split()).replace(",", "")
        if not text:
            return None
        if not text.removeprefix("-").isdecimal() or len(text) > 20:
            self.refuse(name, "This is no whole number.")
            return None
        return int(self._within(name, int(text), at_least, at_most))

    def number(self, name: str, *, at_least: float, at_most: float) -> float | None:
        """A number; None where nothing was typed."""
        text = self.value(name).strip()
        if not text:
            return None
        try:
            value = float(text)
        except ValueError:
            self.refuse(name, "This is no number.")
            return None
        return self._within(name, value, at_least, at_most)

    def one_of(self, name: str, choices: Sequence[Choice]) -> Choice:
        """One of the choices; the first where another was sent, which is then refused."""
        for choice in choices:
            if choice == self.value(name):
                return choice
        self.refuse(name, "Choose one of these.")
        return choices[0]

    def ticked(self, name: str) -> bool:
        """Whether a box is ticked."""
        return bool(self.value(name))

    def day(self, name: str, *, end: bool = False) -> datetime | None:
        """The beginning of a day, UTC, or its `end`; None where nothing was typed."""
        text = self.value(name).strip()
        if not text:
            return None
        try:
            day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
            return day + timedelta(days=1) if end else day
        except (ValueError, OverflowError):
            self.refuse(name, "This is no day; write it as 2026-11-05.")
            return None

    def repeats(self, name: str, expected: str) -> None:
        """Refuse unless `expected` was typed, word for word: what may not be done by accident."""
        if self.value(name).strip() != expected:
            self.refuse(name, f"Type {expected} to go on.")

    def catching(self, fields: Mapping[str, str] | None = None) -> "Catching":
        """Within, what a service refuses becomes what is wrong with the form, and the block ends there.

        A field is blamed where the service names a parameter that the form has: by the same name, or by the one that
        `fields` gives for it.
        """
        return Catching(self, fields)

    def blame(self, error: GatewayError, fields: Mapping[str, str] | None = None) -> None:
        """Take what a service refused as what is wrong with the form."""
        if error.code == "version_conflict":
            self.conflict = True
        param = error.param or WHOLE
        name = (fields or {}).get(param, param)
        self.refuse(name if name in self._typed and not self.conflict else WHOLE, error.message)

    def _within(self, name: str, value: float, at_least: float, at_most: float) -> float:
        if not at_least <= value <= at_most:
            self.refuse(name, f"This must be {at_least:g} to {at_most:g}.")
        return value


class Catching:
    """Of `Form.catching`: a type of its own, because it says that errors may end here."""

    def __init__(self, form: Form, fields: Mapping[str, str] | None) -> None:
        self._form = form
        self._fields = fields

    def __enter__(self) -> None:
        """Nothing was refused so far."""

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> bool:
        """Whether what was raised is kept by the form."""
        if not isinstance(error, RequestError | Conflict | NotFound):
            return False
        self._form.blame(error, self._fields)
        return True


def _typed_as(value: object) -> Sequence[str]:
    if value is None or value is False:
        return ()
    if isinstance(value, list | tuple | set | frozenset):
        return [str(one) for one in value]
    return ("on",) if value is True else (str(value),)
