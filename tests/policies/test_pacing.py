"""A patient job leaves others a share of what limits allow at once."""

import pytest

from policies.pacing import LEFT, LONGEST, pause
from policies.quota import Limit, Standing

TPM = Limit("tenant:a", "tokens", 6000)
RPM = Limit("tenant:a", "requests", 60)
MONTH = Limit("tenant:a", "tokens_per_month", 6000)
AT_ONCE = Limit("tenant:a", "concurrency", 4)


@pytest.mark.parametrize(
    ("standings", "seconds"),
    [
        ([], 0.0),
        ([(TPM, 6000)], 0.0),
        ([(TPM, 1500)], 0.0),
        ([(TPM, 1400)], 1.0),
        ([(TPM, 0)], 15.0),
        ([(TPM, 1400), (RPM, 10)], 5.0),
        ([(RPM, 60), (TPM, 1400)], 1.0),
        ([(MONTH, 0), (AT_ONCE, 0)], 0.0),
        ([(TPM, -6000)], LONGEST),
    ],
)
def test_the_pause_is_what_fills_every_rate_up_to_that_share(standings, seconds) -> None:
    assert pause([(limit, Standing(left, 0.0)) for limit, left in standings]) == pytest.approx(seconds)


def test_after_the_pause_the_share_is_there() -> None:
    for left in range(0, 1500, 100):
        waited = pause([(TPM, Standing(left, 0.0))])
        assert left + waited * TPM.rate == pytest.approx(LEFT * TPM.amount)
