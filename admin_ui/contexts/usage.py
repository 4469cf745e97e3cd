"""What a tenant used, from sums per hour."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from admin_ui.charts import Chart
from admin_ui.contexts.tenant import Tab, TenantHead
from admin_ui.forms import Form


@dataclass(frozen=True, slots=True)
class UsageLine:
    """One day, model or key."""

    name: str
    note: str
    """More of it, such as a key's name."""
    url: str | None
    requests: int
    refused: int
    failed: int
    inputs: int
    tokens: int
    share: float
    """Of all tokens, of one."""
    latency: float
    """Seconds, the mean."""


@dataclass(frozen=True, slots=True)
class UsagePage:
    """A time, its days as a chart, and its sums by one of day, model and key."""

    template: ClassVar[str] = "usage.html"

    head: TenantHead
    here: str
    filters: Form
    spans: Sequence[Tab]
    """Times that are often asked for."""
    chart: Chart | None
    """None: nothing was used."""
    total: UsageLine
    views: Sequence[Tab]
    by: str
    lines: Sequence[UsageLine]
    more: int
    """Lines that are not shown."""
    exports: Sequence[Tab]
    """Files with the same."""
