"""What an operator may say of the engine node, on its own or as part of `serve`."""

import pytest

from shoal.cli import load
from shoal.commands.engine import is_loopback
from shoal.own_engine import EngineOptions

OPTIONS = {
    "--memory-budget": ("SHOAL_MEMORY_BUDGET", "memory_budget", "500MiB", 500 * 2**20),
    "--host-budget": ("SHOAL_HOST_BUDGET", "host_budget", "2GiB", 2 * 2**30),
    "--idle-timeout": ("SHOAL_IDLE_TIMEOUT", "idle_timeout", "300", 300.0),
    "--load-timeout": ("SHOAL_LOAD_TIMEOUT", "load_timeout", "60", 60.0),
    "--eviction": ("SHOAL_EVICTION", "eviction", "gdsf", "gdsf"),
    "--bulk-share": ("SHOAL_BULK_SHARE", "bulk_share", "0.2", 0.2),
    "--threads": ("SHOAL_THREADS", "threads", "2", 2),
}


def parsed(command, *words):
    """The values that a command would be called with."""
    return load(f"shoal.commands.{command}:{command}").make_context(command, list(words)).params


@pytest.mark.parametrize("command", ["engine", "serve"])
@pytest.mark.parametrize("option", OPTIONS)
def test_each_option_can_be_said_as_a_word_or_as_a_variable(command, option, monkeypatch) -> None:
    variable, name, text, value = OPTIONS[option]
    assert parsed(command, option, text)[name] == value
    monkeypatch.setenv(variable, text)
    assert parsed(command)[name] == value


def test_serve_hands_them_to_its_engine() -> None:
    given = {name: value for _, name, _, value in OPTIONS.values()}
    words = EngineOptions(device="cpu", **given).command(9000, 5.0)
    at = words.index("engine")
    understood = parsed("engine", *words[at + 1 :])
    assert {name: understood[name] for name in given} == given
    assert (understood["device"], understood["port"], understood["grace_period"]) == ("cpu", 9000, 5.0)


def test_serve_leaves_to_the_engine_what_nobody_said() -> None:
    options = parsed("serve")
    said = {name: options[name] for name in EngineOptions.__dataclass_fields__}
    words = EngineOptions(**said).command(9000, 30.0)
    assert "--memory-budget" not in words
    assert "--host-budget" not in words
    assert "--idle-timeout" not in words


def test_no_host_tier_is_a_choice_too() -> None:
    assert parsed("engine", "--host-budget", "0")["host_budget"] == 0


@pytest.mark.parametrize(
    "words",
    [
        ("--host-budget", "lots"),
        ("--idle-timeout", "0"),
        ("--load-timeout", "-1"),
        ("--eviction", "random"),
        ("--bulk-share", "0"),
        ("--bulk-share", "1"),
        ("--bulk-share", "a tenth"),
        ("--eviction", "fifo"),
    ],
)
def test_what_means_nothing_is_refused(run, words) -> None:
    done = run("engine", *words)
    assert done.code == 2
    assert words[0] in done.err


@pytest.mark.parametrize(
    "host",
    ["0.0.0.0", "::", "10.0.0.7", "127.example.org", "127.0.0.1.example.org", "localhost.example.org", "::1234", ""],
)
def test_a_node_that_others_reach_does_not_start_without_a_secret(run, host) -> None:
    for words in (("--host", host), ("--host", host, "--engine-secret", "")):
        done = run("engine", *words)
        assert done.code == 1
        assert "give it and its gateways a secret" in done.err


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.53", "::1", "localhost"])
def test_what_only_this_machine_reaches_needs_none(host) -> None:
    assert is_loopback(host)
