import re
from html import unescape

import pytest


def tenant_url(console, name: str = "acme", rest: str = "") -> str:
    return f"/admin/tenants/{console.tenant_id(name)}{rest}"


def send(console, path: str, csrf_token: str, **fields):
    return console.client.post(path, data={"csrf_token": csrf_token, **fields})


def log(console) -> list[str]:
    page = console.client.get("/admin/audit").text
    return re.findall(r'class="badge quiet">([a-z]+\.[a-z]+)<', page)


GOOD = {"name": "Blue Heron", "allow": "BAAI/*\n* ", "lane": "bulk", "weight": "2"}


def test_a_tenant_is_made_with_what_it_may_use_and_its_operator_stands_in_the_log(console) -> None:
    token = console.become("ada")
    answer = send(console, "/admin/tenants", token, **GOOD)
    assert answer.status_code == 303
    assert answer.headers["location"] == tenant_url(console, "Blue Heron")
    page = console.client.get(answer.headers["location"]).text
    assert "Blue Heron is there" in page
    assert "bulk, weight 2" in page
    models = console.client.get(tenant_url(console, "Blue Heron", "/models")).text
    assert "BAAI/*" in models
    assert log(console)[:3] == ["grant.set", "grant.set", "tenant.create"]


def test_a_form_with_every_field_wrong_says_all_of_it_and_keeps_what_was_typed(console) -> None:
    token = console.become("ada")
    wrong = {"name": "<b>x\u200b", "allow": "ok/*\nno way\nö", "lane": "fast", "weight": "heavy<"}
    answer = send(console, "/admin/tenants", token, **wrong)
    assert answer.status_code == 422
    assert "4 fields need another look" in answer.text
    for name in wrong:
        assert f'id="{name}-error"' in answer.text, name
    assert unescape(answer.text).count("no way") >= 2
    assert "<b>x" not in answer.text
    assert 'value="heavy&lt;"' in answer.text
    assert "There is already a tenant" in send(console, "/admin/tenants", token, **GOOD | {"name": "acme"}).text
    assert log(console)[0] == "operator.create"


def test_names_with_markup_stay_text_on_every_page(console) -> None:
    token = console.become("ada")
    send(console, "/admin/tenants", token, **GOOD | {"name": "<script>alert(1)</script>"})
    for rest in ("", "/settings", "/suspension", "/deletion", "/keys", "/keys/new", "/models", "/limits", "/usage"):
        page = console.client.get(tenant_url(console, "<script>alert(1)</script>", rest))
        assert page.status_code == 200, rest
        assert "<script>alert" not in page.text, rest
    assert "&lt;script&gt;alert(1)" in console.client.get("/admin/tenants").text


def test_the_list_is_searched_and_goes_on_where_its_page_ended(console) -> None:
    token = console.become("ada")
    for number in range(52):
        send(console, "/admin/tenants", token, **GOOD | {"name": f"many {number:02}", "allow": ""})
    first = console.client.get("/admin/tenants?q=MANY").text
    assert "many 49" in first
    assert "many 50" not in first
    assert "acme" not in first
    after = unescape(re.search(r'rel="next" href="([^"]+)"', first)[1])
    assert "q=MANY" in after
    second = console.client.get(after).text
    assert "many 50" in second
    assert "many 49" not in second
    assert "No tenant matches" in console.client.get("/admin/tenants?q=nobody").text
    assert "%" not in re.findall(r"<b>(.*?)</b>", console.client.get("/admin/tenants?q=%25").text)


def test_two_tabs_that_change_one_tenant_lose_nothing(console) -> None:
    token = console.become("ada")
    url = tenant_url(console, rest="/settings")
    form = {"name": "acme", "lane": "interactive", "weight": "1"}
    version = console.hidden(console.client.get(url).text, "version")
    assert send(console, url, token, **form | {"weight": "3"}, version=version).status_code == 303
    second = send(console, url, token, **form | {"name": "Acme Ltd", "weight": "5"}, version=version)
    assert second.status_code == 409
    assert "Somebody changed this meanwhile" in second.text
    assert "Saved now: <b>3</b>" in second.text
    assert 'value="5"' in second.text
    assert 'value="Acme Ltd"' in second.text
    again = console.hidden(second.text, "version")
    assert again != version
    assert send(console, url, token, **form | {"name": "Acme Ltd", "weight": "5"}, version=again).status_code == 303
    assert "weight 5" in console.client.get(tenant_url(console, "Acme Ltd")).text


def test_a_tenant_is_suspended_after_one_more_question_and_resumed(console) -> None:
    token = console.become("ada")
    question = console.client.get(tenant_url(console, rest="/suspension")).text
    version = console.hidden(question, "version")
    assert send(console, tenant_url(console, rest="/suspension"), token, version=version).status_code == 303
    page = console.client.get(tenant_url(console)).text
    assert "every request of its keys is refused" in page
    late = send(console, tenant_url(console, rest="/suspension"), token, version=version)
    assert late.status_code == 409
    assert "It was changed meanwhile" in late.text
    assert send(console, tenant_url(console, rest="/resumption"), token).status_code == 303
    assert "is served again" in console.client.get(tenant_url(console)).text
    assert log(console)[:2] == ["tenant.resume", "tenant.suspend"]


@pytest.mark.parametrize("typed", ["", "ACME", "acme!"])
def test_a_tenant_is_deleted_only_by_who_types_its_name(console, typed) -> None:
    token = console.become("ada")
    url = tenant_url(console, rest="/deletion")
    version = console.hidden(console.client.get(url).text, "version")
    answer = send(console, url, token, confirm=typed, version=version)
    assert answer.status_code == 422
    assert "Type acme to go on" in answer.text
    assert f'value="{typed}"' in answer.text
    assert send(console, url, token, confirm="acme", version=version).status_code == 303
    assert console.client.get(url).status_code == 404
    assert "acme is deleted" in console.client.get("/admin/tenants").text
    console.become("tina")  # its own operator went with it
    assert console.client.get("/admin").headers["location"].startswith("/admin/sign-in")


def test_a_form_that_comes_when_its_session_is_over_waits_behind_the_sign_in(console) -> None:
    console.client.cookies.clear()
    answer = console.client.post("/admin/tenants", data=GOOD, headers={"origin": "http://console.test"})
    assert answer.status_code == 401
    assert "Blue+Heron" in answer.text
    again = console.client.post(
        "/admin/sign-in",
        data={
            "csrf_token": console.hidden(answer.text, "csrf_token"),
            "name": "ada",
            "password": "correct horse battery",
            "held_action": console.hidden(answer.text, "held_action"),
            "held_fields": console.hidden(answer.text, "held_fields"),
        },
    )
    assert again.status_code == 200
    assert 'value="Blue Heron"' in again.text


def test_a_viewer_is_offered_nothing_that_changes(console) -> None:
    console.become("<i>eve")
    for path in (
        "/admin/tenants",
        tenant_url(console),
        *(tenant_url(console, rest=f"/{r}") for r in ("keys", "models", "limits")),
    ):
        page = console.client.get(path)
        assert page.status_code == 200
        for word in ("New tenant", "New key", ">Suspend<", ">Delete<", ">Save<", ">Change<"):
            assert word not in page.text, (path, word)


def test_a_tenants_own_operator_sees_its_pages_and_changes_its_keys_alone(console) -> None:
    token = console.become("tina")
    home = tenant_url(console)
    for rest in ("", "/keys", "/keys/new", "/models", "/limits", "/usage", "/audit"):
        page = console.client.get(home + rest)
        assert page.status_code == 200, rest
        assert "/admin/tenants/new" not in page.text
        assert 'href="/admin/tenants"' not in page.text
        assert console.tenant_id("zenith") not in page.text
    for rest in ("/settings", "/suspension", "/deletion"):
        assert console.client.get(home + rest).status_code == 404, rest
    for rest in ("/models", "/limits", "/resumption"):
        assert send(console, home + rest, token, allow="*", model_pattern="*").status_code == 404, rest
    assert "Only an admin of the fleet" in console.client.get(home + "/models").text
    assert send(console, home + "/keys", token, name="own").status_code == 201


def test_whats_asked_of_a_tenant_that_is_not_there_is_not_found(console) -> None:
    token = console.become("ada")
    for rest in ("", "/keys", "/models", "/limits", "/usage", "/usage/export", "/settings", "/suspension", "/deletion"):
        assert console.client.get(f"/admin/tenants/tn_nobody{rest}").status_code == 404, rest
    assert send(console, "/admin/tenants/tn_nobody/resumption", token).status_code == 404


def test_a_tenants_log_stands_among_its_pages_and_outlives_it(console) -> None:
    token = console.become("ada")
    home, log_url = tenant_url(console), tenant_url(console, rest="/audit")
    assert f'href="{home}/limits"' in console.client.get(log_url).text
    assert send(console, f"{home}/deletion", token, confirm="acme").status_code == 303
    page = console.client.get(log_url)
    assert page.status_code == 200
    assert "tenant.delete" in page.text
    assert f'href="{home}/limits"' not in page.text
