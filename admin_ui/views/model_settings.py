"""Changing a model: its pool, other names, numbers and limit."""

from litestar import get, post
from litestar.params import FromPath

from admin_ui.access import needs
from admin_ui.contexts.models import ModelSettingsPage
from admin_ui.forms import Form
from admin_ui.model_fields import DTYPE_NAMES, FIELDS, OWN_DTYPE, pool_choices, read_aliases, read_max_tokens
from admin_ui.models import model_url
from admin_ui.views.models import find, head_of
from admin_ui.visit import Answer, Visit, Visiting
from gateway.services.register.model_changes import ModelSettings, update_model
from gateway.services.register.models import ModelInfo


@get("/models/settings/{model:path}", opt=needs("fleet.change"))
async def show_settings(visit: Visiting, model: FromPath[str]) -> Answer:
    """The form."""
    found = await find(visit, model)
    values = {
        "pool": found.pool,
        "aliases": "\n".join(found.aliases),
        "dtype": found.dtype,
        "max_tokens": found.max_tokens,
    }
    return _page(visit, found, Form.showing(values, version=found.version))


@post("/models/settings/{model:path}", opt=needs("fleet.change"))
async def change_settings(visit: Visiting, model: FromPath[str]) -> Answer:
    """Save it."""
    form, found = await visit.form(), await find(visit, model)
    upstreams = visit.services.feed.current.upstreams
    pool = form.one_of("pool", [name for name, _ in pool_choices(visit, found.pool, *upstreams)])
    aliases, dtype = read_aliases(form), form.one_of("dtype", DTYPE_NAMES)
    max_tokens = read_max_tokens(form, found.input_limit)
    if pool in upstreams and dtype:
        form.refuse("dtype", "Upstream servers choose their numbers themselves.")
    if pool in upstreams and found.pinned:
        form.refuse("pool", "The model is pinned, and upstream servers pin nothing; unpin it first.")
    if form.ok:
        settings = ModelSettings(pool=pool, aliases=aliases, dtype=dtype or None, max_tokens=max_tokens)
        with form.catching(FIELDS):
            async with visit.changing() as session:
                saved = await update_model(session, visit.actor, found.id, settings, version=form.version)
            text = "The settings are saved."
            if saved.pool != found.pool:
                text += (
                    f" Requests go to the pool {saved.pool} now; nodes of {found.pool} evict it when they need room."
                )
            return visit.done(model_url(found.id), text)
    if form.conflict:
        found = await find(visit, model)
        form.now_at(found.version)
    return _page(visit, found, form)


def _page(visit: Visit, model: ModelInfo, form: Form) -> Answer:
    page = ModelSettingsPage(
        head=head_of(visit, model),
        form=form,
        pools=pool_choices(visit, model.pool, *visit.services.feed.current.upstreams),
        dtypes=OWN_DTYPE,
        saved=model,
        here=model_url(model.id, "settings"),
    )
    return visit.page(page, status=form.status)


ROUTES = (show_settings, change_settings)
