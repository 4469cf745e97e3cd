"""`shoal key`: create, list, update, rotate, revoke."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer
from msgspec import UNSET
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.services.register import grants, keys
from gateway.services.register.audit import Actor
from gateway.services.register.rotation import parse_overlap, rotate_key
from shoal.database import change, read
from shoal.options.shared import DATA_DIR, AsJson, DatabaseUrl, DataDir, TenantName
from shoal.options.values import database_at
from shoal.printing import command, print_json, print_table, shown

app = typer.Typer(no_args_is_help=True, add_completion=False, help="API keys, the credentials of tenants.")

KeyName = Annotated[str, typer.Argument(metavar="ID", help="The key's id, or the whole key.")]
SCOPE = typer.Option("--scope", metavar="|".join(keys.SCOPES), help="Keep it to this use; several by repeating it.")
EVERYTHING = "all"
NEVER = "never"


@app.command()
def create(
    tenant: TenantName,
    name: Annotated[str, typer.Option(help="What the key is for.")] = "default",
    expires: Annotated[
        str | None, typer.Option(metavar="30d|DATE", help="When the key ends: 12h, 30d, 2w, 1y or a date (UTC).")
    ] = None,
    scope: Annotated[list[str] | None, SCOPE] = None,
    as_json: AsJson = False,
    data_dir: DataDir = DATA_DIR,
    database_url: DatabaseUrl = None,
) -> None:
    """Make an API key. It is shown once, now; only a hash of it is kept."""
    expires_at = None if expires is None else keys.parse_expiry(expires, datetime.now(UTC))

    async def work(session: AsyncSession, actor: Actor) -> tuple[keys.CreatedKey, Sequence[grants.GrantInfo]]:
        created = await keys.create_key(session, actor, tenant, name=name, expires_at=expires_at, scopes=scope or None)
        return created, await grants.list_grants(session, tenant)

    created, granted = change(database_at(data_dir, database_url), work)
    if as_json:
        print_json(created)
        return
    until = f", until {shown(created.expires_at)}" if created.expires_at else ""
    print(f"API key '{created.name}' of tenant '{tenant}'{until}. Copy it now, it is not shown again:")
    print(f"\n  {created.key}\n")
    if not any(not grant.deny for grant in granted):
        print("The tenant may use no model yet. To let it use all of them:")
        print("  " + command("allow add {} --tenant {}", "*", tenant, data_dir=data_dir))
    print("To take the key back:")
    print("  " + command("key revoke {}", created.id, data_dir=data_dir))


@app.command("list")
def list_(
    tenant: TenantName, as_json: AsJson = False, data_dir: DataDir = DATA_DIR, database_url: DatabaseUrl = None
) -> None:
    """Show a tenant's API keys, without their secrets."""
    found = read(database_at(data_dir, database_url), lambda session: keys.list_keys(session, tenant))
    if as_json:
        print_json(found)
        return
    now = datetime.now(UTC)
    rows = [
        (row.id, row.name, row.state(now), row.scopes or EVERYTHING, row.created_at, row.expires_at, row.last_used_at)
        for row in found
    ]
    print_table(("id", "name", "state", "scopes", "created", "expires", "last used"), rows)


@app.command()
def update(
    key: KeyName,
    name: Annotated[str | None, typer.Option(help="What the key is for.")] = None,
    expires: Annotated[
        str | None, typer.Option(metavar=f"30d|DATE|{NEVER}", help="When the key ends, counted from now.")
    ] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            "--scope",
            metavar="|".join((*keys.SCOPES, EVERYTHING)),
            help=f"Keep it to these uses instead; several by repeating it, '{EVERYTHING}' for no bounds.",
        ),
    ] = None,
    data_dir: DataDir = DATA_DIR,
    database_url: DatabaseUrl = None,
) -> None:
    """Change an API key's name, end or scopes; what is not named stays. In force within two seconds."""
    if name is None and expires is None and not scope:
        raise typer.BadParameter("say what to change: --name, --expires or --scope.")
    ends = UNSET if expires is None else None if expires == NEVER else keys.parse_expiry(expires, datetime.now(UTC))
    scopes = UNSET if not scope else None if scope == [EVERYTHING] else scope
    found = change(
        database_at(data_dir, database_url),
        lambda session, actor: keys.update_key(session, actor, key, name=name, expires_at=ends, scopes=scopes),
    )
    until = f", until {shown(found.expires_at)}" if found.expires_at else ""
    print(f"API key {found.id} ('{found.name}') is good for {', '.join(found.scopes or ('everything',))}{until}.")


@app.command()
def rotate(
    key: KeyName,
    overlap: Annotated[
        str, typer.Option(metavar="24h|0", help="For how long the old key still works; 0 ends it at once.")
    ] = "24h",
    expires: Annotated[
        str | None,
        typer.Option(metavar="30d|DATE", help="When the new key ends; else it has as long as the old one was given."),
    ] = None,
    as_json: AsJson = False,
    data_dir: DataDir = DATA_DIR,
    database_url: DatabaseUrl = None,
) -> None:
    """Make a key in the place of another: same name, scopes, models and limits, which both share while both work."""
    ends = None if expires is None else keys.parse_expiry(expires, datetime.now(UTC))
    rotation = change(
        database_at(data_dir, database_url),
        lambda session, actor: rotate_key(session, actor, key, overlap=parse_overlap(overlap), expires_at=ends),
    )
    if as_json:
        print_json(rotation)
        return
    until = f", until {shown(rotation.key.expires_at)}" if rotation.key.expires_at else ""
    print(f"API key '{rotation.key.name}'{until}, in the place of {rotation.old}. Copy it now, it is not shown again:")
    print(f"\n  {rotation.key.key}\n")
    print(f"The old one ends {'now' if overlap == '0' else 'at ' + shown(rotation.old_ends_at)}.")


@app.command()
def revoke(key: KeyName, data_dir: DataDir = DATA_DIR, database_url: DatabaseUrl = None) -> None:
    """Refuse an API key, within two seconds and for ever."""
    revoked = change(database_at(data_dir, database_url), lambda session, actor: keys.revoke_key(session, actor, key))
    print(f"API key {revoked.id} ('{revoked.name}') is revoked.")
