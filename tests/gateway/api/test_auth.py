import datetime

import pytest

from gateway.auth import authenticate
from gateway.errors import AuthenticationFailed
from gateway.services.register import grants, keys, tenants

SPELLINGS = {
    "bearer": lambda key: {"authorization": f"Bearer {key}"},
    "lower case": lambda key: {"authorization": f"bearer {key}"},
    "twice": lambda key: {"authorization": f"Bearer Bearer {key}"},
    "raw": lambda key: {"authorization": key},
    "api-key": lambda key: {"api-key": key},
    "x-api-key": lambda key: {"x-api-key": key},
    "x-chroma-token": lambda key: {"x-chroma-token": key},
    "empty bearer beside api-key": lambda key: {"authorization": "Bearer", "api-key": key},
}
GUARDED = [
    ("POST", "/v1/embeddings"),
    ("POST", "/embeddings"),
    ("POST", "/v1/v1/embeddings"),
    ("POST", "/v1/rerank"),
    ("POST", "/rerank"),
    ("POST", "/v2/rerank"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/tests/mini"),
    ("GET", "/models"),
    ("OPTIONS", "/v1/embeddings"),
]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_of_the_header_lets_a_good_key_in(gateway_under_test, caller, spelling):
    reply = gateway_under_test.embed(None, {"input": "x"}, headers=SPELLINGS[spelling](caller.key))
    assert reply.status_code == 200


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_no_spelling_of_the_header_lets_a_revoked_key_in(gateway_under_test, caller, spelling):
    gateway_under_test.change(keys.revoke_key, caller.key_id)
    reply = gateway_under_test.embed(None, {"input": "x"}, headers=SPELLINGS[spelling](caller.key))
    assert reply.status_code == 401
    assert reply.json()["message"].startswith("Incorrect API key provided: ")


@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_every_route_asks_for_a_key(gateway_under_test, method, path):
    reply = gateway_under_test.request(method, path)
    assert reply.status_code == 401
    error = reply.json()["error"]
    assert error["message"].startswith("You didn't provide an API key. You need to provide your API key in an")
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", None, None)
    assert "x-ratelimit-limit-requests" not in reply.headers


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/openapi.json"])
def test_open_routes_ask_for_none(gateway_under_test, path):
    assert gateway_under_test.request("GET", path).status_code == 200


def wrong_keys(key):
    prefix, secret = key[: len("sk-shoal-") + 13], key[len("sk-shoal-") + 13 :]
    return {
        "other secret": prefix + "A" * len(secret),
        "unknown id": f"sk-shoal-{'z' * 12}-{secret}",
        "cut": key[:-1],
        "longer": key + "A",
        "no prefix": secret,
        "openai's": "sk-proj-abcdefghijklmnop",
        "not ascii": "sk-shoal-ä",
        "a word": "x",
    }


@pytest.mark.parametrize("case", list(wrong_keys("")))
def test_wrong_keys_are_401_in_openais_words_and_never_echoed(gateway_under_test, caller, case):
    wrong = wrong_keys(caller.key)[case]
    reply = gateway_under_test.embed(None, {"input": "x"}, headers={"authorization": f"Bearer {wrong}".encode()})
    assert reply.status_code == 401
    error = reply.json()["error"]
    assert error["message"].startswith("Incorrect API key provided: ")
    assert (error["type"], error["code"]) == ("invalid_request_error", "invalid_api_key")
    assert wrong not in reply.text or len(wrong) == 1
    assert caller.key[-20:] not in reply.text


def test_an_expired_key_is_401_and_says_so(gateway_under_test, caller, monkeypatch):
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
    made = gateway_under_test.change(keys.create_key, caller.tenant, expires_at=soon)
    headers = {"authorization": f"Bearer {made.key}"}
    assert gateway_under_test.embed(None, {"input": "x"}, headers=headers).status_code == 200

    class Later(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return soon

    monkeypatch.setattr("gateway.auth.datetime", Later)
    reply = gateway_under_test.embed(None, {"input": "x"}, headers=headers)
    assert reply.status_code == 401
    assert reply.json()["message"] == f"Incorrect API key provided: sk-shoal-{made.id}-***. It has expired."


def test_a_suspended_tenant_is_403_until_it_is_resumed(gateway_under_test, caller):
    gateway_under_test.change(tenants.suspend_tenant, caller.tenant)
    reply = gateway_under_test.embed(caller, {"input": "x"})
    assert reply.status_code == 403
    assert reply.json()["error"]["type"] == "permission_error"
    gateway_under_test.change(tenants.resume_tenant, caller.tenant)
    assert gateway_under_test.embed(caller, {"input": "x"}).status_code == 200


def test_what_the_host_header_says_changes_nothing(gateway_under_test):
    for host in ("health", "127.0.0.1/health/live", "x:80/health/live"):
        reply = gateway_under_test.request("GET", "/v1/models", headers={"host": host})
        assert reply.status_code in {400, 401}


def test_the_use_of_a_key_is_noted(gateway_under_test, caller):
    gateway_under_test.request("GET", "/v1/models", caller)

    async def last_used():
        await gateway_under_test.services.usage.flush()
        async with gateway_under_test.services.database.reading() as session:
            (key,) = await keys.list_keys(session, caller.tenant)
            return key.last_used_at

    assert gateway_under_test.run(last_used()) is not None


def test_refusals_are_counted_without_naming_anybody(gateway_under_test, caller):
    gateway_under_test.request("GET", "/v1/models", headers={"authorization": "Bearer nonsense"})
    page = gateway_under_test.request("GET", "/metrics").text
    assert 'shoal_gateway_denied_total{kind="key"}' in page
    assert caller.tenant not in page
    assert "nonsense" not in page


IN_OTHER_WAYS = {
    "behind the scheme a tab": lambda key: [("authorization", f"Bearer\t{key}")],
    "upper case": lambda key: [("AUTHORIZATION", f"BEARER {key}")],
    "many spaces": lambda key: [("Authorization", f"Bearer    {key}")],
    "X-API-Key": lambda key: [("X-API-Key", key)],
    "API-KEY": lambda key: [("API-KEY", f"Bearer {key}")],
    "underscores": lambda key: [("x_api_key", key)],
    "basic": lambda key: [("authorization", f"Basic {key}")],
    "token": lambda key: [("authorization", f"Token {key}")],
    "proxy": lambda key: [("proxy-authorization", f"Bearer {key}")],
    "cookie": lambda key: [("cookie", f"shoal_console={key}; authorization={key}")],
    "twice": lambda key: [("authorization", f"Bearer {key}"), ("Authorization", f"Bearer {key}")],
    "twice in x-api-key": lambda key: [("x-api-key", key), ("X-Api-Key", key)],
    "forwarded": lambda key: [("x-forwarded-authorization", key), ("x-original-authorization", key)],
    "google's": lambda key: [("x-goog-api-key", key)],
}


@pytest.mark.parametrize("way", IN_OTHER_WAYS)
def test_however_a_key_is_sent_it_may_what_it_may_and_no_more(gateway_under_test, way):
    """No spelling opens a model, a route or a tenant that another one would not."""
    good, kept, denied = (gateway_under_test.caller() for _ in range(3))
    gateway_under_test.change(keys.update_key, kept.key_id, scopes=["models"])
    gateway_under_test.change(grants.add_grant, denied.tenant, "tests/mini", deny=True)
    statuses = [
        gateway_under_test.embed(None, {"input": "x"}, headers=IN_OTHER_WAYS[way](who.key)).status_code
        for who in (good, kept, denied)
    ]
    assert statuses in ([200, 403, 404], [401, 401, 401])
    if way.startswith("twice"):
        assert statuses[0] == 401


def test_two_keys_in_one_header_are_none(gateway_under_test):
    first, second = gateway_under_test.caller(), gateway_under_test.caller()
    for name in ("authorization", "api-key", "x-api-key", "x-chroma-token"):
        for one, other in ((first, second), (second, first), (first, first)):
            headers = [(name, f"Bearer {one.key}"), (name, f"Bearer {other.key}")]
            reply = gateway_under_test.embed(None, {"input": "x"}, headers=headers)
            assert reply.status_code == 401
            assert one.key[-20:] not in reply.text
    assert gateway_under_test.usage(first) == gateway_under_test.usage(second) == []


def test_of_two_keys_in_two_headers_one_counts_whole(gateway_under_test):
    """The second one lends nothing to the first: no scope, no model, no limit, and no name in the books."""
    first, second = gateway_under_test.caller(), gateway_under_test.caller()
    gateway_under_test.change(keys.update_key, first.key_id, scopes=["models"])
    for beside in ("api-key", "x-api-key", "x-chroma-token"):
        headers = {"authorization": f"Bearer {first.key}", beside: second.key}
        assert gateway_under_test.embed(None, {"input": "x"}, headers=headers).status_code == 403
        headers = {"authorization": f"Bearer {second.key}", beside: first.key}
        assert gateway_under_test.embed(None, {"input": "x"}, headers=headers).status_code == 200
        headers = {"authorization": "Bearer wrong", beside: second.key}
        assert gateway_under_test.embed(None, {"input": "x"}, headers=headers).status_code == 401
    assert gateway_under_test.usage(first) == []
    assert len(gateway_under_test.usage(second)) == 3


INJECTIONS = (
    "' OR '1'='1", "' OR 1=1 --", "'; DROP TABLE api_key; --", '" OR ""="', "' UNION SELECT id FROM api_key --",
    "%", "_" * 12, "*", "?" * 12, "%' --", "\\' OR 1=1 --", "$$", "{id}", "%s", ":id", "?1", "..", "null", "None",
)  # fmt: skip


@pytest.mark.parametrize("text", INJECTIONS)
def test_nothing_in_a_credential_is_taken_for_more_than_a_credential(gateway_under_test, caller, text):
    secret = caller.key[-43:]
    for tried in (
        text,
        f"sk-shoal-{text}-{secret}",
        f"sk-shoal-{caller.key_id}-{text}",
        f"sk-shoal-{caller.key_id}{text}-{secret}",
        f"{caller.key}{text}",
        f"{text}{caller.key}",
        f"sk-shoal-{text[:12].ljust(12, '_')}-{secret}",
    ):
        snapshot = gateway_under_test.services.feed.current
        for header in (b"authorization", b"x-api-key"):
            with pytest.raises(AuthenticationFailed):
                authenticate({header: tried.encode()}, snapshot)
    assert gateway_under_test.embed(None, {"input": "x"}, headers={"x-api-key": text}).status_code == 401
    assert gateway_under_test.embed(caller, {"input": "x"}).status_code == 200


def test_keys_that_look_alike_are_told_apart(gateway_under_test, monkeypatch):
    """Neither the beginning of a key nor its length is ever taken for the key."""
    ids, secrets = iter(["alikealike00", "alikealike01"]), iter(["s" * 42 + "A", "s" * 42 + "B"])
    callers = [gateway_under_test.caller(), gateway_under_test.caller()]
    monkeypatch.setattr(keys, "new_id", lambda: next(ids))
    monkeypatch.setattr(keys.secrets, "token_urlsafe", lambda _: next(secrets))
    first, second = (gateway_under_test.change(keys.create_key, who.tenant) for who in callers)
    monkeypatch.undo()
    assert first.key[:20] == second.key[:20]
    for key, who in ((first, callers[0]), (second, callers[1])):
        for _ in range(2):  # what was learned at the first time must not answer at the second
            entry = authenticate({b"x-api-key": key.key.encode()}, gateway_under_test.services.feed.current)
            assert (entry.id, entry.tenant.name) == (key.id, who.tenant)
    for crossed in (first.key[:-1] + "B", second.key[:-1] + "A"):
        with pytest.raises(AuthenticationFailed):
            authenticate({b"x-api-key": crossed.encode()}, gateway_under_test.services.feed.current)


def test_a_key_that_is_one_character_off_is_none(gateway_under_test, caller):
    snapshot = gateway_under_test.services.feed.current
    assert authenticate({b"x-api-key": caller.key.encode()}, snapshot).id == caller.key_id
    for place, character in enumerate(caller.key):
        other = "a" if character != "a" else "b"
        for wrong in (
            caller.key[:place] + other + caller.key[place + 1 :],
            caller.key[:place] + caller.key[place + 1 :],
            caller.key[:place] + character + caller.key[place:],
            caller.key[:place] + character.swapcase() + caller.key[place + 1 :],
        ):
            if wrong != caller.key:
                with pytest.raises(AuthenticationFailed):
                    authenticate({b"x-api-key": wrong.encode()}, snapshot)


WHERE_FROM = {
    "host": "admin.internal",
    "x-forwarded-host": "localhost",
    "x-forwarded-for": "127.0.0.1",
    "x-forwarded-proto": "https",
    "x-forwarded-prefix": "/health/live",
    "x-forwarded-path": "/health/live",
    "x-original-url": "/health/live",
    "x-rewrite-url": "/health/live",
    "x-real-ip": "127.0.0.1",
    "forwarded": "for=127.0.0.1;host=localhost",
    "x-http-method-override": "OPTIONS",
    "x-original-method": "OPTIONS",
    "x-user": "admin",
    "x-shoal-tenant": "default",
    "x-tenant-id": "default",
    "openai-organization": "default",
    "remote-user": "admin",
    "x-forwarded-user": "admin",
}


@pytest.mark.parametrize("header", WHERE_FROM)
def test_no_header_about_where_or_who_opens_anything(gateway_under_test, caller, header):
    headers = {header: WHERE_FROM[header]}
    for method, path, closed in (
        ("GET", "/v1/models", 401),
        ("POST", "/v1/embeddings", 401),
        ("GET", "/admin", 303),
        ("GET", "/admin/api/v1/tenants", 401),
        ("POST", "/admin/api/v1/tenants", 401),
    ):
        reply = gateway_under_test.request(method, path, headers=headers)
        assert reply.status_code == closed, (path, reply.text)
        if closed == 303:
            assert reply.headers["location"] == "/admin/sign-in"
    served = gateway_under_test.embed(caller, {"input": "x"}, headers=headers)
    assert served.status_code == 200
    assert [row.tenant_name for row in gateway_under_test.usage(caller)] == [caller.tenant]
