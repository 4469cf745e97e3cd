"""A real server in front of others: registered from the command line, used by OpenAI's client, and another Shoal."""

import json

import numpy as np
import openai
import pytest
from fake_upstream import KEY, WORDS, FakeUpstream

from gateway.services.register import models

ASK = [{"role": "user", "content": "What do herring do?"}]


@pytest.fixture(scope="module")
def upstream():
    made = FakeUpstream().start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def front(start_server, server, upstream, tmp_path_factory):
    """A Shoal whose pools are of upstreams: the small server, and the Shoal of all other tests."""
    data_dir = tmp_path_factory.mktemp("front")
    with start_server(data_dir, "--allow-upstream", "127.0.0.0/8", "--pool-patience", "2") as front:
        for url, pool, key in ((upstream.url, "texts", KEY), (f"{server.url}/v1", "shoal", server.api_key)):
            key_file = data_dir / f"{pool}.key"
            key_file.write_text(key + "\n")
            told = front.shoal(
                "upstream", "add", url, "--pool", pool, "--key-file", str(key_file), "--allow-upstream", "127.0.0.1"
            )
            assert f"a node of the pool '{pool}'" in told
            key_file.unlink()
        front.shoal("model", "add", "writer", "--pool", "texts", "--source", "chat")
        front.change(add_models)
        yield front


async def add_models(session, actor):
    for name, pool, source in (("slow-writer", "texts", "held"), ("far-minilm", "shoal", "all-minilm-l6-v2")):
        await models.add_model(session, actor, models.NewModel(id=name, pool=pool, source=source))


@pytest.fixture(scope="module")
def client(front):
    key = front.new_tenant("writers", "*")
    with openai.OpenAI(base_url=f"{front.url}/v1", api_key=key, max_retries=3) as made:
        yield made


def test_a_conversation_streams_through_token_by_token(client, upstream):
    assert client.chat.completions.create(model="writer", messages=ASK).choices[0].message.content == "".join(WORDS)
    upstream.release()
    stream = client.chat.completions.create(model="slow-writer", messages=ASK, stream=True)
    for word in WORDS:  # the next is not sent before this one was read
        assert next(stream).choices[0].delta.content == word
        upstream.release()
    assert [chunk.choices[0].finish_reason for chunk in stream] == ["stop"]


def test_another_shoal_gives_the_same_vectors_as_when_it_is_asked_itself(client, server):
    texts = ["Herring swim in shoals.", "", "naïve café — 日本語 🐟", "word " * 300]
    through = client.embeddings.create(model="far-minilm", input=texts)
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=server.api_key) as direct:
        expected = direct.embeddings.create(model="all-minilm-l6-v2", input=texts)
    assert np.array_equal([d.embedding for d in through.data], [d.embedding for d in expected.data])
    assert through.usage == expected.usage


def test_the_operator_sees_upstreams_and_nobody_their_keys(front):
    found = json.loads(front.shoal("upstream", "list", "--json"))
    assert {upstream["pool"] for upstream in found} == {"texts", "shoal"}
    told = front.shoal("upstream", "list") + front.printed
    for path in front.data_dir.rglob("*"):
        if path.is_file():
            assert KEY.encode() not in path.read_bytes(), path
    assert KEY not in told
    assert (front.data_dir / "secret.key").stat().st_mode & 0o777 == 0o600


def test_a_new_key_is_in_force_at_once_and_a_wrong_one_closes_that_pool_alone(front, client, run_shoal):
    found = json.loads(front.shoal("upstream", "list", "--json"))
    upstream_id = next(upstream["id"] for upstream in found if upstream["pool"] == "texts")

    def set_key(key):
        done = run_shoal("upstream", "set-key", upstream_id, "--data-dir", str(front.data_dir), SHOAL_UPSTREAM_KEY=key)
        assert done.returncode == 0, done.stderr

    def answers():
        try:
            client.with_options(max_retries=0, timeout=30).chat.completions.create(model="writer", messages=ASK)
        except openai.InternalServerError:
            return False
        return True

    set_key("sk-this-one-is-wrong-5566778899")
    front.until(lambda: not answers(), "the wrong key is refused")
    assert client.embeddings.create(model="far-minilm", input="x").data
    set_key(KEY)
    front.until(answers, "the right key is accepted")
