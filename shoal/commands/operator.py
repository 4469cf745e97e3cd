"""`shoal operator`: create, list, role, password, remove; `shoal operator token`: create, list, revoke."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from gateway.services.access import operator_tokens, operators
from gateway.services.register.keys import parse_expiry
from shoal.database import change, read
from shoal.options.shared import DATA_DIR, AsJson, DatabaseUrl, DataDir
from shoal.options.values import database_at
from shoal.printing import command, print_json, print_table, shown

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Operators, who sign in to the console and use the admin API."
)
token_app = typer.Typer(no_args_is_help=True, help="Tokens with which programs use the admin API for an operator.")
app.add_typer(token_app, name="token")

Name = Annotated[str, typer.Argument(metavar="NAME", help="What the operator signs in as.")]


@app.command()
def create(
    name: Name,
    role: Annotated[
        str, typer.Option(metavar="|".join(operators.ROLES), help="What the operator may do: all, look, or one tenant.")
    ] = "admin",
    tenant: Annotated[
        str | None, typer.Option("--tenant", metavar="NAME", help="The tenant of a tenant_admin, by name or id.")
    ] = None,
    as_json: AsJson = False,
    data_dir: DataDir = DATA_DIR,
    database_url: DatabaseUrl = None,
) -> None:
    """Make an operator with a random password, which is shown once."""
    created = change(
        database_at(data_dir, database_url),
        lambda session, actor: operators.create_operator(session, actor, name, role=role, tenant=tenant),
    )
    if as_json:
        print_json(created)
        return
    if created.tenant_id is None:
        print(f"Operator '{created.name}' ({created.role}) may sign in at /admin with this password, shown only now:")
        print(f"\n  {created.password}\n")
    else:
        print(f"Operator '{created.name}' ({created.role} of {created.tenant_id}) is there.")
    print("For programs that use the admin API:")
    print("  " + command("operator token create {}", created.name, data_dir=data_dir))


@app.command("list")
def list_(as_json: AsJson = False, data_dir: DataDir = DATA_DIR, database_url: DatabaseUrl = None) -> None:
    """Show every operator."""
    found = read(database_at(data_dir, database_url), operators.list_operators)
    if as_json:
        print_json(found)
        return
    print_table(
        ("operator", "role", "tenant", "created"),
        [(row.name, row.role, row.tenant_id or "all", row.created_at) for row in found],
    )


@app.command()
def role(
    name: Name,
    role: Annotated[str, typer.Argument(metavar="|".join(operators.ROLES), help="What the operator may do.")],
    tenant: Annotated[
        str | None, typer.Option("--tenant", metavar="NAME", help="The tenant of a tenant_admin, by name or id.")
    ] = None,
    as_json: AsJson = False,
    data_dir: DataDir = DATA_DIR,
    database_url: DatabaseUrl = None,
) -> None:
    """Give an operator another role, at once; who is signed in at the console signs in anew."""
    changed = change(
        database_at(data_dir, database_url),
        lambda session, actor: operators.set_role(session, actor, name, role=role, tenant=tenant),
    )
    if as_json:
        print_json(changed)
        return
    of_tenant = "" if changed.tenant_id is None else f" of {changed.tenant_id}"
    print(f"Operator '{changed.name}' is {changed.role}{of_tenant} from now on.")


@app.command()
def password(
    name: Name, as_json: AsJson = False, data_dir: DataDir = DATA_DIR, database_url: DatabaseUrl = None
) -> None:
    """Give an operator a new random password, which is shown once."""
    changed = change(
        database_at(data_dir, database_url), lambda session, actor: operators.set_password(session, actor, name)
    )
    if as_json:
        print_json(changed)
        return
    print(f"Operator '{changed.name}' signs in with this password from now on, shown only now:")
    print(f"\n  {changed.password}")


@app.command()
def remove(name: Name, data_dir: DataDir = DATA_DIR, database_url: DatabaseUrl = None) -> None:
    """Forget an operator and all tokens; who is signed in is out at once."""
    removed = change(
        database_at(data_dir, database_url), lambda session, actor: operators.remove_operator(session, actor, name)
    )
    print(f"Operator '{removed.name}' is removed.")


@token_app.command("create")
def create_token(
    operator: Annotated[str, typer.Argument(metavar="OPERATOR", help="Whom it stands for; it may what they may.")],
    name: Annotated[str, typer.Option(help="What the token is for.")] = "default",
    expires: Annotated[
        str | None, typer.Option(metavar="30d|DATE", help="When it ends: 12h, 30d, 2w, 1y or a date (UTC).")
    ] = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="It may look and change nothing.")] = False,
    as_json: AsJson = False,
    data_dir: DataDir = DATA_DIR,
    database_url: DatabaseUrl = None,
) -> None:
    """Make a token. It is shown once, now; only a hash of it is kept."""
    expires_at = None if expires is None else parse_expiry(expires, datetime.now(UTC))
    created = change(
        database_at(data_dir, database_url),
        lambda session, actor: operator_tokens.create_token(
            session, actor, operator, name=name, expires_at=expires_at, read_only=read_only
        ),
    )
    if as_json:
        print_json(created)
        return
    until = f", until {shown(created.expires_at)}" if created.expires_at else ""
    print(f"Token '{created.name}' of operator '{created.operator}'{until}. Copy it now, it is not shown again:")
    print(f"\n  {created.token}\n")
    print("To take it back:\n  " + command("operator token revoke {}", created.id, data_dir=data_dir))


@token_app.command("list")
def list_tokens(
    operator: Annotated[str | None, typer.Argument(metavar="OPERATOR", help="Whose; without it, everybody's.")] = None,
    as_json: AsJson = False,
    data_dir: DataDir = DATA_DIR,
    database_url: DatabaseUrl = None,
) -> None:
    """Show tokens, without their secrets."""
    found = read(database_at(data_dir, database_url), lambda session: operator_tokens.list_tokens(session, operator))
    if as_json:
        print_json(found)
        return
    now = datetime.now(UTC)
    print_table(
        ("id", "operator", "name", "state", "read only", "created", "expires", "last used"),
        [
            (
                row.id,
                row.operator,
                row.name,
                row.state(now),
                row.read_only,
                row.created_at,
                row.expires_at,
                row.last_used_at,
            )
            for row in found
        ],
    )


@token_app.command("revoke")
def revoke_token(
    token: Annotated[str, typer.Argument(metavar="ID", help="The token's id, or the whole token.")],
    data_dir: DataDir = DATA_DIR,
    database_url: DatabaseUrl = None,
) -> None:
    """Refuse a token, at once and for ever."""
    revoked = change(
        database_at(data_dir, database_url), lambda session, actor: operator_tokens.revoke_token(session, actor, token)
    )
    print(f"Token {revoked.id} ('{revoked.name}' of operator '{revoked.operator}') is revoked.")
