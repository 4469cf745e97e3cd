import pytest

from admin_ui.rendering import bytes_text, number_text
from admin_ui.sessions import LIFETIME, Sessions


def test_a_cookie_brings_its_session_back_in_any_process_with_the_key() -> None:
    session = Sessions(b"k" * 32, lambda: 100.0).start("ada")
    cookie = Sessions(b"k" * 32, lambda: 100.0).cookie(session)
    assert Sessions(b"k" * 32, lambda: 200.0).read(cookie) == session
    assert Sessions(b"x" * 32, lambda: 200.0).read(cookie) is None
    assert Sessions(b"k" * 32, lambda: 100.0 + LIFETIME).read(cookie) is None


def test_every_session_is_another() -> None:
    sessions = Sessions(b"k" * 32, lambda: 100.0)
    first, second = sessions.start("ada"), sessions.start("ada")
    assert first.id != second.id
    assert not sessions.is_csrf_token(first, sessions.csrf_token(second))
    assert sessions.is_csrf_token(first, sessions.csrf_token(first))


def test_no_changed_character_of_a_cookie_goes_unnoticed() -> None:
    sessions = Sessions(b"k" * 32, lambda: 100.0)
    cookie = sessions.cookie(sessions.start("ada"))
    for place in range(len(cookie) - 1):  # the last one holds two bits that base64 ignores
        changed = cookie[:place] + ("A" if cookie[place] != "A" else "B") + cookie[place + 1 :]
        assert sessions.read(changed) is None, place


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValueError, match="31 bytes"):
        Sessions(b"k" * 31, lambda: 0.0)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (512, "512 B"),
        (1000, "0.977 KiB"),
        (90 << 20, "90 MiB"),
        (1610612736, "1.5 GiB"),
    ],
)
def test_bytes_read_well(count: int, text: str) -> None:
    assert bytes_text(count) == text


def test_thousands_are_set_apart() -> None:
    assert number_text(1234567.0) == "1\u202f234\u202f567"
