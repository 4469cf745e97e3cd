"""`shoal tenant`: create, list, suspend, resume."""

from typing import Annotated

import typer

from gateway.services import tenants
from shoal.database import change, read
from shoal.options import DATA_DIR, AsJson, DatabaseUrl, DataDir, database_at
from shoal.printing import command, print_json, print_table

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Tenants, the customers of this installation.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The tenant's name.")]
NameOrId = Annotated[str, typer.Argument(metavar="TENANT", help="The tenant, by name or id.")]


@app.command()
def create(name: Name, as_json: AsJson = False, data_dir: DataDir = DATA_DIR, database_url: DatabaseUrl = None) -> None:
    """Make a tenant. It may use nothing until it has a key and is allowed some models."""
    tenant = change(
        database_at(data_dir, database_url), lambda session, actor: tenants.create_tenant(session, actor, name)
    )
    if as_json:
        print_json(tenant)
        return
    print(f"Tenant '{tenant.name}' ({tenant.id}) is there. Next, let it use models, and give it a key:")
    print("  " + command("allow add {} --tenant {}", "*", tenant.name, data_dir=data_dir))
    print("  " + command("key create --tenant {}", tenant.name, data_dir=data_dir))


@app.command("list")
def list_(as_json: AsJson = False, data_dir: DataDir = DATA_DIR, database_url: DatabaseUrl = None) -> None:
    """Show every tenant."""
    found = read(database_at(data_dir, database_url), tenants.list_tenants)
    if as_json:
        print_json(found)
        return
    rows = [(row.name, row.id, "suspended" if row.suspended_at else "active", row.created_at) for row in found]
    print_table(("tenant", "id", "state", "created"), rows)


@app.command()
def suspend(tenant: NameOrId, data_dir: DataDir = DATA_DIR, database_url: DatabaseUrl = None) -> None:
    """Refuse all of a tenant's requests, within two seconds, until it is resumed."""
    found = change(
        database_at(data_dir, database_url), lambda session, actor: tenants.suspend_tenant(session, actor, tenant)
    )
    print(f"Tenant '{found.name}' is suspended. To serve it again:")
    print("  " + command("tenant resume {}", found.name, data_dir=data_dir))


@app.command()
def resume(tenant: NameOrId, data_dir: DataDir = DATA_DIR, database_url: DatabaseUrl = None) -> None:
    """Serve a suspended tenant again."""
    found = change(
        database_at(data_dir, database_url), lambda session, actor: tenants.resume_tenant(session, actor, tenant)
    )
    print(f"Tenant '{found.name}' is served again.")
