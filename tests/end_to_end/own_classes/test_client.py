"""`shoal.client` against the real server: every head, true vectors, and a quota that makes it wait."""

import asyncio

import numpy as np
import pytest
from labelled import MODEL, WORDS

from gateway.services.register import grants, keys, quotas, tenants
from shoal.client import AsyncShoal, AuthenticationFailed, BadRequest, InputTooLong, NotFound, RateLimited, Shoal
from shoal.database import change

pytestmark = pytest.mark.timeout(300)  # the first test starts the server, and libraries are slow to import

TOLERANCE = 1e-5


@pytest.fixture(params=["blocking", "asynchronous"])
def ask(request, server):
    def with_threads(what, **options):
        with Shoal(**{"url": server.url, "api_key": server.api_key} | options) as shoal:
            return what(shoal)

    def with_a_loop(what, **options):
        async def main():
            async with AsyncShoal(**{"url": server.url, "api_key": server.api_key} | options) as shoal:
                return await what(shoal)

        return asyncio.run(main())

    return with_threads if request.param == "blocking" else with_a_loop


def test_vectors_are_those_of_sentence_transformers(ask, reference):
    texts = ["Herring swim in shoals.", "", "naïve café — 日本語 🐟", "word " * 300]
    found = ask(lambda shoal: shoal.embed(texts, model=MODEL), batch_size=2)
    assert np.abs(np.array(found.dense) - reference.encode(texts, convert_to_numpy=True)).max() < TOLERANCE
    assert found.truncated == [3]
    assert found.tokens == sum(min(256, len(ids)) for ids in reference.tokenizer(texts)["input_ids"])


def test_all_outputs_at_once(ask, vectors):
    outputs = ("dense", "sparse", "multi")
    found = ask(lambda shoal: shoal.embed(WORDS, model="all-three", input_type="query", outputs=outputs), batch_size=2)
    assert np.allclose(found.dense, vectors(WORDS, "all-three", "query"), atol=TOLERANCE)
    for sparse, truth in zip(found.sparse, vectors(WORDS, "all-three", "query", "sparse"), strict=True):
        assert sparse.indices == truth["indices"]
        assert np.allclose(sparse.values, truth["values"], atol=TOLERANCE)
    for rows, truth in zip(found.multi, vectors(WORDS, "all-three", "query", "multi"), strict=True):
        assert np.allclose(rows, truth, atol=TOLERANCE)


@pytest.mark.parametrize("model", ["cross-encoder", "multi", "dense"])
def test_ranks_in_parts_are_ranks_at_once(ask, ranks, model):
    found = ask(lambda shoal: shoal.rerank("w5 w6", WORDS, model=model, top_n=3), batch_size=2)
    expected = ranks("w5 w6", WORDS, model)[:3]
    assert [WORDS[one.index] for one in found.results] == [text for text, _ in expected]
    assert [one.score for one in found.results] == pytest.approx([score for _, score in expected], rel=1e-3, abs=1e-4)


def test_labels_and_spans(ask, gateway):
    labels = ask(lambda shoal: shoal.classify(WORDS, model="classifier"), batch_size=2).labels
    expected = gateway("/v1/classify", model="classifier", input=WORDS)["data"]
    assert [[label.name for label in each] for each in labels] == [
        [fit["label"] for fit in item["predictions"]] for item in expected
    ]
    text = "w5 é w6 🐟 w7, w8"
    (found,) = ask(lambda shoal: shoal.extract(text, model="spans", labels=["w20", "w21"], threshold=0.0)).entities
    assert found
    assert all(text[one.start : one.end] == one.text for one in found)


def test_what_the_server_says_of_a_model(ask):
    known = ask(lambda shoal: shoal.describe("sentence-transformers/all-MiniLM-L6-v2"))
    assert (known.id, known.type, known.dimensions) == ("sentence-transformers/all-MiniLM-L6-v2", "embedding", 384)


def test_refusals_by_their_classes(ask, server):
    with pytest.raises(NotFound) as caught:
        ask(lambda shoal: shoal.embed("a", model="no-such-model"))
    assert (caught.value.status, caught.value.code) == (404, "model_not_found")
    with pytest.raises(BadRequest, match="does not support specifying dimensions"):
        ask(lambda shoal: shoal.embed("a", model=MODEL, dimensions=7))
    with pytest.raises(InputTooLong):
        ask(lambda shoal: shoal.embed("word " * 300, model=MODEL, truncate=False))
    with pytest.raises(AuthenticationFailed):
        ask(lambda shoal: shoal.embed("a", model=MODEL), api_key="sk-shoal-nobody-nothing")


def test_a_quota_is_waited_for_or_raised(server):
    """Sixty requests a minute: sixty at once, and one a second after them."""

    async def fill(session, actor):
        tenant = await tenants.create_tenant(session, actor, "patient")
        await grants.add_grant(session, actor, tenant.id, "*")
        await quotas.set_quota(session, actor, tenant.id, {"requests": 60})
        return (await keys.create_key(session, actor, tenant.id)).key

    key = change(f"sqlite:///{server.data_dir / 'shoal.db'}", fill)
    server.until(
        lambda: server.embed(key, {"model": MODEL, "input": "a"}).headers.get("x-ratelimit-limit-requests") == "60",
        "it holds",
    )
    with Shoal(server.url, api_key=key, batch_size=1) as shoal:
        assert len(shoal.embed(["a"] * 65, model=MODEL).dense) == 65, "the last of them had to wait"
    with Shoal(server.url, api_key=key, max_retries=0) as hasty:
        with pytest.raises(RateLimited) as caught:
            [hasty.embed("a", model=MODEL) for _ in range(30)]
        assert 0 < caught.value.retry_after <= 60
