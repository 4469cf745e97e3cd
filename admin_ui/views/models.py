"""Models: the list, the page of one, and what nodes are ordered to do with it."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from litestar import get, post
from litestar.params import FromPath

from admin_ui.access import needs
from admin_ui.contexts.models import (
    AllowedTenant,
    ModelHead,
    ModelLine,
    ModelPage,
    ModelRemovalPage,
    ModelsPage,
    ModelsPart,
    OrderLine,
    PlacesPart,
)
from admin_ui.fleet import node_url
from admin_ui.forms import Form
from admin_ui.heads import tenant_url
from admin_ui.model_work import ModelWork, Working
from admin_ui.models import HERE, model_url
from admin_ui.orders import DOING
from admin_ui.paging import PAGE, address, page_of
from admin_ui.placement import places, whereabouts
from admin_ui.visit import Answer, Visit, Visiting
from gateway.errors import Conflict
from gateway.services.pools.node import Node
from gateway.services.pools.placement import Verb, place
from gateway.services.register.models import ModelInfo, find_model, list_models, remove_model, set_pinned
from gateway.services.snapshot.reach import tenants_allowed

NAMED_TENANTS = 20
VERBS: Sequence[Verb] = ("load", "unload", "pin", "unpin")
DONE: dict[Verb, str] = {
    "load": "is in the memory of every node of its pool.",
    "unload": "is out of its nodes' memory; the next request loads it again.",
    "pin": "is pinned: nothing evicts it.",
    "unpin": "may be evicted again.",
}


@get("/models", opt=needs("fleet.look"))
async def show_models(visit: Visiting) -> Answer:
    """All of them by id, or those of a search."""
    query = visit.query
    live = address(f"{HERE}/now", {name: query.get(name, "") for name in ("q", "after")})
    return visit.page(ModelsPage(here=HERE, live=live, part=await _lines(visit)))


@get("/models/now", opt=needs("fleet.look"))
async def refresh_models(visit: Visiting) -> Answer:
    """The same, for the page's script."""
    return visit.part(await _lines(visit))


@get("/models/at/{model:path}", opt=needs("fleet.look"))
async def show_model(visit: Visiting, work: Working, model: FromPath[str]) -> Answer:
    """One model."""
    found = await find(visit, model)
    tenants, known = visit.services.feed.current.tenants, visit.services.feed.current.models.values()
    allowed = sorted(tenants_allowed(tenants.values(), (found.id, *found.aliases)), key=lambda tenant: tenant.name)
    page = ModelPage(
        head=head_of(visit, found),
        model=found,
        actions={verb: model_url(found.id, verb) for verb in VERBS},
        live=model_url(found.id, "where"),
        part=_places(visit, work, found),
        tenants=tuple(
            AllowedTenant(
                tenant.name,
                tenant_url(tenant.id, "/models"),
                tenant.suspended,
                tuple(alias for alias, meant in tenant.aliases.items() if meant == found.id),
            )
            for tenant in allowed[:NAMED_TENANTS]
        ),
        names=model_url(found.id, "names"),
        adapters=model_url(found.id, "adapters") if takes_adapters(visit, found) else None,
        adapter_count=len({entry.id for entry in known if entry.facts.base == found.id}),
        tenant_count=len(allowed),
        all_tenants=len(tenants),
    )
    return visit.page(page)


@get("/models/where/{model:path}", opt=needs("fleet.look"))
async def refresh_places(visit: Visiting, work: Working, model: FromPath[str]) -> Answer:
    """Where it is now, for the page's script."""
    return visit.part(_places(visit, work, await find(visit, model)))


@post("/models/load/{model:path}", opt=needs("fleet.change"))
async def load(visit: Visiting, work: Working, model: FromPath[str]) -> Answer:
    """Bring it into the memory of its pool's nodes."""
    return await _order(visit, work, "load", model)


@post("/models/unload/{model:path}", opt=needs("fleet.change"))
async def unload(visit: Visiting, work: Working, model: FromPath[str]) -> Answer:
    """Take it out of there."""
    return await _order(visit, work, "unload", model)


@post("/models/pin/{model:path}", opt=needs("fleet.change"))
async def pin(visit: Visiting, work: Working, model: FromPath[str]) -> Answer:
    """Keep it there."""
    return await _order(visit, work, "pin", model)


@post("/models/unpin/{model:path}", opt=needs("fleet.change"))
async def unpin(visit: Visiting, work: Working, model: FromPath[str]) -> Answer:
    """Let others take its room again."""
    return await _order(visit, work, "unpin", model)


@get("/models/removal/{model:path}", opt=needs("fleet.change"))
async def ask_removal(visit: Visiting, model: FromPath[str]) -> Answer:
    """Ask for its id."""
    found = await find(visit, model)
    return _removal(visit, found, Form.showing({"confirm": ""}, version=found.version))


@post("/models/removal/{model:path}", opt=needs("fleet.change"))
async def remove(visit: Visiting, model: FromPath[str]) -> Answer:
    """Forget it, if its id was typed."""
    form = await visit.form()
    found = await find(visit, model)
    form.repeats("confirm", found.id)
    if form.ok:
        with form.catching():
            async with visit.changing() as session:
                await remove_model(session, visit.actor, found.id, version=form.version)
            text = f"{found.id} is no longer registered. What was used under its name and the audit log stay."
            return visit.done(HERE, text)
    if form.conflict:
        found = await find(visit, model)
        form.now_at(found.version)
    return _removal(visit, found, form)


async def find(visit: Visit, model: str) -> ModelInfo:
    """The model that an address names."""
    async with visit.reading() as session:
        return await find_model(session, model.lstrip("/"))


def head_of(visit: Visit, model: ModelInfo) -> ModelHead:
    """Of the pages about this model."""
    return ModelHead(
        id=model.id,
        home=model_url(model.id),
        pinned=model.pinned,
        adapter=model.facts.adapter is not None,
        native=model.facts.native,
        of_upstreams=model.pool in visit.services.feed.current.upstreams,
    )


def takes_adapters(visit: Visit, model: ModelInfo) -> bool:
    """Whether adapters may be on it: engine nodes serve it, in a forward of their own as far as is known."""
    return (
        model.facts.adapter is None
        and model.facts.native is not False
        and model.pool not in visit.services.feed.current.upstreams
    )


async def give_order(visit: Visit, work: ModelWork, verb: Verb, model: ModelInfo, version: int | None = None) -> Answer:
    """Have the nodes of its pool do it; the answer tells how that went, or that it goes on."""
    home, wanted = (
        model_url(model.id),
        replace(model, pinned=model.pinned if verb in ("load", "unload") else verb == "pin"),
    )

    async def carry_out() -> None:
        keeps = verb in ("pin", "unpin")
        await place(verb, wanted, model.pool, visit.services.nodes, if_any=keeps)
        if keeps:  # last: where a node refuses, the register must not promise what can not be kept
            async with visit.changing() as session:
                await set_pinned(session, visit.actor, model.id, pinned=verb == "pin", version=version)

    try:
        order = await work.orders.give(model.id, verb, carry_out())
    except Conflict as error:
        return visit.done(home, error.message, "bad")
    if order.going_on:
        return visit.done(home, f"{model.id} is {DOING[verb]}. How far its nodes are is shown below.")
    if order.failure is not None:
        return visit.done(home, order.failure, "bad")
    return visit.done(home, f"{model.id} {DONE[verb]}")


async def _order(visit: Visit, work: ModelWork, verb: Verb, name: str) -> Answer:
    form, model = await visit.form(), await find(visit, name)
    if form.version is not None and form.version != model.version:
        text = "Somebody changed this model meanwhile, so nothing was done. It is shown as it is now."
        return visit.done(model_url(model.id), text, "bad")
    if verb in ("pin", "unpin") and model.facts.adapter is not None:
        return visit.done(model_url(model.id), "An adapter is pinned with its model.", "bad")
    return await give_order(visit, work, verb, model, form.version)


async def _lines(visit: Visit) -> ModelsPart:
    q, after = visit.query.get("q", "").strip(), visit.query.get("after", "")
    async with visit.reading() as session:
        if q:
            every = sorted(await list_models(session), key=lambda model: model.id)  # as `after` is compared
            rest = [model for model in every if model.id > after and _matches(model, q.lower())]
        else:
            rest = list(await list_models(session, after=after if after.isprintable() else "", limit=PAGE + 1))
    shown, pager = page_of(rest, HERE, visit.query, position=lambda model: model.id)
    pools = pools_of(visit)
    upstreams = visit.services.feed.current.upstreams
    lines = [
        ModelLine(
            model,
            model_url(model.id),
            whereabouts(model, pools.get(model.pool, ()), of_upstreams=model.pool in upstreams),
        )
        for model in shown
    ]
    return ModelsPart(tuple(lines), q, pager)


def _matches(model: ModelInfo, part: str) -> bool:
    facts = model.facts
    texts = (model.id, *model.aliases, model.source, model.pool, facts.family or "", *facts.tasks, *facts.outputs)
    return any(part in text.lower() for text in texts)


def pools_of(visit: Visit) -> dict[str, list[Node]]:
    """Every pool's nodes, by name; pools that have none now, too."""
    pools: dict[str, list[Node]] = {name: [] for name in visit.services.settings.nodes}
    for node in sorted(visit.services.nodes.nodes, key=lambda node: node.name):
        pools.setdefault(node.pool, []).append(node)
    return pools


def _places(visit: Visit, work: ModelWork, model: ModelInfo) -> PlacesPart:
    nodes = pools_of(visit).get(model.pool, [])
    order, of_upstreams = work.orders.of(model.id), model.pool in visit.services.feed.current.upstreams
    look = address(f"{HERE}/new", {"source": model.facts.adapter or model.source, "revision": model.revision or ""})
    return PlacesPart(
        pool=model.pool,
        of_upstreams=of_upstreams,
        places=places(model, nodes, {node.name: node_url(node) for node in nodes}, asyncio.get_running_loop().time()),
        order=None
        if order is None
        else OrderLine(DOING[order.verb], order.going_on, order.seconds, order.at, order.failure),
        settings=model_url(model.id, "settings"),
        inspection=None if of_upstreams else look,
    )


def _removal(visit: Visit, model: ModelInfo, form: Form) -> Answer:
    tenants = visit.services.feed.current.tenants.values()
    count = sum(1 for _ in tenants_allowed(tenants, (model.id, *model.aliases)))
    page = ModelRemovalPage(head_of(visit, model), form, model_url(model.id, "removal"), count)
    return visit.page(page, status=form.status)


ROUTES = (
    show_models,
    refresh_models,
    show_model,
    refresh_places,
    load,
    unload,
    pin,
    unpin,
    ask_removal,
    remove,
)
