import base64
import hmac
import json
from hashlib import sha256

import pytest

from admin_ui.sessions import LIFETIME, Sessions
from admin_ui.wording import bytes_text, number_text


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


def text(content: object) -> str:
    """As parts of cookies and of JSON web tokens are written."""
    packed = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


CLAIMS = {"id": "x" * 32, "expires": 10**10, "operator": "ada"}


@pytest.mark.parametrize(
    "forged",
    [
        text(CLAIMS),
        text(CLAIMS) + ".",
        text(CLAIMS) + "..",
        text(CLAIMS) + "." + text(b""),
        text(CLAIMS) + "." + text(b"\0" * 32),
        text(CLAIMS) + "." + text({"alg": "none"}),
        text(CLAIMS) + "." + text(sha256(json.dumps(CLAIMS).encode()).digest()),
        text(CLAIMS) + "." + text(hmac.digest(b"", b"session\0" + json.dumps(CLAIMS).encode(), "sha256")),
        text(CLAIMS) + "." + text(hmac.digest(b"\0" * 32, b"session\0" + json.dumps(CLAIMS).encode(), "sha256")),
        text(CLAIMS) + "." + text(hmac.digest(b"k" * 32, json.dumps(CLAIMS).encode(), "sha256")),
        text(CLAIMS) + "." + text(hmac.digest(b"k" * 32, b"csrf\0" + json.dumps(CLAIMS).encode(), "sha256")),
        *(
            f"{text({'alg': alg, 'typ': 'JWT'})}.{text(CLAIMS)}.{signature}"
            for alg in ("none", "None", "NONE", "", None, "HS256", "RS256")
            for signature in ("", text(b"\0" * 32))
        ),
        ".",
        "." * 3,
        "=.=",
        "None",
        "null",
        "{}",
        json.dumps(CLAIMS),
    ],
)
def test_no_cookie_proves_itself(forged: str) -> None:
    """Neither one without a signature, nor one that says how it was signed, nor one by a key that anybody has."""
    assert Sessions(b"k" * 32, lambda: 100.0).read(forged) is None


def test_a_forms_token_is_no_session_and_a_session_no_forms_token() -> None:
    sessions = Sessions(b"k" * 32, lambda: 100.0)
    session = sessions.start("ada")
    payload, _, signature = sessions.cookie(session).partition(".")
    assert sessions.read(f"{payload}.{sessions.csrf_token(session)}") is None
    for wrong in ("", signature, session.id, "None", "\0", sessions.csrf_token(session)[:-1]):
        assert not sessions.is_csrf_token(session, wrong)


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
