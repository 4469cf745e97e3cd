"""`shoal tenant`: create, list, update, suspend, resume, delete."""

from typing import Annotated

import typer

from gateway.services.register import tenants
from shoal.database import change, read
from shoal.options.shared import DATA_DIR, AsJson, DatabaseUrl, DataDir
from shoal.options.values import database_at
from shoal.printing import command, print_json, print_table

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Tenants, the customers of this installation.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The tenant's name.")]
NameOrId = Annotated[str, typer.Argument(metavar="TENANT", help="The tenant, by name or id.")]
LANE = typer.Option(
    metavar="|".join(tenants.LANES), help="Where its requests wait; from 'bulk' it can not choose the other."
)
WEIGHT = typer.Option(
    metavar=f"{tenants.LEAST_WEIGHT:g}…{tenants.MOST_WEIGHT:g}", help="Its share of a busy node beside other tenants'."
)


@app.command()
def create(
    name: Name,
    lane: Annotated[str, LANE] = "interactive",
    weight: Annotated[float, WEIGHT] = 1.0,
    as_json: AsJson = False,
    data_dir: DataDir = DATA_DIR,
    database_url: DatabaseUrl = None,
) -> None:
    """Make a tenant. It may use nothing until it has a key and is allowed some models."""
    tenant = change(
        database_at(data_dir, database_url),
        lambda session, actor: tenants.create_tenant(session, actor, name, lane=lane, weight=weight),
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
    rows = [
        (row.name, row.id, "suspended" if row.suspended_at else "active", row.lane, f"{row.weight:g}", row.created_at)
        for row in found
    ]
    print_table(("tenant", "id", "state", "lane", "weight", "created"), rows)


@app.command()
def update(
    tenant: NameOrId,
    name: Annotated[str | None, typer.Option(help="What it is called from now on.")] = None,
    lane: Annotated[str | None, LANE] = None,
    weight: Annotated[float | None, WEIGHT] = None,
    data_dir: DataDir = DATA_DIR,
    database_url: DatabaseUrl = None,
) -> None:
    """Change a tenant's name, lane or weight; what is not named stays."""
    if name is None and lane is None and weight is None:
        raise typer.BadParameter("say what to change: --name, --lane or --weight.")
    found = change(
        database_at(data_dir, database_url),
        lambda session, actor: tenants.update_tenant(session, actor, tenant, name=name, lane=lane, weight=weight),
    )
    print(f"Tenant '{found.name}' waits in the lane {found.lane} with weight {found.weight:g}.")


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


@app.command()
def delete(
    tenant: NameOrId,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    data_dir: DataDir = DATA_DIR,
    database_url: DatabaseUrl = None,
) -> None:
    """Forget a tenant with its keys, limits, aliases and operators, for ever. What it used and the audit log stay."""
    if not yes:
        typer.confirm(f"Delete the tenant {tenant!r} with its keys and its own operators, for ever?", abort=True)
    found = change(
        database_at(data_dir, database_url), lambda session, actor: tenants.delete_tenant(session, actor, tenant)
    )
    print(f"Tenant '{found.name}' ({found.id}) is deleted. Its usage is kept under that id.")
