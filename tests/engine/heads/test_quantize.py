"""Vectors in smaller numbers, against sentence-transformers' `quantize_embeddings`."""

import numpy as np
import pytest
from sentence_transformers.util import quantize_embeddings

from engine.heads.quantize import quantize
from engine.heads.vectors import normalize
from engine.protocol import EmbedRequest, ModelRef

VECTORS = normalize(np.random.default_rng(0).standard_normal((50, 21), dtype=np.float32))
EDGES = np.array([[1.0, -1.0, 0.0, 0.5, -0.5, 1e-9, -1e-9]], dtype=np.float32)
RANGES = np.array([[-128.5], [126.5]]) / 127


@pytest.mark.parametrize("how", ["binary", "ubinary"])
def test_bits_are_packed_as_the_reference_does(how):
    for vectors in (VECTORS, EDGES, VECTORS[:, :8]):
        ours = quantize(vectors, how, normalized=True)
        theirs = quantize_embeddings(vectors, how)
        np.testing.assert_array_equal(ours.rows, theirs)
        assert (ours.rows.dtype, ours.scale, ours.offset) == (theirs.dtype, None, 0)


@pytest.mark.parametrize("how", ["int8", "uint8"])
def test_whole_numbers_are_those_of_the_reference_for_the_stated_ranges(how):
    ours = quantize(VECTORS, how, normalized=True)
    theirs = quantize_embeddings(VECTORS, how, ranges=np.repeat(RANGES, 21, axis=1))
    assert ours.rows.dtype == theirs.dtype
    # A number on the edge between two may round either way.
    assert np.abs(ours.rows.astype(int) - theirs.astype(int)).max() <= 1
    assert (ours.rows != theirs).mean() < 0.01


@pytest.mark.parametrize("normalized", [True, False])
@pytest.mark.parametrize("how", ["int8", "uint8"])
def test_the_scale_of_the_reply_brings_the_numbers_back(how, normalized):
    vectors = VECTORS if normalized else VECTORS * 37
    for rows in (vectors, vectors[:1], EDGES if normalized else EDGES * 37, np.zeros((2, 4), dtype=np.float32)):
        stored = quantize(rows, how, normalized=normalized)
        back = (stored.rows.astype(np.float32) - stored.offset) * stored.scale
        assert np.abs(back - rows).max() <= stored.scale / 2 + 1e-6
        if normalized:
            assert stored.scale == 1 / 127


def test_unit_vectors_have_one_scale_whatever_else_is_embedded():
    together = quantize(VECTORS, "int8", normalized=True).rows
    np.testing.assert_array_equal(quantize(VECTORS[3:4], "int8", normalized=True).rows[0], together[3])


def test_a_node_sends_what_is_asked_for(opened, run, build_checkpoint):
    ref = ModelRef(id="m", source=str(build_checkpoint().folder))
    sizes = {"float32": 128, "int8": 32, "uint8": 32, "binary": 4, "ubinary": 4}

    async def work():
        async with opened() as runtime:
            return {
                how: await runtime.embed(EmbedRequest(model=ref, inputs=["w1 w2", "w3"], output_dtype=how))
                for how in sizes
            }

    replies = run(work())
    assert {how: len(reply.vectors) // 2 for how, reply in replies.items()} == sizes
    assert {reply.dimensions for reply in replies.values()} == {32}
    vectors = np.frombuffer(replies["float32"].vectors, "<f4").reshape(2, 32)
    assert (replies["float32"].scale, replies["binary"].scale) == (None, None)
    for how, kind in (("int8", "i1"), ("uint8", "u1")):
        reply = replies[how]
        back = (np.frombuffer(reply.vectors, kind).astype(np.float32) - reply.offset) * reply.scale
        assert np.abs(back.reshape(2, 32) - vectors).max() <= 0.5 / 127 + 1e-6
    bits = np.unpackbits(np.frombuffer(replies["ubinary"].vectors, np.uint8)).reshape(2, 32)
    np.testing.assert_array_equal(bits, vectors > 0)
    signed = np.frombuffer(replies["binary"].vectors, np.int8).astype(int) + 128
    np.testing.assert_array_equal(signed, np.frombuffer(replies["ubinary"].vectors, np.uint8))
