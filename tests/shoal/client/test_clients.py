"""Both clients over real sockets: they send the same, in bounded parallel, and end alike."""

import asyncio
import socket
import subprocess
import sys
import time

import pytest

from shoal.client import (
    AsyncShoal,
    AuthenticationFailed,
    BadRequest,
    InputTooLong,
    NotFound,
    PermissionDenied,
    RateLimited,
    Refused,
    ServerFailed,
    Shoal,
    TimedOut,
    Unreachable,
)

KEY = "sk-shoal-tests-4be1f7a0c93d"
TEXTS = [f"{'x' * (number % 7)}" for number in range(50)]


def test_many_texts_are_many_requests_in_bounded_parallel(ask, scripted):
    def slowly(asked):
        time.sleep(0.02)
        data = [{"index": place, "embedding": [float(len(text))]} for place, text in enumerate(asked.body["input"])]
        return 200, {"data": data, "usage": {"total_tokens": 1}}, {}

    scripted.usual = slowly
    found = ask(lambda shoal: shoal.embed(TEXTS, model="m"), batch_size=3, concurrency=4)
    assert found.dense == [[float(len(text))] for text in TEXTS]
    assert (len(scripted.asked), found.tokens) == (17, 17)
    assert 2 <= scripted.most_at_once <= 4


def test_what_every_request_bears(ask, scripted):
    ask(lambda shoal: shoal.embed("a", model="m"), lane="bulk", timeout=7)
    (asked,) = scripted.asked
    assert (asked.method, asked.path) == ("POST", "/v1/embeddings")
    said = {
        name: asked.headers[name]
        for name in ("authorization", "content-type", "x-shoal-lane", "x-stainless-read-timeout")
    }
    assert said == {
        "authorization": f"Bearer {KEY}",
        "content-type": "application/json",
        "x-shoal-lane": "bulk",
        "x-stainless-read-timeout": "7",
    }


def test_nothing_is_asked_for_no_texts(ask, scripted):
    assert ask(lambda shoal: shoal.embed([], model="m")).dense == []
    assert ask(lambda shoal: shoal.rerank("q", [], model="m")).results == []
    assert scripted.asked == []


def test_the_wait_that_the_server_names_is_kept(ask, scripted):
    scripted.script.append((429, {"message": "later"}, {"retry-after-ms": "120"}))
    ask(lambda shoal: shoal.embed("a", model="m"))
    first, second = scripted.asked
    assert 0.12 <= second.at - first.at < 0.6


def test_a_connection_that_breaks_is_made_again(ask, scripted):
    scripted.script.append(None)
    assert ask(lambda shoal: shoal.embed("a", model="m")).tokens == 1
    assert len(scripted.asked) == 2


STATUSES = [
    (400, BadRequest), (401, AuthenticationFailed), (403, PermissionDenied), (404, NotFound), (413, BadRequest),
    (422, BadRequest), (418, Refused), (429, RateLimited), (500, ServerFailed), (503, ServerFailed),
]  # fmt: skip


@pytest.mark.parametrize(("status", "kind"), STATUSES)
def test_errors_have_classes_and_the_servers_own_words(ask, scripted, status, kind):
    error = {"message": "so it is", "type": "some_type", "param": "input", "code": "some_code"}
    scripted.usual = (status, {"error": error}, {"x-request-id": "req_7"})
    with pytest.raises(Refused) as caught:
        ask(lambda shoal: shoal.embed("a", model="m"), max_retries=0)
    found = caught.value
    assert type(found) is kind
    assert (found.status, found.code, found.type, found.param) == (status, "some_code", "some_type", "input")
    assert (found.message, found.request_id) == ("so it is", "req_7")
    assert "req_7" in str(found)


@pytest.mark.parametrize("body", [b"", b"oops", b'"oops"', b'{"error": "oops", "error_type": "Validation"}', b"[1]"])
def test_errors_of_any_shape_are_errors(ask, scripted, body):
    scripted.usual = (400, body, {})
    with pytest.raises(BadRequest):
        ask(lambda shoal: shoal.embed("a", model="m"))


def test_a_text_that_is_too_long_is_an_error_of_its_own(ask, scripted):
    scripted.usual = (400, {"error": {"message": "too long", "code": "context_length_exceeded"}}, {})
    with pytest.raises(InputTooLong):
        ask(lambda shoal: shoal.embed("a", model="m", truncate=False))


def test_the_first_failure_ends_the_others_at_once(ask, scripted):
    def picky(asked):
        if asked.body["input"] == ["bad"]:
            time.sleep(0.1)  # the others wait by then
            return 400, {"message": "bad"}, {}
        return 500, {"message": "again"}, {"retry-after": "30"}

    scripted.usual = picky
    began = time.monotonic()
    with pytest.raises(BadRequest, match="bad"):
        ask(lambda shoal: shoal.embed(["a", "b", "bad", "c", "d"], model="m"), batch_size=1, concurrency=5)
    assert time.monotonic() - began < 5


def test_nobody_there(ask):
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))  # bound, and nobody listens
        address = f"http://127.0.0.1:{sock.getsockname()[1]}"
        with pytest.raises(Unreachable, match=address):
            ask(lambda shoal: shoal.embed("a", model="m"), url=address, max_retries=0)


def test_nobody_answers(ask, scripted):
    scripted.usual = lambda _: time.sleep(0.5)
    with pytest.raises(TimedOut, match=r"0\.1 s"):
        ask(lambda shoal: shoal.embed("a", model="m"), timeout=0.1, max_retries=0)


def test_one_client_in_one_event_loop_after_another(scripted):
    shoal = AsyncShoal(scripted.url, api_key=KEY)

    async def once():
        try:
            return (await shoal.embed("a", model="m")).tokens
        finally:
            await shoal.aclose()

    assert [asyncio.run(once()) for _ in range(3)] == [1, 1, 1]


def test_a_caller_who_leaves_takes_the_requests_along(scripted):
    scripted.usual = lambda _: time.sleep(0.3)

    async def leave():
        async with AsyncShoal(scripted.url, api_key=KEY) as shoal:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(shoal.embed(TEXTS, model="m"), 0.05)
            return [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]

    assert asyncio.run(leave()) == []


def test_threads_share_a_client_and_its_bound(scripted):
    from concurrent.futures import ThreadPoolExecutor

    with Shoal(scripted.url, api_key=KEY, concurrency=2) as shoal, ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda text: shoal.embed(text, model="m").dense, ["a" * length for length in range(30)]))
    assert found == [[[0.0, float(length)]] for length in range(30)]
    assert scripted.most_at_once <= 2


def test_methods_say_what_they_take():
    assert Shoal.embed.__doc__ == AsyncShoal.embed.__doc__
    assert "input_type" in Shoal.embed.__doc__


def test_it_needs_httpx_and_nothing_of_the_servers():
    heavy = ("torch", "numpy", "litestar", "msgspec", "pydantic", "gateway", "engine", "policies")
    script = f"import sys, shoal.client; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
