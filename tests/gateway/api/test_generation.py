"""Generated text through the gateway: by OpenAI's own client, token by token, paid for to the token."""

import json
import threading

import httpx
import openai
import pytest
from fake_upstream import KEY, WORDS

from gateway.services.register import models

ASK = [{"role": "user", "content": "What do herring do?"}]
TEXT = "".join(WORDS)
PROMPT, ANSWER = 11, len(WORDS)


@pytest.fixture
def gateway(gateway_under_test):
    return gateway_under_test


@pytest.fixture
def client(gateway, caller):
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=caller.key, max_retries=0) as made:
        yield made


def chat(gateway, caller, model, **body):
    return gateway.post("/v1/chat/completions", caller, json={"model": model, "messages": ASK, **body})


def events(content):
    return [line.removeprefix("data: ") for line in content.split("\n\n") if line]


def used(gateway, caller):
    gateway.wait_until(lambda: gateway.usage(caller))
    (row,) = gateway.usage(caller)
    return row


def test_a_whole_answer_comes_under_the_name_that_was_asked_for_and_is_paid_for(gateway, client, caller, upstream):
    model = gateway.served_by(upstream, "chat")
    reply = client.chat.completions.create(model=model, messages=ASK)
    assert (reply.choices[0].message.content, reply.model) == (TEXT, model)
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (PROMPT, ANSWER)
    assert reply.system_fingerprint == "fp_1"
    row = used(gateway, caller)
    assert (row.model, row.endpoint, row.status, row.tokens) == (model, "/v1/chat/completions", 200, PROMPT + ANSWER)


def test_the_request_id_goes_on_to_the_upstream(gateway, caller, upstream):
    model = gateway.served_by(upstream, "chat")
    for stream in (False, True):
        body = {"model": model, "messages": ASK, "stream": stream}
        sent = {"x-request-id": f"req-{stream}"}
        assert gateway.post("/v1/chat/completions", caller, json=body, headers=sent).status_code == 200
        assert upstream.last("/v1/chat/completions").headers["x-request-id"] == sent["x-request-id"]


def test_a_stream_is_what_the_client_expects_and_keeps_the_usage_chunk_that_nobody_asked_for(
    gateway, client, caller, upstream
):
    model = gateway.served_by(upstream, "chat")
    chunks = list(client.chat.completions.create(model=model, messages=ASK, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == TEXT
    assert {chunk.model for chunk in chunks} == {model}
    assert all(chunk.usage is None for chunk in chunks)
    row = used(gateway, caller)
    assert (row.status, row.tokens) == (200, PROMPT + ANSWER)
    assert row.bytes_out > 500


def test_a_stream_whose_usage_was_asked_for_has_it(gateway, client, upstream):
    model = gateway.served_by(upstream, "chat")
    asked = client.chat.completions.create(
        model=model, messages=ASK, stream=True, stream_options={"include_usage": True}
    )
    *_, last = asked
    assert (last.choices, last.usage.total_tokens) == ([], PROMPT + ANSWER)


def test_completions_are_served_like_conversations(gateway, client, caller, upstream):
    model = gateway.served_by(upstream, "chat")
    assert client.completions.create(model=model, prompt="Herring").choices[0].text == TEXT
    streamed = client.completions.create(model=model, prompt=["Herring", "Cod"], stream=True)
    assert "".join(chunk.choices[0].text for chunk in streamed) == TEXT
    assert [row.inputs for row in gateway.usage(caller)] == [1, 2]


def test_each_token_is_with_the_client_before_the_upstream_sends_the_next(gateway, client, upstream):
    model = gateway.served_by(upstream, "held")
    upstream.release()
    stream = client.chat.completions.create(model=model, messages=ASK, stream=True)
    for word in WORDS:  # the upstream sends no word before the one before it was read here
        assert next(stream).choices[0].delta.content == word
        upstream.release()
    assert next(stream).choices[0].finish_reason == "stop"
    assert list(stream) == []


def test_what_the_gateway_does_not_know_goes_on_as_it_is_and_nothing_of_the_caller_does(gateway, caller, upstream):
    model = gateway.served_by(upstream, "chat")
    extra = {
        "temperature": 0.30000000000000004, "seed": 12345678901234567890, "tools": [{"type": "function", "x": None}],
        "response_format": {"type": "json_object"}, "metadata": {"a": [1, {"b": "é\u0000"}]}, "user": "u",
    }  # fmt: skip
    headers = {"x-evil": "1", "x-forwarded-for": "1.2.3.4", "cookie": "a=b", "openai-organization": "o"}
    body = {"model": model, "messages": ASK, **extra}
    reply = gateway.post("/v1/chat/completions", caller, json=body, headers=headers)
    assert reply.status_code == 200
    asked = upstream.last("/v1/chat/completions")
    assert asked.body == {"model": "chat", "messages": ASK, **extra}
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert not asked.headers.keys() & headers.keys()
    assert caller.key not in str(asked)
    assert asked.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    "field", ["api_base", "api_key", "extra_headers", "models", "route", "extra_body", "lora_path"]
)
def test_a_caller_can_not_say_where_its_request_goes(gateway, caller, upstream, field):
    model = gateway.served_by(upstream, "chat")
    asked = len(upstream.asked)
    reply = chat(gateway, caller, model, **{field: "http://169.254.169.254/"})
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, field)
    assert not [a for a in upstream.asked[asked:] if a.method == "POST"]


def test_a_model_named_twice_is_the_one_that_was_allowed(gateway, upstream):
    chat_model, other = gateway.served_by(upstream, "chat"), gateway.served_by(upstream, "mini")
    caller = gateway.caller(allow=(chat_model,))
    content = json.dumps({"messages": ASK})[:-1] + f', "model": "{other}", "model": "{chat_model}"}}'
    assert gateway.post("/v1/chat/completions", caller, content=content).status_code == 200
    assert upstream.last("/v1/chat/completions").body["model"] == "chat"
    content = json.dumps({"messages": ASK})[:-1] + f', "model": "{chat_model}", "model": "{other}"}}'
    assert gateway.post("/v1/chat/completions", caller, content=content).status_code == 404


def test_a_model_of_engine_nodes_writes_no_text(gateway, caller):
    for stream in (False, True):
        reply = chat(gateway, caller, gateway.model, stream=stream)
        assert (reply.status_code, reply.json()["error"]["code"]) == (400, "task_unsupported")
    assert gateway.usage(caller) == []


def test_a_server_of_embeddings_writes_no_text(gateway, caller, upstream):
    reply = chat(gateway, caller, gateway.served_by(upstream, "tei", kind="tei"), stream=True)
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "task_unsupported")


@pytest.mark.parametrize(
    "body", [{}, {"messages": []}, {"messages": "hi"}, {"messages": ASK, "n": 0}, {"messages": ASK, "n": 999}]
)
def test_bodies_that_are_none_are_refused(gateway, caller, upstream, body):
    reply = gateway.post("/v1/chat/completions", caller, json={"model": gateway.served_by(upstream, "chat"), **body})
    assert reply.status_code == 400
    assert reply.json()["error"]["param"] in {"messages", "n"}


# tenancy


def test_who_may_not_use_the_model_meets_one_that_does_not_exist(gateway, upstream):
    model = gateway.served_by(upstream, "chat")
    stranger = gateway.caller(allow=("tests/*",))
    asked = len(upstream.asked)
    replies = [chat(gateway, stranger, name, stream=True) for name in (model, "up/openai/no-such")]
    assert [reply.status_code for reply in replies] == [404, 404]
    assert replies[0].text.replace(model, "X") == replies[1].text.replace("up/openai/no-such", "X")
    assert not [a for a in upstream.asked[asked:] if a.method == "POST"]


def test_an_upper_bound_is_reserved_and_the_difference_given_back(gateway, upstream):
    model = gateway.served_by(upstream, "chat")
    caller = gateway.caller(tokens=5000, requests=100)
    reply = chat(gateway, caller, model, max_tokens=100, stream=True)
    shown = int(reply.headers["x-ratelimit-remaining-tokens"])
    assert 4700 < shown < 4900 - len(ASK[0]["content"])  # while it streams, all that it may come to is reserved
    after = chat(gateway, caller, model, max_tokens=100)
    left = 5000 - 2 * (PROMPT + ANSWER)  # and what has come back since, 83 a second
    assert left <= int(after.headers["x-ratelimit-remaining-tokens"]) < left + 25
    assert int(after.headers["x-ratelimit-remaining-requests"]) == 98


@pytest.mark.parametrize("stream", [False, True])
def test_more_than_the_quota_could_ever_admit_is_refused_before_the_upstream_hears_of_it(gateway, upstream, stream):
    model = gateway.served_by(upstream, "chat")
    caller = gateway.caller(tokens=1000)
    asked = len(upstream.asked)
    both = {"max_tokens": 2000, "max_completion_tokens": 1}
    for body in ({"max_tokens": 2000}, {"max_tokens": 200, "n": 8}, {"max_completion_tokens": 2000}, both, {}):
        reply = chat(gateway, caller, model, stream=stream, **body)
        assert (reply.status_code, reply.json()["error"]["type"]) == (400, "max_tokens_per_request")
    assert not [a for a in upstream.asked[asked:] if a.method == "POST"]


def test_a_stream_takes_a_place_of_concurrency_until_it_ends(gateway, upstream):
    model = gateway.served_by(upstream, "held")
    caller = gateway.caller(concurrency=1)
    upstream.release()
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=caller.key, max_retries=0) as client:
        stream = client.chat.completions.create(model=model, messages=ASK, stream=True)
        assert next(stream).choices[0].delta.content == WORDS[0]
        pool = gateway.services.nodes.pools["up-openai-held"]
        assert (pool.waiting, pool.in_flight) == (0, 1)
        refused = chat(gateway, caller, model, stream=True)
        assert (refused.status_code, refused.json()["error"]["type"]) == (429, "concurrency")
        for _ in WORDS:
            upstream.release()
        assert len(list(stream)) == ANSWER
    gateway.wait_until(lambda: pool.in_flight == 0)
    assert chat(gateway, caller, model).status_code == 200


# what breaks


def test_a_client_that_leaves_ends_the_stream_at_the_upstream_and_pays_for_what_it_heard(gateway, upstream):
    model = gateway.served_by(upstream, "forever")
    caller = gateway.caller(tokens=100_000)
    upstream.gone.clear()
    heard = 0
    with (
        httpx.Client() as client,
        client.stream(
            "POST", f"{gateway.url}/v1/chat/completions", headers=caller.headers,
            json={"model": model, "messages": ASK, "stream": True},
        ) as reply,
    ):  # fmt: skip
        for line in reply.iter_lines():
            heard += line.startswith("data: ")
            if heard == 50:
                break
    assert upstream.gone.wait(10)
    row = used(gateway, caller)
    assert row.status == 499
    assert row.tokens > 50
    assert row.bytes_out > 1000
    rest = gateway.request("GET", "/v1/models", caller).headers["x-ratelimit-remaining-tokens"]
    assert abs(100_000 - int(rest) - row.tokens) <= row.tokens  # the bucket fills meanwhile, by 1,667 a second


@pytest.mark.parametrize("source", ["dies", "breaks", "stops", "endless"])
def test_an_upstream_that_breaks_off_ends_the_stream_with_an_error(gateway, caller, upstream, source):
    model = gateway.served_by(upstream, source)
    reply = chat(gateway, caller, model, stream=True)
    *said, last = events(reply.text)
    assert [json.loads(event)["choices"][0]["delta"]["content"] for event in said] == WORDS[:2]
    error = json.loads(last)["error"]
    assert (error["code"], error["type"]) == ("upstream_unavailable", "server_error")
    assert "10.1.2.3" not in reply.text
    assert "[DONE]" not in reply.text
    row = used(gateway, caller)
    assert row.status == 503
    assert row.tokens >= 2


def test_an_upstream_that_stands_still_ends_the_stream_with_an_error(gateway, caller, upstream):
    model = gateway.served_by(upstream, "stands")
    body = {"model": model, "messages": ASK, "stream": True}
    reply = gateway.post("/v1/chat/completions", caller, json=body, headers={"x-stainless-read-timeout": "3"})
    *said, last = events(reply.text)
    assert [json.loads(event)["choices"][0]["delta"]["content"] for event in said] == WORDS[:2]
    assert json.loads(last)["error"]["code"] == "upstream_unavailable"
    assert used(gateway, caller).status == 503


def test_the_sdk_sees_a_stream_that_broke_off_as_an_error_never_as_an_end(gateway, client, upstream):
    model = gateway.served_by(upstream, "dies")
    with pytest.raises(openai.APIError):
        list(client.chat.completions.create(model=model, messages=ASK, stream=True))


def test_an_upstream_that_breaks_off_before_the_first_token_is_replaced_by_another(gateway, caller, upstream):
    spare = type(upstream)(key=upstream.key).start()
    try:
        pool = "up-replaced"
        gateway.upstream(pool, upstream.url, key=upstream.key)
        gateway.upstream(pool, spare.url, key=spare.key)
        gateway.change(models.add_model, models.NewModel(id="up/replaced", source="stillborn", pool=pool))
        for server in (upstream, spare):
            server.asked.clear()
        reply = chat(gateway, caller, "up/replaced", stream=True)
        assert reply.status_code == 503  # both were tried, and it is an answer, not a broken stream
        assert [len([a for a in s.asked if a.method == "POST"]) for s in (upstream, spare)] == [1, 1]
        assert used(gateway, caller).tokens == 0
    finally:
        spare.stop()


@pytest.mark.parametrize("source", ["uncounted", "zeros"])
def test_without_the_upstreams_word_the_length_of_the_prompt_and_what_was_heard_is_paid(
    gateway, caller, upstream, source
):
    model = gateway.served_by(upstream, source)
    streamed = chat(gateway, caller, model, stream=True)
    assert events(streamed.text)[-1] == "[DONE]"
    assert chat(gateway, caller, model).headers["x-shoal-usage"] == "estimated"
    by_stream, whole = (row.tokens for row in gateway.usage(caller))
    assert ANSWER < by_stream < 60
    assert ANSWER < whole < 60


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("source", "status", "code"),
    [
        ("refused", 503, "upstream_refuses"), ("poor", 503, "upstream_refuses"), ("moved", 503, "upstream_refuses"),
        ("forbidden", 500, "model_unusable"),
        ("failing", 503, "no_engine_node"), ("dead", 503, "no_engine_node"), ("busy", 429, "engine_overloaded"),
        ("unknown", 500, "model_unusable"), ("picky", 400, None), ("endless-wait", 429, "engine_overloaded"),
        ("packed", 503, "no_engine_node"),
    ],
)  # fmt: skip
def test_refusals_of_an_upstream_are_told_without_its_secrets(gateway, caller, upstream, source, status, code, stream):
    model = gateway.served_by(upstream, source)
    reply = chat(gateway, caller, model, stream=stream)
    assert (reply.status_code, reply.json()["error"]["code"]) == (status, code)
    for secret in (KEY, "10.0.0.7", "169.254", "vllm", upstream.url):
        assert secret not in reply.text + str(reply.headers)
    if source == "busy":
        assert reply.headers["retry-after"] == "7"
    if source == "picky":
        assert reply.json()["error"]["param"] == "messages"
        assert reply.json()["error"]["message"].startswith("max is 8 at …")
    assert all(row.tokens == 0 for row in gateway.usage(caller))


def test_operators_see_why_an_upstream_is_not_used(gateway, caller, upstream):
    made = gateway.upstream("up-wrong-key", upstream.url, key="sk-some-wrong-credential-0000")
    (node,) = gateway.services.nodes.pools["up-wrong-key"]
    assert "does not accept the credential" in node.failure
    assert made.id in node.name


def test_nobody_waits_for_an_upstream_that_does_not_accept_our_key(gateway, caller, upstream):
    gateway.upstream("up-locked", upstream.url, key="sk-another-wrong-credential-0000")
    gateway.change(models.add_model, models.NewModel(id="up/locked", source="chat", pool="up-locked"))
    asked = len(upstream.asked)
    for stream in (False, True):
        reply = chat(gateway, caller, "up/locked", stream=stream)
        assert (reply.status_code, reply.json()["error"]["code"]) == (503, "upstream_refuses")
        assert reply.headers["x-should-retry"] == "false"
    assert not [
        a for a in upstream.asked[asked:] if a.headers["authorization"].endswith("another-wrong-credential-0000")
    ]


@pytest.mark.parametrize("source", ["failing", "forbidden", "refused", "sorry"])
def test_a_request_at_which_an_upstream_fails_closes_it_to_nobody_else(gateway, caller, upstream, source):
    pool = f"up-shared-{source}"
    gateway.upstream(pool, upstream.url, key=upstream.key)
    for name in (source, "chat"):
        gateway.change(models.add_model, models.NewModel(id=f"{pool}/{name}", source=name, pool=pool))
    (node,) = gateway.services.nodes.pools[pool]
    gateway.wait_until(lambda: node.healthy)
    for _ in range(10):
        assert chat(gateway, caller, f"{pool}/{source}").status_code >= 500
        assert node.healthy
    assert chat(gateway, caller, f"{pool}/chat").status_code == 200


def test_many_streams_side_by_side_do_not_mix(gateway, upstream):
    model = gateway.served_by(upstream, "chat")
    callers = [gateway.caller() for _ in range(8)]
    results = []

    def stream(caller):
        results.extend(chat(gateway, caller, model, stream=True).text for _ in range(5))

    threads = [threading.Thread(target=stream, args=[caller]) for caller in callers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({json.dumps(events(text)) for text in results}) == 1
    assert len(results) == 40
    assert all(sum(row.tokens for row in gateway.usage(c)) == 5 * (PROMPT + ANSWER) for c in callers)


@pytest.mark.parametrize("stream", [False, True])
def test_who_leaves_before_the_first_word_pays_for_the_prompt_that_the_upstream_began(gateway, upstream, stream):
    model = gateway.served_by(upstream, "silent")
    caller = gateway.caller(tokens=100_000)
    body = {"model": model, "messages": [{"role": "user", "content": "x" * 4000}], "max_tokens": 10, "stream": stream}
    asked = len(upstream.asked)
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{gateway.url}/v1/chat/completions", headers=caller.headers, json=body, timeout=0.5)
    assert [a for a in upstream.asked[asked:] if a.method == "POST"]
    row = used(gateway, caller)
    assert (row.status, row.tokens // 100) == (499, 10)


def test_an_error_that_calls_itself_a_success_is_none(gateway, caller, upstream):
    reply = chat(gateway, caller, gateway.served_by(upstream, "sorry"))
    assert reply.status_code == 500
    assert "10.0.0.7" not in reply.text
    assert used(gateway, caller).tokens == 0


def test_an_upstream_that_does_not_number_its_answers_is_understood(gateway, caller, upstream):
    reply = chat(gateway, caller, gateway.served_by(upstream, "unnumbered"), stream=True)
    assert events(reply.text)[-1] == "[DONE]"
    assert used(gateway, caller).tokens == PROMPT + ANSWER
