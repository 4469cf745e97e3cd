"""Adapters (LoRA) on a model: which there are, and one more. They have pages of models, and are removed there."""

from litestar import get, post
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from admin_ui.access import needs
from admin_ui.contexts.adapters import AdapterLine, AdaptersPage
from admin_ui.forms import Form
from admin_ui.inspections import InspectedAdapter
from admin_ui.model_fields import read_aliases
from admin_ui.model_work import ModelWork, Working
from admin_ui.models import model_url
from admin_ui.placement import whereabouts
from admin_ui.views.models import find, head_of, pools_of, takes_adapters
from admin_ui.visit import Answer, Visit, Visiting
from admin_ui.wording import bytes_text, plural_text
from gateway.services.register.adapters import SEPARATOR, NewAdapter, add_adapter, list_adapters
from gateway.services.register.models import ModelInfo
from gateway.services.register.names import checked_model_name

PATIENCE = 30.0
"""Seconds that the form's answer waits for a look, which goes on after it."""
FIELDS = {"id": "name", "alias": "aliases"}
"""Parameters that the register blames, and the fields of forms that they come from."""


@get("/models/adapters/{model:path}", opt=needs("fleet.look"))
async def show_adapters(visit: Visiting, work: Working, model: FromPath[str]) -> Answer:
    """All of them, and the form for another."""
    base = await _base(visit, model)
    return await _page(visit, work, base, Form.showing({"name": "", "adapter": "", "aliases": ""}))


@post("/models/adapters/{model:path}", opt=needs("fleet.change"))
async def add(visit: Visiting, work: Working, model: FromPath[str]) -> Answer:
    """Register another, after a look at it unless that is not wanted."""
    form, base = await visit.form(), await _base(visit, model)
    name, source, aliases = form.text("name"), _read_source(form), read_aliases(form)
    id_ = f"{base.id}{SEPARATOR}{name}"
    if name:
        with form.catching(FIELDS):
            checked_model_name(id_, "an adapter's id")
        if SEPARATOR in name:
            form.refuse("name", "The name of an adapter has no colon.")
    found = await _look(work, form, base, source) if form.ok and not form.ticked("unseen") else None
    if form.ok:
        new = NewAdapter(id=id_, adapter=source if found is None else found.adapter, aliases=aliases)
        with form.catching(FIELDS):
            async with visit.changing() as session:
                made = await add_adapter(session, visit.actor, new)
            return visit.done(model_url(made.id), f"{made.id} is registered{_told(found)}.")
    return await _page(visit, work, base, form)


async def _base(visit: Visit, model: str) -> ModelInfo:
    found = await find(visit, model)
    if not takes_adapters(visit, found):
        raise NotFoundException
    return found


def _read_source(form: Form) -> str:
    source = form.text("adapter")
    if "://" in source:
        form.refuse("adapter", "This is a URL; give a hub id, or the path of a folder.")
    elif not source.isprintable():
        form.refuse("adapter", "This has characters that can not be seen.")
    return source


async def _look(work: ModelWork, form: Form, base: ModelInfo, source: str) -> InspectedAdapter | None:
    look = None if work.inspections is None else work.inspections.of_adapter(base.source, base.revision, source)
    if look is None:
        return None
    await look.wait(PATIENCE)
    if look.refusal is not None:
        form.refuse("adapter", look.refusal.message)
    elif look.found is None:
        form.refuse("", "It is still being looked at. Nothing is registered yet; send this again in a moment.")
    return look.found


def _told(found: InspectedAdapter | None) -> str:
    if found is None:
        return ", unseen"
    return f": of rank {found.rank}, it changes {plural_text(found.modules, 'module')}, in {bytes_text(found.bytes)}"


async def _page(visit: Visit, work: ModelWork, base: ModelInfo, form: Form) -> Answer:
    async with visit.reading() as session:
        adapters = await list_adapters(session, base.id)
    nodes = pools_of(visit).get(base.pool, ())
    page = AdaptersPage(
        head=head_of(visit, base),
        lines=tuple(
            AdapterLine(
                id=one.id,
                url=model_url(one.id),
                aliases=one.aliases,
                source=one.facts.adapter or "",
                where=whereabouts(one, nodes, of_upstreams=False),
                created_at=one.created_at,
                removal=model_url(one.id, "removal"),
            )
            for one in adapters
        ),
        form=form,
        here=model_url(base.id, "adapters"),
        can_look=work.inspections is not None and work.inspections.looks_at_adapters,
    )
    return visit.page(page, status=form.status)


ROUTES = (show_adapters, add)
