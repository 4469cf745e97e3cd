import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.services.register.sealing import Sealer, Unreadable

KEY, OTHER = bytes(range(32)), bytes(32)


@given(st.text(max_size=200), st.text(max_size=40))
def test_what_was_sealed_opens_for_its_owner(secret, owner):
    assert Sealer(KEY).unseal(Sealer(KEY).seal(secret, owner), owner) == secret


def test_nothing_of_a_secret_is_in_what_is_kept_and_no_two_look_alike():
    first, second = (Sealer(KEY).seal("sk-very-secret-credential", "row") for _ in range(2))
    assert first != second
    assert b"secret" not in first + second


def test_another_row_another_key_and_every_changed_byte_are_told_apart_in_words():
    sealed = Sealer(KEY).seal("secret", "row")
    with pytest.raises(Unreadable, match="another row"):
        Sealer(KEY).unseal(sealed, "other")
    with pytest.raises(Unreadable, match="another secret key"):
        Sealer(OTHER).unseal(sealed, "row")
    for place in range(len(sealed)):
        with pytest.raises(Unreadable):
            Sealer(KEY).unseal(sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :], "row")
        with pytest.raises(Unreadable):
            Sealer(KEY).unseal(sealed[:place], "row")


def test_a_key_of_another_length_is_none():
    with pytest.raises(ValueError, match="32 bytes"):
        Sealer(b"short")
