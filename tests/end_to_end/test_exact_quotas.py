"""Four real gateways on one Redis; `python -m benchmarks exact_quotas` does the same for minutes."""

import pytest
import uvloop

from benchmarks.exact_quotas import Trial, play_all

SECONDS = 3.0


@pytest.mark.slow
def test_four_gateways_admit_together_what_one_may(redis):
    trials = (
        Trial("requests", 240, "Herring.", 0.1),
        Trial("tokens", 48_000, "a " * 100, 0.1),
        Trial("concurrency", 8, "__sleep 0.3__", 0.05),
    )
    requests, tokens, places = uvloop.run(play_all(redis.url, SECONDS, trials))
    for rate in (requests, tokens):
        assert rate.refused > 0
        assert rate.promise <= 1.0
        assert rate.used >= 0.99
    assert places.most == 8
    assert places.refused > 0
    assert places.used > 0.5
