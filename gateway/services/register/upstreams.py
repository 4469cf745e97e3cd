"""The register of upstreams: servers that somebody else runs, each a node of a pool, with the credential for it."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, get_args

import httpx
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.db import queries
from gateway.db.tables import Upstream
from gateway.errors import Conflict, NotFound, RequestError
from gateway.services.ids import new_id
from gateway.services.register.audit import Actor, begin_change, record
from gateway.services.register.names import checked_name
from gateway.services.register.sealing import Sealer, Unreadable
from gateway.services.register.versions import check_version, count_change

Kind = Literal["openai", "tei"]
KINDS: tuple[Kind, ...] = get_args(Kind)
URL = re.compile(
    r"https?://(?:[a-z0-9.-]{1,253}|\[[0-9a-f:.]{2,45}\])(?::[0-9]{1,5})?(?P<path>(?:/[a-z0-9._~-]+)*)/?", re.IGNORECASE
)
KEY = re.compile(r"[!-~]{1,4096}")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewUpstream:
    """What an operator says of an upstream."""

    pool: str
    kind: Kind
    """Which wire it speaks: OpenAI's, as most servers do, or that of text-embeddings-inference."""
    base_url: str
    """As its clients are given it, such as `https://api.openai.com/v1`."""
    key: str | None = field(default=None, repr=False)
    """Sent as bearer credential; None: it asks for none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamSettings:
    """What of an upstream may change."""

    pool: str
    kind: Kind
    base_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamInfo:
    """A registered upstream. What its credential is nobody is told."""

    id: str
    pool: str
    kind: Kind
    base_url: str
    has_key: bool
    version: int
    created_at: datetime
    updated_at: datetime


async def add_upstream(
    session: AsyncSession, actor: Actor, new: NewUpstream, sealer: Sealer | None, *, engine_pools: Collection[str] = ()
) -> UpstreamInfo:
    """Register an upstream; its pool may not be one of engine nodes, `engine_pools` being those that are known here."""
    pool, base_url = checked_pool(new.pool, engine_pools), checked_url(new.base_url, new.kind)
    await begin_change(session)
    now = datetime.now(UTC)
    row = Upstream(id=new_id(), pool=pool, kind=new.kind, base_url=base_url, created_at=now, updated_at=now)
    row.credential = _sealed(new.key, sealer, row.id)
    session.add(row)
    record(session, actor, "upstream.add", row.id, after=_facts(row))
    await session.flush()
    return _info(row)


async def list_upstreams(session: AsyncSession) -> Sequence[UpstreamInfo]:
    """Every upstream, by pool and age."""
    return [_info(row) for row in await queries.upstreams(session)]


async def find_upstream(session: AsyncSession, upstream_id: str) -> UpstreamInfo:
    """One upstream, else `NotFound`."""
    return _info(await _row(session, upstream_id))


async def update_upstream(
    session: AsyncSession,
    actor: Actor,
    upstream_id: str,
    settings: UpstreamSettings,
    *,
    engine_pools: Collection[str] = (),
    version: int | None = None,
) -> UpstreamInfo:
    """Have an upstream be so from now on. The same again changes nothing.

    Its credential stays, and so its host has to: who may not see a credential could else have it sent to a host of
    theirs.
    """
    pool, base_url = checked_pool(settings.pool, engine_pools), checked_url(settings.base_url, settings.kind)
    await begin_change(session)
    row = await _row(session, upstream_id)
    check_version(row, version)
    if row.credential is not None and _origin(base_url) != _origin(row.base_url):
        raise RequestError(
            f"Its key was given for {_origin(row.base_url)}. Take the key away first, or register the other address as "
            "an upstream of its own.",
            param="base_url",
        )
    before = _facts(row)
    row.pool, row.kind, row.base_url = pool, settings.kind, base_url
    if _facts(row) != before:
        _changed(row)
        record(session, actor, "upstream.update", row.id, before=before, after=_facts(row))
        await session.flush()
    return _info(row)


async def set_upstream_key(
    session: AsyncSession,
    actor: Actor,
    upstream_id: str,
    key: str | None,
    sealer: Sealer | None,
    *,
    version: int | None = None,
) -> UpstreamInfo:
    """Send another credential from now on, or none."""
    await begin_change(session)
    row = await _row(session, upstream_id)
    check_version(row, version)
    before = _facts(row)
    row.credential = _sealed(key, sealer, row.id)
    _changed(row)
    record(session, actor, "upstream.set_key", row.id, before=before, after=_facts(row))
    await session.flush()
    return _info(row)


async def remove_upstream(
    session: AsyncSession, actor: Actor, upstream_id: str, *, version: int | None = None
) -> UpstreamInfo:
    """Forget an upstream; models of its pool stay registered."""
    await begin_change(session)
    row = await _row(session, upstream_id)
    check_version(row, version)
    removed = _info(row)
    await session.delete(row)
    record(session, actor, "upstream.remove", row.id, before=_facts(row))
    await session.flush()
    return removed


async def seal_anew(session: AsyncSession, actor: Actor, old: Sealer, new: Sealer) -> int:
    """Encrypt every credential with another key; how many there were. One that does not open ends it all unchanged."""
    await begin_change(session)
    rows = [row for row in await queries.upstreams(session) if row.credential is not None]
    for row in rows:
        try:
            row.credential = new.seal(old.unseal(row.credential or b"", row.id), row.id)
        except Unreadable as error:
            raise RequestError(f"The credential of the upstream {row.id} can not be read: {error}") from error
        _changed(row)
        record(session, actor, "upstream.rekey", row.id, before=_facts(row), after=_facts(row))
    await session.flush()
    return len(rows)


def checked_pool(text: str, engine_pools: Collection[str]) -> str:
    """A name that a pool of upstreams may have. Raises RequestError, or Conflict where it has engine nodes."""
    pool = checked_name(text, "pool")
    if pool in engine_pools:
        raise Conflict(
            f"The pool '{pool}' has engine nodes; a pool is of engine nodes or of upstreams. Choose another name.",
            param="pool",
        )
    return pool


def checked_key(text: str) -> str:
    """A credential as it may be sent. Raises RequestError, which does not repeat it."""
    if KEY.fullmatch(text) is None:
        raise RequestError(
            "The upstream's key is empty, too long, or has spaces or characters beyond ASCII.", param="key"
        )
    return text


def checked_url(text: str, kind: Kind) -> str:
    """The address under which its routes lie. Raises RequestError.

    As OpenAI's SDKs take it: with its path, which is `/v1` where it has none.
    """
    found = URL.fullmatch(text)
    if found is None or ".." in text or len(text) > 500 or not _can_be_called(text):
        raise RequestError(
            f"{text[:100]!r} is no address of an upstream; write it like https://api.openai.com/v1, without user name, "
            "query or fragment.",
            param="base_url",
        )
    return text.rstrip("/") + ("/v1" if kind == "openai" and not found["path"] else "")


def _can_be_called(text: str) -> bool:
    """Whether its host and port could be some server's; one that could not would stop every gateway that reads it."""
    try:
        url = httpx.URL(text)
        return bool(url.host.encode("idna")) and url.port != 0 and (url.port or 1) < 2**16
    except (httpx.InvalidURL, UnicodeError):
        return False


def _sealed(key: str | None, sealer: Sealer | None, owner: str) -> bytes | None:
    if key is None:
        return None
    checked_key(key)
    if sealer is None:
        raise RequestError("There is no secret key to encrypt credentials with; set one by --secret-key.", param="key")
    return sealer.seal(key, owner)


def _origin(base_url: str) -> str:
    """Scheme, host and port."""
    url = httpx.URL(base_url)
    return f"{url.scheme}://{url.netloc.decode('ascii')}"


async def _row(session: AsyncSession, upstream_id: str) -> Upstream:
    row = await queries.upstream(session, upstream_id)
    if row is None:
        raise NotFound(f"There is no upstream {upstream_id[:100]!r}; see: shoal upstream list.", param="upstream")
    return row


def _changed(row: Upstream) -> None:
    row.updated_at = datetime.now(UTC)
    count_change(row)


def _facts(row: Upstream) -> dict[str, object]:
    """For the audit log: never the credential, not even encrypted."""
    return {"pool": row.pool, "kind": row.kind, "base_url": row.base_url, "has_key": row.credential is not None}


def _info(row: Upstream) -> UpstreamInfo:
    return UpstreamInfo(
        id=row.id,
        pool=row.pool,
        kind="tei" if row.kind == "tei" else "openai",
        base_url=row.base_url,
        has_key=row.credential is not None,
        version=row.version,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
