import re

from gateway.services.access.operator_tokens import verify_token
from gateway.services.access.operators import find_operator, verify_operator

PASSWORD = r"(?:[a-z0-9]{5}-){3}[a-z0-9]{5}"


def test_the_password_is_shown_once_and_opens(shoal, stored, events) -> None:
    done = shoal("operator", "create", "ann", "--role", "viewer")
    [password] = re.findall(PASSWORD, done.out)
    assert stored(verify_operator, "ann", password).role == "viewer"
    assert password not in repr(events())
    created = shoal("operator", "create", "bob", "--json").json
    assert stored(verify_operator, "bob", created["password"]).role == "admin"


def test_a_lost_password_is_replaced(shoal, stored) -> None:
    shoal("operator", "create", "ann")
    [password] = re.findall(PASSWORD, shoal("operator", "password", "ann").out)
    assert stored(verify_operator, "ann", password) is not None


def test_operators_are_listed_and_removed(shoal, stored) -> None:
    tenant = shoal("tenant", "create", "acme", "--json").json["id"]
    shoal("operator", "create", "ann", "--role", "tenant_admin", "--tenant", "acme")
    shoal("operator", "create", "bob")
    assert [row[:3] for row in shoal("operator", "list").rows[1:]] == [
        ["ann", "tenant_admin", tenant],
        ["bob", "admin", "all"],
    ]
    shoal("operator", "remove", "ann")
    assert stored(find_operator, "ann") is None


def test_a_role_is_changed_and_the_last_admin_stays(shoal, stored, refused) -> None:
    tenant = shoal("tenant", "create", "acme", "--json").json["id"]
    shoal("operator", "create", "ann")
    last = "Error: 'ann' is the last admin; make somebody else one first."
    assert refused("operator", "role", "ann", "viewer") == last
    assert refused("operator", "remove", "ann") == last
    shoal("operator", "create", "bob", "--role", "viewer")
    assert shoal("operator", "role", "bob", "admin").out == "Operator 'bob' is admin from now on.\n"
    said = shoal("operator", "role", "ann", "tenant_admin", "--tenant", "acme").out
    assert said == f"Operator 'ann' is tenant_admin of {tenant} from now on.\n"
    assert stored(find_operator, "ann").tenant_id == tenant
    assert shoal("operator", "role", "ann", "viewer", "--json").json["role"] == "viewer"
    assert "give both or neither" in refused("operator", "role", "ann", "tenant_admin")


def test_a_token_is_shown_once_listed_without_its_secret_and_revoked(shoal, stored, events) -> None:
    shoal("operator", "create", "ann")
    [token] = re.findall(r"op-shoal-\S+", shoal("operator", "token", "create", "ann", "--read-only").out)
    bearer = stored(verify_token, token)
    assert (bearer.operator.name, bearer.token.read_only) == ("ann", True)
    secret = token.rpartition("-" + bearer.token.id + "-")[2]
    listed = shoal("operator", "token", "list")
    assert listed.rows[1][:5] == [bearer.token.id, "ann", "default", "active", "yes"]
    assert secret not in listed.out + repr(events())
    shoal("operator", "token", "revoke", token)
    assert stored(verify_token, token) is None
    made = shoal("operator", "token", "create", "ann", "--expires", "30d", "--json").json
    assert stored(verify_token, made["token"]).token.expires_at is not None


def test_what_can_not_be_done_is_one_sentence(refused) -> None:
    assert refused("operator", "create", "ann", "--role", "root") == (
        "Error: 'root' is no role of an operator; use admin, viewer, tenant_admin."
    )
    assert refused("operator", "role", "nobody", "viewer").startswith("Error: No operator is called 'nobody'")
    assert refused("operator", "token", "create", "nobody") == (
        "Error: No operator is called 'nobody'; see: shoal operator list."
    )
