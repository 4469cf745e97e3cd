"""The `shoal` command: a list of nouns, each in a module of its own that is imported when it is called.

Errors that are meant for people end as one sentence on stderr and status 1, without a traceback.
"""

import importlib
import sys
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from engine.errors import EngineError
from gateway.errors import GatewayError
from shoal import __version__
from shoal.failures import StartFailure
from shoal.first_process import heed_stop


@dataclass(frozen=True, slots=True)
class Command:
    """One word after `shoal`."""

    name: str
    target: str
    """`module:attribute` of a Typer app, or of a function that is the command itself."""
    help: str


COMMANDS = (
    Command(
        "serve", "shoal.commands.serve:serve", "Serve everything on this machine: gateway, console and one engine."
    ),
    Command("gateway", "shoal.commands.gateway:gateway", "Serve the API and the console; engines run elsewhere."),
    Command("engine", "shoal.commands.engine:engine", "Run models on this machine's device for gateways elsewhere."),
    Command("tenant", "shoal.commands.tenant:app", "Tenants: create, list, update, suspend, resume, delete."),
    Command("key", "shoal.commands.key:app", "API keys of a tenant: create, list, update, rotate, revoke."),
    Command("allow", "shoal.commands.allow:app", "Which models a tenant may use: add, remove, list."),
    Command("alias", "shoal.commands.alias:app", "A tenant's own names for models: set, remove, list."),
    Command("quota", "shoal.commands.quota:app", "How much a tenant may use: set, show."),
    Command("model", "shoal.commands.model:app", "Models: add, list, show, load, unload, pin, unpin, remove."),
    Command("node", "shoal.commands.node:app", "Engine nodes: list."),
    Command("upstream", "shoal.commands.upstream:app", "Upstream servers: add, list, set-key, rekey, remove."),
    Command("usage", "shoal.commands.usage:app", "What was used: export."),
    Command(
        "operator",
        "shoal.commands.operator:app",
        "Operators, and tokens for the admin API: create, list, password, remove.",
    ),
    Command("migrate", "shoal.commands.migrate:migrate", "Create the database, or bring it up to this version."),
    Command("bench", "shoal.commands.bench:bench", "Measure how fast a running server answers."),
)


class LazyGroup(TyperGroup):
    """Lists its commands by name and help alone, and imports the one that is called: `--help` is quick."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._targets = {command.name: command.target for command in COMMANDS}
        for command in COMMANDS:
            self.add_command(TyperCommand(command.name, help=command.help))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command itself in place of its stub."""
        name, stub, rest = super().resolve_command(ctx, args)
        return name, stub if name is None else load(self._targets[name]), rest


def load(target: str) -> Any:
    """Import a command."""
    module, _, attribute = target.partition(":")
    found = getattr(importlib.import_module(module), attribute)
    if not isinstance(found, typer.Typer):
        single = typer.Typer(add_completion=False)
        single.command()(found)
        found = single
    return get_command(found)


def print_version(wanted: bool) -> None:
    """`--version`."""
    if wanted:
        print(f"shoal {__version__}")
        raise typer.Exit


app = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    # An option without a variable of its own has one by its place: SHOAL_QUOTA_SET_RPM.
    context_settings={"auto_envvar_prefix": "SHOAL", "help_option_names": ["-h", "--help"]},
)


@app.callback()
def shoal(
    _version: Annotated[
        bool,
        # Variables called SHOAL_VERSION are common in deployments and mean something else.
        typer.Option(
            "--version", callback=print_version, is_eager=True, allow_from_autoenv=False, help="Print the version."
        ),
    ] = False,
) -> None:
    """Serve many small models to many tenants."""


def main() -> None:
    """The entry point."""
    heed_stop()
    try:
        app()
    except (StartFailure, GatewayError, EngineError) as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(1)
