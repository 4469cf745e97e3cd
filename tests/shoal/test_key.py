import re
from datetime import UTC, datetime, timedelta

import pytest

from gateway.services.register.keys import parse_key


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


def test_a_key_is_kept_to_scopes_and_freed_again(shoal, refused) -> None:
    made = shoal("key", "create", "--tenant", "acme", "--scope", "rerank", "--scope", "embeddings", "--json").json
    assert made["scopes"] == ["embeddings", "rerank"]
    assert shoal("key", "list", "--tenant", "acme").rows[1][3] == "embeddings, rerank"
    assert "good for models." in shoal("key", "update", made["id"], "--scope", "models").out
    assert "good for everything." in shoal("key", "update", made["id"], "--scope", "all").out
    assert shoal("key", "list", "--tenant", "acme").rows[1][3] == "all"
    assert "'fly' is no scope of a key" in refused("key", "update", made["id"], "--scope", "fly")


def test_a_key_is_renamed_and_given_another_end(shoal, run, data_dir) -> None:
    made = shoal("key", "create", "--tenant", "acme", "--json").json
    done = shoal("key", "update", made["id"], "--name", "ci", "--expires", "2998-12-31")
    assert done.out == f"API key {made['id']} ('ci') is good for everything, until 2999-01-01 00:00 UTC.\n"
    assert "until" not in shoal("key", "update", made["id"], "--expires", "never").out
    [listed] = shoal("key", "list", "--tenant", "acme", "--json").json
    assert (listed["name"], listed["expires_at"], listed["version"]) == ("ci", None, 3)
    assert run("key", "update", made["id"], "--data-dir", str(data_dir)).code == 2


def test_a_key_is_rotated_and_the_new_one_shown_once(shoal, refused) -> None:
    old = shoal("key", "create", "--tenant", "acme", "--name", "ci", "--json").json
    done = shoal("key", "rotate", old["id"], "--overlap", "48h")
    [key] = re.findall(r"sk-shoal-\S+", done.out)
    assert f"API key 'ci', in the place of {old['id']}. Copy it now" in done.out
    new = parse_key(key)[0]
    listed = {row["id"]: row for row in shoal("key", "list", "--tenant", "acme", "--json").json}
    left = datetime.fromisoformat(listed[old["id"]]["expires_at"]) - datetime.now(UTC)
    assert timedelta(hours=47) < left <= timedelta(hours=48)
    assert listed[new]["lineage"] == listed[old["id"]]["lineage"] == old["id"]
    last = shoal("key", "rotate", new, "--overlap", "0", "--json").json
    assert parse_key(last["key"]["key"])[0] == last["key"]["id"]
    assert {row[0]: row[2] for row in shoal("key", "list", "--tenant", "acme").rows[1:]} == {
        old["id"]: "active",
        new: "revoked",
        last["key"]["id"]: "active",
    }
    assert "has ended; create another one" in refused("key", "rotate", new)
    assert "'soon' is no length of time" in refused("key", "rotate", old["id"], "--overlap", "soon")
