import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.services.usage.frames import HEAD, LARGEST, MARK, frame, scan

PAYLOADS = st.lists(st.binary(max_size=60), max_size=8)


@given(PAYLOADS, st.integers(0, 50))
def test_what_was_framed_is_read_back_whatever_zeros_follow(payloads, zeros) -> None:
    data = b"".join(map(frame, payloads))
    assert scan(data + bytes(zeros), 1000) == (payloads, len(data), 0)


@given(PAYLOADS, st.data())
def test_of_a_file_that_was_cut_anywhere_the_whole_frames_are_read(payloads, data) -> None:
    framed = [frame(payload) for payload in payloads]
    whole = b"".join(framed)
    cut = data.draw(st.integers(0, len(whole)))
    kept = [n for n in range(len(framed) + 1) if len(b"".join(framed[:n])) <= cut][-1]
    assert scan(whole[:cut], 1000) == (payloads[:kept], len(b"".join(framed[:kept])), 0)


def test_a_flipped_bit_anywhere_costs_one_record_and_is_counted() -> None:
    payloads = [bytes([number]) * 20 for number in range(1, 6)]
    framed = [frame(payload) for payload in payloads]
    for place in range(len(framed[0]) * 8):
        second = bytearray(framed[1])
        second[place // 8] ^= 1 << place % 8
        found = scan(b"".join([framed[0], bytes(second), *framed[2:]]), 1000)
        assert found.payloads == [payloads[0], *payloads[2:]]
        assert found.damaged == len(second)


def test_a_mark_inside_a_payload_begins_no_frame() -> None:
    payload = MARK * 10 + frame(b"inner")
    assert scan(frame(payload) + frame(b"next"), 1000).payloads == [payload, b"next"]


def test_no_more_than_asked_for_are_read_and_the_end_is_theirs() -> None:
    data = b"".join(frame(b"x" * size) for size in (1, 2, 3))
    found = scan(data, 2)
    assert found.payloads == [b"x", b"xx"]
    assert data[found.end :] == frame(b"xxx")


@pytest.mark.parametrize("seed", range(20))
def test_noise_holds_no_records(seed) -> None:
    assert scan(random.Random(seed).randbytes(5000), 1000).payloads == []


def test_a_record_larger_than_a_frame_is_refused() -> None:
    assert len(frame(bytes(LARGEST))) == LARGEST + HEAD.size
    with pytest.raises(ValueError, match="65536 bytes does not fit"):
        frame(bytes(LARGEST + 1))
