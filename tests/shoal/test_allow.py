import pytest


@pytest.fixture
def key(shoal) -> str:
    shoal("tenant", "create", "acme")
    return shoal("key", "create", "--tenant", "acme", "--json").json["id"]


def test_patterns_are_added_listed_and_removed(shoal, key) -> None:
    assert shoal("allow", "add", "org/*", "--tenant", "acme").out.startswith(
        "Tenant 'acme' may use the models 'org/*'.\n"
    )
    assert "may not use" in shoal("allow", "add", "org/secret", "--deny", "--tenant", "acme").out
    assert (
        f"API key {key} of tenant 'acme' may use"
        in shoal("allow", "add", "org/m", "--tenant", "acme", "--key", key).out
    )
    assert shoal("allow", "list", "--tenant", "acme").rows == [
        ["models", "effect", "key"],
        ["org/*", "allow", "all"],
        ["org/secret", "deny", "all"],
        ["org/m", "allow", key],
    ]
    assert "no longer has the denial 'org/secret'" in shoal("allow", "remove", "org/secret", "--tenant", "acme").out
    shoal("allow", "remove", "org/m", "--tenant", "acme", "--key", key)
    assert [grant["pattern"] for grant in shoal("allow", "list", "--tenant", "acme", "--json").json] == ["org/*"]


def test_what_can_not_be_done_is_one_sentence(refused, key) -> None:
    assert "'a b' is no pattern of models" in refused("allow", "add", "a b", "--tenant", "acme")
    assert "has no grant 'org/*'; see: shoal allow list" in refused("allow", "remove", "org/*", "--tenant", "acme")
    assert "No tenant is called 'nobody'" in refused("allow", "list", "--tenant", "nobody")
    assert "No API key has the id" in refused("allow", "add", "*", "--tenant", "acme", "--key", "abcdefghijkl")


def test_a_key_that_is_widened_by_a_removal_is_warned_of(shoal, key) -> None:
    for pattern in ("org/a", "org/b"):
        shoal("allow", "add", pattern, "--tenant", "acme", "--key", key)
    assert shoal("allow", "remove", "org/a", "--tenant", "acme", "--key", key).err == ""
    warned = shoal("allow", "remove", "org/b", "--tenant", "acme", "--key", key)
    assert f"Warning: that was the last pattern that API key {key} was kept to." in warned.err
    assert f"shoal key revoke {key}" in warned.err
