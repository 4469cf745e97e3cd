from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from gateway.db.session import Database
from gateway.db.tables import UsageHour
from gateway.services.quota.reserving import QuotaStore
from gateway.services.register.audit import Actor, AuditEntry, list_events
from policies.quota import Decision, Kind, Limit, moment_of


@pytest.fixture
def write(database: Database, actor: Actor) -> Callable[..., Awaitable[Any]]:
    """Call a service that changes something, in a transaction of its own: `await write(create_tenant, "acme")`."""

    async def call(service: Callable[..., Awaitable[Any]], *arguments: Any, **options: Any) -> Any:
        async with database.transaction() as session:
            return await service(session, actor, *arguments, **options)

    return call


@pytest.fixture
def read(database: Database) -> Callable[..., Awaitable[Any]]:
    """Call a service that only looks: `await read(list_tenants)`."""

    async def call(service: Callable[..., Awaitable[Any]], *arguments: Any, **options: Any) -> Any:
        async with database.reading() as session:
            return await service(session, *arguments, **options)

    return call


@pytest.fixture
def events(read: Callable[..., Awaitable[Any]]) -> Callable[[], Awaitable[list[AuditEntry]]]:
    """The audit log, newest first."""

    async def call() -> list[AuditEntry]:
        return await read(list_events)

    return call


@dataclass(frozen=True)
class QuotaCase:
    """One script of quota_cases.txt."""

    name: str
    limits: dict[str, Limit]
    steps: list[str]

    @property
    def needs_leases(self) -> bool:
        return "(leases)" in self.name


def quota_cases() -> list[QuotaCase]:
    """Every script of quota_cases.txt."""
    cases: list[QuotaCase] = []
    for line in Path(__file__).with_name("quota").joinpath("quota_cases.txt").read_text().splitlines():
        word, _, rest = line.partition(" ")
        if word == "case":
            cases.append(QuotaCase(rest, {}, []))
        elif word == "limit":
            name, kind, amount, *options = rest.split()
            subject, pattern = (*options, *("tenant:t", "*")[len(options) :])
            cases[-1].limits[name] = Limit(subject, cast(Kind, kind), int(amount), pattern, tenant="t")
        elif word and word != "#":
            cases[-1].steps.append(line)
    return cases


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "quota_case" in metafunc.fixturenames:
        cases = quota_cases()
        metafunc.parametrize("quota_case", cases, ids=[case.name.replace(" ", "-") for case in cases])


@pytest.fixture
def play_case() -> Callable[..., Awaitable[None]]:
    """Play a case against a store whose clock is `clock()`: `await play_case(case, store, clock)`; `clock.now` is set.

    Leases are named `prefix` + the script's name, so that one store can play several cases.
    """

    async def play(case: QuotaCase, store: QuotaStore, clock: Any, prefix: str = "") -> None:
        for step in case.steps:
            told, _, expected = step.partition(" -> ")
            verb, *words = told.split()
            answer = ""
            if verb == "at":
                moved = words[0][0] in "+-"
                clock.now = clock.now + float(words[0]) if moved else _seconds(words[0])
            elif verb == "reserve":
                charges = [(case.limits[name], int(cost)) for name, cost in (word.split("=") for word in words[1:])]
                decision = await store.reserve(prefix + words[0], charges)
                answer = _answer(decision, case)
            elif verb == "settle":
                used = {kind: int(count) for kind, count in (word.split("=") for word in words[1:])}
                await store.settle(prefix + words[0], {"requests": 0, "tokens": 0, "tokens_per_month": 0, **used})
            elif verb == "seed":
                month = moment_of(_seconds(words.pop() + "-01") if words[-2:-1] == ["in"] else clock.now).month
                pairs = [word.split("=") for word in words if "=" in word]
                await store.seed({case.limits[name]: int(used) for name, used in pairs}, month)
            else:
                assert verb == "peek", step
            await _compare(case, store, step, answer, expected.split())

    return play


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time).replace(tzinfo=UTC).timestamp()


def _answer(decision: Decision, case: QuotaCase) -> str:
    names = {limit: name for name, limit in case.limits.items()}
    if decision.unseeded:
        return "unseeded " + " ".join(names[limit] for limit in decision.unseeded)
    if decision.allowed:
        return "allowed"
    assert decision.denied_by is not None
    wait = "" if decision.retry_after is None else f" in {decision.retry_after!r}"
    return f"denied by {names[decision.denied_by]}{wait}"


async def _compare(case: QuotaCase, store: QuotaStore, step: str, answer: str, expected: list[str]) -> None:
    standings = [word.split("=") for word in expected if "=" in word]
    said, wanted = answer.split(), [word for word in expected if "=" not in word]
    assert [word for word in said if word[0].isalpha()] == [word for word in wanted if word[0].isalpha()], step
    waits = [[float(word) for word in words if not word[0].isalpha()] for words in (said, wanted)]
    assert waits[0] == pytest.approx(waits[1], rel=1e-6, abs=1e-6), step
    found = await store.peek([case.limits[name] for name, _ in standings])
    for (_, text), (_, standing) in zip(standings, found, strict=True):
        remaining, _, reset = text.partition("/")
        assert standing.remaining == int(remaining), (step, text, standing)
        assert not reset or standing.reset_after == pytest.approx(float(reset), rel=1e-6, abs=1e-4), (step, standing)


@pytest.fixture
def use(database: Database) -> Callable[..., Awaitable[None]]:
    """Put tokens into the ledger: `await use(key, model, tokens, time)`, `key` as `create_key` made it."""

    async def call(key: Any, model: str, tokens: int, time: datetime) -> None:
        hour = time.replace(minute=0, second=0, microsecond=0)
        row = {"tenant_id": key.tenant_id, "key_id": key.id, "model": model, "hour": hour, "tokens": tokens}
        async with database.transaction() as session:
            session.add(UsageHour(**row, endpoint="/v1/embeddings", lane="interactive", tenant_name="acme"))

    return call
