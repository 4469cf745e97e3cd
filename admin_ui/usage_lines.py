"""Usage as lines and as a chart: what the pages of one tenant and of all of them show alike. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from admin_ui.charts import Chart, Series, column_chart
from admin_ui.contexts.usage import UsageLine
from admin_ui.wording import compact_text
from gateway.services.usage.summary import UsageRow

MOST_COLUMNS = 100


def day_chart(days: Sequence[UsageRow], start: datetime, end: datetime) -> Chart:
    """Tokens by day, or by week where that is a long time; days without any are there, too."""
    count = max((end - timedelta(microseconds=1)).date().toordinal() - start.date().toordinal() + 1, 1)
    names = [f"{start + timedelta(days=place):%Y-%m-%d}" for place in range(count)]
    step, word = (7, "week") if count > MOST_COLUMNS else (1, "day")
    return part_chart(f"Tokens by {word}", days, names, step)


def part_chart(title: str, rows: Sequence[UsageRow], names: Sequence[str], step: int = 1) -> Chart:
    """Tokens of the rows of these names, `step` of them together; those that there are not used none."""
    used = {row.name: float(row.tokens) for row in rows}
    labels = names[::step]
    sums = [sum(used.get(name, 0.0) for name in names[place : place + step]) for place in range(0, len(names), step)]
    return column_chart(title, labels, [Series("Tokens", "a", sums)], compact_text)


def total_of(rows: Sequence[UsageRow]) -> UsageRow:
    """All of them together."""
    sums: dict[str, Any] = {
        name: sum(getattr(row, name) for row in rows) for name in UsageRow.__slots__ if name != "name"
    }
    return UsageRow("", **sums)


def usage_line(row: UsageRow, total: UsageRow, note: str = "", url: str | None = None) -> UsageLine:
    """One of them, as a part of the total."""
    return UsageLine(
        name=row.name,
        note=note,
        url=url,
        requests=row.requests,
        refused=row.refused,
        failed=row.failed,
        inputs=row.inputs,
        tokens=row.tokens,
        share=row.tokens / total.tokens if total.tokens else 0.0,
        latency=row.latency_ms / row.requests / 1000 if row.requests else 0.0,
    )
