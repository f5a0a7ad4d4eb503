"""Alipay's daily bill (支付宝账务明细, 业务明细): remarks begin with `#`, headers in Chinese, totals at the foot, GB18030.

The layout is that of Alipay's download (alipay.data.dataservice.bill.downloadurl.query, bill types `signcustomer` and
`trade`). Money that left is in its own column, with or without a minus sign. A row of business type 收费 or 服务费 is the
charge for the payment with the same merchant's order number, and becomes its fee.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

import polars as pl

from airback.domain.refusals import Refused
from airback.reconciliation.rows import CHINA, Period, Statement, Totals, check_totals
from airback.reconciliation.tables import cells, columns_of, decode, read_table

_HEADERS: Final = {
    "商户订单号": "reference",
    "账务流水号": "far_reference",
    "支付宝交易号": "far_reference",
    "业务类型": "kind",
    "收入金额(+元)": "income",
    "支出金额(-元)": "outgo",
    "商家实收(元)": "income",
    "订单金额(元)": "income",
    "服务费(元)": "fee_yuan",
    "发生时间": "at",
    "完成时间": "at",
    "入账时间": "at",
    "对方账户": "party",
    "对方账号": "party",
}
_NEEDED: Final = (("reference",), ("income", "outgo"), ("at",))
_PERIOD: Final = re.compile(
    r"起始日期[:：]\[(\d{4})年(\d{2})月(\d{2})日 (\d{2}):(\d{2}):(\d{2})\]\s*终止日期[:：]\[(\d{4})年(\d{2})月(\d{2})日 (\d{2}):(\d{2}):(\d{2})\]"
)
_SUM: Final = re.compile(r"#(支出|收入)合计[:：](\d+)笔[,，]共([+-]?)([\d,]+)(?:\.(\d{1,2}))?元")
_END: Final = "明细列表结束"
_FEES: Final = ("fee",)


def looks_like(text: str) -> bool:
    """Whether it begins as Alipay's bills do."""
    return text.lstrip("\ufeff").startswith("#支付宝")


def read(content: bytes) -> Statement:
    """Read the bill. Raises Refused for it as a whole: `text_not_decodable`, `statement_columns_missing`,
    `statement_truncated` (the closing line or the totals are not there), `statement_totals_wrong`."""
    text = decode(content)
    lines = text.splitlines()
    start = next((n for n, line in enumerate(lines) if line.strip() and not line.startswith("#")), len(lines))
    remarks = [line for line in lines[:start] if line.startswith("#")]
    if start == len(lines):
        raise Refused("statement_truncated")
    end = next((n for n in range(start, len(lines)) if lines[n].startswith("#")), None)
    if end is None or _END not in lines[end]:
        raise Refused("statement_truncated")
    foot = lines[end:]
    names = next(cells(lines[start], delimiter=","), [])
    while names and not names[-1].strip():
        names.pop()
    columns = columns_of(names, names=_HEADERS, needed=_NEEDED)
    body = cells("\n".join(lines[start + 1 : end]), delimiter=",")
    rows = _signed(body, columns, width=len(names))
    kept = {name: place for name, place in columns.items() if name not in ("income", "outgo")}
    kept |= {"amount_yuan": len(names), "direction": len(names) + 1}
    table = read_table(rows, columns=kept, width=len(names) + 2)
    checked = check_totals(_totals(foot), rows=table.frame, quarantined=table.quarantined)
    period = _period("\n".join(remarks))
    frame = _fees_folded(table.frame)
    return Statement("alipay_bill", frame, frame["row"], table.quarantined, period, checked)


def _signed(body: Iterator[list[str]], columns: dict[str, int], *, width: int) -> Iterator[list[str]]:
    """Each row with its amount and direction behind it; a row of another width as it is."""
    income, outgo = columns.get("income"), columns.get("outgo")
    for row in body:
        row = [cell.strip() for cell in row]
        while len(row) > width and not row[-1]:
            row.pop()
        if len(row) != width:
            yield row
            continue
        came = row[income].lstrip("+") if income is not None else ""
        went = row[outgo].lstrip("-") if outgo is not None else ""
        if came.startswith("-"):
            came, went = "", came[1:]
        zero = ("", "0", "0.0", "0.00")
        yield [*row, *((went, "out") if came in zero and went not in zero else (came, "in"))]


def _totals(foot: list[str]) -> Totals:
    found: dict[str, int] = {}
    for line in foot:
        match = _SUM.match(line.strip())
        if match is not None:
            side = "out" if match[1] == "支出" else "in"
            found[f"{side}_rows"] = int(match[2])
            found[f"{side}_fen"] = int(match[4].replace(",", "")) * 100 + int((match[5] or "0").ljust(2, "0"))
    if not found and not any("合计" in line for line in foot):
        raise Refused("statement_truncated")
    return Totals(**found)


def _period(head: str) -> Period | None:
    match = _PERIOD.search(head)
    if match is None:
        return None
    since, until = _moment(match.groups()[:6]), _moment(match.groups()[6:])
    return Period(since, until)


def _moment(figures: Sequence[str]) -> datetime:
    year, month, day, hour, minute, second = map(int, figures)
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=CHINA).astimezone(UTC)
    except ValueError:
        raise Refused("field_invalid", field="起始日期") from None


def _fees_folded(frame: pl.DataFrame) -> pl.DataFrame:
    """Charges joined to what they were charged for; a charge alone stays a row of its own."""
    charge = pl.col("kind").is_in(_FEES)
    charges = frame.filter(charge & pl.col("reference").is_not_null())
    payments = frame.filter(~charge)
    if charges.is_empty():
        return frame
    first = payments.filter(pl.int_range(pl.len()).over("reference") == 0).select("row", "reference")
    placed = charges.join(first, on="reference", how="inner", suffix="_paid")
    sums = placed.group_by(row="row_paid").agg(charged=pl.col("amount_fen").sum())
    return (
        frame.join(placed.select("row"), on="row", how="anti", maintain_order="left")
        .join(sums, on="row", how="left", maintain_order="left")
        .with_columns(fee_fen=pl.col("fee_fen") + pl.col("charged").fill_null(0))
        .drop("charged")
    )
