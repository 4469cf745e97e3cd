"""`shoal upstream`: add, list, set, set-key, rekey, remove."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from gateway.services.register import upstreams
from gateway.services.register.sealing import Sealer
from gateway.services.upstreams.following import upstream_transport
from gateway.services.upstreams.probe import Found, look
from shoal.data_folder import DataFolder, secret_key_from
from shoal.database import change, read
from shoal.options.environment import upstream_key
from shoal.options.nodes import Nodes
from shoal.options.shared import DATA_DIR, AsJson, DatabaseUrl, DataDir
from shoal.options.upstreams import AllowedUpstreams, SecretKey
from shoal.options.values import DEFAULT_POOL, database_at, parse_nodes, parse_session_key
from shoal.printing import command, print_json, print_table

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Servers that somebody else runs, as nodes of a pool: OpenAI-compatible ones, and text-embeddings-inference.",
)

Id = Annotated[str, typer.Argument(metavar="ID", help="The upstream, by its id.")]
KeyFile = Annotated[
    Path | None,
    typer.Option(
        "--key-file",
        metavar="FILE",
        help="A file with its API key, or - for standard input; else SHOAL_UPSTREAM_KEY, or none.",
    ),
]


@app.command()
def add(
    base_url: Annotated[
        str, typer.Argument(metavar="URL", help="As its clients are given it, such as https://api.openai.com/v1.")
    ],
    pool: Annotated[str, typer.Option(help="The pool that it is a node of; all of its nodes serve the same models.")],
    kind: Annotated[
        str, typer.Option(metavar="|".join(upstreams.KINDS), help="Which wire it speaks.")
    ] = upstreams.KINDS[0],
    key_file: KeyFile = None,
    no_check: Annotated[bool, typer.Option("--no-check", help="Register it unseen.")] = False,
    node: Nodes = None,
    allow_upstream: AllowedUpstreams = None,
    secret_key: SecretKey = None,
    data_dir: DataDir = DATA_DIR,
    database_url: DatabaseUrl = None,
) -> None:
    """Register an upstream, after a look at it: is it there, does it take the key, which models has it."""
    new = upstreams.NewUpstream(pool=pool, kind=_kind(kind), base_url=base_url, key=_key(key_file))
    sealer = _sealer(data_dir, database_url, secret_key) if new.key is not None else None
    engine_pools = {DEFAULT_POOL, *parse_nodes(node or [])}
    if not no_check:
        print(f"Looking at {base_url} …", file=sys.stderr)
        _tell(asyncio.run(_look(new, allow_upstream or [], sealer)))
    made = change(
        database_at(data_dir, database_url),
        lambda session, actor: upstreams.add_upstream(session, actor, new, sealer, engine_pools=engine_pools),
    )
    with_key = "with its key, encrypted" if made.has_key else "without a key"
    print(f"Upstream {made.id} is a node of the pool '{made.pool}', {with_key}. Next, register a model of it:")
    print("  " + command("model add NAME --pool {} --source ITS_NAME_THERE", made.pool, data_dir=data_dir))


@app.command("list")
def list_(as_json: AsJson = False, data_dir: DataDir = DATA_DIR, database_url: DatabaseUrl = None) -> None:
    """Show every upstream; keys are shown to nobody. Whether they are well: shoal node list."""
    found = read(database_at(data_dir, database_url), upstreams.list_upstreams)
    if as_json:
        print_json(found)
        return
    columns = ("id", "pool", "kind", "url", "key", "changed")
    print_table(columns, [(u.id, u.pool, u.kind, u.base_url, u.has_key, u.updated_at) for u in found])


@app.command("set")
def set_(
    upstream: Id,
    url: Annotated[
        str | None, typer.Option("--url", metavar="URL", help="Its address; one that has a key stays at its host.")
    ] = None,
    pool: Annotated[str | None, typer.Option(help="The pool that it is a node of.")] = None,
    kind: Annotated[str | None, typer.Option(metavar="|".join(upstreams.KINDS), help="Which wire it speaks.")] = None,
    node: Nodes = None,
    data_dir: DataDir = DATA_DIR,
    database_url: DatabaseUrl = None,
) -> None:
    """Change where an upstream is, which wire it speaks, or which pool it is a node of; the rest stays."""
    database = database_at(data_dir, database_url)
    before = read(database, lambda session: upstreams.find_upstream(session, upstream))
    settings = upstreams.UpstreamSettings(
        pool=pool or before.pool, kind=_kind(kind or before.kind), base_url=url or before.base_url
    )
    engine_pools = {DEFAULT_POOL, *parse_nodes(node or [])}
    changed = change(
        database,
        lambda session, actor: upstreams.update_upstream(
            session, actor, upstream, settings, engine_pools=engine_pools, version=before.version
        ),
    )
    print(f"Upstream {changed.id} is {changed.base_url}, a node of the pool '{changed.pool}'.")


@app.command("set-key")
def set_key(
    upstream: Id,
    key_file: KeyFile = None,
    none: Annotated[bool, typer.Option("--none", help="It needs no key any more.")] = False,
    secret_key: SecretKey = None,
    data_dir: DataDir = DATA_DIR,
    database_url: DatabaseUrl = None,
) -> None:
    """Send another API key to an upstream from now on."""
    given = _key(key_file)
    if (given is None) != none:
        raise typer.BadParameter("give the key by --key-file or SHOAL_UPSTREAM_KEY, or else say --none")
    sealer = _sealer(data_dir, database_url, secret_key) if given is not None else None
    changed = change(
        database_at(data_dir, database_url),
        lambda session, actor: upstreams.set_upstream_key(session, actor, upstream, given, sealer),
    )
    print(f"Upstream {changed.id} is sent {'another' if changed.has_key else 'no'} key from now on.")


@app.command()
def remove(upstream: Id, data_dir: DataDir = DATA_DIR, database_url: DatabaseUrl = None) -> None:
    """Forget an upstream and its key; models of its pool stay registered."""
    removed = change(
        database_at(data_dir, database_url),
        lambda session, actor: upstreams.remove_upstream(session, actor, upstream),
    )
    print(f"Upstream {removed.id} is no node of the pool '{removed.pool}' any more.")


@app.command()
def rekey(
    new_secret_key_file: Annotated[
        Path,
        typer.Option("--new-secret-key-file", metavar="FILE", help="A file with the new secret; - for standard input."),
    ],
    secret_key: SecretKey = None,
    data_dir: DataDir = DATA_DIR,
    database_url: DatabaseUrl = None,
) -> None:
    """Encrypt all keys with another secret key; then start the gateways anew with that one as SHOAL_SECRET_KEY."""
    chosen = parse_session_key(_read(new_secret_key_file))
    old, new = _sealer(data_dir, database_url, secret_key), Sealer(secret_key_from(chosen))
    count = change(
        database_at(data_dir, database_url),
        lambda session, actor: upstreams.seal_anew(session, actor, old, new),
    )
    print(f"Keys encrypted with the new secret key: {count}. Start every gateway anew with SHOAL_SECRET_KEY set to it.")


async def _look(new: upstreams.NewUpstream, allowed: list[str], sealer: Sealer | None) -> Found:
    async with upstream_transport(allowed) as transport:
        return await look(new, transport, sealer)


def _tell(found: Found) -> None:
    if found.problem is not None:
        print(f"{found.problem}\nTo register it all the same, say --no-check.", file=sys.stderr)
        raise typer.Exit(1)
    shown = ", ".join(found.models[:10]) + (f" and {len(found.models) - 10} more" if len(found.models) > 10 else "")
    print(f"It is there and accepts what it was given. Its models: {shown or 'it names none'}.", file=sys.stderr)


def _kind(text: str) -> upstreams.Kind:
    for known in upstreams.KINDS:
        if known == text:
            return known
    raise typer.BadParameter(f"{text!r} is none of {', '.join(upstreams.KINDS)}.", param_hint="--kind")


def _key(file: Path | None) -> str | None:
    """The API key: of the file, of standard input, or of the variable. No argument: those all users can read."""
    return _read(file) if file is not None else upstream_key()


def _sealer(data_dir: Path, database_url: str | None, secret_key: str | None) -> Sealer:
    """What the gateways of this database will open it with."""
    if secret_key is not None:
        return Sealer(secret_key_from(secret_key))
    if database_url is not None and not (data_dir / "secret.key").exists():
        raise typer.BadParameter("say the secret key of the gateways that use this database", param_hint="--secret-key")
    return Sealer(DataFolder.at(data_dir).secret_key())


def _read(file: Path) -> str:
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{file} can not be read: {error}") from None
    return text.strip()
