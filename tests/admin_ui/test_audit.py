import asyncio
import re

import pytest

from admin_ui.paging import PAGE
from gateway.db.session import Database
from gateway.services.register.audit import Actor, record


@pytest.fixture
def events(console, database_url):
    async def write() -> None:
        database = Database.open(database_url)
        async with database.transaction() as session:
            for n in range(PAGE + 5):
                after = {"amount": n, "note": "<b>x"}
                record(
                    session, Actor("vera", "192.0.2.9"), "quota.set", f"quota-{n}", before={"amount": 0}, after=after
                )
        await database.close()

    asyncio.run(write())


def shown(page: str) -> list[str]:
    return re.findall(r'id="event-(\d+)"', page)


def test_the_log_is_shown_in_pages_that_miss_nothing(console, events) -> None:
    console.become("ada")
    first = console.client.get("/admin/audit?actor=vera").text
    following = re.search(r'rel="next" href="([^"]+)"', first)
    assert following is not None
    second = console.client.get(following[1].replace("&amp;", "&")).text
    assert len(shown(first)) == PAGE
    assert len(shown(second)) == 5
    assert 'rel="next"' not in second
    assert 'href="/admin/audit?actor=vera">First page' in second
    assert len(set(shown(first) + shown(second))) == PAGE + 5
    assert "&lt;b&gt;x" in first
    assert "<b>x" not in first


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("target=quota-7", 1),
        ("about=quota", PAGE),
        ("about=quota&target=quota", 0),
        ("about=tenant&actor=vera", 0),
        ("about=tenant", 3),
        ("from=2020-01-01&until=2020-01-02", 0),
        ("actor=%25", 0),
        ("after=1", 0),
        ("after=x", PAGE),
        ("until=9999-12-31", 0),
    ],
)
def test_filters(console, events, query, count) -> None:
    console.become("ada")
    answer = console.client.get(f"/admin/audit?{query}")
    assert len(shown(answer.text)) == count
    if not count:
        assert (
            "No event matches" in answer.text or "Nothing was changed yet" in answer.text or answer.status_code == 422
        )


def test_a_filter_that_can_not_be_read_is_said_and_kept(console) -> None:
    console.become("ada")
    answer = console.client.get("/admin/audit?from=yesterday&about=weather&actor=ada")
    assert answer.status_code == 422
    assert 'value="yesterday"' in answer.text
    assert answer.text.count('class="error"') == 2
    assert 'value="ada"' in answer.text


def test_the_log_of_a_tenant_holds_its_own_events_alone(console, events) -> None:
    console.become("tina")
    page = console.client.get(f"/admin/tenants/{console.tenant_id('acme')}/audit").text
    assert len(shown(page)) == 1
    assert "tenant.create" in page
    assert "zenith" not in page
    assert "vera" not in page
