"""API keys: listed, made, shown once, changed, rotated and revoked."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from litestar import get, post
from litestar.params import FromPath
from msgspec import UNSET
from sqlalchemy.ext.asyncio import AsyncSession

from admin_ui.access import needs
from admin_ui.contexts.keys import (
    KeyLine,
    KeyMadePage,
    KeyPage,
    KeySettingsPage,
    KeysPage,
    NewKeyPage,
    RevocationPage,
    RotationPage,
)
from admin_ui.fields import expiry_text, read_expiry, read_name
from admin_ui.forms import Form
from admin_ui.heads import head_of, key_head_of, key_url, tenant_url
from admin_ui.paging import page_of
from admin_ui.snippets import SCOPES as TASK_SCOPES
from admin_ui.snippets import Task, gateway_address, snippets
from admin_ui.views.allowlist import matches_of
from admin_ui.views.limits import limit_lines
from admin_ui.visit import Answer, Visit, Visiting
from gateway.services.register.grants import list_grants
from gateway.services.register.keys import (
    SCOPES,
    CreatedKey,
    KeyInfo,
    create_key,
    find_key,
    list_keys,
    revoke_key,
    update_key,
)
from gateway.services.register.quota_use import own_limits, with_use
from gateway.services.register.rotation import Rotation, parse_overlap, rotate_key
from gateway.services.register.tenants import TenantInfo, find_tenant
from gateway.services.snapshot.entries import ModelEntry
from gateway.services.snapshot.reach import models_granted

SOON = timedelta(days=14)
STATES = ("", "active", "expired", "revoked")
OVERLAPS = (
    ("24h", "24 hours"),
    ("1h", "1 hour"),
    ("7d", "7 days"),
    ("30d", "30 days"),
    ("0", "No time: the old key ends at once"),
)
OVERLAP_NAMES = tuple(name for name, _ in OVERLAPS)
PLACEHOLDER = "MODEL"


@get("/tenants/{tenant:str}/keys", opt=needs("tenant.look"))
async def show_keys(visit: Visiting, tenant: FromPath[str]) -> Answer:
    """A tenant's keys, the newest first."""
    query = visit.query
    filters = Form.showing({"q": query.get("q", ""), "state": query.get("state", "")})
    wanted, part = filters.one_of("state", STATES), filters.text("q", optional=True).casefold()
    async with visit.reading() as session:
        found = await find_tenant(session, tenant)
        keys = await list_keys(session, found.id)
    lines = [
        line
        for line in reversed(lines_of(keys, datetime.now(UTC)))
        if wanted in {"", line.state} and (part in line.key.name.casefold() or line.key.id in part)
    ]
    after = query.get("after", "")
    place = next((place for place, line in enumerate(lines) if line.key.id == after), -1)
    here = tenant_url(found.id, "/keys")
    shown, pager = page_of(lines[place + 1 :], here, query, position=lambda line: line.key.id)
    page = KeysPage(head_of(visit, found, "/keys"), here, filters, bool(wanted or part), shown, pager)
    return visit.page(page, status=filters.status)


@get("/tenants/{tenant:str}/keys/new", opt=needs("tenant.change"))
async def new_key(visit: Visiting, tenant: FromPath[str]) -> Answer:
    """The form for another one."""
    return await _new(visit, tenant, Form.showing({"name": "", "expires": "", "scopes": ()}))


@post("/tenants/{tenant:str}/keys", opt=needs("tenant.change"))
async def make_key(visit: Visiting, tenant: FromPath[str]) -> Answer:
    """Make it, and show it: this answer is the only place where it stands."""
    form = await visit.form()
    name, expires_at, scopes = read_name(form, "key"), read_expiry(form), _scopes(form)
    if form.ok:
        with form.catching():
            async with visit.changing() as session:
                found = await find_tenant(session, tenant)
                made = await create_key(session, visit.actor, found.id, name=name, expires_at=expires_at, scopes=scopes)
                page = await _made(visit, session, found, made)
            return visit.page(page, status=201)
    return await _new(visit, tenant, form)


@get("/tenants/{tenant:str}/keys/{key:str}", opt=needs("tenant.look"))
async def show_key(visit: Visiting, tenant: FromPath[str], key: FromPath[str]) -> Answer:
    """One key."""
    async with visit.reading() as session:
        found, info = await _find(session, tenant, key)
        own = await own_limits(session, found.id, info.id)
        grants = await list_grants(session, found.id)
    [line] = lines_of([info], datetime.now(UTC))
    page = KeyPage(
        head=head_of(visit, found, "/keys"),
        key=key_head_of(info),
        info=info,
        ends_soon=line.ends_soon,
        limits=limit_lines(await with_use(visit.services.quota, own), key_url(found.id, info.id, "/limits")),
        matches=matches_of(
            visit,
            [grant for grant in grants if grant.key_id is None],
            [grant for grant in grants if grant.key_id == info.id],
        ),
    )
    return visit.page(page)


@get("/tenants/{tenant:str}/keys/{key:str}/settings", opt=needs("tenant.change"))
async def show_key_settings(visit: Visiting, tenant: FromPath[str], key: FromPath[str]) -> Answer:
    """Its name, end and scopes."""
    async with visit.reading() as session:
        found, info = await _find(session, tenant, key)
    values = {"name": info.name, "expires": expiry_text(info.expires_at), "scopes": info.scopes or ()}
    return _settings(visit, found, info, Form.showing(values, version=info.version))


@post("/tenants/{tenant:str}/keys/{key:str}/settings", opt=needs("tenant.change"))
async def change_key_settings(visit: Visiting, tenant: FromPath[str], key: FromPath[str]) -> Answer:
    """Save them."""
    form = await visit.form()
    async with visit.reading() as session:
        found, info = await _find(session, tenant, key)
    name, scopes = read_name(form, "key"), _scopes(form)
    expires_at = read_expiry(form, unchanged=info.expires_at)
    if form.ok:
        with form.catching():
            async with visit.changing() as session:
                await update_key(
                    session,
                    visit.actor,
                    info.id,
                    tenant=found.id,
                    version=form.version,
                    name=name,
                    expires_at=UNSET if expires_at == info.expires_at else expires_at,
                    scopes=scopes,
                )
            return visit.done(key_url(found.id, info.id), "The key's settings are saved.")
    if form.conflict:
        form.now_at(info.version)
    return _settings(visit, found, info, form)


@get("/tenants/{tenant:str}/keys/{key:str}/rotation", opt=needs("tenant.change"))
async def ask_rotation(visit: Visiting, tenant: FromPath[str], key: FromPath[str]) -> Answer:
    """For how long both shall work."""
    async with visit.reading() as session:
        found, info = await _find(session, tenant, key)
    return _rotation(visit, found, info, Form.showing({"overlap": OVERLAP_NAMES[0]}, version=info.version))


@post("/tenants/{tenant:str}/keys/{key:str}/rotation", opt=needs("tenant.change"))
async def rotate(visit: Visiting, tenant: FromPath[str], key: FromPath[str]) -> Answer:
    """Make a key in its place, and show it."""
    form = await visit.form()
    overlap = form.one_of("overlap", OVERLAP_NAMES)
    if form.ok:
        with form.catching():
            async with visit.changing() as session:
                found, info = await _find(session, tenant, key)
                rotation = await rotate_key(
                    session,
                    visit.actor,
                    info.id,
                    overlap=parse_overlap(overlap),
                    tenant=found.id,
                    version=form.version,
                )
                page = await _made(visit, session, found, rotation.key, rotation)
            return visit.page(page, status=201)
    async with visit.reading() as session:
        found, info = await _find(session, tenant, key)
    if form.conflict:
        form.now_at(info.version)
    return _rotation(visit, found, info, form)


@get("/tenants/{tenant:str}/keys/{key:str}/revocation", opt=needs("tenant.change"))
async def ask_revocation(visit: Visiting, tenant: FromPath[str], key: FromPath[str]) -> Answer:
    """Ask once more."""
    return await _revocation(visit, tenant, key, None)


@post("/tenants/{tenant:str}/keys/{key:str}/revocation", opt=needs("tenant.change"))
async def revoke(visit: Visiting, tenant: FromPath[str], key: FromPath[str]) -> Answer:
    """Refuse it from now on, for ever."""
    form = await visit.form()
    with form.catching():
        async with visit.changing() as session:
            found, info = await _find(session, tenant, key)
            await revoke_key(session, visit.actor, info.id, tenant=found.id, version=form.version)
        return visit.done(tenant_url(found.id, "/keys"), f"The key {info.name} is revoked.")
    return await _revocation(visit, tenant, key, form)


def lines_of(keys: Sequence[KeyInfo], now: datetime) -> Sequence[KeyLine]:
    """How keys are listed."""
    return [_line(key, key.state(now), now) for key in keys]


def _line(key: KeyInfo, state: str, now: datetime) -> KeyLine:
    return KeyLine(key, state, state == "active" and key.expires_at is not None and key.expires_at - now < SOON)


async def _find(session: AsyncSession, tenant: str, key: str) -> tuple[TenantInfo, KeyInfo]:
    found = await find_tenant(session, tenant)
    return found, await find_key(session, key, tenant=found.id)


def _scopes(form: Form) -> Sequence[str] | None:
    chosen = form.values("scopes")
    if any(scope not in SCOPES for scope in chosen):
        form.refuse("scopes", f"A key can be kept to {', '.join(SCOPES)}.")
    return chosen or None


async def _new(visit: Visit, tenant: str, form: Form) -> Answer:
    async with visit.reading() as session:
        found = await find_tenant(session, tenant)
    page = NewKeyPage(head_of(visit, found, "/keys"), tenant_url(found.id, "/keys"), form, SCOPES)
    return visit.page(page, status=form.status)


def _settings(visit: Visit, found: TenantInfo, info: KeyInfo, form: Form) -> Answer:
    page = KeySettingsPage(
        head=head_of(visit, found, "/keys"),
        key=key_head_of(info),
        form=form,
        scopes=SCOPES,
        saved=info,
        saved_expires=expiry_text(info.expires_at),
        saved_scopes=", ".join(info.scopes or ("everything",)),
    )
    return visit.page(page, status=form.status)


def _rotation(visit: Visit, found: TenantInfo, info: KeyInfo, form: Form) -> Answer:
    page = RotationPage(head_of(visit, found, "/keys"), key_head_of(info), form, OVERLAPS)
    return visit.page(page, status=form.status)


async def _revocation(visit: Visit, tenant: str, key: str, form: Form | None) -> Answer:
    async with visit.reading() as session:
        found, info = await _find(session, tenant, key)
    problem = None if form is None else form.error()
    head = head_of(visit, found, "/keys")
    page = RevocationPage(head, key_head_of(info), info.version, info.last_used_at, problem)
    return visit.page(page, status=200 if form is None else form.status)


async def _made(
    visit: Visit, session: AsyncSession, found: TenantInfo, made: CreatedKey, rotation: Rotation | None = None
) -> KeyMadePage:
    grants = await list_grants(session, found.id)
    models = models_granted(
        visit.services.feed.current.models,
        [grant for grant in grants if grant.key_id is None],
        [grant for grant in grants if grant.key_id == made.id],
    )
    task, model = _example(models, made.scopes)
    return KeyMadePage(
        head=head_of(visit, found, "/keys"),
        key=key_head_of(await find_key(session, made.id, tenant=found.id)),
        text=made.key,
        snippets=snippets(_public_url(visit), made.key, task, model or PLACEHOLDER),
        model=model,
        expires_at=made.expires_at,
        old_id=None if rotation is None else rotation.old,
        old_ends_at=None if rotation is None else rotation.old_ends_at,
    )


def _example(models: Sequence[ModelEntry], scopes: Sequence[str] | None) -> tuple[Task, str | None]:
    """What the key may do first of all, and a model for it."""
    tasks: list[Task] = [task for task, scope in TASK_SCOPES.items() if scopes is None or scope in scopes]
    for task in tasks:
        for model in models:
            if task == "models" or task in (model.facts.tasks or ("embed",)):
                return task, model.aliases[0] if model.aliases else model.id
    return (tasks[0] if tasks else "models"), None


def _public_url(visit: Visit) -> str:
    """Where clients find the gateway: as its operator says, else as this request found it."""
    return gateway_address(visit.services.settings.public_url or str(visit.request.base_url))


ROUTES = (
    show_keys,
    new_key,
    make_key,
    show_key,
    show_key_settings,
    change_key_settings,
    ask_rotation,
    rotate,
    ask_revocation,
    revoke,
)
