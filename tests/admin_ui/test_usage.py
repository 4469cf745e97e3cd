import csv
import io
import json
import re
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import anyio
import pytest

from gateway.db.session import Database
from gateway.services.usage.event import UsageEvent
from gateway.services.usage.ledger import enter


@pytest.fixture
def today():
    """Its beginning."""
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


@pytest.fixture
def used(console, today):
    """Acme used 100 tokens of one model today, 300 of another yesterday and 5 half a year ago; zenith 7000 today."""
    acme, zenith = console.tenant_id("acme"), console.tenant_id("zenith")
    token = console.become("ada")
    answer = console.client.post(f"/admin/tenants/{acme}/keys", data={"csrf_token": token, "name": "<i>laptop"})
    key = re.search(r"sk-shoal-([a-z0-9]{12})-", answer.text)[1]

    def event(tenant: str, ago: int, model: str, tokens: int, status: int = 200) -> UsageEvent:
        return UsageEvent(
            id=uuid4(),
            time=today - timedelta(days=ago),
            tenant_id=tenant,
            tenant_name="acme" if tenant == acme else "zenith",
            key_id=key if tenant == acme else "zzzzzzzzzzzz",
            model=model,
            revision=None,
            endpoint="/v1/embeddings",
            status=status,
            inputs=2,
            tokens=tokens,
            bytes_in=10,
            latency_ms=12.0,
        )

    events = [
        event(acme, 0, "org/small", 100),
        event(acme, 1, "org/large", 300),
        event(acme, 1, "org/large", 0, 503),
        event(acme, 180, "org/old", 5),
        event(zenith, 0, "org/theirs", 7000),
    ]

    async def fill() -> None:
        database = Database.open(f"sqlite+aiosqlite:///{console.services.database.file}")
        await enter(database, events)
        await database.close()

    anyio.run(fill)
    console.key = key
    return console


def usage_url(console, rest: str = "", name: str = "acme") -> str:
    return f"/admin/tenants/{console.tenant_id(name)}/usage{rest}"


def rows(page: str) -> list[str]:
    body = re.search(r'<table class="list wide">.*?<tbody>(.*?)</tbody>', page, re.DOTALL)[1]
    return [" ".join(re.sub(r"<[^>]+>", " ", row).split()) for row in re.findall(r"<tr>(.*?)</tr>", body, re.DOTALL)]


def charted(page: str) -> list[tuple[str, str]]:
    """The days of the chart, as its table has them: the latest first."""
    table = re.search(r'id="days-table">.*?<tbody>(.*?)</tbody>', page, re.DOTALL)[1]
    return re.findall(r"<th[^>]*>(.*?)</th>\s*<td[^>]*>(.*?)</td>", table)


def test_usage_is_summed_by_model_key_and_day_of_one_tenant(used, today) -> None:
    by_model = used.client.get(usage_url(used)).text
    assert rows(by_model) == [
        "org/large 300 75 % 2 4 1 0 12 ms",
        "org/small 100 25 % 1 2 0 0 12 ms",
    ]
    by_key = used.client.get(usage_url(used, "?by=key")).text
    assert rows(by_key) == [f"&lt;i&gt;laptop {used.key} 400 100 % 3 6 1 0 12 ms"]
    by_day = used.client.get(usage_url(used, "?by=day")).text
    assert [row.split()[0] for row in rows(by_day)] == [f"{today:%Y-%m-%d}", f"{today - timedelta(days=1):%Y-%m-%d}"]
    assert "org/theirs" not in by_model
    assert "<i>laptop" not in by_key


def test_its_chart_has_every_day_of_the_time_and_says_its_values(used, today) -> None:
    page = used.client.get(usage_url(used)).text
    days = charted(page)
    assert len(days) == 30
    assert days[:3] == [
        (f"{today - timedelta(days=ago):%Y-%m-%d}", tokens) for ago, tokens in ((0, "100"), (1, "300"), (2, "0"))
    ]
    assert page.count('class="piece a"') == 2
    assert "at most 300 at" in page


def test_the_time_is_in_the_address(used, today) -> None:
    first, last = today - timedelta(days=181), today - timedelta(days=179)
    page = used.client.get(usage_url(used, f"?from={first:%Y-%m-%d}&until={last:%Y-%m-%d}")).text
    assert rows(page) == ["org/old 5 100 % 1 2 0 0 12 ms"]
    assert [tokens for _, tokens in charted(page)] == ["0", "5", "0"]
    assert f'value="{first:%Y-%m-%d}"' in page
    none = used.client.get(usage_url(used, "?from=2020-01-01&until=2020-01-02"))
    assert "Nothing was used in this time" in none.text


def test_a_long_time_is_drawn_by_weeks_that_lose_nothing(used, today) -> None:
    first = today - timedelta(days=364)
    page = used.client.get(usage_url(used, f"?from={first:%Y-%m-%d}&until={today:%Y-%m-%d}")).text
    weeks = charted(page)
    assert len(weeks) == 53
    assert sum(int(tokens) for _, tokens in weeks) == 405
    assert weeks[-1][0] == f"{first:%Y-%m-%d}"
    assert "Tokens by week" in page
    assert len(page) < 60_000


@pytest.mark.parametrize(
    "query",
    [
        "from=yesterday&until=9999-12-31",
        "from=2026-02-02&until=2026-02-01",
        "from=2020-01-01&until=2026-01-01",
        "by=password",
        "from=2026-02-30",
    ],
)
def test_a_time_that_is_none_is_said_and_asks_for_nothing(used, query) -> None:
    answer = used.client.get(usage_url(used, f"?{query}"))
    assert answer.status_code == 422
    assert "org/small" not in answer.text
    assert used.client.get(usage_url(used, f"/export?{query}")).status_code == 400


def test_exports_are_sums_that_agree_with_the_page(used) -> None:
    answer = used.client.get(usage_url(used, "/export?format=csv&by=day"))
    assert answer.headers["content-type"].startswith("text/csv")
    assert re.fullmatch(r'attachment; filename="usage-[0-9-]+\.csv"', answer.headers["content-disposition"])
    lines = list(csv.DictReader(io.StringIO(answer.text)))
    assert [(line["model"], line["tokens"]) for line in lines] == [("org/large", "300"), ("org/small", "100")]
    answer = used.client.get(usage_url(used, "/export?format=jsonl&by=hour"))
    assert [json.loads(line)["tokens"] for line in answer.text.splitlines()] == [300, 100]
    for query in ("by=record", "format=xml"):
        assert used.client.get(usage_url(used, f"/export?{query}")).status_code == 400


def test_an_operator_of_one_tenant_sees_and_exports_its_own_usage_alone(used) -> None:
    used.become("tina")
    assert "org/small" in used.client.get(usage_url(used)).text
    assert "org/theirs" not in used.client.get(usage_url(used, "/export")).text
    for rest in ("", "/export"):
        assert used.client.get(usage_url(used, rest, "zenith")).status_code == 404


def test_the_tenants_own_page_and_the_list_show_it_too(used) -> None:
    page = used.client.get(usage_url(used)[: -len("/usage")]).text
    assert "<b>400</b>" in page
    assert page.count('class="piece a"') == 2
    assert used.client.get("/admin/tenants").status_code == 200
