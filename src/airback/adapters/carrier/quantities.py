"""A Quantity of TMF654 from and to integer fen, exactly: a JSON number of yuan, never a binary float."""

from decimal import Decimal
from typing import Any, Final

UNITS: Final = "CNY"
_MOST_YUAN: Final = Decimal(1_000_000_000)


def to_quantity(fen: int) -> dict[str, Any]:
    """`9990` → `{"amount": Decimal("99.90"), "units": "CNY"}`."""
    return {"amount": Decimal(fen).scaleb(-2), "units": UNITS}


def from_quantity(value: Any) -> int | None:
    """Fen of a Quantity, or None when it is none, in another unit, or has a fraction of a fen.

    Expects numbers with a point as `Decimal` (as `HttpAnswer.json` gives them).
    """
    if not isinstance(value, dict) or value.get("units", UNITS) != UNITS:
        return None
    amount = value.get("amount")
    if isinstance(amount, bool) or not isinstance(amount, int | Decimal):
        return None
    exact = Decimal(amount)
    if not exact.is_finite() or abs(exact) >= _MOST_YUAN:
        return None
    fen = exact.scaleb(2)
    return int(fen) if fen == fen.to_integral_value() else None
