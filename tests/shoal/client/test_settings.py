"""Settings never show or keep a key."""

import copy
import pickle

import pytest

from shoal.client import AsyncShoal, ClientSettings, KeyMissing, Shoal
from shoal.client.embedder import Embedder
from shoal.client.reranker import Reranker

KEY = "sk-shoal-settings-7d02e5b1"


def test_no_key_in_what_is_shown():
    settings = ClientSettings(api_key=KEY)
    shown = [
        settings,
        Shoal(settings=settings),
        AsyncShoal(settings=settings),
        Embedder("m", settings),
        Reranker("m", settings),
    ]
    assert not any(KEY in repr(one) or KEY in str(one) for one in shown)


def test_no_key_in_what_is_saved():
    settings = ClientSettings(url="http://a", api_key=KEY, api_key_env="MY_KEY", timeout=5)
    assert settings.saved() == {"url": "http://a", "api_key_env": "MY_KEY", "timeout": 5}
    assert ClientSettings(**settings.saved()) == settings
    for one in (Shoal(settings=settings), AsyncShoal(settings=settings)):
        assert KEY.encode() not in pickle.dumps(one)
        assert pickle.loads(pickle.dumps(one)).settings == settings
        assert copy.deepcopy(one).settings.key() == KEY


def test_the_key_is_read_from_its_variable_each_time(monkeypatch):
    settings = ClientSettings(api_key_env="MY_KEY")
    with pytest.raises(KeyMissing, match="MY_KEY"):
        settings.key()
    for key in ("one", "two\n"):
        monkeypatch.setenv("MY_KEY", key)
        assert settings.headers("1")["authorization"] == f"Bearer {key.strip()}"


def test_a_key_may_be_something_that_gives_it(monkeypatch):
    monkeypatch.setenv("SHOAL_API_KEY", "of the variable")
    assert ClientSettings(api_key=lambda: KEY).key() == KEY
    assert ClientSettings(api_key=lambda: None).key() == "of the variable"


def test_a_key_that_no_header_may_hold_is_not_shown(monkeypatch):
    with pytest.raises(KeyMissing) as caught:
        ClientSettings(api_key=f"{KEY}\nx").key()
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("url", ["http://a:1", "http://a:1/", "http://a:1/v1", "http://a:1/v1/", "http://a:1/v2"])
def test_an_address_may_be_any_that_another_client_wants(url):
    assert ClientSettings(url=url).origin == "http://a:1"


@pytest.mark.parametrize(
    "wrong",
    [{"timeout": 0}, {"batch_size": 0}, {"concurrency": 0}, {"max_retries": -1}, {"url": "127.0.0.1:8080"}],
    ids=str,
)
def test_settings_that_can_not_work_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong)).replace("url", "address")):
        ClientSettings(**wrong)
