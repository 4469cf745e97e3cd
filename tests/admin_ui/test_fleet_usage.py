"""Usage over all tenants: by tenant, model, key and time, for operators of the fleet."""

import csv
import io
import re
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import anyio
import pytest

from gateway.db.session import Database
from gateway.services.usage.event import UsageEvent
from gateway.services.usage.ledger import enter

NOON = datetime(2026, 3, 15, 12, 30, tzinfo=UTC)
URL = "/admin/usage"


def event(tenant: str, name: str, key: str, tokens: int, ago: int = 0, model: str = "org/small") -> UsageEvent:
    return UsageEvent(
        id=uuid4(), time=NOON - timedelta(days=ago), tenant_id=tenant, tenant_name=name, key_id=key, model=model,
        revision=None, endpoint="/v1/embeddings", status=200, inputs=2, tokens=tokens, bytes_in=10, latency_ms=12.0,
    )  # fmt: skip


def fill(console, events) -> None:
    async def run() -> None:
        database = Database.open(f"sqlite+aiosqlite:///{console.services.database.file}")
        await enter(database, events)
        await database.close()

    anyio.run(run)


@pytest.fixture
def used(console):
    """In March 2026: acme 100 tokens, zenith 300, one that is gone 50; acme 7 in January."""
    acme, zenith = console.tenant_id("acme"), console.tenant_id("zenith")
    token = console.become("ada")
    answer = console.client.post(f"/admin/tenants/{acme}/keys", data={"csrf_token": token, "name": "<i>laptop"})
    key = re.search(r"sk-shoal-([a-z0-9]{12})-", answer.text)[1]
    fill(
        console,
        [
            event(acme, "acme", key, 100),
            event(zenith, "zenith", "zzzzzzzzzzzz", 300, ago=1, model="org/large"),
            event("tn_gone", "<b>gone", "gggggggggggg", 50, ago=2),
            event(acme, "acme", key, 7, ago=60),
        ],
    )
    console.key, console.acme, console.zenith = key, acme, zenith
    return console


def page(console, query: str = "", status: int = 200) -> str:
    answer = console.client.get(f"{URL}?{query}" if query else URL)
    assert answer.status_code == status, answer.text
    return answer.text


def rows(text: str) -> list[str]:
    body = re.search(r'<table class="list wide">.*?<tbody>(.*?)</tbody>', text, re.DOTALL)[1]
    return [" ".join(re.sub(r"<[^>]+>", " ", row).split()) for row in re.findall(r"<tr>(.*?)</tr>", body, re.DOTALL)]


def charted(text: str) -> list[tuple[str, str]]:
    table = re.search(r'id="times-table">.*?<tbody>(.*?)</tbody>', text, re.DOTALL)[1]
    return re.findall(r"<th[^>]*>(.*?)</th>\s*<td[^>]*>(.*?)</td>", table)


def test_tenants_stand_in_the_order_of_what_they_used_and_lead_to_their_own_pages(used) -> None:
    text = page(used, "period=2026-03")
    assert rows(text) == [
        f"zenith {used.zenith} 300 67 % 1 2 0 0 12 ms",
        f"acme {used.acme} 100 22 % 1 2 0 0 12 ms",
        "&lt;b&gt;gone tn_gone 50 11 % 1 2 0 0 12 ms",
    ]
    assert f'href="/admin/tenants/{used.acme}/usage?from=2026-03-01&amp;until=2026-03-31"' in text
    assert "/admin/tenants/tn_gone" not in text
    own = used.client.get(f"/admin/tenants/{used.acme}/usage?from=2026-03-01&until=2026-03-31").text
    assert "<b>100</b>" in own


def test_models_keys_days_and_months(used) -> None:
    assert rows(page(used, "period=2026-03&by=model")) == [
        "org/large 300 67 % 1 2 0 0 12 ms",
        "org/small 150 33 % 2 4 0 0 12 ms",
    ]
    keys = page(used, "period=2026&by=key")
    assert rows(keys)[1] == f"&lt;i&gt;laptop {used.key} acme 107 23 % 2 4 0 0 12 ms"
    assert f'href="/admin/tenants/{used.acme}/keys/{used.key}"' in keys
    assert rows(keys)[2].startswith("gggggggggggg &lt;b&gt;gone 50")
    days = page(used, "period=2026-03&by=day")
    assert [row.split()[:2] for row in rows(days)] == [
        ["2026-03-15", "100"],
        ["2026-03-14", "300"],
        ["2026-03-13", "50"],
    ]
    assert 'href="/admin/usage?period=2026-03-14"' in days
    months = page(used, "period=2026&by=month")
    assert [row.split()[:2] for row in rows(months)] == [["2026-03", "450"], ["2026-01", "7"]]


def test_the_chart_has_every_day_or_month_and_agrees_with_the_sum(used) -> None:
    march = page(used, "period=2026-03")
    assert len(charted(march)) == 31
    assert sum(int(tokens) for _, tokens in charted(march)) == 450
    assert "<b>450</b>" in march
    year = page(used, "period=2026")
    assert [(name, tokens) for name, tokens in charted(year) if tokens != "0"] == [("2026-03", "450"), ("2026-01", "7")]
    day = page(used, "period=2026-03-14")
    assert "<b>300</b>" in day
    assert len(charted(day)) == 31, "a day is seen within its month"


def test_the_address_says_the_time_and_leads_to_the_ones_beside_it(used) -> None:
    text = page(used, "period=2026-03&by=key&q=acme")
    for period in ("2026-02", "2026-04"):
        assert f'href="/admin/usage?period={period}&amp;by=key&amp;q=acme"' in text
    long_ago = page(used, "period=2020-03")
    assert re.findall(r'href="/admin/usage\?period=([0-9-]+)&amp;by=tenant"', long_ago)[-2:] == ["2020", "2020-04"]
    assert 'value="2026-03"' in text
    assert len(rows(text)) == 1
    this = page(used)
    assert f'value="{datetime.now(UTC):%Y-%m}"' in this
    assert 'rel="next"' not in this, "what has not begun is not offered"
    assert "Nothing was used in this time" in this


def test_a_day_has_no_days(used) -> None:
    assert "by=day" not in page(used, "period=2026-03-14")
    assert "by=tenant" in re.search(r'rel="prev"[^>]*|href="[^"]*"[^>]*rel="prev"', page(used, "period=2026-03-14"))[0]
    page(used, "period=2026-03-14&by=day", status=422)


def test_a_long_list_comes_in_pages(used) -> None:
    fill(used, [event(f"tn_{n:03}", f"Tenant {n:03}", f"k{n:011}", 10) for n in range(120)])
    text, seen = page(used, "period=2026-03-15&by=tenant"), []
    while True:
        seen += [row.split()[2] if row.startswith("Tenant") else row.split()[1] for row in rows(text)]
        following = re.search(r'rel="next" href="([^"]*after=[^"]*)"', text)
        if following is None:
            break
        text = used.client.get(following[1].replace("&amp;", "&")).text
    assert len(seen) == len(set(seen)) == 121


@pytest.mark.parametrize("query", ["period=yesterday", "period=2026-13", "by=password&period=2026-03", "period=0001"])
def test_a_time_that_is_none_is_said_and_asks_for_nothing(used, query) -> None:
    text = page(used, query, status=422)
    assert "zenith" not in text
    assert 'role="alert"' in text


def test_a_search_that_finds_nothing_says_so(used) -> None:
    assert "Nothing matches" in page(used, "period=2026-03&q=nobody")


def test_the_export_is_of_all_tenants_and_runs_nothing(used) -> None:
    fill(used, [event("tn_evil", "=1+1", "eeeeeeeeeeee", 1)])
    answer = used.client.get(f"{URL}/export?period=2026-03")
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.headers["content-disposition"] == 'attachment; filename="usage-2026-03.csv"'
    lines = list(csv.DictReader(io.StringIO(answer.text)))
    assert sum(int(line["tokens"]) for line in lines) == 451
    assert {line["tenant"] for line in lines} == {"acme", "zenith", "<b>gone", "'=1+1"}
    assert used.client.get(f"{URL}/export?period=nonsense").status_code == 400


def test_viewers_see_it_and_operators_of_one_tenant_do_not(used) -> None:
    used.become("<i>eve")
    assert "zenith" in page(used, "period=2026-03")
    assert f'href="{URL}"' in used.client.get("/admin").text
    used.become("tina")
    for rest in ("", "/export?period=2026-03"):
        assert used.client.get(f"{URL}{rest}").status_code == 404
    assert f'href="{URL}"' not in used.client.get(f"/admin/tenants/{used.acme}").text
