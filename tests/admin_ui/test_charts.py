import pytest

from admin_ui.charts import Series, column_chart, line_chart, nice_top

HOURS = ["10:00", "11:00", "12:00", "13:00"]


def test_columns_stand_on_the_axis_and_on_each_other() -> None:
    chart = column_chart("Requests", HOURS, [Series("ok", "a", [0, 5, 10, 0]), Series("bad", "bad", [0, 5, 0, 2])], str)
    assert (chart.top, chart.middle, chart.ends) == ("10.0", "5.0", ("10:00", "13:00"))
    assert [[(piece.kind, piece.y, piece.height) for piece in column.pieces] for column in chart.columns] == [
        [],
        [("a", 50.0, 50.0), ("bad", 0.0, 50.0)],
        [("a", 0.0, 100.0)],
        [("bad", 80.0, 20.0)],
    ]
    assert [column.place for column in chart.columns] == [0, 25, 50, 75]
    assert all(column.x >= column.place and column.x + column.width <= column.place + 25 for column in chart.columns)
    assert chart.columns[1].words == "11:00\nok: 5\nbad: 5"


def test_a_hole_in_the_values_is_a_hole_in_the_line() -> None:
    chart = line_chart("Latency", HOURS, [Series("median", "a", [1.0, 2.0, None, 0.5])], "{:.1f} s".format)
    [line] = chart.lines
    assert line.path == "M125.0 50.00L375.0 0.00"
    assert line.dots == "M875.0 75.00h0"
    assert chart.rows[2] == ("12:00", ["none"])


def test_what_is_drawn_is_said_too() -> None:
    chart = line_chart("Latency", HOURS, [Series("median", "a", [1.0, 4.0, None, 0.5])], "{:g} s".format)
    assert chart.summary == "From 10:00 to 13:00. median: now 0.5 s, at most 4 s at 11:00."
    assert line_chart("Latency", HOURS, [Series("median", "a", [None] * 4)], str).summary == "Nothing in this time."


@pytest.mark.parametrize("most", [0, 1e-9, 0.07, 1, 1.01, 9.99, 10, 123, 8e12])
def test_an_axis_holds_its_values_and_not_much_more(most) -> None:
    assert most <= nice_top(most) * 1.001
    assert nice_top(most) <= max(most * 2, 1.0)


def test_nothing_at_all_is_a_chart_too() -> None:
    assert column_chart("Requests", [], [Series("ok", "a", [])], str).columns == []
    assert line_chart("Latency", [], [], str).lines == []
