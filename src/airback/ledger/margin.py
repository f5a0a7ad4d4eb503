"""What is left of a hundred yuan: the ledger's result accounts as the lines of a waterfall.

Every line is the change of one account (or of one side of it) in a period, so the lines sum exactly to the change of
all result accounts together. A line is None, not zero, when nothing was posted to it: what the books do not know is
not invented.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from airback.domain.money import PPM
from airback.ledger.split import Kind

#: First parts of the codes of the accounts that make up the result.
RESULT_ACCOUNTS: Final = ("fee", "spread", "rail_cost", "rebate", "shared", "loss", "cost")


@dataclass(frozen=True, slots=True)
class Line:
    """One step of the waterfall. `usual` says what the trade calls usual, where the founding documents give it."""

    key: str
    zh: str
    en: str
    usual_zh: str = ""
    usual_en: str = ""

    def name(self, language: str) -> str:
        """The line's name in `zh` or `en`."""
        return self.zh if language.startswith("zh") else self.en

    def usual(self, language: str) -> str:
        """What is usual, with its source; empty where no source gives a figure."""
        return self.usual_zh if language.startswith("zh") else self.usual_en


#: In the order of the waterfall. The usual figures are of S1 (the trade's first founding document), of face value unless said.
LINES: Final = (
    Line("fee", "平台服务费", "Platform fee", "面值的 3–8%(S1)", "3–8 % of face (S1)"),
    Line("spread", "价差", "Spread"),
    Line("rail_charged", "向卖家收取的付款成本", "Payment cost charged to sellers"),
    Line("rail_paid", "实付通道费", "Rails' charges paid", "约 1%(S1)", "about 1 % (S1)"),
    Line("rebate", "运营商返点", "Carrier rebate", "0.5–1.5%(S1)", "0.5–1.5 % (S1)"),
    Line("tax", "代扣税款", "Tax withheld"),
    Line("reserve", "坏账准备", "Bad-debt reserve", "约 2.5%(S1)", "about 2.5 % (S1)"),
    Line("parties", "推荐人与代理", "Referrers and agents"),
    Line("loss", "损失", "Losses"),
    Line("compliance", "合规", "Compliance", "收入的 3–5%(S1)", "3–5 % of revenue (S1)"),
    Line("anti_fraud", "反欺诈", "Anti-fraud", "头部平台为收入的 15–20%(S1)", "15–20 % of revenue at leaders (S1)"),
    Line("other", "其他经营成本", "Other operating costs"),
)  # fmt: skip
LINE_KEYS: Final = tuple(line.key for line in LINES)

#: What may be booked by hand: costs by the name that stands in their account's code, and the rebate of a carrier.
REBATE: Final = "rebate"
BOOKED: Final = ("compliance", "anti_fraud", "other", REBATE)

#: Faces up to which a band reaches, in fen; the last band has no end. S1 divides at 50 and 100 yuan.
FACE_BANDS_FEN: Final = (5_000, 10_000, 30_000)

#: The bad debt to be reckoned with, of the face delivered, unless the operator sets another. Source: S1, "about 2.5 % of volume".
BAD_DEBT_PPM: Final = 25_000

#: The longest period that is looked at, or that something may be booked for.
MOST_DAYS: Final = 366


@dataclass(frozen=True, slots=True)
class Waterfall:
    """A period's result for one segment. `lines`: key → signed fen, None where nothing was posted.

    `face_fen`: face delivered of the orders credited in the period; `net_fen`: what their sellers net. `proceeds_fen`:
    what outlets paid for them = net + fee + spread + payment cost charged.
    """

    key: str | None
    orders: int
    face_fen: int
    net_fen: int
    proceeds_fen: int
    lines: Mapping[str, int | None]

    @property
    def total_fen(self) -> int:
        """The margin: the sum of all lines."""
        return sum(amount for amount in self.lines.values() if amount is not None)

    def ppm(self, amount_fen: int | None) -> int | None:
        """An amount as a share of the face delivered, to the nearest ppm; None without an amount or without volume."""
        if amount_fen is None or self.face_fen == 0:
            return None
        size = (2 * abs(amount_fen) * PPM + self.face_fen) // (2 * self.face_fen)
        return size if amount_fen >= 0 else -size

    def expected_bad_debt_fen(self, bad_debt_ppm: int) -> int:
        """What bad debt would come to at the operator's rate, rounded up. A reckoning, in no account."""
        return -(-self.face_fen * bad_debt_ppm // PPM)


def line_of(*, account: str, part: str, at_credit: bool) -> str:
    """The line of an entry: the account's code in two parts, and whether the entry came with an order's crediting."""
    if account == "rail_cost":
        return "rail_charged" if at_credit else "rail_paid"
    if account == "shared":
        return part if part in (Kind.TAX, Kind.RESERVE) else "parties"
    if account == "cost":
        return part if part in LINE_KEYS else "other"
    return account


def lines_of(entries: Iterable[tuple[str, int]]) -> dict[str, int | None]:
    """All lines in order from (line, signed fen); None for those nothing was posted to."""
    lines: dict[str, int | None] = dict.fromkeys(LINE_KEYS)
    for key, amount_fen in entries:
        lines[key] = (lines[key] or 0) + amount_fen
    return lines


def account_of(line: str, carrier: str | None) -> str:
    """The code of the account that something booked by hand goes to."""
    return f"rebate:{carrier}" if line == REBATE else f"cost:{line}"


def as_document(waterfall: Waterfall, *, bad_debt_ppm: int) -> dict[str, Any]:
    """A waterfall as API and command give it out."""
    return {
        "key": waterfall.key,
        "orders": waterfall.orders,
        "face_fen": waterfall.face_fen,
        "proceeds_fen": waterfall.proceeds_fen,
        "net_fen": waterfall.net_fen,
        "lines": [
            {"line": key, "amount_fen": amount_fen, "of_face_ppm": waterfall.ppm(amount_fen)}
            for key, amount_fen in waterfall.lines.items()
        ],
        "margin_fen": waterfall.total_fen,
        "margin_of_face_ppm": waterfall.ppm(waterfall.total_fen),
        "expected_bad_debt_fen": waterfall.expected_bad_debt_fen(bad_debt_ppm),
    }
