"""Registering a model: say where it is, see what was found there, choose its names and place."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePath

from litestar import get, post
from litestar.response import Redirect

from admin_ui.access import needs
from admin_ui.contexts.models import LookPage, LookPart, LookRefusedPage, NewSourcePage, RegisterPage, Report
from admin_ui.forms import Form
from admin_ui.inspections import Inspected, InspectionRefused, Look
from admin_ui.model_fields import (
    DTYPE_NAMES,
    FIELDS,
    OWN_DTYPE,
    pool_choices,
    read_aliases,
    read_max_tokens,
)
from admin_ui.model_work import ModelWork, Working
from admin_ui.models import HERE, model_url
from admin_ui.paging import address
from admin_ui.placement import fits
from admin_ui.views.models import give_order, pools_of
from admin_ui.visit import Answer, Visit, Visiting
from gateway.services.register.models import ModelInfo, NewModel, add_model
from gateway.services.register.names import checked_model_name

AT_FIRST = 0.6
"""Seconds that a page waits for a look; what is on this machine is looked at in less."""
AT_LAST = 30.0
"""Seconds that registering waits for one, where nothing remembers it."""
TICKET = "look"
ADVICE = {
    "model_not_found": "Check the spelling. A repository that is private or gated needs a token of the hub on this "
    "machine and on the nodes: HF_TOKEN in their environment.",
    "hub_unreachable": "Is there a way from this machine to the hub? Where there is none by intent, give a folder. "
    "Then look again.",
    "disk_full": "Make room where models are kept, then look again.",
    "model_invalid": "Another revision may be whole, or the same model in another repository in safetensors.",
    "model_too_large": "Choose a smaller model, or nodes with more memory.",
}
OTHER_ADVICE = "Look again; if it stays so, the server's log says more."
HOPELESS = frozenset({"model_invalid"})
"""A node would refuse it as well."""


@get("/models/new", opt=needs("fleet.change"))
async def new_model(visit: Visiting, work: Working) -> Answer:
    """Whichever step is next, by what the address says."""
    query = visit.query
    source, revision = query.get("source", ""), query.get("revision", "")
    upstreams = visit.services.feed.current.upstreams
    if (pool := query.get("pool", "")) in upstreams:
        values = {"id": source, "source": source, "pool": pool, "aliases": "", "dtype": "", "max_tokens": ""}
        return _register(visit, Form.showing(values), None, pool)
    unseen = bool(query.get("unseen"))
    if source and (unseen or work.inspections is None):
        return _register(visit, _first_form(source, revision, unseen=True), None, None)
    if work.inspections is None or not _is_asked(visit, query):
        return _ask(visit, work, Form.showing({"source": source, "revision": revision}))
    look = work.inspections.of(source, revision or None)
    await look.wait(AT_FIRST)
    if look.refusal is not None:
        return _refused(visit, source, revision, look.refusal)
    if look.found is not None:
        report = _report(visit, look.found, revision)
        roomy = next((fit.pool for fit in report.fits if fit.tone == "good"), "")
        return _register(visit, _first_form(source, revision, pool=roomy), report, None)
    live = address(f"{HERE}/inspection", _kept(query))
    return visit.page(LookPage(live=live, part=_part(look, query)))


@get("/models/inspection", opt=needs("fleet.change"))
async def refresh_look(visit: Visiting, work: Working) -> Answer:
    """How far it is, for the page's script; whoever did not ask for the look is told that there is none to wait for."""
    query = visit.query
    if work.inspections is None or not _is_asked(visit, query):
        return visit.part(LookPart(query.get("source", ""), 0.0, done=True, next=f"{HERE}/new"))
    look = work.inspections.of(query.get("source", ""), query.get("revision") or None)
    return visit.part(_part(look, query))


@post("/models/inspections", opt=needs("fleet.change"))
async def look_at_source(visit: Visiting, work: Working) -> Answer:
    """Begin to look."""
    form = await visit.form()
    source, revision = _read_source(form), form.text("revision", optional=True)
    if not form.ok:
        return _ask(visit, work, form)
    if work.inspections is not None:
        work.inspections.of(source, revision or None, anew=True)
    asked = {"source": source, "revision": revision, "ticket": _ticket(visit, source, revision)}
    return Redirect(address(f"{HERE}/new", asked), status_code=303)


@post("/models", opt=needs("fleet.change"))
async def register(visit: Visiting, work: Working) -> Answer:
    """Register it, and load it if that was wished for."""
    form = await visit.form()
    upstreams = visit.services.feed.current.upstreams
    elsewhere = form.value("elsewhere") if form.value("elsewhere") in upstreams else None
    found = await _look_again(work, form) if elsewhere is None and not form.ticked("unseen") else None
    id_ = form.text("id")
    if id_:
        with form.catching({"id": "id"}):
            checked_model_name(id_)
    source, aliases = _read_source(form), read_aliases(form)
    pool = elsewhere or form.one_of("pool", [name for name, _ in pool_choices(visit)])
    dtype = "" if elsewhere else form.one_of("dtype", DTYPE_NAMES)
    max_tokens = read_max_tokens(form, found.input_limit if found else None)
    if form.ok:
        new = NewModel(
            id=id_,
            source=found.source if found else source,
            revision=form.value("revision").strip() or None,
            pool=pool,
            aliases=aliases,
            dtype=dtype or None,
            max_tokens=max_tokens,
            pinned=not elsewhere and form.ticked("pinned"),
        )
        if found is not None:
            new = replace(new, dimensions=found.dimensions, input_limit=found.input_limit, facts=found.facts)
        with form.catching(FIELDS):
            async with visit.changing() as session:
                made = await add_model(session, visit.actor, new)
            return await _made(visit, work, made, load=not elsewhere and form.ticked("load"))
    report = None if found is None else _report(visit, found, form.value("revision"))
    return _register(visit, form, report, elsewhere)


async def _made(visit: Visit, work: ModelWork, made: ModelInfo, *, load: bool) -> Answer:
    healthy = any(node.healthy for node in pools_of(visit).get(made.pool, ()))
    if load and healthy:
        return await give_order(visit, work, "load", made)
    text = f"{made.id} is registered. Tenants whose patterns match it may use it at once."
    return visit.done(model_url(made.id), text + (" No node of its pool is there to load it now." if load else ""))


async def _look_again(work: ModelWork, form: Form) -> Inspected | None:
    """What was found is not taken from the form: whoever sends it could write there what they like."""
    source = form.value("source").strip()
    if work.inspections is None or not source:
        return None
    look = work.inspections.of(source, form.value("revision").strip() or None)
    await look.wait(AT_LAST)
    if look.refusal is not None:
        form.refuse("", look.refusal.message)
    elif look.found is None:
        form.refuse("", "The source is still being looked at. Nothing is registered yet; send this again in a moment.")
    return look.found


def _read_source(form: Form) -> str:
    source = form.text("source")
    if "://" in source:
        form.refuse("source", "This is a URL; give a hub id such as BAAI/bge-m3, or the path of a folder.")
    elif not source.isprintable():
        form.refuse("source", "This has characters that can not be seen.")
    revision = form.value("revision").strip()
    if ".." in revision or revision.startswith(("/", "-")) or not revision.isprintable() or len(revision) > 200:
        form.refuse("revision", "This is no revision; give a commit, a tag or a branch.")
    return source


def _first_form(source: str, revision: str, *, unseen: bool = False, pool: str = "") -> Form:
    folder = source.startswith(("/", ".", "~"))
    values = {
        "source": source,
        "revision": revision,
        "id": PurePath(source).name if folder else source,
        "pool": pool,
        "unseen": unseen,
        "load": True,
    }
    return Form.showing(values | dict.fromkeys(("aliases", "dtype", "max_tokens"), ""))


def _ask(visit: Visit, work: ModelWork, form: Form) -> Answer:
    upstreams = visit.services.feed.current.upstreams
    pools = [(name, address(f"{HERE}/new", {"pool": name})) for name in sorted(upstreams)]
    return visit.page(NewSourcePage(form, work.inspections is not None, pools), status=form.status)


def _refused(visit: Visit, source: str, revision: str, why: InspectionRefused) -> Answer:
    unseen = address(f"{HERE}/new", {"source": source, "revision": revision, "unseen": "1"})
    page = LookRefusedPage(
        form=Form.showing({"source": source, "revision": revision}),
        source=source,
        reason=why.message,
        advice=ADVICE.get(why.code, OTHER_ADVICE),
        unseen=None if why.code in HOPELESS else unseen,
    )
    return visit.page(page)


def _register(visit: Visit, form: Form, report: Report | None, elsewhere: str | None) -> Answer:
    nodes = pools_of(visit).get(elsewhere or "", [])
    listed = {model.id for node in nodes for model in (node.status.models if node.status else ())}
    page = RegisterPage(
        form=form,
        report=report,
        upstream_pool=elsewhere,
        offered=sorted(listed)[:200],
        pools=pool_choices(visit),
        dtypes=OWN_DTYPE,
        back=address(f"{HERE}/new", {"source": form.value("source"), "revision": form.value("revision")}),
    )
    return visit.page(page, status=form.status)


def _report(visit: Visit, found: Inspected, revision: str) -> Report:
    facts, upstreams = found.facts, visit.services.feed.current.upstreams
    pools = {name: nodes for name, nodes in pools_of(visit).items() if name not in upstreams}
    widths = found.matryoshka
    consecutive = len(widths) > 2 and widths[-1] - widths[0] == len(widths) - 1
    return Report(
        source=found.source,
        revision=revision or None,
        architecture=facts.architecture,
        family=facts.family,
        native=facts.native,
        tasks=facts.tasks,
        outputs=facts.outputs,
        dimensions=found.dimensions,
        widths=f"{widths[0]} to {widths[-1]}" if consecutive else ", ".join(map(str, widths)),
        normalized=found.normalized,
        input_limit=found.input_limit,
        prompts=tuple(found.prompts.items()),
        labels=facts.labels,
        parameters=found.parameters,
        weight_bytes=facts.weight_bytes or 0,
        resident=tuple(found.resident_bytes.items()),
        fits=fits(pools, found.resident_bytes),
    )


def _part(look: Look[Inspected], query: Mapping[str, str]) -> LookPart:
    done = look.task.done()
    return LookPart(query.get("source", ""), look.seconds, done, address(f"{HERE}/new", _kept(query)))


def _kept(query: Mapping[str, str]) -> Mapping[str, str]:
    return {name: query.get(name, "") for name in ("source", "revision", "ticket")}


def _ticket(visit: Visit, source: str, revision: str) -> str:
    """Proves that this session's own form asked for the look: a link from elsewhere begins none."""
    return visit.sessions.sealed(visit.request.auth, TICKET, f"{source}\0{revision}".encode()).partition(".")[2]


def _is_asked(visit: Visit, query: Mapping[str, str]) -> bool:
    return query.get("ticket", "") == _ticket(visit, query.get("source", ""), query.get("revision", ""))


ROUTES = (new_model, refresh_look, look_at_source, register)
