"""By the console's own table of routes: what is added later is closed unless it says otherwise."""

import re
from typing import get_args

from litestar import get

from gateway.services.access.roles import Right

FILES = "/admin/static/{file_path:path}"
READS = {"GET", "HEAD"}
OWN = ("/admin/theme", "/admin/sign-out", "/admin/account/", "/admin/{rest:path}")
"""What operators of every role may send: it changes nothing but what is their own."""


def filled(path: str, tenant: str) -> str:
    """An address of a route: of this tenant, and of nothing else that there is."""
    return re.sub(r"\{\w+:\w+\}", "x", path.replace("{tenant:str}", tenant))


def closed(console):
    return [(method, path, handler) for method, path, handler in console.routes() if not handler.opt.get("public")]


def test_visitors_reach_the_sign_in_and_files_and_are_asked_to_sign_in_everywhere_else(console) -> None:
    public = {(method, path) for method, path, handler in console.routes() if handler.opt.get("public")}
    elsewhere = {("GET", "/admin/sign-in/oidc"), ("GET", "/admin/sign-in/oidc/done")}
    here = {("GET", "/admin/sign-in"), ("POST", "/admin/sign-in")}
    assert public == here | elsewhere | {("GET", FILES), ("HEAD", FILES)}
    console.client.get("/admin/sign-in")  # a visitor's session is none of an operator
    for method, path, _ in closed(console):
        answer = console.client.request(method, filled(path, console.tenant_id("acme")))
        assert answer.status_code == 303, path
        assert answer.headers["location"].startswith("/admin/sign-in"), path


def test_every_route_says_which_right_it_needs_and_one_of_a_tenant_names_it(console) -> None:
    for method, path, handler in closed(console):
        right = handler.opt.get("right")
        assert right in get_args(Right), (method, path)
        if right.startswith("tenant."):
            assert path.startswith("/admin/tenants/{tenant:str}"), path
        if method not in READS:
            assert right.endswith(".change") or path.startswith(OWN), path


def test_a_route_that_says_nothing_is_there_for_nobody(console) -> None:
    @get("/forgotten")
    async def forgotten() -> str:
        return "open"

    console.client.app.register(forgotten)
    console.become("ada")
    assert console.client.get("/admin/forgotten").status_code == 404


def test_for_an_operator_of_one_tenant_all_else_is_not_there(console) -> None:
    zenith = console.tenant_id("zenith")
    csrf_token = console.become("tina")
    for method, path, handler in closed(console):
        if handler.opt["right"] == "own.look":
            continue
        address = filled(path, zenith)
        answer = console.client.request(method, address, data={"csrf_token": csrf_token} if method == "POST" else None)
        nowhere = console.client.get("/admin/nowhere")
        assert answer.status_code == 404, (method, path)
        if method == "GET":
            assert answer.text.replace(f'"{address}"', '"/admin/nowhere"') == nowhere.text, path
        assert zenith not in answer.text.replace(address, "")


def test_a_tenant_is_known_to_its_operator_by_its_id_alone(console) -> None:
    console.become("tina")
    assert console.client.get(f"/admin/tenants/{console.tenant_id('acme')}/audit").status_code == 200
    for other in ("acme", "ACME", console.tenant_id("acme").upper(), "%2e%2e", ""):
        assert console.client.get(f"/admin/tenants/{other}/audit").status_code == 404, other


def test_viewers_change_nothing(console) -> None:
    acme = console.tenant_id("acme")
    csrf_token = console.become("<i>eve")
    for method, path, handler in closed(console):
        if handler.opt["right"].endswith(".change"):
            answer = console.client.request(method, filled(path, acme), data={"csrf_token": csrf_token})
            assert answer.status_code == 403, (method, path)


def test_every_write_asks_for_its_sessions_token(console) -> None:
    acme = console.tenant_id("acme")
    for method, path, _ in console.routes():
        if method not in READS:
            console.become("ada")
            for form in ({}, {"csrf_token": ""}, {"csrf_token": "x" * 43}):
                assert console.client.request(method, filled(path, acme), data=form).status_code == 403, path
            answer = console.client.request(method, filled(path, acme), json={"csrf_token": "x"})
            assert answer.status_code == 403, path


def test_the_first_page_of_an_operator_of_one_tenant_is_that_tenant(console) -> None:
    csrf_token = console.become("tina")
    assert console.client.get("/admin").headers["location"] == f"/admin/tenants/{console.tenant_id('acme')}"
    assert console.client.post("/admin/sign-out", data={"csrf_token": csrf_token}).status_code == 303
