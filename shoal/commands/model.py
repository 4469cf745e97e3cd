"""`shoal model`: inspect, add, list, show, load, unload, pin, unpin, remove."""

import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Literal

import typer

from engine.errors import EngineError
from gateway.errors import Unavailable
from gateway.services.register import adapters, models, upstreams
from shoal.database import change, read
from shoal.inspection import absolute, found, inspect, inspect_adapter
from shoal.model_report import lines, report
from shoal.node_calls import NodeCall, Outcome, call_nodes, whereabouts
from shoal.options.groups import with_groups
from shoal.options.nodes import NodeOptions
from shoal.options.shared import DATA_DIR, AsJson, DatabaseUrl, DataDir
from shoal.options.values import DEFAULT_POOL, database_at
from shoal.printing import command, print_json, print_table, shown

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="The model register: what may be served, from where, under which names.",
)

Name = Annotated[str, typer.Argument(metavar="MODEL", help="The model, by id or alias.")]
LATER = {
    "pin": "the gateway has it load the model when it is there.",
    "unpin": "started anew it pins nothing, else say it again when it is there.",
}
"""What becomes of a pin on a node that is away."""


@app.command("inspect")
def inspect_(
    source: Annotated[str, typer.Argument(metavar="HUB_ID|FOLDER", help="What to look at; it need not be registered.")],
    revision: Annotated[str | None, typer.Option(help="The hub's commit, tag or branch.")] = None,
    as_json: AsJson = False,
) -> None:
    """Tell what a model is and what it can do, or why it can not be served; nothing is registered."""
    where = absolute(source)
    print(f"Looking at {where} …", file=sys.stderr)
    try:
        told = report(where, inspect(where, revision))
    except EngineError as error:
        if not as_json:
            raise
        print_json({"source": where, "code": error.code, "refused": error.message})
        raise typer.Exit(1) from error
    if as_json:
        print_json(told)
        return
    print_table(("what", "value"), [(name, shown(value)) for name, value in lines(told)])


@app.command()
def add(
    id_: Annotated[
        str, typer.Argument(metavar="ID", help="What requests call the model, such as BAAI/bge-small-en-v1.5.")
    ],
    source: Annotated[
        str | None,
        typer.Option(
            metavar="HUB_ID|FOLDER", help="Where it comes from, or its name at an upstream; else the id is that."
        ),
    ] = None,
    revision: Annotated[str | None, typer.Option(help="The hub's commit, tag or branch.")] = None,
    pool: Annotated[
        str, typer.Option(help="The pool of engine nodes, or of upstreams, that serves it.")
    ] = DEFAULT_POOL,
    alias: Annotated[list[str] | None, typer.Option(help="Another name for it; several by repeating it.")] = None,
    pin: Annotated[bool, typer.Option("--pin", help="Never evict it from memory.")] = False,
    dtype: Annotated[
        str | None, typer.Option(metavar="|".join(models.DTYPES), help="Its numbers; else the node's best.")
    ] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Cut inputs shorter than the model itself does.")] = None,
    adapter: Annotated[
        str | None,
        typer.Option(
            metavar="HUB_ID|FOLDER",
            help="Not a model but a low-rank adapter (LoRA) on the model that ID names before its last colon.",
        ),
    ] = None,
    unchecked: Annotated[
        bool, typer.Option("--unchecked", help="Register it unseen: the source can be read on the engine nodes only.")
    ] = False,
    data_dir: DataDir = DATA_DIR,
    database_url: DatabaseUrl = None,
) -> None:
    """Register a model, after a look at its source: one that could not be served is refused now."""
    if adapter is not None:
        if source or revision or dtype or max_tokens or pin or pool != DEFAULT_POOL:
            raise typer.BadParameter("An adapter has these of the model that it changes.", param_hint="--adapter")
        _add_adapter(id_, absolute(adapter), tuple(alias or ()), database_at(data_dir, database_url), unchecked)
        return
    database = database_at(data_dir, database_url)
    elsewhere = any(upstream.pool == pool for upstream in read(database, upstreams.list_upstreams))
    if elsewhere and (revision or dtype or pin):
        raise typer.BadParameter(f"The pool '{pool}' is of upstreams, which load what they serve as they like.")
    where = source or id_ if elsewhere else absolute(source or id_)
    spec = None
    if not unchecked and not elsewhere:
        print(f"Looking at {where} …", file=sys.stderr)
        spec = inspect(where, revision)
    model = models.NewModel(
        id=id_,
        source=where,
        revision=revision,
        pool=pool,
        aliases=tuple(alias or ()),
        dtype=dtype,
        max_tokens=max_tokens,
        pinned=pin,
        **(found(spec) if spec else {}),
    )
    added = change(database, lambda session, actor: models.add_model(session, actor, model))
    if spec is not None:
        print_table(("what", "value"), [(name, shown(value)) for name, value in lines(report(where, spec))])
    wide = f"{added.dimensions} dimensions, " if added.dimensions else ""
    told = f": {wide}inputs of up to {added.input_limit} tokens" if spec else ""
    print(f"Model '{added.id}' is registered{told}. Next, let a tenant use it:")
    print("  " + command("allow add {} --tenant NAME", added.id, data_dir=data_dir))


def _add_adapter(id_: str, adapter: str, aliases: tuple[str, ...], database: str, unchecked: bool) -> None:
    base = read(database, lambda session: adapters.find_base(session, id_))
    if not unchecked:
        print(f"Looking at {adapter} …", file=sys.stderr)
        inspect_adapter(adapter, inspect(base.source, base.revision))
    new = adapters.NewAdapter(id=id_, adapter=adapter, aliases=aliases)
    added = change(database, lambda session, actor: adapters.add_adapter(session, actor, new))
    print(f"The adapter '{added.id}' on '{base.id}' is registered.")


@app.command("list")
@with_groups
def list_(
    *, nodes: NodeOptions, as_json: AsJson = False, data_dir: DataDir = DATA_DIR, database_url: DatabaseUrl = None
) -> None:
    """Show every registered model, and where it is: in which memory of the nodes that are named or run here."""
    registered = read(database_at(data_dir, database_url), models.list_models)
    places = whereabouts(nodes, data_dir)
    rows = [(row, tuple(places.get((row.pool, row.id), ()))) for row in registered]
    if as_json:
        print_json([asdict(row) | {"where": where} for row, where in rows])
        return
    print_table(
        ("model", "aliases", "pool", "outputs", "dimensions", "max tokens", "pinned", "where"),
        [
            (row.id, row.aliases, row.pool, row.facts.outputs, row.dimensions, row.input_limit, row.pinned, where)
            for row, where in rows
        ],
    )


@app.command()
@with_groups
def show(
    model: Name,
    *,
    nodes: NodeOptions,
    as_json: AsJson = False,
    data_dir: DataDir = DATA_DIR,
    database_url: DatabaseUrl = None,
) -> None:
    """Show all that the register says of a model, and where it is: on the nodes that are named or run here."""
    info = read(database_at(data_dir, database_url), lambda session: models.find_model(session, model))
    where = tuple(whereabouts(nodes, data_dir).get((info.pool, info.id), ()))
    if as_json:
        print_json(asdict(info) | {"where": where})
        return
    facts = (
        ("id", info.id),
        ("aliases", info.aliases),
        ("source", info.source),
        ("revision", info.revision),
        ("adapter", info.facts.adapter),
        ("pool", info.pool),
        ("number format", info.dtype or "the node's best"),
        ("family", info.facts.family),
        ("native", info.facts.native),
        ("can", info.facts.tasks),
        ("outputs", info.facts.outputs),
        ("dimensions", info.dimensions),
        ("labels", info.facts.labels),
        ("prompts", info.facts.prompts),
        ("input limit", info.input_limit),
        ("cut inputs at", info.max_tokens),
        ("weights", info.facts.weight_bytes and f"{info.facts.weight_bytes / 2**20:,.1f} MiB"),
        ("pinned", info.pinned),
        ("registered", info.created_at),
        ("where", where),
        *(("could not be loaded", f"{place.node}: {place.failure} {place.next}") for place in where if place.failure),
    )
    print_table(("what", "value"), [(name, shown(value)) for name, value in facts])


@app.command()
def remove(model: Name, data_dir: DataDir = DATA_DIR, database_url: DatabaseUrl = None) -> None:
    """Forget a model; usage under its name stays."""
    removed = change(
        database_at(data_dir, database_url), lambda session, actor: models.remove_model(session, actor, model)
    )
    print(f"Model '{removed.id}' is no longer registered.")


@app.command()
@with_groups
def load(model: Name, *, nodes: NodeOptions, data_dir: DataDir = DATA_DIR, database_url: DatabaseUrl = None) -> None:
    """Bring a model into the memory of its pool's nodes, and wait until it is there."""
    _on_nodes("load", model, nodes, data_dir, database_url)


@app.command()
@with_groups
def unload(model: Name, *, nodes: NodeOptions, data_dir: DataDir = DATA_DIR, database_url: DatabaseUrl = None) -> None:
    """Take a model out of the memory of its pool's nodes. The next request loads it again."""
    _on_nodes("unload", model, nodes, data_dir, database_url)


@app.command()
@with_groups
def pin(model: Name, *, nodes: NodeOptions, data_dir: DataDir = DATA_DIR, database_url: DatabaseUrl = None) -> None:
    """Keep a model in the memory of its pool's nodes, whatever else is used: those that run now load it at once."""
    _keep("pin", model, nodes, data_dir, database_url)


@app.command()
@with_groups
def unpin(model: Name, *, nodes: NodeOptions, data_dir: DataDir = DATA_DIR, database_url: DatabaseUrl = None) -> None:
    """Let a model be evicted again when others need its room."""
    _keep("unpin", model, nodes, data_dir, database_url)


def _on_nodes(verb: NodeCall, name: str, nodes: NodeOptions, data_dir: Path, database_url: str | None) -> None:
    model = read(database_at(data_dir, database_url), lambda session: models.find_model(session, name))
    outcomes = call_nodes(verb, model, nodes, data_dir)
    _say(verb + "ed", model.id, outcomes)
    if problems := [outcome.problem.message for outcome in outcomes if outcome.problem is not None]:
        raise Unavailable(" ".join(problems))


def _keep(
    verb: Literal["pin", "unpin"], name: str, nodes: NodeOptions, data_dir: Path, database_url: str | None
) -> None:
    """The register last: where a node refuses, it must not promise what can not be kept. One that is away does not."""
    database = database_at(data_dir, database_url)
    model = read(database, lambda session: models.find_model(session, name))
    model = replace(model, pinned=verb == "pin")
    outcomes = call_nodes(verb, model, nodes, data_dir, if_any=True)
    _say(verb + "ned", model.id, outcomes)
    refusals = [outcome.problem.message for outcome in outcomes if outcome.problem is not None and not outcome.away]
    if refusals:
        raise Unavailable(" ".join([*refusals, "The register is as it was."]))
    for outcome in outcomes:
        if outcome.away:
            print(f"{outcome.url}: does not answer now; {LATER[verb]}")
    change(database, lambda session, actor: models.set_pinned(session, actor, model.id, pinned=model.pinned))
    print(f"Model '{model.id}' is {verb}ned in the register.")


def _say(done: str, model: str, outcomes: Sequence[Outcome]) -> None:
    for outcome in outcomes:
        if outcome.problem is None:
            print(f"{outcome.url}: '{model}' is {done}; models take {outcome.memory}.")
