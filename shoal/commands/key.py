"""`shoal key`: create, list, revoke."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.services import grants, keys
from gateway.services.audit import Actor
from shoal.database import change, read
from shoal.options import DATA_DIR, AsJson, DatabaseUrl, DataDir, TenantName, database_at
from shoal.printing import command, print_json, print_table, shown

app = typer.Typer(no_args_is_help=True, add_completion=False, help="API keys, the credentials of tenants.")


@app.command()
def create(
    tenant: TenantName,
    name: Annotated[str, typer.Option(help="What the key is for.")] = "default",
    expires: Annotated[
        str | None, typer.Option(metavar="30d|DATE", help="When the key ends: 12h, 30d, 2w, 1y or a date (UTC).")
    ] = None,
    as_json: AsJson = False,
    data_dir: DataDir = DATA_DIR,
    database_url: DatabaseUrl = None,
) -> None:
    """Make an API key. It is shown once, now; only a hash of it is kept."""
    expires_at = None if expires is None else keys.parse_expiry(expires, datetime.now(UTC))

    async def work(session: AsyncSession, actor: Actor) -> tuple[keys.CreatedKey, Sequence[grants.GrantInfo]]:
        created = await keys.create_key(session, actor, tenant, name=name, expires_at=expires_at)
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
    rows = [(row.id, row.name, row.state(now), row.created_at, row.expires_at, row.last_used_at) for row in found]
    print_table(("id", "name", "state", "created", "expires", "last used"), rows)


@app.command()
def revoke(
    key: Annotated[str, typer.Argument(metavar="ID", help="The key's id, or the whole key.")],
    data_dir: DataDir = DATA_DIR,
    database_url: DatabaseUrl = None,
) -> None:
    """Refuse an API key, within two seconds and for ever."""
    revoked = change(database_at(data_dir, database_url), lambda session, actor: keys.revoke_key(session, actor, key))
    print(f"API key {revoked.id} ('{revoked.name}') is revoked.")
