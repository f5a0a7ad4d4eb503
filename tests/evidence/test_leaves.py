"""Leaves: one event's hash, as docs/receipts.md writes it down."""

import hashlib

import pytest

from airback.evidence.events import check, leaf

SALT = bytes(range(32))
BODY = b'{"action":"engine:order:closed","seq":7}'


def test_a_leaf_is_the_hash_the_design_writes_down() -> None:
    inner = hashlib.sha256(SALT + BODY).digest()
    assert leaf(salt=SALT, body=BODY) == hashlib.sha256(b"\x00\x01" + inner).digest()


def test_a_known_leaf_never_changes() -> None:
    known = "14140059891890dab53f85bee0dd86ff4290b0e4059e2de1e5132758420d12bf"
    assert leaf(salt=bytes(32), body=b"{}").hex() == known


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_salt_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        leaf(salt=bytes(length), body=BODY)
    assert not check(salt=bytes(length), body=BODY, leaf=bytes(32))


@pytest.mark.parametrize("version", [-1, 256])
def test_a_version_that_is_no_byte_is_refused(version: int) -> None:
    with pytest.raises(ValueError, match="one byte"):
        leaf(salt=SALT, body=BODY, version=version)
    assert not check(salt=SALT, body=BODY, leaf=bytes(32), version=version)


def test_salt_body_version_and_leaf_must_all_fit() -> None:
    right = leaf(salt=SALT, body=BODY)
    assert check(salt=SALT, body=BODY, leaf=right)
    assert not check(salt=bytes(32), body=BODY, leaf=right)
    assert not check(salt=SALT, body=BODY + b" ", leaf=right)
    assert not check(salt=SALT, body=BODY, leaf=right, version=2)
    assert not check(salt=SALT, body=BODY, leaf=right[:-1])
    assert not check(salt=SALT, body=BODY, leaf=right[:-1] + bytes((right[-1] ^ 1,)))
