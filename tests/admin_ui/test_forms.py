from datetime import UTC, datetime

import pytest

from admin_ui.forms import NEEDED, Form
from gateway.errors import Conflict, Unavailable
from gateway.services.register.names import checked_name


def typed(**values: str | list[str]) -> Form:
    return Form({name: [value] if isinstance(value, str) else value for name, value in values.items()})


def test_everything_that_is_wrong_is_said_at_once_and_what_was_typed_stays() -> None:
    form = typed(name="  ", weight="heavy", amount="1.5", lane="fast", until="2026-02-30", confirm="acm")
    assert form.text("name") == ""
    assert form.number("weight", at_least=0.1, at_most=9) is None
    assert form.whole("amount") is None
    assert form.one_of("lane", ("interactive", "bulk")) == "interactive"
    assert form.day("until") is None
    form.repeats("confirm", "acme")
    assert list(form.errors) == ["name", "weight", "amount", "lane", "until", "confirm"]
    assert form.error("name") == NEEDED
    assert [form.value(name) for name in ("weight", "lane", "until")] == ["heavy", "fast", "2026-02-30"]
    assert (form.ok, form.status) == (False, 422)


def test_what_is_right_is_read() -> None:
    form = typed(
        name=" acme ", weight="2.5", amount="1\N{NARROW NO-BREAK SPACE}000,000", lane="bulk", until="2026-02-28",
        box="on", text="a\n\n b \n", many=["x", "y"],
    )  # fmt: skip
    assert form.text("name") == "acme"
    assert form.number("weight", at_least=0.1, at_most=9) == 2.5
    assert form.whole("amount") == 1_000_000
    assert form.one_of("lane", ("interactive", "bulk")) == "bulk"
    assert form.day("until", end=True) == datetime(2026, 3, 1, tzinfo=UTC)
    assert (form.ticked("box"), form.ticked("other")) == (True, False)
    assert (form.lines("text"), form.values("many")) == (["a", "b"], ["x", "y"])
    assert (form.ok, form.status) == (True, 200)


@pytest.mark.parametrize("text", ["nan", "inf", "-1", "1e400", "9.01"])
def test_a_number_out_of_its_range_is_refused(text) -> None:
    form = typed(weight=text)
    form.number("weight", at_least=0, at_most=9)
    assert form.error("weight")


@pytest.mark.parametrize("text", ["-1", "9" * 30, "1_0", "0x10", "²", "1e3"])
def test_a_whole_number_is_nothing_else(text) -> None:
    form = typed(amount=text)
    form.whole("amount")
    assert form.error("amount")


def test_what_a_service_refuses_is_said_at_its_field() -> None:
    form = typed(title="x" * 65)
    with form.catching({"name": "title"}):
        checked_name(form.text("title"), "tenant")
    assert "65 characters" in (form.error("title") or "")
    form = typed(other="")
    with form.catching():
        checked_name("", "tenant")
    assert "characters" in (form.error() or ""), "a field that the form has not is the form's own matter"


def test_a_conflict_is_one_and_says_the_version_that_was_seen() -> None:
    form = typed(version="7", name="acme")
    assert form.version == 7
    with form.catching():
        raise Conflict("changed meanwhile", code="version_conflict", param="version")
    assert (form.conflict, form.status, form.value("name")) == (True, 409, "acme")


def test_a_failure_of_the_server_is_none_of_the_form() -> None:
    form = typed()
    with pytest.raises(Unavailable), form.catching():
        raise Unavailable("away")


def test_a_form_that_is_shown_first_has_the_values_that_there_are() -> None:
    form = Form.showing({"name": "acme", "weight": 2.5, "pinned": True, "off": False, "scopes": ("a", "b")}, version=3)
    assert [form.value(name) for name in ("name", "weight", "pinned", "off")] == ["acme", "2.5", "on", ""]
    assert form.values("scopes") == ["a", "b"]
    assert form.version == 3
