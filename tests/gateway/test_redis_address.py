import pytest

from gateway.redis_address import RedisAddress, RedisAddressInvalid


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://cache", RedisAddress("cache")),
        ("redis://10.0.0.7:6380/3", RedisAddress("10.0.0.7", 6380, database=3)),
        ("rediss://cache.example", RedisAddress("cache.example", tls=True)),
        ("redis://:p%40ss@cache", RedisAddress("cache", password="p@ss")),
        ("redis://shoal:p%2Fs@[::1]:7000", RedisAddress("::1", 7000, user="shoal", password="p/s")),
    ],
)
def test_an_address_says_where_and_how(url, address):
    assert RedisAddress.parse(url) == address


@pytest.mark.parametrize(
    "url",
    [
        "",
        "cache:6379",
        "http://u:hunter2@cache",
        "redis://",
        "redis://u:hunter2@",
        "redis://u:hunter2@cache:port",
        "redis://u:hunter2@cache:99999",
        "redis://u:hunter2@cache/first",
        "redis://u:hunter2@cache/-1",
        "redis://u:hunter2@cache?ssl_cert_reqs=none",
        "redis://u:hunter2@cache#0",
        "redis://user@cache",
        "redis://u:hunter2@[::1",
    ],
)
def test_what_is_no_address_is_refused_in_words_that_repeat_no_password(url):
    with pytest.raises(RedisAddressInvalid) as caught:
        RedisAddress.parse(url)
    assert len(str(caught.value).split()) > 5
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_an_address_is_shown_without_its_password():
    address = RedisAddress.parse("redis://shoal:hunter2@cache/1")
    assert "hunter2" not in f"{address} {address!r}"
