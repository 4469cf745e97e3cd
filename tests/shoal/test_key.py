import re
from datetime import UTC, datetime, timedelta

import pytest

from gateway.services.keys import parse_key


@pytest.fixture(autouse=True)
def tenant(shoal) -> None:
    shoal("tenant", "create", "acme")


def test_json_gives_the_id_and_the_key_once(shoal) -> None:
    made = shoal("key", "create", "--tenant", "acme", "--name", "ci", "--json").json
    assert parse_key(made["key"])[0] == made["id"]
    assert made["name"] == "ci"
    listed = shoal("key", "list", "--tenant", "acme", "--json")
    assert [key["id"] for key in listed.json] == [made["id"]]
    assert parse_key(made["key"])[1] not in listed.out


def test_people_see_the_key_and_what_is_still_missing(shoal) -> None:
    done = shoal("key", "create", "--tenant", "acme")
    [key] = re.findall(r"sk-shoal-\S+", done.out)
    assert parse_key(key) is not None
    assert "not shown again" in done.out
    assert "The tenant may use no model yet" in done.out
    assert "shoal allow add '*' --tenant acme" in done.out
    assert f"shoal key revoke {parse_key(key)[0]}" in done.out
    shoal("allow", "add", "*", "--tenant", "acme")
    assert "no model yet" not in shoal("key", "create", "--tenant", "acme").out


def test_a_key_ends_when_it_was_said(shoal) -> None:
    made = shoal("key", "create", "--tenant", "acme", "--expires", "30d", "--json").json
    left = datetime.fromisoformat(made["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=29, hours=23) < left <= timedelta(days=30)
    assert "until 2999-01-01 00:00 UTC" in shoal("key", "create", "--tenant", "acme", "--expires", "2998-12-31").out


def test_revoking_is_seen_in_the_list(shoal) -> None:
    made = shoal("key", "create", "--tenant", "acme", "--json").json
    assert shoal("key", "revoke", made["id"]).out == f"API key {made['id']} ('default') is revoked.\n"
    assert shoal("key", "list", "--tenant", "acme").rows[1][:3] == [made["id"], "default", "revoked"]


def test_what_can_not_be_done_is_one_sentence(refused) -> None:
    assert "No tenant is called 'nobody'" in refused("key", "create", "--tenant", "nobody")
    assert "'soon' is no expiry" in refused("key", "create", "--tenant", "acme", "--expires", "soon")
    assert "expired from the start" in refused("key", "create", "--tenant", "acme", "--expires", "2020-01-01")
    assert "No API key has the id 'abcdefghijkl'" in refused("key", "revoke", "abcdefghijkl")


def test_a_tenant_must_be_named(run, data_dir) -> None:
    done = run("key", "create", "--data-dir", str(data_dir))
    assert done.code == 2
    assert "--tenant" in done.err
