import asyncio
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from gateway.services.register import quotas

LIMITS = ("x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests")
TOKENS = ("x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens")


def seconds(duration):
    """Of a duration as Go writes it: `1h2m3s`."""
    parts = re.findall(r"([\d.]+)(ms|h|m|s)", duration)
    return sum(float(number) * {"h": 3600, "m": 60, "s": 1, "ms": 0.001}[unit] for number, unit in parts)


def test_200_concurrent_requests_get_what_the_limit_allows_none_over_and_none_lost(gateway_under_test):
    limited = gateway_under_test.caller(requests=50)
    gateway_under_test.engine.delay = 0.2
    ready = threading.Barrier(40)

    def five(_):
        with httpx.Client(headers=limited.headers, timeout=60) as client:
            ready.wait(30)
            send = lambda: client.post(  # noqa: E731
                f"{gateway_under_test.url}/v1/embeddings", json={"model": "tests/mini", "input": "x"}
            )
            return [send().status_code for _ in range(5)]

    began = time.monotonic()
    with ThreadPoolExecutor(40) as pool:
        statuses = [status for five_of_them in pool.map(five, range(40)) for status in five_of_them]
    trickled = (time.monotonic() - began) * 50 / 60
    assert len(statuses) == 200
    assert 50 <= statuses.count(200) <= 50 + trickled + 1
    assert statuses.count(200) + statuses.count(429) == 200
    served = [row for row in gateway_under_test.usage(limited) if row.status == 200]
    assert len(served) == statuses.count(200)


def test_tokens_are_charged_as_used_not_as_reserved(gateway_under_test):
    limited = gateway_under_test.caller(tokens=1000)
    reply = gateway_under_test.embed(limited, {"input": "long words " * 30})
    used = reply.json()["usage"]["total_tokens"]
    assert used == 62
    assert 938 <= int(reply.headers["x-ratelimit-remaining-tokens"]) <= 950


def test_a_refusal_names_the_limit_what_is_used_and_what_was_asked(gateway_under_test):
    limited = gateway_under_test.caller(tokens=100)
    assert gateway_under_test.embed(limited, {"input": "w " * 48}).status_code == 200
    reply = gateway_under_test.embed(limited, {"input": "w " * 44})
    assert reply.status_code == 429
    error = reply.json()["error"]
    assert (error["type"], error["code"]) == ("tokens", "rate_limit_exceeded")
    assert error["message"].startswith(
        f"Rate limit reached for tests/mini in organization {limited.tenant} on tokens per min (TPM): Limit 100, Used "
    )
    assert "Requested 90. Please try again in " in error["message"]
    wait = float(reply.headers["retry-after-ms"]) / 1000
    assert 0 < wait <= 60
    assert int(reply.headers["retry-after"]) == -int(-wait // 1)
    assert reply.headers["x-ratelimit-limit-tokens"] == "100"


def test_requests_are_refused_by_their_own_limit(gateway_under_test):
    limited = gateway_under_test.caller(requests=1, tokens=1000)
    assert gateway_under_test.embed(limited, {"input": "x"}).status_code == 200
    reply = gateway_under_test.embed(limited, {"input": "x"})
    assert (reply.status_code, reply.json()["error"]["type"]) == (429, "requests")
    assert "on requests per min (RPM): Limit 1, Used 1, Requested 1." in reply.json()["message"]
    assert reply.headers["x-ratelimit-remaining-requests"] == "0"


def test_a_refusal_charges_nothing(gateway_under_test):
    limited = gateway_under_test.caller(requests=100, tokens=60)
    first = gateway_under_test.embed(limited, {"input": "w " * 20})
    for _ in range(20):
        assert gateway_under_test.embed(limited, {"input": "w " * 28}).status_code == 429
    last = gateway_under_test.request("GET", "/v1/models", limited)
    for name in ("x-ratelimit-remaining-tokens", "x-ratelimit-remaining-requests"):
        assert int(last.headers[name]) >= int(first.headers[name])


def test_what_could_never_pass_is_400_and_not_to_be_retried(gateway_under_test):
    limited = gateway_under_test.caller(tokens=50)
    reply = gateway_under_test.embed(limited, {"input": "w " * 100})
    assert reply.status_code == 400
    assert reply.json()["error"]["code"] == "max_tokens_per_request"
    assert reply.json()["message"].startswith("Requested 202 tokens, max 50 tokens per request")
    assert reply.headers["x-should-retry"] == "false"
    assert "retry-after" not in reply.headers


def test_the_tightest_limit_is_shown(gateway_under_test):
    limited = gateway_under_test.caller(requests=100)
    gateway_under_test.change(quotas.set_quota, limited.tenant, {"requests": 7}, key=limited.key_id)
    gateway_under_test.change(quotas.set_quota, limited.tenant, {"requests": 3}, model_pattern="other*")
    reply = gateway_under_test.embed(limited, {"input": "x"})
    assert [reply.headers[name] for name in LIMITS[:2]] == ["7", "6"]
    assert reply.headers[LIMITS[2]].endswith("s")


@pytest.mark.parametrize("body", [{"input": "x"}, {"input": []}, {"model": "none", "input": "x"}])
def test_every_answer_after_the_key_says_how_the_limits_stand(gateway_under_test, caller, body):
    reply = gateway_under_test.embed(caller, body)
    for limit, remaining, reset in (LIMITS, TOKENS):
        assert int(reply.headers[limit]) == int(reply.headers[remaining]) == 1_000_000_000
        assert reply.headers[reset] == "0s"


def test_limits_follow_a_change(gateway_under_test):
    limited = gateway_under_test.caller(requests=1)
    assert gateway_under_test.embed(limited, {"input": "x"}).status_code == 200
    assert gateway_under_test.embed(limited, {"input": "x"}).status_code == 429
    gateway_under_test.change(quotas.set_quota, limited.tenant, {"requests": 60_000})
    deadline = time.monotonic() + 5
    while gateway_under_test.embed(limited, {"input": "x"}).status_code != 200:
        assert time.monotonic() < deadline


def test_places_are_refused_while_they_are_taken_and_free_again_after(gateway_under_test):
    limited = gateway_under_test.caller(concurrency=2)
    gateway_under_test.engine.delay = 0.5
    ready = threading.Barrier(6)

    def send(_):
        ready.wait(30)
        return gateway_under_test.embed(limited, {"input": "x"})

    with ThreadPoolExecutor(6) as pool:
        replies = list(pool.map(send, range(6)))
    assert sorted(reply.status_code for reply in replies) == [200, 200, 429, 429, 429, 429]
    refused = next(reply for reply in replies if reply.status_code == 429)
    error = refused.json()["error"]
    assert (error["type"], error["code"]) == ("concurrency", "concurrency_limit_exceeded")
    assert error["message"] == (
        f"Rate limit reached for tests/mini in organization {limited.tenant} on concurrent requests: Limit 2, Used 2, "
        "Requested 1. Please try again in 1s."
    )
    assert (refused.headers["retry-after"], refused.headers["retry-after-ms"]) == ("1", "1000")
    assert "x-should-retry" not in refused.headers
    assert refused.headers[LIMITS[1]] == "1000000000"
    gateway_under_test.engine.delay = 0.0
    assert gateway_under_test.embed(limited, {"input": "x"}).status_code == 200


def test_a_place_is_free_again_after_a_failure_and_after_the_caller_left(gateway_under_test):
    limited = gateway_under_test.caller(concurrency=1)
    gateway_under_test.engine.delay = 1.0
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            f"{gateway_under_test.url}/v1/embeddings",
            json={"model": "tests/mini", "input": "x"},
            headers=limited.headers,
            timeout=0.3,
        )
    gateway_under_test.engine.delay = 0.0
    gateway_under_test.wait_until(lambda: gateway_under_test.embed(limited, {"input": "x"}).status_code == 200, 0.6)
    assert gateway_under_test.embed(limited, {"input": []}).status_code == 400
    assert gateway_under_test.embed(limited, {"input": "x"}).status_code == 200


def test_a_spent_month_is_refused_for_good_and_other_tenants_go_on(gateway_under_test, caller):
    limited = gateway_under_test.caller(tokens_per_month=100, tokens=100_000)
    assert gateway_under_test.embed(limited, {"input": "w " * 47}).status_code == 200
    reply = gateway_under_test.embed(limited, {"input": "w " * 40})
    assert reply.status_code == 429
    error = reply.json()["error"]
    assert (error["type"], error["code"]) == ("insufficient_quota", "insufficient_quota")
    assert error["message"].startswith(
        "You exceeded your current quota, please check your plan and billing details. Tokens per month for tests/mini "
        f"in organization {limited.tenant}: Limit 100, Used "
    )
    assert reply.headers["x-should-retry"] == "false"
    assert "retry-after" not in reply.headers
    assert gateway_under_test.embed(caller, {"input": "w " * 20}).status_code == 200


def test_the_tokens_shown_are_those_of_which_least_is_left_by_the_minute_or_the_month(gateway_under_test):
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    month_ends = ((today.replace(day=28) + timedelta(days=4)).replace(day=1)).timestamp()
    for by_minute, by_month, shown in ((1000, 5000, "1000"), (5000, 1000, "1000")):
        limited = gateway_under_test.caller(tokens=by_minute, tokens_per_month=by_month)
        reply = gateway_under_test.embed(limited, {"input": "x"})
        assert reply.headers[TOKENS[0]] == shown
        assert 990 < int(reply.headers[TOKENS[1]]) < 1000
        expected = month_ends - time.time() if by_month < by_minute else 0.0
        assert seconds(reply.headers[TOKENS[2]]) == pytest.approx(expected, abs=30)


def test_a_budget_is_spent_by_what_the_ledger_says_after_a_restart(gateway_under_test):
    spender = gateway_under_test.caller(tokens_per_month=1000)
    assert gateway_under_test.embed(spender, {"input": "w " * 400}).status_code == 200
    used = gateway_under_test.usage(spender)[0].tokens
    store = gateway_under_test.services.quota._store
    gateway_under_test.run(asyncio.to_thread(store._states.clear))
    reply = gateway_under_test.embed(spender, {"input": "x"})
    assert int(reply.headers[TOKENS[1]]) == 1000 - used - reply.json()["usage"]["total_tokens"]
