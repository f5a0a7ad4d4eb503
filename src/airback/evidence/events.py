"""The hash that stands for one event in the book's log.

A leaf is `SHA-256(0x00 ‖ version ‖ SHA-256(salt ‖ body))`. The leading zero byte is RFC 6962's mark of a leaf, so
that no leaf can pass for an inner node of a tree. The salt makes the inner hash say nothing about the body once
both are destroyed: erasing a person removes salt and body, and the leaf still proves that something stood there.
"""

import hashlib
import hmac
from typing import Final

SALT_BYTES: Final = 32
VERSION: Final = 1

_PREFIX: Final = b"\x00"


def leaf(*, salt: bytes, body: bytes, version: int = VERSION) -> bytes:
    """32 bytes that stand for an event. `salt` is 32 random bytes of that event alone, `body` its canonical JSON.

    Raises ValueError when the salt has another length or the version does not fit a byte.
    """
    if len(salt) != SALT_BYTES:
        raise ValueError(f"an event's salt has {SALT_BYTES} bytes")
    if not 0 <= version <= 255:
        raise ValueError("a leaf's version is one byte")
    inner = hashlib.sha256(salt + body).digest()
    return hashlib.sha256(_PREFIX + bytes((version,)) + inner).digest()


def check(*, salt: bytes, body: bytes, leaf: bytes, version: int = VERSION) -> bool:
    """Whether `leaf` stands for this salt and body."""
    if len(salt) != SALT_BYTES or not 0 <= version <= 255:
        return False
    return hmac.compare_digest(_leaf(salt=salt, body=body, version=version), leaf)


_leaf = leaf
