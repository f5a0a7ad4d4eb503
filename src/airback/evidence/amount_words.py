"""Amounts in the Chinese capitals that receipts and cheques write beside the figure, so that none can be altered.

The rules are those of the People's Bank for bills (正确填写票据和结算凭证的基本规定): 整 after a whole yuan or jiao, 零 for a gap.
"""

from typing import Final

_DIGITS: Final = "零壹贰叁肆伍陆柒捌玖"
_UNITS: Final = ("", "拾", "佰", "仟")
_GROUPS: Final = ("", "万", "亿")


def in_capitals(fen: int) -> str:
    """`12345` → `人民币壹佰贰拾叁元肆角伍分`. `fen` from 0 to below a trillion yuan; raises ValueError outside."""
    if not 0 <= fen < 10**14:
        raise ValueError("amount out of range")
    yuan, rest = divmod(fen, 100)
    jiao, cent = divmod(rest, 10)
    text = f"{_whole(yuan)}元" if yuan else ""
    if jiao:
        text += f"{_DIGITS[jiao]}角"
    elif cent and yuan:
        text += "零"
    text += f"{_DIGITS[cent]}分" if cent else "整"
    if not fen:
        text = "零元整"
    return f"人民币{text}"


def _whole(yuan: int) -> str:
    groups = []
    while yuan:
        yuan, group = divmod(yuan, 10_000)
        groups.append(group)
    text = ""
    for place in range(len(groups) - 1, -1, -1):
        group = groups[place]
        if not group:
            continue
        # A gap between groups is read once, however many zeros stand in it.
        if text and (group < 1_000 or groups[place + 1] % 10 == 0 or not groups[place + 1]):
            text += "零"
        text += _below_ten_thousand(group) + _GROUPS[place]
    return text


def _below_ten_thousand(group: int) -> str:
    text, gap = "", False
    for place in range(3, -1, -1):
        digit = group // 10**place % 10
        if digit:
            text += ("零" if gap and text else "") + _DIGITS[digit] + _UNITS[place]
            gap = False
        else:
            gap = True
    return text
