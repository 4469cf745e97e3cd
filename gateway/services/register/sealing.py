"""Secrets that must be kept to be used, encrypted at rest: AES-256-GCM, each bound to the row that holds it.

A sealed secret is a byte of version, four that tell its key from others, a nonce, and the ciphertext with its tag. One
that is put into another row, or was changed, or was sealed with another key, does not open.
"""

import hashlib
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
VERSION = b"\x01"
MARK_BYTES = 4
NONCE_BYTES = 12
"""Random: after four billion secrets under one key two might share one."""


class Unreadable(Exception):
    """A sealed secret that does not open; the message says why, for operators."""


class Sealer:
    """Seals and opens with one key of 32 bytes."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"a key for sealing has {KEY_BYTES} bytes, not {len(key)}")
        self._cipher = AESGCM(key)
        self._mark = hashlib.sha256(b"shoal sealing key\0" + key).digest()[:MARK_BYTES]

    def seal(self, secret: str, owner: str) -> bytes:
        """Encrypt what only this owner, a row's id, shall open."""
        nonce = os.urandom(NONCE_BYTES)
        head = VERSION + self._mark
        return head + nonce + self._cipher.encrypt(nonce, secret.encode(), head + owner.encode())

    def unseal(self, sealed: bytes, owner: str) -> str:
        """What `seal` was given. Raises Unreadable."""
        head, rest = sealed[: 1 + MARK_BYTES], sealed[1 + MARK_BYTES :]
        if head[:1] != VERSION:
            raise Unreadable("It was encrypted by a newer version of Shoal, or is damaged.")
        if head[1:] != self._mark:
            raise Unreadable("It was encrypted with another secret key than this one (--secret-key).")
        try:
            opened = self._cipher.decrypt(rest[:NONCE_BYTES], rest[NONCE_BYTES:], head + owner.encode())
        except (InvalidTag, ValueError) as error:
            raise Unreadable("It is damaged, or belongs to another row.") from error
        return opened.decode()
