import itertools

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.batch import pack
from engine.encoded import Encoded
from engine.layers.tokens import Run

CPU = torch.device("cpu")
LISTS = st.lists(st.lists(st.integers(0, 999), min_size=1, max_size=12), min_size=1, max_size=30)


def arrays(lists):
    return [Encoded(np.array(ids, dtype=np.int32)) for ids in lists]


def test_a_batch_lies_shortest_first_without_padding():
    batch = pack(arrays([[5, 6, 7], [1], [8, 9, 10], [2]]), CPU)
    assert batch.tokens.ids.tolist() == [1, 2, 5, 6, 7, 8, 9, 10]
    assert batch.tokens.positions.tolist() == [0, 0, 0, 1, 2, 0, 1, 2]
    assert batch.tokens.sequences.cu_seqlens.tolist() == [0, 1, 2, 5, 8]
    assert batch.tokens.sequences.max_seqlen == 3
    assert batch.tokens.sequences.runs == (Run(0, 2, 1), Run(2, 2, 3))
    assert batch.order.tolist() == [1, 3, 0, 2]


@given(LISTS)
def test_nothing_is_lost_and_nothing_comes_twice(lists):
    batch = pack(arrays(lists), CPU)
    bounds = batch.tokens.sequences.cu_seqlens.tolist()
    unpacked = [batch.tokens.ids[start:end].tolist() for start, end in itertools.pairwise(bounds)]
    assert sorted(batch.order.tolist()) == list(range(len(lists)))
    assert unpacked == [lists[place] for place in batch.order]
    assert batch.tokens.positions.tolist() == [place for ids in unpacked for place in range(len(ids))]


@given(LISTS)
def test_runs_cover_all_rows_with_one_run_per_length(lists):
    batch = pack(arrays(lists), CPU)
    lengths = [run.length for run in batch.tokens.sequences.runs]
    assert lengths == sorted(set(map(len, lists)))
    rows = [row for run in batch.tokens.sequences.runs for row in range(run.start, run.start + run.count * run.length)]
    assert rows == list(range(sum(map(len, lists))))
    assert batch.tokens.sequences.max_seqlen == max(map(len, lists))
