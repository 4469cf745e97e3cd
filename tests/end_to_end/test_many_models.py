"""Twelve models where four have room, under traffic on the CPU: nobody fails, nobody gets another model's answer."""

import asyncio

import pytest

from benchmarks.many_models import MODELS, ROOM, build_fleet, drive, node

SECONDS = 10.0
FLAT = 16 * 2**20
"""Bytes: two of the models. A node that kept what it evicts would grow by that in the first second."""


@pytest.mark.slow
def test_twelve_models_share_the_room_of_four_and_every_answer_is_right(tmp_path):
    fleet = build_fleet(tmp_path)
    with node(fleet) as (url, pid):
        outcome = asyncio.run(drive(url, pid, fleet, SECONDS))
    assert not outcome.errors
    assert outcome.wrong == 0
    assert len(outcome.answers) == MODELS, "some model was never served"
    assert 0 < outcome.most_on_device <= ROOM
    assert outcome.swaps["host_to_device"] > 0
    assert outcome.swaps["disk_to_device"] >= MODELS
    assert outcome.growth < FLAT
