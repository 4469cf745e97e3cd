from pathlib import Path

import pytest
import typer

from shoal.options import database_at, parse_bytes, parse_nodes


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
    "text", ["10.0.0.1:9000", "ftp://x", "http://", "l4=", "http://x/path", "http://x?y=z", "http://a b"]
)
def test_what_is_no_address_of_a_node_is_refused(text) -> None:
    with pytest.raises(typer.BadParameter, match="is no address of a node"):
        parse_nodes([text])


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
