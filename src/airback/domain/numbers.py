"""Mainland mobile numbers and card numbers: form only. Who carries a number is asked, never guessed."""

import re
from typing import Final

_MOBILE: Final = re.compile(r"1[3-9][0-9]{9}", re.ASCII)
_CARD_NUMBER: Final = re.compile(r"[0-9]{10,20}", re.ASCII)
_CARD_CODE: Final = re.compile(r"[0-9]{8,21}", re.ASCII)
_NOISE: Final = str.maketrans("", "", " -\t\u00a0\u200b")


def parse_mobile(text: str) -> str | None:
    """Eleven digits of a mainland mobile number, or None. Accepts spaces, hyphens, `+86`, `0086`, full-width digits."""
    text = _plain(text)
    for prefix in ("+86", "0086"):
        text = text.removeprefix(prefix)
    return text if _MOBILE.fullmatch(text) else None


def parse_card_number(text: str) -> str | None:
    """Ten to twenty digits of a recharge card's printed number, or None."""
    text = _plain(text)
    return text if _CARD_NUMBER.fullmatch(text) else None


def parse_card_code(text: str) -> str | None:
    """Eight to twenty-one digits of a recharge card's secret code, or None."""
    text = _plain(text)
    return text if _CARD_CODE.fullmatch(text) else None


def e164(mobile: str) -> str:
    """`13800138000` → `+8613800138000`."""
    return f"+86{mobile}"


def mask(text: str) -> str:
    """Number or reference with its middle hidden: `13800138000` → `138****8000`. Short text is hidden whole."""
    if len(text) < 8:
        return "*" * len(text)
    return f"{text[:3]}{'*' * 4}{text[-4:]}"


def _plain(text: str) -> str:
    wide = "０１２３４５６７８９＋"
    return text.strip().translate(str.maketrans(wide, "0123456789+")).translate(_NOISE)
