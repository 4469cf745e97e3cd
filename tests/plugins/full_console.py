"""A console in which there is something of everything, on a port of its own, and one in which there is nothing.

Names and what nodes say are as odd as they may be: whoever looks at the pages sees whether anything of it gets through.
"""

import asyncio
import json
import re
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode
from uuid import uuid4

import pytest
import uvicorn
from console_fakes import MIB, FakeServices, new_node, new_resident
from console_pages import Shown, address

from admin_ui.app import create_admin_app
from admin_ui.fleet import node_key
from admin_ui.inspections import Inspected, InspectionRefused
from admin_ui.ports import ApiAnswer, ApiQuestion
from admin_ui.sessions import COOKIE, Sessions
from gateway.db.schema import upgrade
from gateway.db.session import Database
from gateway.services.access.operator_tokens import create_token
from gateway.services.access.operators import create_operator, find_operator
from gateway.services.access.sessions import begin_session, reference
from gateway.services.pools.node import Node
from gateway.services.register.aliases import set_alias
from gateway.services.register.audit import Actor
from gateway.services.register.grants import set_grants
from gateway.services.register.keys import create_key, revoke_key
from gateway.services.register.model_facts import ModelFacts
from gateway.services.register.models import NewModel, add_model
from gateway.services.register.quotas import set_quota
from gateway.services.register.tenants import create_tenant, suspend_tenant
from gateway.services.register.upstreams import NewUpstream, add_upstream
from gateway.services.snapshot.build import load_snapshot
from gateway.services.usage.event import UsageEvent
from gateway.services.usage.ledger import enter
from gateway.settings import GatewaySettings, OidcRole, OidcSettings, sqlite_url

KEY = b"k" * 32
PASSWORD = "correct horse battery"
ACTOR = Actor("<b>somebody</b>", "192.0.2.7")
MARKUP = "<img src=x onerror=alert(1)>"
HOSTILE = "\u202e\x1b[31m</p><script>document.title='taken'</script>\u2066 " + "x" * 300
"""What a node that somebody took over gives as a reason."""
LATER = 3600.0
FOUND = Inspected(
    source="org/good",
    facts=ModelFacts(
        architecture="BertModel",
        family="bert",
        native=True,
        tasks=("embed", "classify"),
        outputs=("dense", "sparse"),
        labels=("<b>yes", "no"),
        weight_bytes=300 * MIB,
    ),
    dimensions=768,
    input_limit=512,
    matryoshka=(64, 128),
    normalized=True,
    prompts={"query": "<q>: "},
    default_prompt="",
    parameters=150_000_000,
    resident_bytes={"float32": 600 * MIB, "bfloat16": 300 * MIB},
)
SAID: Mapping[str, object] = {
    "/v1/embeddings": {"data": [{"embedding": [0.6, 0.8] * 4}] * 2, "usage": {"total_tokens": 7}},
    "/v1/rerank": {"results": [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.1}]},
    "/v1/classify": {"data": [{"predictions": [{"label": "a", "score": 0.9}, {"label": "<b>", "score": 0.1}]}] * 2},
    "/v1/extract": {"data": [{"entities": [{"start": 0, "end": 3, "label": "person", "score": 0.99}]}]},
}


async def inspect(source: str, _revision: str | None) -> Inspected:
    if source == "org/slow":
        await asyncio.Event().wait()
    if source != "org/good":
        raise InspectionRefused("model_not_found", f"There is no model {source!r}: {HOSTILE}")
    return FOUND


async def ask(question: ApiQuestion) -> ApiAnswer:
    if b"org/failing" in question.body:
        return ApiAnswer(503, {}, json.dumps({"error": {"message": HOSTILE, "code": "model_failed"}}).encode(), 0.2)
    headers = {"x-request-id": "req_7", "x-ratelimit-remaining-requests": "9"}
    return ApiAnswer(200, headers, json.dumps(SAID[question.path]).encode(), 0.0123)


@dataclass
class FullConsole:
    """Where it is, and what is in it."""

    url: str
    services: FakeServices
    ids: dict[str, str] = field(default_factory=dict)
    """What stands for the parameters of addresses."""

    def __post_init__(self) -> None:
        self.sessions = Sessions(KEY, time.time)
        self._cookies: dict[str | None, str] = {}
        self._made = 0

    def write(self, work: Callable[..., Awaitable[Any]], *words: Any, **named: Any) -> Any:
        """What a service did, as somebody at the command line."""

        async def done() -> Any:
            async with _opened(self.services) as database, database.transaction() as session:
                return await work(session, ACTOR, *words, **named)

        return _run(done())

    def cookie(self, operator: str | None) -> str:
        """Of a session; empty operator: a visitor's, None: there is none."""
        if operator is None:
            return ""
        if operator not in self._cookies:
            session = self.sessions.start(operator or None)
            if operator:
                self.write(_begin, operator, session.id, session.expires)
            self._cookies[operator] = self.sessions.cookie(session)
        return self._cookies[operator]

    def csrf_token(self, operator: str | None) -> str:
        session = self.sessions.read(self.cookie(operator))
        return "" if session is None else self.sessions.csrf_token(session)

    def url_of(self, shown: Shown) -> str:
        return self.url + address(self._filled(shown.path, lambda text: quote(text, safe="/|:~.+@")))

    def headers_of(self, shown: Shown) -> dict[str, str]:
        headers = {"cookie": f"{COOKIE}={self.cookie(shown.operator)}"} if shown.operator is not None else {}
        return headers if shown.form is None else headers | {"origin": self.url}

    def form_of(self, shown: Shown) -> dict[str, str] | None:
        if shown.form is None:
            return None
        filled = {name: self._filled(value, str) for name, value in shown.form.items()}
        return {"csrf_token": self.csrf_token(shown.operator)} | filled

    def body_of(self, shown: Shown) -> str | None:
        form = self.form_of(shown)
        return None if form is None else urlencode(form)

    def _filled(self, text: str, written: Callable[[str], str]) -> str:
        return re.sub(r"\{(\w+)(?::\w+)?\}", lambda found: written(self._named(found[1])), text)

    def _named(self, name: str) -> str:
        if not name.startswith("fresh"):
            return self.ids[name]
        self._made += 1
        fresh = f"fresh-{self._made}"
        if name == "fresh_key":
            return str(self.write(create_key, self.ids["tenant"], name=fresh).id)
        if name == "fresh_operator":
            self.write(create_operator, fresh, role="viewer", password=PASSWORD)
        return fresh


@asynccontextmanager
async def _opened(services: FakeServices) -> AsyncIterator[Database]:
    """The console's database, for another loop than the console's."""
    database = Database.open(services.settings.database_url)
    try:
        yield database
    finally:
        await database.close()


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    """In a thread of its own: where a browser is driven, a loop is running in the main one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


async def _begin(session: Any, _actor: Actor, operator: str, session_id: str, expires: int) -> None:
    found = await find_operator(session, operator)
    assert await begin_session(session, found, session_id, start=time.time(), end=expires, agent=f"{MARKUP} Firefox/1")


async def _fill(database: Database) -> dict[str, str]:
    ids = {"rest": "nowhere", "ref": "0" * 16, "password": PASSWORD}
    async with database.transaction() as session:
        for name, role in (("ada", "admin"), ("grace", "admin"), ("<i>eve", "viewer")):
            await create_operator(session, ACTOR, name, role=role, password=PASSWORD)
        tenant = await create_tenant(session, ACTOR, f"acme {MARKUP}")
        await create_operator(session, ACTOR, "tina", role="tenant_admin", tenant=tenant.id, password=PASSWORD)
        other = await create_tenant(session, ACTOR, "zenith", lane="bulk", weight=0.5)
        await suspend_tenant(session, ACTOR, other.id)
        for place in range(55):
            await create_tenant(session, ACTOR, f"tenant {place} שלום")
        ids |= {"tenant": tenant.id, "other_tenant": other.id, "operator": "grace", "other_operator": "<i>eve"}
        token = await create_token(session, ACTOR, "grace", name=MARKUP, expires_at=_in_days(3), read_only=True)
        key = await create_key(session, ACTOR, tenant.id, name=MARKUP, scopes=("embeddings", "models"))
        soon = await create_key(session, ACTOR, tenant.id, name="soon", expires_at=_in_days(2))
        ended = await create_key(session, ACTOR, tenant.id, name="ended")
        theirs = await create_key(session, ACTOR, other.id, name="theirs")
        await revoke_key(session, ACTOR, ended.id)
        ids |= {"token": token.id, "key": key.id, "soon_key": soon.id, "ended_key": ended.id, "their_key": theirs.id}
        await set_grants(session, ACTOR, tenant.id, {"org/*": False, "org/large": True})
        await set_grants(session, ACTOR, tenant.id, {"org/small": False}, key=key.id)
        await set_quota(session, ACTOR, tenant.id, {"requests": 100, "tokens_per_month": 5000})
        await set_quota(session, ACTOR, tenant.id, {"tokens": 9000}, model_pattern="org/*")
        await set_quota(session, ACTOR, tenant.id, {"concurrency": 3}, key=key.id)
        upstream = await add_upstream(
            session, ACTOR, NewUpstream(pool="others", kind="openai", base_url="https://api.example/v1"), None
        )
        await _add_models(session)
        await set_alias(session, ACTOR, tenant.id, "org/ours", "org/small")
    ids |= {"model": "org/small", "failed_model": "org/large", "loading_model": "org/rank", "adapter": "org/adapted"}
    ids |= {"upstream_model": "chat", "lost_model": "lost", "upstream": upstream.id, "alias": "org/ours"}
    await enter(database, [*_events(tenant.id, tenant.name, key.id)])
    return ids


async def _add_models(session: Any) -> None:
    facts = FOUND.facts
    rank = ModelFacts(family="bert", native=False, tasks=("rerank", "classify", "extract"), labels=("a", "b"))
    adapted = ModelFacts(base="org/small", adapter="org/lora@main", tasks=("embed",))
    for model in (
        NewModel(id="org/small", aliases=("small", "mini"), pinned=True, dimensions=384, input_limit=512, facts=facts),
        NewModel(id="org/large", dimensions=1024, input_limit=8192, facts=facts),
        NewModel(id="org/rank", facts=rank),
        NewModel(id="org/adapted", source="org/small", facts=adapted),
        NewModel(id="chat", pool="others"),
        NewModel(id="lost", source="/models/lost", pool="gone"),
    ):
        await add_model(session, ACTOR, model)


def _in_days(days: int) -> datetime:
    return datetime.now(UTC) + timedelta(days=days)


def _events(tenant_id: str, tenant_name: str, key_id: str) -> Iterator[UsageEvent]:
    """A month, and the last minutes."""
    now = datetime.now(UTC)
    ages = [timedelta(days=day) for day in range(30)] + [timedelta(minutes=minute) for minute in range(1, 40, 3)]
    for place, age in enumerate(ages):
        for model in ("org/small", "org/large"):
            yield UsageEvent(
                id=uuid4(),
                time=now - age,
                tenant_id=tenant_id,
                tenant_name=tenant_name,
                key_id=key_id,
                model=model,
                revision=None,
                endpoint="/v1/embeddings",
                status=503 if place % 9 == 0 else 200,
                inputs=2,
                tokens=50 + 7 * place,
                bytes_in=10,
                latency_ms=3.0 + place,
                upstream_ms=2.0,
            )


def _nodes(upstream: str) -> dict[str, Node]:
    now = time.monotonic()
    soon = now + LATER
    busy = [new_resident("org/small", 300, pinned=True), new_resident("org/rank", 200, "loading")]
    busy += [new_resident(f"others/model-{place}", 10 + place) for place in range(16)]
    failed = new_resident("org/large", 0, "failed", failure=HOSTILE)
    odd = new_resident(f"{MARKUP}\u202e", 50)
    return {
        "node": new_node("http://a:9000", *busy, heard=soon),
        "failing_node": new_node("http://b:9000", failed, odd, heard=soon),
        "stale_node": new_node("http://c:9000", new_resident("org/small", 300), heard=now - 60),
        "away_node": new_node("http://d:9000", healthy=False, failure=HOSTILE, heard=now - 600),
        "new_node": Node("http://e:9000", "second", None),
        "upstream_node": new_node(
            "https://api.example/v1", budget=0, heard=soon, pool="others", name=f"https://api.example/v1#{upstream}"
        ),
    }


@dataclass
class _Serving:
    """Serves in a thread of its own until the end."""

    services: FakeServices

    def __enter__(self) -> str:
        app = create_admin_app(self.services, session_key=KEY, inspect=inspect, ask=ask)
        app.on_shutdown.append(self.services.database.close)
        config = uvicorn.Config(app, lifespan="on", log_config=None, access_log=False, proxy_headers=False, ws="none")
        self._server = uvicorn.Server(config)
        door = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [door]}, daemon=True)
        self._thread.start()
        deadline = time.monotonic() + 30
        while not self._server.started:
            assert time.monotonic() < deadline, "the console does not start"
            time.sleep(0.01)
        return f"http://127.0.0.1:{door.getsockname()[1]}"

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(30)


def _services(folder: Path) -> FakeServices:
    oidc = OidcSettings(issuer="http://127.0.0.1:9", client_id="shoal", roles=(OidcRole("*", "viewer"),))
    url = sqlite_url(folder)
    settings = GatewaySettings(database_url=url, nodes={"default": (), "second": ()}, oidc=oidc)
    return FakeServices(Database.open(url), settings)


@pytest.fixture(scope="session")
def full_console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FullConsole]:
    """For reading, and for writes that leave what is there as it is."""
    services = _services(tmp_path_factory.mktemp("full-console"))
    services.standing.reasons = (f"Quotas can not be checked: {HOSTILE}.",)
    services.usage.waiting, services.usage.oldest_seconds = 12, 300.0
    services.quota.left = {"requests": 0, "tokens": 4000}

    async def fill() -> dict[str, str]:
        await upgrade(services.settings.database_url)
        async with _opened(services) as database:
            ids = await _fill(database)
            async with database.reading() as session:
                services.feed.current = await load_snapshot(session)
        return ids

    ids = _run(fill())
    nodes = _nodes(ids["upstream"])
    services.nodes.nodes = [*nodes.values()]
    ids |= {name: node_key(node) for name, node in nodes.items()}
    with _Serving(services) as url:
        made = FullConsole(url, services, ids)
        session = made.sessions.read(made.cookie("grace"))
        made.ids["ref"] = reference(session.id)
        yield made


@pytest.fixture(scope="session")
def empty_console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FullConsole]:
    """With one operator and nothing else."""
    services = _services(tmp_path_factory.mktemp("empty-console"))

    async def fill() -> None:
        await upgrade(services.settings.database_url)
        async with _opened(services) as database, database.transaction() as session:
            await create_operator(session, ACTOR, "ada", password=PASSWORD)

    _run(fill())
    with _Serving(services) as url:
        yield FullConsole(url, services)


@pytest.fixture(scope="session")
def console_of(full_console: FullConsole, empty_console: FullConsole) -> Callable[[Shown], FullConsole]:
    """The console that shows something."""
    return lambda shown: empty_console if shown.empty else full_console
