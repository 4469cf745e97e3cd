import getpass
import io
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
    assert shoal("tenant", "list").rows[0] == ["tenant", "id", "state", "lane", "weight", "created"]
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


def test_a_tenant_is_made_and_changed_with_its_lane_and_weight(shoal, refused) -> None:
    made = shoal("tenant", "create", "acme", "--lane", "bulk", "--weight", "0.5", "--json").json
    assert (made["lane"], made["weight"]) == ("bulk", 0.5)
    done = shoal("tenant", "update", "acme", "--name", "Acme", "--weight", "3")
    assert done.out == "Tenant 'Acme' waits in the lane bulk with weight 3.\n"
    shoal("tenant", "update", "Acme", "--lane", "interactive")
    assert shoal("tenant", "list").rows[1][:5] == ["Acme", made["id"], "active", "interactive", "3"]
    assert refused("tenant", "update", "Acme", "--lane", "fast") == (
        "Error: 'fast' is no lane; use interactive or bulk."
    )
    assert refused("tenant", "update", "Acme", "--weight", "0") == "Error: 0 is no weight; use 0.01 to 100."


def test_an_update_of_nothing_is_asked_what_of(run, shoal, data_dir) -> None:
    shoal("tenant", "create", "acme")
    done = run("tenant", "update", "acme", "--data-dir", str(data_dir))
    assert done.code == 2
    assert "say what to change" in done.err


def test_a_tenant_is_deleted_when_somebody_said_yes(run, shoal, data_dir, monkeypatch) -> None:
    made = shoal("tenant", "create", "acme", "--json").json
    monkeypatch.setattr("sys.stdin", io.StringIO())  # nobody there to say it
    done = run("tenant", "delete", "acme", "--data-dir", str(data_dir))
    assert done.code == 1
    assert shoal("tenant", "list").rows[1][0] == "acme"
    assert shoal("tenant", "delete", "acme", "--yes").out == (
        f"Tenant 'acme' ({made['id']}) is deleted. Its usage is kept under that id.\n"
    )
    assert shoal("tenant", "list", "--json").json == []
