"""Upstreams: the list, and the page of one. Its forms are in upstream_forms.py."""

import asyncio

from litestar import get
from litestar.params import FromPath

from admin_ui.access import needs
from admin_ui.contexts.upstreams import (
    HealthPart,
    UpstreamHead,
    UpstreamLine,
    UpstreamPage,
    UpstreamsPage,
    UpstreamsPart,
)
from admin_ui.models import model_url
from admin_ui.navigation import PREFIX
from admin_ui.paging import address, page_of
from admin_ui.upstreams import HERE, health_of, upstream_url
from admin_ui.visit import Answer, Visit, Visiting
from gateway.services.register.models import models_of
from gateway.services.register.upstreams import UpstreamInfo, find_upstream, list_upstreams


@get("/upstreams", opt=needs("fleet.look"))
async def show_upstreams(visit: Visiting) -> Answer:
    """All of them by pool, or those of a search."""
    query = visit.query
    live = address(f"{HERE}/now", {name: query.get(name, "") for name in ("q", "after")})
    return visit.page(UpstreamsPage(here=HERE, live=live, part=await _lines(visit)))


@get("/upstreams/now", opt=needs("fleet.look"))
async def refresh_upstreams(visit: Visiting) -> Answer:
    """The same, for the page's script."""
    return visit.part(await _lines(visit))


@get("/upstreams/at/{upstream:str}", opt=needs("fleet.look"))
async def show_upstream(visit: Visiting, upstream: FromPath[str]) -> Answer:
    """One upstream."""
    async with visit.reading() as session:
        found = await find_upstream(session, upstream)
        models = await models_of(session, found.pool)
    page = UpstreamPage(
        head=head_of(found),
        upstream=found,
        live=upstream_url(found.id, "/now"),
        part=_health(visit, found),
        models=tuple((model, model_url(model)) for model in models),
    )
    return visit.page(page)


@get("/upstreams/at/{upstream:str}/now", opt=needs("fleet.look"))
async def refresh_upstream(visit: Visiting, upstream: FromPath[str]) -> Answer:
    """How it is now, for the page's script."""
    return visit.part(_health(visit, await find(visit, upstream)))


async def find(visit: Visit, upstream: str) -> UpstreamInfo:
    """The upstream that an address names."""
    async with visit.reading() as session:
        return await find_upstream(session, upstream)


def head_of(upstream: UpstreamInfo) -> UpstreamHead:
    """Of the pages about this upstream."""
    return UpstreamHead(upstream.id, upstream.base_url, upstream_url(upstream.id))


async def _lines(visit: Visit) -> UpstreamsPart:
    q, now = visit.query.get("q", "").strip(), asyncio.get_running_loop().time()
    async with visit.reading() as session:
        every = sorted(await list_upstreams(session), key=_position)
    wanted = [one for one in every if any(q.lower() in text.lower() for text in (one.pool, one.base_url, one.id))]
    rest = [one for one in wanted if _position(one) > visit.query.get("after", "")]
    shown, pager = page_of(rest, HERE, visit.query, position=_position)
    nodes = visit.services.nodes.nodes
    lines = [UpstreamLine(one, upstream_url(one.id), health_of(one, nodes, now)) for one in shown]
    return UpstreamsPart(tuple(lines), q, pager)


def _health(visit: Visit, upstream: UpstreamInfo) -> HealthPart:
    health = health_of(upstream, visit.services.nodes.nodes, asyncio.get_running_loop().time())
    return HealthPart(health, address(f"{PREFIX}/models/new", {"pool": upstream.pool}))


def _position(upstream: UpstreamInfo) -> str:
    return f"{upstream.pool} {upstream.created_at.isoformat(timespec='microseconds')} {upstream.id}"


ROUTES = (show_upstreams, refresh_upstreams, show_upstream, refresh_upstream)
