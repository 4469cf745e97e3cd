import getpass
import socket


def test_creating_says_what_to_type_next_on_the_same_folder(shoal, run, data_dir) -> None:
    done = shoal("tenant", "create", "acme corp")
    first, *commands = done.out.splitlines()
    assert first.startswith("Tenant 'acme corp' (tn_")
    assert commands == [
        f"  shoal allow add '*' --tenant 'acme corp' --data-dir {data_dir}",
        f"  shoal key create --tenant 'acme corp' --data-dir {data_dir}",
    ]


def test_a_tenant_is_listed_with_its_state_as_columns_for_pipes_and_as_json(shoal) -> None:
    made = shoal("tenant", "create", "acme", "--json").json
    assert shoal("tenant", "list").rows[0] == ["tenant", "id", "state", "created"]
    assert shoal("tenant", "list").rows[1][:3] == ["acme", made["id"], "active"]
    assert "shoal tenant resume acme" in shoal("tenant", "suspend", "acme").out
    assert shoal("tenant", "list").rows[1][2] == "suspended"
    assert shoal("tenant", "list", "--json").json[0]["suspended_at"] is not None
    assert shoal("tenant", "resume", made["id"]).out == "Tenant 'acme' is served again.\n"
    assert shoal("tenant", "list").rows[1][2] == "active"


def test_the_audit_log_says_who_typed_it_and_where(shoal, events) -> None:
    shoal("tenant", "create", "acme")
    [event] = events()
    assert (event.actor, event.origin) == (f"cli:{getpass.getuser()}", socket.gethostname())


def test_what_can_not_be_done_is_one_sentence(shoal, refused) -> None:
    shoal("tenant", "create", "acme")
    assert refused("tenant", "create", "acme") == "Error: There is already a tenant called 'acme'."
    assert refused("tenant", "suspend", "nobody") == "Error: No tenant is called 'nobody'; see: shoal tenant list."
    assert refused("tenant", "create", "") == "Error: The tenant name has 0 characters; 1 to 64 are allowed."
