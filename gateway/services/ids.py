"""Identifiers: short random ones for people to paste, time-ordered ones for records."""

import secrets
import string
import time
from uuid import UUID

ALPHABET = string.ascii_lowercase + string.digits


def new_id(length: int = 12) -> str:
    """Random letters and digits; 12 of them are 62 bits, so that a collision is not a case."""
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def uuid7() -> UUID:
    """A UUID whose order is that of time (RFC 9562 §5.7): milliseconds, then 74 random bits."""
    milliseconds = time.time_ns() // 1_000_000
    random = secrets.randbits(74)
    return UUID(int=milliseconds << 80 | 0x7 << 76 | random >> 62 << 64 | 0b10 << 62 | random & (1 << 62) - 1)
