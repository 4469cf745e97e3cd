import asyncio
from typing import Any

import pytest

from shoal.failures import StartFailure
from shoal.load.embeddings import count_tokens, embedding_requests
from shoal.load.measurement import Measurement
from shoal.load.run import Load, measure

TOKENS = 7
TEXTS = [f"text {number}" for number in range(8)]


def run(url: str, connections: int = 3, duration: float = 0.2, **options: Any) -> Measurement:
    requests = embedding_requests(url, "key", "model", TEXTS, 2)
    load = Load(
        url=url,
        requests=requests,
        count_tokens=count_tokens,
        connections=connections,
        duration=duration,
        warmup=0,
        **options,
    )
    return asyncio.run(measure(load))


def test_it_counts_what_the_server_answered(toy_server):
    toy = toy_server()
    measured = run(toy.url)
    proof, unfinished = 1, 3
    assert measured.requests > 10
    assert 0 <= len(toy.requests) - proof - measured.requests <= unfinished
    assert measured.tokens == TOKENS * measured.requests
    assert measured.tokens_per_second == pytest.approx(measured.tokens / measured.seconds)
    assert measured.errors == {}
    assert measured.first_error is None
    assert measured.latency_ms is not None
    assert 0 < measured.latency_ms.p50 <= measured.latency_ms.p99 <= measured.latency_ms.max


def test_warm_up_is_not_counted(toy_server):
    toy = toy_server(lambda _: "slow")
    load = Load(
        url=toy.url,
        requests=embedding_requests(toy.url, "key", "model", TEXTS, 2),
        count_tokens=count_tokens,
        connections=1,
        duration=0.2,
        warmup=0.3,
    )
    measured = asyncio.run(measure(load))
    assert 0 < measured.requests <= 5
    assert len(toy.requests) >= 8


def test_connections_stay_open(toy_server):
    toy = toy_server()
    measured = run(toy.url, connections=3)
    assert measured.connections_opened == 3
    assert toy.connections == 3 + 1


def test_a_server_that_closes_is_connected_to_again(toy_server):
    toy = toy_server(lambda _: "close")
    measured = run(toy.url, connections=2)
    assert measured.requests > 2
    assert measured.connections_opened >= measured.requests
    assert measured.errors == {}


def test_requests_go_out_in_turn(toy_server):
    toy = toy_server()
    run(toy.url, connections=1, duration=0.05)
    bodies = [request.partition(b"\r\n\r\n")[2] for request in toy.requests]
    assert b"text 0" in bodies[0]
    assert [b"text 0" in bodies[1], b"text 2" in bodies[2], b"text 4" in bodies[3]] == [True, True, True]


def test_errors_are_counted_by_status_and_are_no_throughput(toy_server):
    toy = toy_server(lambda number: "busy" if number % 3 == 2 else "ok")
    measured = run(toy.url)
    assert set(measured.errors) == {"429"}
    assert measured.errors["429"] == pytest.approx(measured.requests / 2, abs=4)
    assert measured.tokens == TOKENS * measured.requests
    assert measured.first_error is not None
    assert "Come back later." in measured.first_error


def test_a_dropped_connection_is_an_error_and_not_the_end(toy_server):
    toy = toy_server(lambda number: "drop" if number % 4 == 3 else "ok")
    measured = run(toy.url)
    assert set(measured.errors) == {"connection lost"}
    assert measured.requests > measured.errors["connection lost"]


def test_a_reply_without_usage_is_an_error(toy_server):
    toy = toy_server(lambda number: "odd" if number == 5 else "ok")
    assert run(toy.url).errors == {"unreadable reply": 1}


def test_a_paced_load_keeps_its_rate(toy_server):
    toy = toy_server()
    measured = run(toy.url, rate=200.0, duration=0.4)
    assert 40 <= measured.requests <= 82


def test_a_paced_load_counts_the_wait_for_a_free_connection(toy_server):
    toy = toy_server(lambda _: "slow")
    measured = run(toy.url, connections=1, rate=100.0, duration=0.6)
    assert measured.latency_ms is not None
    assert measured.latency_ms.max > 200, (
        "50 ms each, every 10 ms one more: the tenth has waited for the nine before it"
    )


def test_progress_adds_up_to_the_whole_run(toy_server):
    toy = toy_server()
    passed: list[float] = []
    load = Load(
        url=toy.url,
        requests=embedding_requests(toy.url, "key", "model", TEXTS, 1),
        count_tokens=count_tokens,
        connections=1,
        duration=0.1,
        warmup=0.1,
    )
    asyncio.run(measure(load, passed.append))
    assert sum(passed) == pytest.approx(0.2, abs=0.1)


@pytest.mark.parametrize(
    ("does", "says"),
    [
        ("busy", "refused the first request: 429 .*Come back later"),
        ("drop", "closed the connection without an answer"),
        ("odd", "not embeddings"),
    ],
)
def test_a_first_request_that_fails_ends_it_in_one_sentence(toy_server, does, says):
    with pytest.raises(StartFailure, match=says):
        run(toy_server(lambda _: does).url)


def test_nobody_there_ends_it_in_one_sentence():
    with pytest.raises(StartFailure, match=r"Nothing answers at http://127\.0\.0\.1:1"):
        run("http://127.0.0.1:1")
