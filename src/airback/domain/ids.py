"""Identifiers: time and randomness come in as arguments.

An id is a 63-bit integer: milliseconds since 2024-01-01 UTC (41 bits), then 22 random bits that count
upwards within one call. People see it as a prefix and 13 characters of Crockford base32. A client
reference, which a far side keeps for ever, is 26 random base32 characters and derives from nothing.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

EPOCH: Final = datetime(2024, 1, 1, tzinfo=UTC)
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_VALUES: Final = {character: value for value, character in enumerate(_ALPHABET)} | {"O": 0, "I": 1, "L": 1}
_PAIRS: Final = tuple(first + second for first in _ALPHABET for second in _ALPHABET)
_RANDOM_BITS: Final = 22


def new_ids(*, now: datetime, entropy: Callable[[int], bytes], count: int = 1) -> list[int]:
    """`count` ascending ids, count ≤ 2**21. The first has random low bits, the rest follow it one by one."""
    if not 0 <= count <= 1 << (_RANDOM_BITS - 1):
        raise ValueError("count out of range")
    start = int.from_bytes(entropy(4), "big") & ((1 << (_RANDOM_BITS - 1)) - 1)
    first = lowest_id(now) | start
    return list(range(first, first + count))


def lowest_id(moment: datetime) -> int:
    """The lowest id that can be made at `moment`: ids made from then on are not below it."""
    return int((moment - EPOCH).total_seconds() * 1000) << _RANDOM_BITS


def public(prefix: str, identifier: int) -> str:
    """`public("ord", 5)` → `ord_0000000000005`."""
    # Thirteen digits of five bits: one, and six pairs. Every event names its order, so this is written to be quick.
    pairs, n = _PAIRS, identifier
    return (
        f"{prefix}_{_ALPHABET[n >> 60]}{pairs[n >> 50 & 1023]}{pairs[n >> 40 & 1023]}{pairs[n >> 30 & 1023]}"
        f"{pairs[n >> 20 & 1023]}{pairs[n >> 10 & 1023]}{pairs[n & 1023]}"
    )


def parse_public(prefix: str, text: str) -> int | None:
    """The integer behind a public id with that prefix, or None when it is none."""
    head, _, tail = text.strip().rpartition("_")
    if head != prefix or len(tail) != 13:
        return None
    value = 0
    for character in tail.upper():
        digit = _VALUES.get(character)
        if digit is None:
            return None
        value = value * 32 + digit
    return value if value < 1 << 63 else None


def new_reference(*, entropy: Callable[[int], bytes]) -> str:
    """Twenty-six random base32 characters (130 bits): the client reference of one effect."""
    # Thirteen pairs of digits; every quote and every effect has one, so this is written to be quick.
    pairs, n = _PAIRS, int.from_bytes(entropy(17), "big")
    return (
        f"{pairs[n >> 126]}{pairs[n >> 116 & 1023]}{pairs[n >> 106 & 1023]}{pairs[n >> 96 & 1023]}"
        f"{pairs[n >> 86 & 1023]}{pairs[n >> 76 & 1023]}{pairs[n >> 66 & 1023]}{pairs[n >> 56 & 1023]}"
        f"{pairs[n >> 46 & 1023]}{pairs[n >> 36 & 1023]}{pairs[n >> 26 & 1023]}{pairs[n >> 16 & 1023]}"
        f"{pairs[n >> 6 & 1023]}"
    )
