import pytest


@pytest.fixture(autouse=True)
def register(shoal) -> None:
    shoal("tenant", "create", "acme")
    shoal("tenant", "create", "other")
    shoal("model", "add", "org/m", "--alias", "m", "--unchecked")


def test_a_tenants_names_are_set_listed_and_removed(shoal) -> None:
    assert (
        shoal("alias", "set", "mine", "m", "--tenant", "acme").out == "To tenant 'acme', 'mine' is the model 'org/m'.\n"
    )
    assert shoal("alias", "list", "--tenant", "acme").rows == [["alias", "model"], ["mine", "org/m"]]
    [listed] = shoal("alias", "list", "--tenant", "acme", "--json").json
    assert (listed["alias"], listed["model_id"]) == ("mine", "org/m")
    assert shoal("alias", "list", "--tenant", "other", "--json").json == []
    assert shoal("alias", "remove", "mine", "--tenant", "acme").out == "Tenant 'acme' no longer calls 'org/m' 'mine'.\n"
    assert shoal("alias", "list", "--tenant", "acme", "--json").json == []


def test_what_can_not_be_done_is_one_sentence(refused) -> None:
    assert "'x:query' can not be an alias" in refused("alias", "set", "x:query", "m", "--tenant", "acme")
    assert "No model is called 'nothing'" in refused("alias", "set", "mine", "nothing", "--tenant", "acme")
    assert "No tenant is called 'nobody'" in refused("alias", "set", "mine", "m", "--tenant", "nobody")
    assert "has no alias 'mine'" in refused("alias", "remove", "mine", "--tenant", "acme")
