"""Upstreams: servers that somebody else runs, as nodes of a pool. Their keys come in and never go out."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from gateway.api.admin.lists import Listed, Piece, listed, shown_as
from gateway.api.admin.operation import Ask, operation
from gateway.api.admin.words import Name
from gateway.services.register import upstreams
from gateway.services.register.upstreams import Kind, UpstreamInfo

Url = Annotated[str, Meta(min_length=8, max_length=500)]
Key = Annotated[str, Meta(min_length=1, max_length=4096, pattern="^[!-~]+$")]
"""What is sent as bearer credential."""


class NewUpstream(msgspec.Struct, forbid_unknown_fields=True):
    """An upstream to be registered."""

    pool: Name
    base_url: Url
    """As its clients are given it, such as `https://api.openai.com/v1`."""
    kind: Kind = "openai"
    key: Key | None = None
    """Kept encrypted, and shown to nobody."""


class UpstreamLook(msgspec.Struct, forbid_unknown_fields=True):
    """An upstream to be looked at; nothing is registered."""

    base_url: Url
    kind: Kind = "openai"
    key: Key | None = None


class UpstreamChange(msgspec.Struct, forbid_unknown_fields=True):
    """What of an upstream becomes another; what is left out stays."""

    pool: Name | None = None
    base_url: Url | None = None
    kind: Kind | None = None


class UpstreamKey(msgspec.Struct, forbid_unknown_fields=True):
    """Another credential for an upstream; null: none."""

    key: Key | None


class Upstream(msgspec.Struct, frozen=True):
    """A registered upstream. How it is: GET /nodes."""

    id: str
    pool: str
    kind: Kind
    base_url: str
    has_key: bool
    version: int
    created_at: datetime
    updated_at: datetime


class Found(msgspec.Struct, frozen=True):
    """What a look at an upstream found."""

    models: tuple[str, ...]
    """As the upstream calls them; none where it does not say."""
    problem: str | None
    """Null where it is there and accepts its key."""


shown = shown_as(Upstream)


@operation("POST", "/upstreams", right="fleet.change", status=201, tagged=True)
async def add_upstream(ask: Ask, body: NewUpstream) -> Upstream:
    """Register an upstream as a node of a pool. Nothing is asked of it now: POST /upstream-looks does that."""
    new = upstreams.NewUpstream(pool=body.pool, kind=body.kind, base_url=body.base_url, key=body.key)
    known = ask.services.upstreams
    async with ask.changing() as session:
        made = await upstreams.add_upstream(session, ask.actor, new, known.sealer, engine_pools=known.engine_pools)
    ask.version, ask.location = made.version, f"/upstreams/{made.id}"
    return shown(made)


@operation("POST", "/upstream-looks", right="fleet.change")
async def look_at_upstream(ask: Ask, body: UpstreamLook) -> Found:
    """Ask a server whether it is there, whether it takes a key, and which models it has."""
    new = upstreams.NewUpstream(pool="none", kind=body.kind, base_url=body.base_url, key=body.key)
    return shown_as(Found)(await ask.services.upstreams.look(new))


@operation("GET", "/upstreams", right="fleet.look")
async def list_upstreams(ask: Ask, query: Piece) -> Listed[Upstream]:
    """Every upstream, by pool and age."""
    async with ask.looking() as session:
        found = await upstreams.list_upstreams(session)
    return listed(found, query, position=_position, shown=shown)


@operation("GET", "/upstreams/{upstream:str}", right="fleet.look", tagged=True)
async def show_upstream(ask: Ask, upstream: str) -> Upstream:
    """One upstream, by its id."""
    async with ask.looking() as session:
        found = await upstreams.find_upstream(session, upstream)
    ask.version = found.version
    return shown(found)


@operation("PATCH", "/upstreams/{upstream:str}", right="fleet.change", tagged=True, guarded=True)
async def update_upstream(ask: Ask, upstream: str, body: UpstreamChange) -> Upstream:
    """Move an upstream: to another pool, wire or address. One that has a key stays at its host."""
    known = ask.services.upstreams
    async with ask.changing() as session:
        before = await upstreams.find_upstream(session, upstream)
        settings = upstreams.UpstreamSettings(
            pool=body.pool or before.pool, kind=body.kind or before.kind, base_url=body.base_url or before.base_url
        )
        changed = await upstreams.update_upstream(
            session, ask.actor, upstream, settings, engine_pools=known.engine_pools, version=ask.seen
        )
    ask.version = changed.version
    return shown(changed)


@operation("PUT", "/upstreams/{upstream:str}/key", right="fleet.change", tagged=True, guarded=True)
async def set_upstream_key(ask: Ask, upstream: str, body: UpstreamKey) -> Upstream:
    """Send another key, or none, from now on. If-Match and ETag are the upstream's."""
    async with ask.changing() as session:
        changed = await upstreams.set_upstream_key(
            session, ask.actor, upstream, body.key, ask.services.upstreams.sealer, version=ask.seen
        )
    ask.version = changed.version
    return shown(changed)


@operation("DELETE", "/upstreams/{upstream:str}", right="fleet.change", status=204)
async def remove_upstream(ask: Ask, upstream: str) -> None:
    """Forget an upstream and its key; models of its pool stay registered."""
    async with ask.changing() as session:
        await upstreams.remove_upstream(session, ask.actor, upstream, version=ask.seen)


def _position(upstream: UpstreamInfo) -> str:
    return f"{upstream.pool} {upstream.created_at.isoformat(timespec='microseconds')} {upstream.id}"


OPERATIONS = (
    add_upstream, look_at_upstream, list_upstreams, show_upstream, update_upstream, set_upstream_key, remove_upstream,
)  # fmt: skip
