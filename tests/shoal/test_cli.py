import importlib
import subprocess
import sys

import pytest
import typer

from engine.errors import SourceNotFound
from shoal import __version__, cli
from shoal.cli import COMMANDS, load
from shoal.failures import StartFailure


def test_help_lists_every_command_and_imports_none_of_them(run) -> None:
    done = run("--help")
    assert done.code == 0
    for command in COMMANDS:
        assert f" {command.name} " in done.out
        assert command.help.split(":")[0][:30] in done.out


def test_help_is_quick_because_nothing_heavy_is_imported() -> None:
    look = (
        "import sys; sys.argv = ['shoal', '--help']\n"
        "from shoal.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'sqlalchemy', 'sqlmodel', 'alembic', 'litestar', 'torch', 'uvicorn', 'huggingface_hub', 'argon2'}\n"
        "print('HEAVY', heavy & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert "HEAVY set()" in done.stdout


@pytest.mark.parametrize(
    "command", [command for command in COMMANDS if importlib.util.find_spec(command.target.split(":")[0])]
)
def test_every_command_can_be_loaded_and_helps(run, command) -> None:
    assert load(command.target) is not None
    done = run(command.name, "--help")
    assert done.code == 0
    assert "Usage: " in done.out


def test_the_version_is_printed_and_no_variable_asks_for_it(run, monkeypatch) -> None:
    assert run("--version").out == f"shoal {__version__}\n"
    monkeypatch.setenv("SHOAL_VERSION", "1.2.3")
    assert "Usage" in run("--help").out


def test_a_word_that_is_no_command_is_met_with_the_nearest(run) -> None:
    done = run("tenent", "list")
    assert done.code == 2
    assert "Did you mean 'tenant'" in done.err


@pytest.mark.parametrize("error", [StartFailure("The port is taken."), SourceNotFound("The port is taken.")])
def test_an_error_for_people_is_one_sentence_and_status_1(run, monkeypatch, error) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(cli, "load", lambda _: typer.main.get_command(single(fail)))
    done = run("migrate")
    assert (done.code, done.out, done.err) == (1, "", "Error: The port is taken.\n")


def test_a_defect_of_ours_is_not_hidden(run, monkeypatch) -> None:
    def fail() -> None:
        raise KeyError("oops")

    monkeypatch.setattr(cli, "load", lambda _: typer.main.get_command(single(fail)))
    with pytest.raises(KeyError):
        run("migrate")


def single(function) -> typer.Typer:
    app = typer.Typer(add_completion=False)
    app.command()(function)
    return app
