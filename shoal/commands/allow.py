"""`shoal allow`: add, remove, list."""

import sys
from typing import Annotated

import typer

from gateway.services.register import grants
from shoal.database import change, read
from shoal.options.shared import DATA_DIR, AsJson, DatabaseUrl, DataDir, KeyId, TenantName
from shoal.options.values import database_at
from shoal.printing import command, print_json, print_table

app = typer.Typer(
    no_args_is_help=True, help="Which models a tenant may use. Nothing, unless it is allowed; denials win."
)

Pattern = Annotated[
    str,
    typer.Argument(metavar="PATTERN", help="Model ids or aliases; * is any run of characters, ? any one. Quote it."),
]


@app.command()
def add(
    pattern: Pattern,
    tenant: TenantName,
    deny: Annotated[bool, typer.Option("--deny", help="Forbid these models, whatever else allows them.")] = False,
    key: KeyId = None,
    data_dir: DataDir = DATA_DIR,
    database_url: DatabaseUrl = None,
) -> None:
    """Allow models to a tenant; with --key, narrow one of its keys to them."""
    grant = change(
        database_at(data_dir, database_url),
        lambda session, actor: grants.add_grant(session, actor, tenant, pattern, deny=deny, key=key),
    )
    verb = "may not use" if grant.deny else "may use"
    print(f"{_subject(tenant, grant.key_id)} {verb} the models {grant.pattern!r}.")
    if not grant.deny and grant.key_id is None:
        print("A key for it, if it has none yet:\n  " + command("key create --tenant {}", tenant, data_dir=data_dir))


@app.command()
def remove(
    pattern: Pattern,
    tenant: TenantName,
    key: KeyId = None,
    data_dir: DataDir = DATA_DIR,
    database_url: DatabaseUrl = None,
) -> None:
    """Forget a pattern, whether it allowed or denied."""
    removed = change(
        database_at(data_dir, database_url),
        lambda session, actor: grants.remove_grant(session, actor, tenant, pattern, key=key),
    )
    grant = removed.grant
    print(
        f"{_subject(tenant, grant.key_id)} no longer has the {'denial' if grant.deny else 'grant'} {grant.pattern!r}."
    )
    if removed.widened:
        print(
            f"Warning: that was the last pattern that API key {grant.key_id} was kept to. It may now use all models of "
            "its tenant that it is not denied. To stop it instead:\n  "
            + command("key revoke {}", str(grant.key_id), data_dir=data_dir),
            file=sys.stderr,
        )


@app.command("list")
def list_(
    tenant: TenantName, as_json: AsJson = False, data_dir: DataDir = DATA_DIR, database_url: DatabaseUrl = None
) -> None:
    """Show what a tenant and its keys may use."""
    found = read(database_at(data_dir, database_url), lambda session: grants.list_grants(session, tenant))
    if as_json:
        print_json(found)
        return
    rows = [(row.pattern, "deny" if row.deny else "allow", row.key_id or "all") for row in found]
    print_table(("models", "effect", "key"), rows)


def _subject(tenant: str, key_id: str | None) -> str:
    return f"Tenant '{tenant}'" if key_id is None else f"API key {key_id} of tenant '{tenant}'"
