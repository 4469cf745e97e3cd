import itertools
from datetime import date

import pytest

from gateway.errors import RequestError
from gateway.services.usage.periods import Period


@pytest.mark.parametrize("name", ["2026", "2026-11", "2026-11-05", "2028-02-29"])
def test_a_period_is_what_its_name_says(name) -> None:
    assert Period.parse(name).name == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        "26",
        "2026-13",
        "2026-02-30",
        "2026-1",
        "2026-W01",
        "20261105",
        "2026-11-5",
        "1999",
        "9999",
        "2026-11-05x",
        "\uff12026",
        "2026/11",
        "-026",
        "2026-11-05T00:00",
        "yesterday",
    ],
)
def test_what_is_no_time_is_said(text) -> None:
    with pytest.raises(RequestError, match="is no time; write it like 2026-11-05, 2026-11 or 2026") as raised:
        Period.parse(text)
    assert raised.value.param == "period"


def test_neighbours_and_what_lies_around() -> None:
    day, month, year = Period.parse("2027-01-01"), Period.parse("2027-01"), Period.parse("2027")
    assert [one.before.name for one in (day, month, year)] == ["2026-12-31", "2026-12", "2026"]
    assert [one.after.name for one in (day, month, year)] == ["2027-01-02", "2027-02", "2028"]
    assert [one.around.name for one in (day, month)] == ["2027-01", "2027"]
    assert Period.parse("2026-12").after == month


def test_parts_are_the_whole_without_gap_or_overlap() -> None:
    for name, count in (("2028-02", 29), ("2027-02", 28), ("2026-12", 31), ("2026", 12)):
        period = Period.parse(name)
        parts = period.parts
        assert len(parts) == count
        assert (parts[0].start, parts[-1].end) == (period.start, period.end)
        assert all(one.end == other.start for one, other in itertools.pairwise(parts))
    assert Period.parse("2026-11-05").parts == ()
    assert Period.parse("2026-11-05").end == date(2026, 11, 6)
