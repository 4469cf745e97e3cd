import json

import pytest
import typer
from typer.testing import CliRunner

from shoal.commands.bench import bench
from shoal.failures import StartFailure

SHORT = (
    "--key",
    "sk-shoal-abc-secret",
    "--model",
    "some/model",
    "--duration",
    "0.2",
    "--connections",
    "2",
    "--batch",
    "3",
)


def run(*arguments: str):
    app = typer.Typer()
    app.command()(bench)
    return CliRunner().invoke(app, [*arguments, *SHORT])


def test_json_is_one_object_with_what_was_asked_and_what_came(toy_server):
    toy = toy_server()
    done = run(toy.url, "--json")
    assert done.exit_code == 0, done.output
    outcome = json.loads(done.stdout)
    assert (outcome["url"], outcome["model"], outcome["batch"]) == (toy.url, "some/model", 3)
    assert outcome["measured"]["connections"] == 2
    assert outcome["measured"]["requests"] > 0
    assert outcome["measured"]["latency_ms"]["p50"] > 0
    assert len(json.loads(toy.requests[0].partition(b"\r\n\r\n")[2])["input"]) == 3


def test_people_get_a_table_without_the_key(toy_server):
    done = run(toy_server().url)
    assert done.exit_code == 0, done.output
    for name in ("tokens/s", "texts/s", "requests/s", "latency", "p99", "errors"):
        assert name in done.stdout
    assert "secret" not in done.output


def test_the_key_may_come_from_the_environment(toy_server):
    toy = toy_server()
    app = typer.Typer()
    app.command()(bench)
    done = CliRunner().invoke(app, [toy.url, "--duration", "0.1"], env={"SHOAL_API_KEY": "sk-shoal-abc-secret"})
    assert done.exit_code == 0, done.output
    assert b"authorization: Bearer sk-shoal-abc-secret\r\n" in toy.requests[0]


def test_a_measurement_in_which_nothing_was_served_fails(toy_server):
    done = run(toy_server(lambda number: "busy" if number else "ok").url)
    assert done.exit_code == 1
    assert "429" in done.stdout


def test_a_server_that_is_not_there_is_said_in_one_sentence():
    failure = run("http://127.0.0.1:1").exception
    assert isinstance(failure, StartFailure)
    assert str(failure).startswith("Nothing answers at")


@pytest.mark.parametrize("option", ["--connections", "--batch", "--duration"])
def test_nonsense_numbers_are_refused(option):
    app = typer.Typer()
    app.command()(bench)
    done = CliRunner().invoke(app, ["http://127.0.0.1:1", "--key", "k", option, "0"])
    assert done.exit_code == 2
