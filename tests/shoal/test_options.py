from pathlib import Path

import pytest
import typer

from shoal.options.values import (
    checked_redis_url,
    database_at,
    parse_bytes,
    parse_network,
    parse_nodes,
    parse_pool_patience,
    parse_public_url,
    parse_session_key,
)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4GiB", 4 * 1024**3),
        ("500MiB", 500 * 1024**2),
        ("500mib", 500 * 1024**2),
        ("1.5 GB", 1_500_000_000),
        ("64KB", 64_000),
        ("2TiB", 2 * 1024**4),
        ("1000000", 1_000_000),
        ("7B", 7),
        (1234, 1234),
    ],
)
def test_a_size_is_a_number_with_or_without_a_unit(text, size) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "4 gigs", "GiB", "-1GiB", "4GiBB", "1e9", "0", "0.1B", "4GiB 4GiB"])
def test_what_is_no_size_is_refused(text) -> None:
    with pytest.raises(typer.BadParameter, match="size"):
        parse_bytes(text)


def test_nodes_are_grouped_by_pool() -> None:
    nodes = ["http://10.0.0.1:9000/", "l4=https://l4-0:9000", "http://10.0.0.2:9000", "l4=https://l4-1:9000"]
    assert parse_nodes(nodes) == {
        "default": ("http://10.0.0.1:9000", "http://10.0.0.2:9000"),
        "l4": ("https://l4-0:9000", "https://l4-1:9000"),
    }


@pytest.mark.parametrize(
    "text",
    [
        "10.0.0.1:9000",
        "ftp://x",
        "http://",
        "l4=",
        "http://x/path",
        "http://x?y=z",
        "http://a b",
        "dns+x:1",
        "l4=dns+ftp://x",
    ],
)
def test_what_is_no_address_of_a_node_is_refused(text) -> None:
    with pytest.raises(typer.BadParameter, match="is no address of a node"):
        parse_nodes([text])


def test_a_pool_may_be_all_addresses_of_a_name() -> None:
    assert parse_nodes(["dns+http://engines:9000", "l4=dns+https://l4.svc:9000/"]) == {
        "default": ("dns+http://engines:9000",),
        "l4": ("dns+https://l4.svc:9000",),
    }


def test_the_patience_of_one_pool_may_be_another() -> None:
    assert parse_pool_patience([]) == (15.0, {})
    assert parse_pool_patience(["gpu=120", "30", "cpu=0.5"]) == (30.0, {"gpu": 120.0, "cpu": 0.5})


@pytest.mark.parametrize("text", ["", "gpu=", "=3", "-1", "gpu", "1e3", "nan"])
def test_what_is_no_patience_is_refused(text) -> None:
    with pytest.raises(typer.BadParameter, match="is no time"):
        parse_pool_patience([text])


def test_a_public_url_is_scheme_and_host() -> None:
    assert parse_public_url("https://shoal.example.org/") == "https://shoal.example.org"
    assert parse_public_url("http://10.0.0.1:8443") == "http://10.0.0.1:8443"


@pytest.mark.parametrize(
    "text", ["shoal.example.org", "ftp://x", "https://", "https://x/admin", "https://a@b", "https://x?y", "https://a b"]
)
def test_what_is_no_public_url_is_refused(text) -> None:
    with pytest.raises(typer.BadParameter, match="is no address"):
        parse_public_url(text)


@pytest.mark.parametrize("text", ["10.0.0.0/33", "proxy.example.org", "", "*"])
def test_what_is_no_network_is_refused(text) -> None:
    with pytest.raises(typer.BadParameter, match="is no network"):
        parse_network(text)


def test_a_short_session_key_is_refused_and_not_repeated() -> None:
    with pytest.raises(typer.BadParameter) as refused:
        parse_session_key("hunter2" * 4)
    assert "hunter2" not in str(refused.value)
    assert parse_session_key("x" * 32) == "x" * 32


@pytest.mark.parametrize("command", ["serve", "gateway"])
def test_several_workers_without_redis_are_refused_in_one_sentence(refused, command) -> None:
    node = ("--node", "http://127.0.0.1:9") if command == "gateway" else ()
    sentence = refused(command, "--workers", "2", *node)
    assert "--redis-url" in sentence
    assert "--workers" in sentence


def test_a_database_url_wins_over_the_data_folder() -> None:
    assert database_at(Path("/x"), "postgresql://host/name") == "postgresql://host/name"
    assert database_at(Path("/x"), None) == "sqlite+aiosqlite:////x/shoal.db"


def test_options_come_from_variables_too(run, monkeypatch, data_dir) -> None:
    monkeypatch.setenv("SHOAL_DATA_DIR", str(data_dir))
    monkeypatch.setenv("SHOAL_TENANT", "acme")
    monkeypatch.setenv("SHOAL_QUOTA_SET_RPM", "7")
    assert run("tenant", "create", "acme").code == 0
    assert run("quota", "set").code == 0
    assert run("quota", "show", "--json").json[0]["amount"] == 7


def test_what_is_no_redis_is_refused_at_the_start_without_repeating_its_password():
    assert checked_redis_url(None) is None
    assert checked_redis_url("rediss://:hunter2@cache/1") == "rediss://:hunter2@cache/1"
    with pytest.raises(typer.BadParameter, match="write it like redis://") as caught:
        checked_redis_url("http://:hunter2@cache")
    assert "hunter2" not in str(caught.value)
