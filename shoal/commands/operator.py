"""`shoal operator`: create."""

from typing import Annotated

import typer

from gateway.services import operators
from shoal.database import change
from shoal.options import DATA_DIR, AsJson, DatabaseUrl, DataDir, database_at
from shoal.printing import print_json

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Operators, the people who sign in to the console.")


@app.callback()
def operator() -> None:
    """Operators, the people who sign in to the console."""


@app.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the operator signs in as.")],
    role: Annotated[str, typer.Option(metavar="|".join(operators.ROLES), help="What the operator may do.")] = "admin",
    as_json: AsJson = False,
    data_dir: DataDir = DATA_DIR,
    database_url: DatabaseUrl = None,
) -> None:
    """Make an operator with a random password, which is shown once."""
    created = change(
        database_at(data_dir, database_url),
        lambda session, actor: operators.create_operator(session, actor, name, role=role),
    )
    if as_json:
        print_json(created)
        return
    print(f"Operator '{created.name}' ({created.role}) may sign in at /admin with this password, shown only now:")
    print(f"\n  {created.password}")
