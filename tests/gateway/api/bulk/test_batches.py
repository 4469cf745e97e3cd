"""Batches by OpenAI's SDK, from the upload to the results."""

import asyncio
from datetime import timedelta

import openai
import pytest

from gateway.api.bulk.lines import EmbeddingLines
from gateway.db.tables import Batch
from gateway.errors import EngineFailed, EngineOverloaded, Unavailable
from gateway.services.bulk import asking, checking, run


def test_results_are_those_of_single_requests_once_and_in_order(gateway_under_test, client, line, start, ended, read):
    lines = [line(f"r{number}", f"text {number} {'word ' * (number % 7)}", user="u") for number in range(600)]
    made = start(client, lines, metadata={"job": "nightly"})
    assert (made.status, made.object, made.metadata, made.errors) == ("validating", "batch", {"job": "nightly"}, None)
    batch = ended(client, made)
    assert (batch.status, batch.model, batch.error_file_id) == ("completed", gateway_under_test.model, None)
    assert (batch.request_counts.total, batch.request_counts.completed, batch.request_counts.failed) == (600, 600, 0)
    assert batch.created_at <= batch.in_progress_at <= batch.finalizing_at <= batch.completed_at < batch.expires_at
    results = read(client, batch.output_file_id)
    assert [one["custom_id"] for one in results] == [f"r{number}" for number in range(600)]
    assert len({one["id"] for one in results}) == len({one["response"]["request_id"] for one in results}) == 600
    assert batch.usage.total_tokens == sum(one["response"]["body"]["usage"]["total_tokens"] for one in results)
    for number in (0, 41, 599):
        single = client.embeddings.with_raw_response.create(**lines[number]["body"], encoding_format="float")
        assert results[number]["response"]["status_code"] == 200
        assert results[number]["response"]["body"] == single.http_response.json()
        assert results[number]["error"] is None


def test_every_shape_of_a_request_comes_back_in_its_own(gateway_under_test, client, caller, line, start, ended, read):
    lines = [
        line("list", ["a", "b c"]),
        line("base64", "x", encoding_format="base64"),
        line("narrow", "x", dimensions=4),
        line("tokens", [[15339, 1917], [15339]]),
        line("alias", "x", model="mini"),
        line("query", "x", model="mini:query"),
        line("quantized", "x", output_dtype="int8"),
        line("sparse", "x y", output_types=["dense", "sparse", "multi"]),
        line("long", "word " * 600),
    ]
    batch = ended(client, start(client, lines))
    assert (batch.status, batch.request_counts.completed, batch.model) == ("completed", len(lines), None)
    results = read(client, batch.output_file_id)
    for sent, got in zip(lines, results, strict=True):
        body = {"encoding_format": "float", **sent["body"]}
        alone = gateway_under_test.post("/v1/embeddings", caller, json=body)
        assert got["response"]["body"] == alone.json(), sent["custom_id"]
    assert results[8]["response"]["body"]["truncated"] == [0]


def test_small_requests_of_one_model_go_together(gateway_under_test, client, line, start, ended):
    before = gateway_under_test.engine.calls
    ended(client, start(client, [line(f"r{number}") for number in range(300)]))
    assert gateway_under_test.engine.calls - before == 3  # of 128, 128 and 44


def test_a_line_that_fails_fails_alone(gateway_under_test, client, line, start, ended, read, monkeypatch):
    monkeypatch.setattr(asking, "BEGIN_WAITING", 0.001)
    lines = [
        line("good-1"),
        line("too-wide", dimensions=9),
        line("good-2"),
        line("broken", "__error inference_failed__"),
        line("too-long", "word " * 600, truncate=False),
        line("unusable", "__error model_invalid__", dimensions=3),
        line("good-3"),
    ]
    batch = ended(client, start(client, lines))
    assert batch.status == "completed"
    assert (batch.request_counts.total, batch.request_counts.completed, batch.request_counts.failed) == (7, 3, 4)
    assert [one["custom_id"] for one in read(client, batch.output_file_id)] == ["good-1", "good-2", "good-3"]
    failures = read(client, batch.error_file_id)
    assert [(one["custom_id"], one["response"]["status_code"]) for one in failures] == [
        ("too-wide", 400), ("broken", 500), ("too-long", 400), ("unusable", 500),
    ]  # fmt: skip
    assert failures[2]["response"]["body"]["error"]["code"] == "context_length_exceeded"
    assert all(one["error"] is None for one in failures)


def test_what_passes_is_tried_again(gateway_under_test, client, line, start, ended, monkeypatch):
    monkeypatch.setattr(asking, "BEGIN_WAITING", 0.01)
    failures = [
        EngineOverloaded("full", retry_after=0.01), Unavailable("away", retry_after=0.01),
        EngineFailed("once"), EngineFailed("twice"),
    ]  # fmt: skip
    ask = EmbeddingLines.ask

    async def unsteady(self, model, request):
        if failures:
            raise failures.pop()
        return await ask(self, model, request)

    monkeypatch.setattr(EmbeddingLines, "ask", unsteady)
    batch = ended(client, start(client, [line("a"), line("b")]))
    assert (batch.status, batch.request_counts.completed, failures) == ("completed", 2, [])


BAD = {
    "no JSON\n": ("invalid_json_line", None),
    '{"custom_id": "x"}\n': ("invalid_request", None),
    '{"custom_id": 1, "method": "POST", "url": "/v1/embeddings", "body": {}}\n': ("invalid_request", None),
}


def test_all_that_is_wrong_with_an_input_is_said_with_its_line(client, line, start, ended):
    good = line("a")
    wrong = [
        (good | {"custom_id": "b", "method": "GET"}, "invalid_method", "method"),
        (good | {"custom_id": "c", "url": "/v1/chat/completions"}, "invalid_url", "url"),
        (good, "duplicate_custom_id", "custom_id"),
        (good | {"custom_id": ""}, "invalid_custom_id", "custom_id"),
        (line("d", model="no-such"), "model_not_found", "body.model"),
        (line("e", []), "invalid_request_error", "body.input"),
        (line("f", dimensions=0), "invalid_request_error", "body.dimensions"),
        *((text, code, param) for text, (code, param) in BAD.items()),
    ]
    batch = ended(client, start(client, [good, "\n", *(sent for sent, _, _ in wrong)]))
    assert (batch.status, batch.output_file_id, batch.error_file_id) == ("failed", None, None)
    assert batch.failed_at is not None
    told = [(error.line, error.code, error.param) for error in batch.errors.data]
    assert told == [(number, code, param) for number, (_, code, param) in enumerate(wrong, 3)]


def test_errors_end_with_the_hundredth_and_an_empty_input_is_one(client, line, start, ended):
    batch = ended(client, start(client, ["nothing\n"] * 300))
    assert len(batch.errors.data) == 100
    for empty in ([], ["\n\n"]):
        batch = ended(client, start(client, empty))
        assert (batch.status, batch.errors.data[0].code) == ("failed", "empty_file")


def test_there_are_bounds_on_requests_and_on_inputs(client, line, start, ended, monkeypatch):
    monkeypatch.setattr(checking, "MOST_REQUESTS", 3)
    monkeypatch.setattr(checking, "MOST_INPUTS", 5)
    assert ended(client, start(client, [line("a", ["x"] * 3), line("b", "x"), line("c", "x")])).status == "completed"
    over = ended(client, start(client, [line(name) for name in "abcd"]))
    assert [error.code for error in over.errors.data] == ["too_many_tasks"]
    over = ended(client, start(client, [line("a", ["x"] * 3), line("b", ["x"] * 3)]))
    assert [error.code for error in over.errors.data] == ["too_many_inputs"]


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"endpoint": "/v1/chat/completions"}, "endpoint"),
        ({"endpoint": None}, "endpoint"),
        ({"completion_window": "7d"}, "completion_window"),
        ({"input_file_id": ""}, "input_file_id"),
        ({"metadata": {"a": 1}}, "metadata"),
        ({"output_expires_after": {"anchor": "created_at", "seconds": 1}}, "output_expires_after"),
    ],
)
def test_what_is_no_batch_is_refused(gateway_under_test, client, caller, line, upload, change, param):
    body = {"endpoint": "/v1/embeddings", "completion_window": "24h", "input_file_id": upload(client, [line("a")]).id}
    reply = gateway_under_test.post("/v1/batches", caller, json=body | change)
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, param)
    assert client.batches.list().data == []


def test_results_are_no_input(client, line, start, ended):
    batch = ended(client, start(client, [line("a")]))
    with pytest.raises(openai.BadRequestError, match="purpose"):
        client.batches.create(input_file_id=batch.output_file_id, endpoint="/v1/embeddings", completion_window="24h")


def test_pages_of_batches(client, line, start, upload):
    file = upload(client, [line("a")])
    made = [
        client.batches.create(input_file_id=file.id, endpoint="/v1/embeddings", completion_window="24h").id
        for _ in range(5)
    ]
    page = client.batches.list(limit=2)
    assert ([one.id for one in page.data], page.has_more, page.first_id) == (made[:2:-1], True, made[4])
    assert [one.id for one in client.batches.list(limit=2)] == made[::-1]
    with pytest.raises(openai.NotFoundError):
        client.batches.list(after="batch_none")


def test_a_cancelled_batch_keeps_what_it_has(gateway_under_test, client, line, start, ended, read, monkeypatch):
    monkeypatch.setattr(run, "WINDOW", 1)
    lines = [line(f"r{number}") for number in range(256)] + [line("slow", "__sleep 15__")]
    made = start(client, lines)
    gateway_under_test.wait_until(lambda: client.batches.retrieve(made.id).request_counts.completed == 256)
    with pytest.raises(openai.ConflictError, match="still reads this file"):
        client.files.delete(made.input_file_id)
    cancelling = client.batches.cancel(made.id)
    assert cancelling.status == "cancelling"
    batch = ended(client, made)
    assert (batch.status, batch.request_counts.completed) == ("cancelled", 256)
    assert batch.cancelling_at <= batch.cancelled_at
    assert len(read(client, batch.output_file_id)) == 256
    assert client.batches.cancel(made.id).status == "cancelled"
    client.files.delete(made.input_file_id)


def test_what_is_cancelled_before_it_begins_is_cancelled(gateway_under_test, client, line, start, ended, monkeypatch):
    look_through = run.look_through

    async def slowly(*arguments):
        findings = await look_through(*arguments)
        batch_id = (await asyncio.to_thread(client.batches.list)).data[0].id
        await asyncio.to_thread(client.batches.cancel, batch_id)  # which this process has not heard of yet
        return findings

    monkeypatch.setattr(run, "look_through", slowly)
    batch = ended(client, start(client, [line("a"), line("b")]))
    assert (batch.status, batch.completed_at, batch.output_file_id) == ("cancelled", None, None)


def test_what_has_ended_can_not_be_cancelled(client, line, start, ended):
    made = start(client, [line("a")])
    ended(client, made)
    with pytest.raises(openai.ConflictError, match="Cannot cancel a batch with status 'completed'"):
        client.batches.cancel(made.id)


def test_a_batch_whose_day_is_over_says_so_of_the_rest(
    gateway_under_test, client, line, start, ended, read, monkeypatch
):
    monkeypatch.setattr(run, "WINDOW", 1)
    lines = [line(f"r{number}") for number in range(256)] + [line(f"slow{n}", "__sleep 15__") for n in range(3)]
    made = start(client, lines)
    gateway_under_test.wait_until(lambda: client.batches.retrieve(made.id).request_counts.completed == 256)

    async def age():
        async with gateway_under_test.services.database.transaction() as session:
            row = await session.get(Batch, made.id)
            row.expires_at -= timedelta(hours=25)

    gateway_under_test.run(age())
    batch = ended(client, made)
    assert (batch.status, batch.request_counts.completed, batch.request_counts.failed) == ("expired", 256, 3)
    assert batch.expired_at is not None
    assert len(read(client, batch.output_file_id)) == 256
    failures = read(client, batch.error_file_id)
    assert [one["custom_id"] for one in failures] == ["slow0", "slow1", "slow2"]
    assert {(one["response"], one["error"]["code"]) for one in failures} == {(None, "batch_expired")}


def test_output_is_kept_for_as_long_as_its_tenant_says(client, line, start, ended):
    made = start(client, [line("a")], output_expires_after={"anchor": "created_at", "seconds": 7200})
    file = client.files.retrieve(ended(client, made).output_file_id)
    assert (file.purpose, file.expires_at - file.created_at) == ("batch_output", 7200)
    assert file.filename == f"{made.id}_output.jsonl"
