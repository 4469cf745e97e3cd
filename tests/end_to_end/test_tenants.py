"""Two tenants on one real server: apart from each other, within their limits, and gone when revoked."""

import concurrent.futures
import csv
import io
import json
import time

import httpx

STARTER = "sentence-transformers/all-MiniLM-L6-v2"
BODY = {"model": STARTER, "input": "hello"}


def test_a_tenants_models_are_hidden_from_the_other(server) -> None:
    key_a = server.new_tenant("apart-a", STARTER)
    key_b = server.new_tenant("apart-b", "nothing-like-it")
    assert [model["id"] for model in server.get("/v1/models", key_a).json()["data"]] == [STARTER]
    assert server.get("/v1/models", key_b).json()["data"] == []
    forbidden = server.embed(key_b, BODY)
    unknown = server.embed(key_b, {**BODY, "model": "no-such-model"})
    assert forbidden.status_code == unknown.status_code == 404
    assert forbidden.text.replace(STARTER, "no-such-model") == unknown.text


def test_usage_is_each_tenants_own(server) -> None:
    key_a, key_b = server.new_tenant("usage-a", "*"), server.new_tenant("usage-b", "*")
    served = server.embed(key_a, {"model": STARTER, "input": ["one", "two words"]}).json()["usage"]["total_tokens"]
    refused = server.embed(key_b, {**BODY, "model": "no-such-model"})
    assert refused.status_code == 404

    def exported(tenant: str) -> list[dict[str, str]]:
        text = server.shoal("usage", "export", "--tenant", tenant, "--format", "csv")
        return [row for row in csv.DictReader(io.StringIO(text)) if row["status"] == "200"]

    [row] = server.until(lambda: exported("usage-a"), "the usage record is flushed")
    assert (int(row["tokens"]), int(row["inputs"]), row["endpoint"]) == (served, 2, "/v1/embeddings")
    assert exported("usage-b") == []


def test_requests_per_minute_hold_under_200_concurrent_callers(server) -> None:
    key = server.new_tenant("limited", "*")
    server.shoal("quota", "set", "--tenant", "limited", "--rpm", "50")
    server.until(
        lambda: server.get("/v1/models", key).headers.get("x-ratelimit-limit-requests") == "50", "the limit is in force"
    )
    began = time.monotonic()
    with (
        httpx.Client(limits=httpx.Limits(max_connections=200), timeout=60) as client,
        concurrent.futures.ThreadPoolExecutor(200) as callers,
    ):
        send = lambda _: client.post(  # noqa: E731
            f"{server.url}/v1/embeddings", json=BODY, headers={"authorization": f"Bearer {key}"}
        )
        replies = list(callers.map(send, range(200)))
    leaked_in = int((time.monotonic() - began) * 50 / 60) + 1
    statuses = [reply.status_code for reply in replies]
    assert set(statuses) == {200, 429}
    assert 50 <= statuses.count(200) <= 50 + leaked_in
    refused = next(reply for reply in replies if reply.status_code == 429)
    assert int(refused.headers["retry-after"]) >= 1
    assert int(refused.headers["retry-after-ms"]) > 0
    assert refused.json()["error"]["code"] == "rate_limit_exceeded"


def test_token_quota_is_charged_the_truth_not_the_estimate(server) -> None:
    key = server.new_tenant("by-token", "*", tokens=1000)
    assert server.get("/v1/models", key).headers["x-ratelimit-limit-tokens"] == "1000"
    reply = server.embed(
        key, {"model": STARTER, "input": "a sentence of many bytes and few tokens, internationalization"}
    )
    used = reply.json()["usage"]["total_tokens"]
    left = int(server.get("/v1/models", key).headers["x-ratelimit-remaining-tokens"])
    assert 1000 - used - 1 <= left <= 1000
    too_big = server.embed(key, {"model": STARTER, "input": ["x" * 250] * 10})
    assert too_big.status_code == 400
    assert "1000" in too_big.json()["error"]["message"]


def test_revocation_acts_within_two_seconds(server) -> None:
    server.new_tenant("revoked", "*")
    created = json.loads(server.shoal("key", "create", "--tenant", "revoked", "--json"))
    server.until(lambda: server.embed(created["key"], BODY).status_code == 200, "the key works")
    server.shoal("key", "revoke", created["id"])
    server.until(lambda: server.embed(created["key"], BODY).status_code == 401, "the key is dead", limit=2.0)


def test_suspension_refuses_and_resuming_serves_again(server) -> None:
    key = server.new_tenant("suspended", "*")
    server.shoal("tenant", "suspend", "suspended")
    server.until(lambda: server.embed(key, BODY).status_code == 403, "the tenant is suspended", limit=2.0)
    server.shoal("tenant", "resume", "suspended")
    server.until(lambda: server.embed(key, BODY).status_code == 200, "the tenant is back", limit=2.0)
