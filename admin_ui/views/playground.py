"""The playground: a model is asked in a tenant's name, by the way that every request goes."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime

import structlog
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, SkipValidation
from litestar.response import Redirect

from admin_ui.access import needs
from admin_ui.contexts.keys import Snippet
from admin_ui.contexts.playground import Outcome, PlaygroundPage, PlaygroundTenantsPage
from admin_ui.contexts.tenant import Tab
from admin_ui.findings import outcome_of
from admin_ui.forms import WHOLE, Form
from admin_ui.heads import head_of, tenant_url
from admin_ui.navigation import PREFIX
from admin_ui.paging import PAGE, page_of
from admin_ui.ports import ApiQuestion, AsksApi
from admin_ui.questions import EXAMPLES, KINDS, read_question
from admin_ui.snippets import Task, gateway_address, request_snippets
from admin_ui.visit import Answer, Visit, Visiting
from gateway.services.register.grants import GrantInfo, list_grants
from gateway.services.register.keys import KeyInfo, list_keys
from gateway.services.register.tenants import find_tenant, list_tenants
from gateway.services.snapshot.reach import models_granted

HERE = f"{PREFIX}/playground"
TASKS: tuple[tuple[Task, str], ...] = (
    ("embed", "Embed"),
    ("rerank", "Rerank"),
    ("classify", "Classify"),
    ("extract", "Extract"),
)
TASK_NAMES: tuple[Task, ...] = tuple(name for name, _ in TASKS)
NO_KEY = "The tenant itself: its models and limits"
MOST_KEYS = 200
MOST_MODELS = 100
"""That are listed to choose from."""

MaybeAsks = NamedDependency[SkipValidation[AsksApi | None]]


@get("/playground", opt=needs("fleet.look"))
async def choose_tenant(visit: Visiting) -> Answer:
    """In whose name; of one tenant alone, in its."""
    q, after = visit.query.get("q", "").strip(), visit.query.get("after", "")
    async with visit.reading() as session:
        found = await list_tenants(session, after=after if after.isprintable() else "", limit=PAGE + 1, like=q)
    if len(found) == 1 and not q and not after:
        return Redirect(tenant_url(found[0].id, "/playground"), status_code=303)
    shown, pager = page_of(found, HERE, visit.query, position=lambda tenant: tenant.name)
    return visit.page(PlaygroundTenantsPage(here=HERE, q=q, tenants=shown, pager=pager))


@get("/tenants/{tenant:str}/playground", opt=needs("tenant.look"))
async def show_playground(visit: Visiting, tenant: FromPath[str], ask: MaybeAsks) -> Answer:
    """A task with an example."""
    task = next((task for task in TASK_NAMES if task == visit.query.get("task")), TASK_NAMES[0])
    values = EXAMPLES[task] | {"model": visit.query.get("model", ""), "key": visit.query.get("key", "")}
    return await _show(visit, tenant, task, Form.showing(values), works=ask is not None)


@post("/tenants/{tenant:str}/playground", opt=needs("tenant.change"))
async def play(visit: Visiting, tenant: FromPath[str], ask: MaybeAsks) -> Answer:
    """Ask, and show what came. The tenant's limits and usage count it."""
    form = await visit.form()
    task = form.one_of("task", TASK_NAMES)
    call, texts = read_question(form, task)
    async with visit.reading() as session:
        found = await find_tenant(session, tenant)
        keys = await list_keys(session, found.id)
    key = form.value("key")
    if key and key not in {one.id for one in _working(keys)}:
        form.refuse("key", "Choose a key of this tenant that works.")
    if ask is None:
        form.refuse(WHOLE, "This console has no API beside it that could be asked.")
    if ask is None or not form.ok:
        return await _show(visit, tenant, task, form, works=ask is not None)
    log = structlog.get_logger("shoal.console")
    log.info("asked in a tenant's name", operator=visit.operator.name, tenant=found.id, key=key or None, task=task)
    body = json.dumps(call.body, ensure_ascii=False).encode("utf-8", "replace")
    answer = await ask(ApiQuestion(found.id, key or None, call.path, body))
    url = gateway_address(visit.services.settings.public_url or str(visit.request.base_url))
    outcome = outcome_of(answer, task, texts)
    return await _show(visit, tenant, task, form, works=True, outcome=outcome, code=request_snippets(url, call))


async def _show(
    visit: Visit,
    tenant: str,
    task: Task,
    form: Form,
    *,
    works: bool,
    outcome: Outcome | None = None,
    code: Sequence[Snippet] = (),
) -> Answer:
    async with visit.reading() as session:
        found = await find_tenant(session, tenant)
        keys = await list_keys(session, found.id)
        grants = await list_grants(session, found.id)
    here = tenant_url(found.id, "/playground")
    models = _models(visit, [grant for grant in grants if grant.key_id is None], task)
    page = PlaygroundPage(
        head=head_of(visit, found, "/playground"),
        here=here,
        task=task,
        tasks=[Tab(label, f"{here}?task={name}", name == task) for name, label in TASKS],
        form=form,
        keys=(("", NO_KEY), *((key.id, f"{key.name} (sk-shoal-{key.id}-…)") for key in _working(keys)[:MOST_KEYS])),
        models=models[:MOST_MODELS],
        more_models=max(len(models) - MOST_MODELS, 0),
        kinds=KINDS,
        works=works,
        outcome=outcome,
        snippets=code,
    )
    return visit.page(page, status=form.status)


def _working(keys: Sequence[KeyInfo]) -> Sequence[KeyInfo]:
    now = datetime.now(UTC)
    return [key for key in reversed(keys) if key.state(now) == "active"]


def _models(visit: Visit, grants: Sequence[GrantInfo], task: Task) -> Sequence[tuple[str, str]]:
    """What the tenant may ask for this, by the name that it would say."""
    models = models_granted(visit.services.feed.current.models, grants)
    able = [model for model in models if task in (model.facts.tasks or ("embed",))]
    return [(model.id, ", ".join((model.id, *model.aliases))) for model in able]


ROUTES = (choose_tenant, show_playground, play)
