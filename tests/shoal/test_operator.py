import re

from gateway.services.operators import verify_operator


def test_the_password_is_shown_once_and_opens(shoal, stored, events) -> None:
    done = shoal("operator", "create", "ann", "--role", "viewer")
    [password] = re.findall(r"(?:[a-z0-9]{5}-){3}[a-z0-9]{5}", done.out)
    assert stored(verify_operator, "ann", password).role == "viewer"
    assert password not in repr(events())
    created = shoal("operator", "create", "bob", "--json").json
    assert stored(verify_operator, "bob", created["password"]).role == "admin"


def test_what_can_not_be_done_is_one_sentence(refused) -> None:
    assert refused("operator", "create", "ann", "--role", "root") == (
        "Error: 'root' is no role of an operator; use admin or viewer."
    )
