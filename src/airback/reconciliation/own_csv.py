"""Our own CSV: a header in English or Chinese, columns in any order, UTF-8 or GB18030.

Lines before the header or after the last row that begin with `#` say what the file is: `# day: 2026-11-20`, `# rows: 3`,
`# out_yuan: 12.00`, `# in_yuan: 0.00` (or 日期, 笔数, 支出合计, 收入合计). What is stated is checked.
"""

import re
from collections.abc import Iterator
from datetime import date
from typing import Final

import polars as pl

from airback.domain.money import yuan
from airback.domain.refusals import Refused
from airback.reconciliation.rows import Period, Statement, Totals, check_totals
from airback.reconciliation.tables import cells, columns_of, decode, folded, read_table

_HEADERS: Final = {
    "reference": "reference",
    "ref": "reference",
    "client_reference": "reference",
    "流水号": "reference",
    "商户订单号": "reference",
    "我方流水号": "reference",
    "far_reference": "far_reference",
    "far_ref": "far_reference",
    "对方流水号": "far_reference",
    "kind": "kind",
    "type": "kind",
    "类型": "kind",
    "业务类型": "kind",
    "amount": "amount_yuan",
    "amount_yuan": "amount_yuan",
    "金额": "amount_yuan",
    "金额(元)": "amount_yuan",
    "amount_fen": "amount_fen",
    "金额(分)": "amount_fen",
    "fee": "fee_yuan",
    "fee_yuan": "fee_yuan",
    "手续费": "fee_yuan",
    "手续费(元)": "fee_yuan",
    "服务费(元)": "fee_yuan",
    "fee_fen": "fee_fen",
    "手续费(分)": "fee_fen",
    "at": "at",
    "time": "at",
    "时间": "at",
    "交易时间": "at",
    "party": "party",
    "对方": "party",
    "对方账户": "party",
    "对方账号": "party",
    "号码": "party",
    "direction": "direction",
    "方向": "direction",
    "收支": "direction",
    "收/支": "direction",
    "reversed": "reversed",
    "冲正": "reversed",
    "是否冲正": "reversed",
}
_NEEDED: Final = (("reference",), ("amount_yuan", "amount_fen"), ("at",))
_STATED: Final = {
    "day": "day",
    "日期": "day",
    "rows": "rows",
    "笔数": "rows",
    "out_yuan": "out",
    "支出合计": "out",
    "in_yuan": "in",
    "收入合计": "in",
}
_REMARK: Final = re.compile(r"#\s*([^:：]+?)\s*[:：]\s*(.*?)\s*,*$")


def looks_like(text: str) -> bool:
    """Whether the first line that is no remark has headers of ours."""
    for line in text.split("\n", 50)[:50]:
        if line.strip() and not line.lstrip("\ufeff").startswith("#"):
            found = {_HEADERS.get(folded(cell.strip('"'))) for cell in re.split(r"[,;\t]", line)}
            return bool({"reference", "amount_yuan", "amount_fen"} & found)
    return False


def read(content: bytes) -> Statement:
    """Read the file. Raises Refused for it as a whole: `text_not_decodable`, `statement_columns_missing`,
    `statement_truncated`, `statement_totals_wrong`, `field_invalid` for a remark that cannot be read."""
    text = decode(content)
    remarks: dict[str, str] = {}
    lines = iter(text.splitlines(keepends=True))
    header = ""
    for line in lines:
        if line.lstrip("\ufeff").startswith("#"):
            _remark(line, remarks)
        elif line.strip():
            header = line
            break
    delimiter = max(",;\t", key=header.count)
    names = next(cells(header, delimiter=delimiter), [])
    columns = columns_of(names, names=_HEADERS, needed=_NEEDED)
    body = text[text.index(header) + len(header) :] if header else ""
    table = read_table(_rows(body, delimiter, remarks), columns=columns, width=len(names))
    if table.last_line_short and not text.endswith("\n"):
        raise Refused("statement_truncated", row=table.count)
    checked = check_totals(_totals(remarks), rows=table.frame, quarantined=table.quarantined)
    period = None
    if "day" in remarks:
        try:
            period = Period.of_day(date.fromisoformat(remarks["day"]))
        except ValueError:
            raise Refused("field_invalid", field="day") from None
    return Statement("own_csv", table.frame, table.frame["row"], table.quarantined, period, checked)


def _rows(body: str, delimiter: str, remarks: dict[str, str]) -> Iterator[list[str]]:
    for row in cells(body, delimiter=delimiter):
        if row and row[0].startswith("#"):
            _remark(delimiter.join(row), remarks)
        else:
            yield row


def _remark(line: str, remarks: dict[str, str]) -> None:
    match = _REMARK.match(line.strip().lstrip("\ufeff"))
    if match is not None and (name := _STATED.get(match[1].strip().lower())) is not None:
        remarks[name] = match[2]


def _totals(remarks: dict[str, str]) -> Totals:
    def whole(name: str) -> int | None:
        if name not in remarks:
            return None
        if re.fullmatch(r"\d{1,12}", remarks[name]) is None:
            raise Refused("field_invalid", field=name)
        return int(remarks[name])

    def money(name: str) -> int | None:
        if name not in remarks:
            return None
        match = re.fullmatch(r"(\d{1,15})(?:\.(\d{1,2}))?", remarks[name].replace(",", ""))
        if match is None:
            raise Refused("field_invalid", field=name)
        return int(match[1]) * 100 + int((match[2] or "0").ljust(2, "0"))

    return Totals(rows=whole("rows"), out_fen=money("out"), in_fen=money("in"))


def write(rows: pl.DataFrame, *, period: Period | None = None) -> bytes:
    """The file of these rows, in UTF-8, with its totals at the foot."""
    outgoing = rows["direction"] == "out"
    head = "" if period is None else f"# day: {period.day.isoformat()}\n"
    table = rows.select(
        "reference",
        "far_reference",
        "kind",
        amount_yuan=_decimal("amount_fen"),
        fee_yuan=_decimal("fee_fen"),
        time=pl.col("at").dt.convert_time_zone(_ZONE).dt.strftime("%Y-%m-%dT%H:%M:%S%.6f+08:00"),
        party="party",
        direction=pl.col("direction").cast(pl.String),
        reversed="reversed",
    ).write_csv(line_terminator="\n")
    sums = [int(rows["amount_fen"].filter(side).sum()) for side in (outgoing, ~outgoing)]
    foot = f"# rows: {rows.height}\n# out_yuan: {yuan(sums[0])}\n# in_yuan: {yuan(sums[1])}\n"
    return (head + table + foot).encode()


_ZONE: Final = "Asia/Shanghai"


def _decimal(column: str) -> pl.Expr:
    fen = pl.col(column)
    return pl.format("{}.{}", fen // 100, (fen % 100).cast(pl.String).str.zfill(2))
