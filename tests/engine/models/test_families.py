"""Every family on small random checkpoints, against its reference, alone and in company."""

import numpy as np
import pytest
import torch

from benchmarks.families.cases import CASES
from benchmarks.families.checks import INVARIANCE, PARITY, Checked, hidden_states, load
from engine.architectures import ARCHITECTURES, FAMILY_FACTS
from engine.models import FAMILIES


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case.name)
def checked(request, tmp_path_factory):
    return Checked.open(request.param, tmp_path_factory.mktemp("family"))


def test_hidden_states_equal_the_reference(checked):
    assert checked.parity() <= PARITY


def test_a_sequence_alone_equals_itself_in_a_mixed_batch(checked):
    assert checked.invariance() <= INVARIANCE


def test_the_order_of_a_batch_changes_nothing(checked):
    assert checked.permutation() <= INVARIANCE


def test_what_a_sequence_says_depends_on_all_its_tokens(checked):
    first, second = (hidden_states(checked.model, checked.case.sequences(seed)) for seed in (0, 7))
    assert min(float(np.abs(one - other).max()) for one, other in zip(first, second, strict=True)) > 1e-2


def test_half_precision_stays_close(checked):
    encoded = checked.case.sequences()
    half = hidden_states(load(checked.folder, torch.bfloat16), encoded)
    whole = hidden_states(checked.model, encoded)
    pairs = [(one.mean(0), other.mean(0)) for one, other in zip(whole, half, strict=True)]
    cosines = [one @ other / np.linalg.norm(one) / np.linalg.norm(other) for one, other in pairs]
    assert min(cosines) > 0.97


def test_no_family_goes_unchecked():
    assert {case.family for case in CASES} == set(FAMILIES) == set(FAMILY_FACTS)
    assert {architecture.family for architecture in ARCHITECTURES.values()} == set(FAMILIES)
    assert len({case.name for case in CASES}) == len(CASES)
