"""Models that read labels beside a text, on small random checkpoints, against their references."""

import numpy as np
import pytest
import torch

from benchmarks.families.cases import HEAD_CASES
from benchmarks.families.checks import INVARIANCE, PARITY, Checked, load


@pytest.fixture(scope="module", params=HEAD_CASES, ids=lambda case: case.name)
def checked(request, tmp_path_factory):
    return Checked.open(request.param, tmp_path_factory.mktemp("model"))


def test_what_a_head_says_equals_the_reference(checked):
    assert checked.parity() <= PARITY


def test_a_text_alone_equals_itself_in_a_mixed_batch(checked):
    assert checked.invariance() <= INVARIANCE


def test_the_order_of_a_batch_changes_nothing(checked):
    assert checked.permutation() <= INVARIANCE


def test_scores_differ_by_what_is_read(checked):
    scores = np.concatenate([said[:, -1] for said in checked.said(checked.sequences())])
    assert scores.max() - scores.min() > 0.1


def test_half_precision_stays_close(checked):
    encoded = checked.sequences()
    half = Checked(checked.case, checked.folder, load(checked.folder, torch.bfloat16), checked.reference)
    both = zip(checked.said(encoded), half.said(encoded), strict=True)
    pairs = [(one[:, -1].mean(), other[:, -1].mean()) for one, other in both]
    spread = max(abs(one) for one, _ in pairs) + 0.1
    assert max(abs(one - other) for one, other in pairs) < 0.15 * spread


def test_a_sequence_without_marks_can_be_measured(checked):
    sequence = checked.sequences()[0]
    bare = type(sequence)(sequence.ids, outputs=sequence.outputs)
    [row] = checked.model.run(checked.model.pack([bare]))
    assert set(row) == {checked.case.output}
