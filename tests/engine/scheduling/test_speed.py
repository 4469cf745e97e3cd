import pytest

from engine.scheduling.speed import WINDOW, BatchRecord, Speed


def measured(*batches, workers=1):
    speed = Speed(workers)
    for tokens, seconds in batches:
        speed.add(BatchRecord(1, tokens, seconds))
    return speed


def test_speed_is_tokens_over_seconds_of_all_workers():
    assert measured().tokens_per_second == 0
    assert measured((100, 1.0), (300, 1.0)).tokens_per_second == 200
    assert measured((100, 1.0), (300, 1.0), workers=2).tokens_per_second == 400


def test_old_batches_are_forgotten():
    assert measured(*[(1, 1.0)] * 50, *[(10, 1.0)] * WINDOW).tokens_per_second == 10


@pytest.mark.parametrize(
    ("tokens", "part", "seconds"), [(1000, 1.0, 10.0), (1000, 0.5, 20.0), (1, 1.0, 0.1), (10**9, 0.1, 60.0)]
)
def test_when_to_come_back(tokens, part, seconds):
    assert measured((100, 1.0)).retry_after(tokens, part) == pytest.approx(seconds)


def test_nobody_knows_when_to_come_back_before_the_first_batch():
    assert measured().retry_after(1000, 1.0) == 0.1
