import pytest

from gateway.services.usage.spool import NoRoom


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/embeddings", {"model": "tests/mini", "input": "x"}),
        ("/v1/rerank", {"model": "tests/mini", "query": "x", "documents": ["y"]}),
    ],
)
def test_nothing_is_done_or_charged_that_could_not_be_recorded(gateway_under_test, monkeypatch, path, body):
    def no_room():
        raise NoRoom

    limited = gateway_under_test.caller(requests=10, tokens=1000, concurrency=1)
    with monkeypatch.context() as full:
        full.setattr(gateway_under_test.services.usage, "check_room", no_room)
        for _ in range(3):
            refused = gateway_under_test.post(path, limited, json=body)
            assert refused.status_code == 503
            assert refused.headers["x-ratelimit-remaining-requests"] == "10"
            assert refused.headers["x-ratelimit-remaining-tokens"] == "1000"
    assert gateway_under_test.usage(limited) == []
    assert gateway_under_test.post(path, limited, json=body).status_code == 200
