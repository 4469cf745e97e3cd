import sqlite3
from statistics import median
from time import perf_counter

import pytest
from structlog.testing import capture_logs

from admin_ui.sessions import COOKIE, LIFETIME

PASSWORD = "correct horse battery"


def test_name_and_password_lead_to_the_overview(console) -> None:
    answer = console.sign_in("ada", PASSWORD)
    assert (answer.status_code, answer.headers["location"]) == (303, "/admin")
    page = console.client.get("/admin")
    assert page.status_code == 200
    assert "Overview" in page.text
    assert "ada" in page.text


@pytest.mark.parametrize("path", ["/admin", "/admin/"])
def test_pages_ask_visitors_to_sign_in(console, path) -> None:
    answer = console.client.get(path)
    assert (answer.status_code, answer.headers["location"]) == (303, "/admin/sign-in")


def test_a_wrong_password_and_an_unknown_name_look_alike(console) -> None:
    wrong, unknown = console.sign_in("ada", "wrong"), console.sign_in("bob", "wrong")
    assert wrong.status_code == unknown.status_code == 401
    assert wrong.text.replace('value="ada"', 'value="bob"') == unknown.text
    assert "do not belong together" in wrong.text
    assert "set-cookie" not in wrong.headers


def test_a_wrong_password_and_an_unknown_name_take_alike(console) -> None:
    def seconds(name: str) -> float:
        started = perf_counter()
        console.sign_in(name, "wrong")
        return perf_counter() - started

    seconds("warm-up")
    known = median(seconds("ada") for _ in range(3))
    unknown = median(seconds("bob") for _ in range(3))
    assert 1 / 4 < known / unknown < 4


def test_a_password_is_never_shown_again(console) -> None:
    assert "hunter2-hunter2" not in console.sign_in("ada", "hunter2-hunter2").text


def test_nothing_that_was_typed_in_vain_is_logged(console) -> None:
    with capture_logs() as logs:
        console.sign_in("hunter2-hunter2", "hunter3-hunter3")
    assert [entry["event"] for entry in logs] == ["sign-in refused"]
    assert "hunter" not in repr(logs)


def test_signing_in_starts_a_new_session(console) -> None:
    console.client.get("/admin/sign-in")
    before = console.client.cookies[COOKIE]
    answer = console.sign_in("ada", PASSWORD)
    after = answer.cookies[COOKIE]
    assert console.sessions.read(before).id != console.sessions.read(after).id
    console.client.cookies.clear()
    console.client.cookies.set(COOKIE, before)
    assert console.client.get("/admin").status_code == 303, "the visitor's session gained nothing"


def test_a_session_ends_at_its_time_however_it_is_used(console) -> None:
    console.become("ada")
    console.clock.now += LIFETIME - 1
    assert console.client.get("/admin").status_code == 200
    console.clock.now += 1
    assert console.client.get("/admin").status_code == 303


def test_an_operator_who_is_gone_is_out(console) -> None:
    console.become("somebody who was removed")
    assert console.client.get("/admin").headers["location"] == "/admin/sign-in"


@pytest.mark.parametrize("change", ["", "x", "no.signature", "é.é", "a.b.c", "{forged}"])
def test_a_cookie_that_was_tampered_with_is_no_session(console, change) -> None:
    session = console.sessions.start()
    payload, _, signature = console.sessions.cookie(session).partition(".")
    other = console.sessions.cookie(console.sessions.start("ada")).partition(".")[0]
    value = f"{other}.{signature}" if change == "{forged}" else change
    answer = console.client.get("/admin", headers={"cookie": f"{COOKIE}={value}".encode()})
    assert (answer.status_code, answer.headers["location"]) == (303, "/admin/sign-in")
    assert payload


def test_signing_out_ends_the_session_for_every_copy_of_the_cookie(console) -> None:
    token = console.become("ada")
    copy = console.client.cookies[COOKIE]
    answer = console.client.post("/admin/sign-out", data={"csrf_token": token})
    assert (answer.status_code, answer.headers["location"]) == (303, "/admin/sign-in")
    assert "max-age=0" in answer.headers["set-cookie"].lower()
    console.client.cookies.clear()
    console.client.cookies.set(COOKIE, copy)
    assert console.client.get("/admin").status_code == 303


def test_signing_out_holds_on_every_gateway_and_after_a_restart(console_at) -> None:
    here, there = console_at(), console_at()
    token = here.become("ada")
    there.client.cookies.set(COOKIE, here.client.cookies[COOKIE])
    assert there.client.get("/admin").status_code == 200
    here.client.post("/admin/sign-out", data={"csrf_token": token})
    assert there.client.get("/admin").status_code == 303
    later = console_at()
    later.client.cookies.set(COOKIE, there.client.cookies[COOKIE])
    assert later.client.get("/admin").status_code == 303


def test_signing_out_leaves_the_operators_other_sessions(console_at) -> None:
    one, other = console_at(), console_at()
    token = one.become("ada")
    other.become("ada")
    one.client.post("/admin/sign-out", data={"csrf_token": token})
    assert other.client.get("/admin").status_code == 200


def test_signing_out_is_no_link(console) -> None:
    console.become("ada")
    assert console.client.get("/admin/sign-out").status_code == 405
    assert console.client.get("/admin").status_code == 200


@pytest.mark.parametrize("form", [{}, {"csrf_token": ""}, {"csrf_token": "wrong"}])
def test_a_write_without_its_sessions_token_is_refused(console, form) -> None:
    console.become("ada")
    answer = console.client.post("/admin/sign-out", data=form)
    assert answer.status_code == 403
    assert "out of date" in answer.text
    assert console.client.get("/admin").status_code == 200


def test_another_sessions_token_is_refused(console) -> None:
    stolen = console.become("<i>eve")
    console.become("ada")
    assert console.client.post("/admin/sign-out", data={"csrf_token": stolen}).status_code == 403


def test_signing_in_needs_the_forms_token_too(console) -> None:
    form = {"name": "ada", "password": PASSWORD}
    assert console.client.post("/admin/sign-in", data=form).status_code == 403
    assert console.client.post("/admin/sign-in", json=form).status_code == 403


def test_the_next_page_survives_the_form_and_a_foreign_one_does_not(console) -> None:
    page = console.client.get("/admin/sign-in", params={"next": "/admin/tenants"}).text
    assert console.hidden(page, "next") == "/admin/tenants"
    answer = console.sign_in("ada", PASSWORD, next="/admin/tenants")
    assert answer.headers["location"] == "/admin/tenants"
    foreign = console.client.get("/admin/sign-in", params={"next": "https://evil.test"}).text
    assert "evil" not in foreign
    assert console.sign_in("ada", PASSWORD, next="//evil.test").headers["location"] == "/admin"


def test_too_many_tries_have_to_wait_even_with_the_right_password(console) -> None:
    for _ in range(5):
        assert console.sign_in("ada", "wrong").status_code == 401
    refused = console.sign_in("ada", PASSWORD)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "60")
    assert "Try again in 60 s" in refused.text
    console.clock.now += 60
    assert console.sign_in("ada", PASSWORD).status_code == 303


def test_signing_in_rightly_uses_up_no_tries(console) -> None:
    for _ in range(6):
        assert console.sign_in("ada", PASSWORD).status_code == 303


def test_tries_count_on_all_gateways_together(console_at) -> None:
    for _ in range(5):
        assert console_at().sign_in("ada", "wrong").status_code == 401
    assert console_at().sign_in("ada", PASSWORD).status_code == 429


def test_nobody_keeps_an_operator_out_from_elsewhere(console_at) -> None:
    console = console_at(peer="10.0.0.1", trusted_proxies=("10.0.0.0/8",))
    for n in range(30):
        console.client.headers["x-forwarded-for"] = f"192.0.2.{n % 3}, 10.1.2.3"
        console.sign_in("ada", "wrong")
    assert console.sign_in("ada", PASSWORD).status_code == 429
    console.client.headers["x-forwarded-for"] = "198.51.100.7, 10.1.2.3"
    assert console.sign_in("ada", PASSWORD).status_code == 303


def test_what_a_stranger_says_of_its_address_changes_nothing(console) -> None:
    for n in range(5):
        console.client.headers["x-forwarded-for"] = f"192.0.2.{n}"
        assert console.sign_in("ada", "wrong").status_code == 401
    console.client.headers["x-forwarded-for"] = "192.0.2.99"
    assert console.sign_in("ada", PASSWORD).status_code == 429


def test_what_was_typed_is_not_in_the_database(console_at, tmp_path) -> None:
    console_at().sign_in("hunter2-hunter2", "hunter3-hunter3")
    written = b"".join(path.read_bytes() for path in tmp_path.glob("shoal.db*"))
    assert b"sign_in_try" in written
    assert b"hunter" not in written


@pytest.mark.parametrize("host", ["shoal.test", "SHOAL.test:8443", "[::1]:8080"])
def test_the_console_answers_at_its_own_names(console_at, host) -> None:
    console = console_at(console_hosts=("Shoal.test", "[::1]"))
    assert console.client.get("/admin/sign-in", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.test", "shoal.test.evil.test", "shoal.test:80@evil.test", ""])
def test_the_console_answers_at_no_other_name(console_at, host) -> None:
    console = console_at(console_hosts=("shoal.test",))
    console.become("ada")
    for headers in ({"host": host}, {"host": host, "x-forwarded-host": "shoal.test"}):
        answer = console.client.get("/admin", headers=headers)
        assert answer.status_code == 421
        assert "does not answer" in answer.text


def test_other_spellings_of_a_name_share_its_tries(console) -> None:
    for _ in range(5):
        console.sign_in("jose\u0301", "wrong")
    assert console.sign_in("jos\u00e9", "wrong").status_code == 429


@pytest.mark.parametrize("name", ["", " ", "\x00", "a" * 5000, "' OR 1=1 --", "\u202eada"])
def test_names_that_nobody_can_have_are_just_wrong(console, name) -> None:
    assert console.sign_in(name, "wrong").status_code == 401


def test_a_form_beyond_all_size_is_refused(console) -> None:
    assert console.sign_in("ada", "x" * 100_000).status_code == 413


@pytest.mark.parametrize(
    "name", ["' OR '1'='1", "ada' --", "ada'; DROP TABLE operator; --", "%", "ad_", "a%", "*", "ADA", "ada\0", "ada "]
)
def test_no_name_is_taken_for_more_than_a_name(console, name) -> None:
    assert console.sign_in(name, "correct horse battery").status_code == 401
    assert console.client.get("/admin").headers["location"] == "/admin/sign-in"


def test_what_the_database_keeps_of_a_password_is_no_password(console, tmp_path) -> None:
    with sqlite3.connect(tmp_path / "shoal.db") as database:
        [(kept,)] = database.execute("SELECT password_hash FROM operator WHERE name = 'ada'")
    database.close()
    assert kept.startswith("$argon2id$")
    for guess in (kept, kept.rpartition("$")[2]):
        assert console.sign_in("ada", guess).status_code == 401


@pytest.mark.parametrize(
    "credential",
    [
        "Bearer sk-shoal-x",
        "Basic YWRhOmNvcnJlY3QgaG9yc2UgYmF0dGVyeQ==",
        "ada",
        "Bearer op-shoal-aaaaaaaaaaaa-" + "A" * 43,
    ],
)
def test_no_header_signs_in(console, credential) -> None:
    said = {"authorization": credential, "x-forwarded-user": "ada", "remote-user": "ada", "x-shoal-operator": "ada"}
    answer = console.client.get("/admin", headers=said)
    assert (answer.status_code, answer.headers["location"]) == (303, "/admin/sign-in")
