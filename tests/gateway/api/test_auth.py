import datetime

import pytest

from gateway.services import keys, tenants

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
