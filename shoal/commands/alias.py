"""`shoal alias`: set, remove, list."""

from typing import Annotated

import typer

from gateway.services.register import aliases
from shoal.database import change, read
from shoal.options.shared import DATA_DIR, AsJson, DatabaseUrl, DataDir, TenantName
from shoal.options.values import database_at
from shoal.printing import print_json, print_table

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="A tenant's own names for models. They win over everybody's names, for that tenant alone.",
)

Alias = Annotated[str, typer.Argument(metavar="ALIAS", help="What the tenant calls the model.")]


@app.command("set")
def set_(
    alias: Alias,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A registered model, by id or alias.")],
    tenant: TenantName,
    data_dir: DataDir = DATA_DIR,
    database_url: DatabaseUrl = None,
) -> None:
    """Let a name mean a model to one tenant. It still may use only the models that it is allowed."""
    found = change(
        database_at(data_dir, database_url),
        lambda session, actor: aliases.set_alias(session, actor, tenant, alias, model),
    )
    print(f"To tenant '{tenant}', '{found.alias}' is the model '{found.model_id}'.")


@app.command()
def remove(alias: Alias, tenant: TenantName, data_dir: DataDir = DATA_DIR, database_url: DatabaseUrl = None) -> None:
    """Forget a tenant's name for a model."""
    found = change(
        database_at(data_dir, database_url), lambda session, actor: aliases.remove_alias(session, actor, tenant, alias)
    )
    print(f"Tenant '{tenant}' no longer calls '{found.model_id}' '{found.alias}'.")


@app.command("list")
def list_(
    tenant: TenantName, as_json: AsJson = False, data_dir: DataDir = DATA_DIR, database_url: DatabaseUrl = None
) -> None:
    """Show a tenant's own names for models."""
    found = read(database_at(data_dir, database_url), lambda session: aliases.list_aliases(session, tenant))
    if as_json:
        print_json(found)
        return
    print_table(("alias", "model"), [(row.alias, row.model_id) for row in found])
