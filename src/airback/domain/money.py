"""Money: integer fen; rates: integer parts per million; every rounding named.

A yuan is 100 fen. A rate of 1_000_000 ppm is 100 %. Nothing here accepts or returns a float.
"""

import re
from typing import Final

FEN_PER_YUAN: Final = 100
PPM: Final = 1_000_000

#: Largest amount the platform handles in one field, in fen (100 million yuan). Bounds every sum below 2**63.
MAX_FEN: Final = 10_000_000_000

_YUAN = re.compile(r"^(0|[1-9][0-9]{0,8})(?:\.([0-9]{1,2}))?$", re.ASCII)


class MoneyError(ValueError):
    """The text is no amount of money; `code` is a name in `airback.domain.refusals`."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def parse_yuan(text: str) -> int:
    """Amount in fen of a decimal yuan text such as `100`, `99.5`, `0.01`.

    Raises `MoneyError` with code `amount_not_a_number` for anything else, `amount_fraction_of_fen` when
    there are more than two decimals, `amount_not_positive` for a leading minus sign or zero.
    """
    text = text.strip()
    if re.fullmatch(r"-[0-9.]+", text):
        raise MoneyError("amount_not_positive")
    if re.fullmatch(r"[0-9]{1,12}\.[0-9]{3,}", text, re.ASCII) and text.rstrip("0")[-3:-2] != ".":
        head, _, tail = text.partition(".")
        if tail[2:].strip("0"):
            raise MoneyError("amount_fraction_of_fen")
        text = f"{head}.{tail[:2]}"
    match = _YUAN.fullmatch(text)
    if match is None:
        raise MoneyError("amount_not_a_number")
    fen = int(match[1]) * FEN_PER_YUAN + int((match[2] or "0").ljust(2, "0"))
    if fen == 0:
        raise MoneyError("amount_not_positive")
    return fen


def yuan(fen: int) -> str:
    """Decimal text of an amount in fen: `12345` → `123.45`, `-5` → `-0.05`."""
    sign = "-" if fen < 0 else ""
    whole, part = divmod(abs(fen), FEN_PER_YUAN)
    return f"{sign}{whole}.{part:02d}"


def percent(ppm: int) -> str:
    """Percentage text of a rate in ppm, without trailing zeros: `853_000` → `85.3`."""
    sign = "-" if ppm < 0 else ""
    whole, part = divmod(abs(ppm), 10_000)
    tail = f"{part:04d}".rstrip("0")
    return f"{sign}{whole}.{tail}" if tail else f"{sign}{whole}"


def share_floor(amount_fen: int, rate_ppm: int) -> int:
    """`amount × rate`, rounded down: in favour of whoever keeps the rest. Both arguments ≥ 0."""
    return amount_fen * rate_ppm // PPM


def share_ceil(amount_fen: int, rate_ppm: int) -> int:
    """`amount × rate`, rounded up: in favour of whoever receives the share. Both arguments ≥ 0."""
    return -(-amount_fen * rate_ppm // PPM)
