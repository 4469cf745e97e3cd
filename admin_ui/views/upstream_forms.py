"""Registering, changing and removing upstreams. A credential is typed once, and no page shows it again."""

from litestar import get, post
from litestar.params import FromPath

from admin_ui.access import needs
from admin_ui.contexts.upstreams import (
    NewUpstreamPage,
    UpstreamKeyPage,
    UpstreamRemovalPage,
    UpstreamSettingsPage,
)
from admin_ui.forms import Form
from admin_ui.upstreams import HERE, upstream_url
from admin_ui.views.upstreams import find, head_of
from admin_ui.visit import Answer, Visit, Visiting
from admin_ui.wording import plural_text
from gateway.services.register.models import models_of
from gateway.services.register.upstreams import (
    Kind,
    NewUpstream,
    UpstreamInfo,
    UpstreamSettings,
    add_upstream,
    checked_key,
    checked_pool,
    checked_url,
    list_upstreams,
    remove_upstream,
    set_upstream_key,
    update_upstream,
)

KINDS: tuple[tuple[Kind, str], ...] = (
    ("openai", "OpenAI's, as most servers do"),
    ("tei", "text-embeddings-inference's"),
)
KIND_NAMES = tuple(kind for kind, _ in KINDS)
FIELDS = {"name": "pool", "key": "credential"}
"""Parameters that the register blames, and the fields of forms that they come from."""


@get("/upstreams/new", opt=needs("fleet.change"))
async def new_upstream(visit: Visiting) -> Answer:
    """The form."""
    values = {"base_url": "", "kind": KIND_NAMES[0], "pool": visit.query.get("pool", ""), "credential": ""}
    return _new(visit, Form.showing(values))


@post("/upstreams", opt=needs("fleet.change"))
async def register(visit: Visiting) -> Answer:
    """Register it, after a look at it unless that is not wanted."""
    form = await visit.form()
    settings, key = _read_settings(visit, form), _read_key(form)
    listed = await _look(visit, form, settings, key) if form.ok and not form.ticked("unseen") else ()
    if form.ok:
        new = NewUpstream(pool=settings.pool, kind=settings.kind, base_url=settings.base_url, key=key)
        with form.catching(FIELDS):
            async with visit.changing() as session:
                made = await add_upstream(
                    session,
                    visit.actor,
                    new,
                    visit.services.upstreams.sealer,
                    engine_pools=visit.services.upstreams.engine_pools,
                )
            said = f" It says it has {plural_text(len(listed), 'model')}." if listed else ""
            return visit.done(upstream_url(made.id), f"It is a node of the pool {made.pool} now.{said}")
    return _new(visit, form)


@get("/upstreams/at/{upstream:str}/settings", opt=needs("fleet.change"))
async def show_settings(visit: Visiting, upstream: FromPath[str]) -> Answer:
    """The form."""
    found = await find(visit, upstream)
    values = {"base_url": found.base_url, "kind": found.kind, "pool": found.pool}
    return _settings(visit, found, Form.showing(values, version=found.version))


@post("/upstreams/at/{upstream:str}/settings", opt=needs("fleet.change"))
async def change_settings(visit: Visiting, upstream: FromPath[str]) -> Answer:
    """Save it."""
    form, found = await visit.form(), await find(visit, upstream)
    settings = _read_settings(visit, form)
    if form.ok and settings.base_url != found.base_url and not form.ticked("unseen"):
        await _look_without_key(visit, form, settings)
    if form.ok:
        with form.catching(FIELDS):
            async with visit.changing() as session:
                await update_upstream(
                    session,
                    visit.actor,
                    found.id,
                    settings,
                    engine_pools=visit.services.upstreams.engine_pools,
                    version=form.version,
                )
            return visit.done(upstream_url(found.id), "The settings are saved.")
    if form.conflict:
        found = await find(visit, upstream)
        form.now_at(found.version)
    return _settings(visit, found, form)


@get("/upstreams/at/{upstream:str}/credential", opt=needs("fleet.change"))
async def show_credential(visit: Visiting, upstream: FromPath[str]) -> Answer:
    """The form for another one; the one that is kept is shown to nobody."""
    found = await find(visit, upstream)
    return _credential(visit, found, Form.showing({"credential": "", "none": False}, version=found.version))


@post("/upstreams/at/{upstream:str}/credential", opt=needs("fleet.change"))
async def change_credential(visit: Visiting, upstream: FromPath[str]) -> Answer:
    """Send another one from now on, or none."""
    form, found = await visit.form(), await find(visit, upstream)
    key, none = _read_key(form), form.ticked("none")
    if none and key is not None:
        form.refuse("none", "Either type a key or tick this.")
    if not none and key is None:
        form.refuse("credential", "Type the key, or tick that none is needed.")
    if form.ok and not form.ticked("unseen"):
        settings = UpstreamSettings(pool=found.pool, kind=found.kind, base_url=found.base_url)
        await _look(visit, form, settings, key, at="credential")
    if form.ok:
        with form.catching(FIELDS):
            async with visit.changing() as session:
                saved = await set_upstream_key(
                    session, visit.actor, found.id, key, visit.services.upstreams.sealer, version=form.version
                )
            return visit.done(
                upstream_url(saved.id), f"It is sent {'another' if saved.has_key else 'no'} key from now on."
            )
    if form.conflict:
        found = await find(visit, upstream)
        form.now_at(found.version)
    return _credential(visit, found, form)


@get("/upstreams/at/{upstream:str}/removal", opt=needs("fleet.change"))
async def ask_removal(visit: Visiting, upstream: FromPath[str]) -> Answer:
    """Ask once more."""
    found = await find(visit, upstream)
    return await _removal(visit, found, Form.showing({}, version=found.version))


@post("/upstreams/at/{upstream:str}/removal", opt=needs("fleet.change"))
async def remove(visit: Visiting, upstream: FromPath[str]) -> Answer:
    """Forget it and its credential."""
    form, found = await visit.form(), await find(visit, upstream)
    with form.catching():
        async with visit.changing() as session:
            removed = await remove_upstream(session, visit.actor, found.id, version=form.version)
        return visit.done(HERE, f"{removed.base_url} is no node of the pool {removed.pool} any more.")
    if form.conflict:
        found = await find(visit, upstream)
        form.now_at(found.version)
    return await _removal(visit, found, form)


def _read_settings(visit: Visit, form: Form) -> UpstreamSettings:
    kind = form.one_of("kind", KIND_NAMES)
    base_url, pool = form.text("base_url"), form.text("pool")
    if base_url:
        with form.catching():
            base_url = checked_url(base_url, kind)
    if pool:
        with form.catching(FIELDS):
            pool = checked_pool(pool, visit.services.upstreams.engine_pools)
    return UpstreamSettings(pool=pool, kind=kind, base_url=base_url)


def _read_key(form: Form) -> str | None:
    key = form.value("credential").strip()
    if key:
        with form.catching(FIELDS):
            checked_key(key)
    return key or None


async def _look(
    visit: Visit, form: Form, settings: UpstreamSettings, key: str | None, *, at: str = "base_url"
) -> tuple[str, ...]:
    """The models that it says it has. What is wrong stands at the field `at`, or at the credential's."""
    new = NewUpstream(pool=settings.pool, kind=settings.kind, base_url=settings.base_url, key=key)
    found = await visit.services.upstreams.look(new)
    if found.problem is not None:
        form.refuse("credential" if found.of_key else at, found.problem)
    return found.models


async def _look_without_key(visit: Visit, form: Form, settings: UpstreamSettings) -> None:
    """Whether there is anything; its credential is for no address but its own, so that a refusal of none is well."""
    new = NewUpstream(pool=settings.pool, kind=settings.kind, base_url=settings.base_url)
    found = await visit.services.upstreams.look(new)
    if found.problem is not None and not found.of_key:
        form.refuse("base_url", found.problem)


def _new(visit: Visit, form: Form) -> Answer:
    page = NewUpstreamPage(form, KINDS, HERE, visit.services.upstreams.sealer is not None)
    return visit.page(page, status=form.status)


def _settings(visit: Visit, saved: UpstreamInfo, form: Form) -> Answer:
    return visit.page(UpstreamSettingsPage(head_of(saved), form, KINDS, saved), status=form.status)


def _credential(visit: Visit, saved: UpstreamInfo, form: Form) -> Answer:
    can_seal = visit.services.upstreams.sealer is not None
    return visit.page(UpstreamKeyPage(head_of(saved), form, saved, can_seal), status=form.status)


async def _removal(visit: Visit, saved: UpstreamInfo, form: Form) -> Answer:
    async with visit.reading() as session:
        others = sum(one.pool == saved.pool and one.id != saved.id for one in await list_upstreams(session))
        models = len(await models_of(session, saved.pool))
    return visit.page(UpstreamRemovalPage(head_of(saved), form, saved, others, models), status=form.status)


ROUTES = (
    new_upstream,
    register,
    show_settings,
    change_settings,
    show_credential,
    change_credential,
    ask_removal,
    remove,
)
