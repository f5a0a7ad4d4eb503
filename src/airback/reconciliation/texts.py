"""Text columns to canonical ones: every cell is checked, and a row that does not pass says which cell and why.

Readers bring a frame of text (`TEXT` columns, any of them may be absent) with a column `row`; `canonical_rows` gives the
good rows and what it refused. Amounts are decimal yuan, or whole fen in columns that say so; they become integer fen
digit by digit, never through a float. A time without an offset is China time.
"""

from typing import Final

import polars as pl

from airback.domain.money import MAX_FEN
from airback.domain.refusals import Refused
from airback.reconciliation.rows import DIRECTION, MOST_CELL, SCHEMA, TIME, Quarantined, bare_reference

TEXT: Final = (
    "reference",
    "far_reference",
    "kind",
    "amount_yuan",
    "amount_fen",
    "fee_yuan",
    "fee_fen",
    "at",
    "party",
    "direction",
    "reversed",
)
#: Put in place of bytes that are not of the file's encoding.
FOREIGN: Final = "\ufffd"

_FORMULA: Final = r"^[=+\-@\t\r]"
_ROUNDED: Final = r"^\d(\.\d+)?[eE]\+\d+$"
_AMOUNT: Final = r"^(\d{1,12}|\d{1,3}(,\d{3}){1,3})(\.\d{1,8})?$"
_FEN: Final = r"^\d{1,12}$"
_TIME: Final = r"^\d{4}[-/]\d{1,2}[-/]\d{1,2}[ T]\d{1,2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:?\d{2})?$"

_KINDS: Final = {
    "转账": "pay",
    "单笔转账": "pay",
    "付款": "pay",
    "支付": "pay",
    "提现": "pay",
    "充值": "transfer",
    "转移": "transfer",
    "卡充值": "redeem",
    "核销": "redeem",
    "冻结": "hold",
    "解冻": "release",
    "收费": "fee",
    "服务费": "fee",
}
_OUT: Final = ("out", "debit", "dbit", "d", "支出", "付", "借", "-")
_IN: Final = ("in", "credit", "crdt", "c", "收入", "收", "贷", "+")
_TRUE: Final = ("true", "1", "yes", "y", "是", "已冲正", "冲正")
_FALSE: Final = ("false", "0", "no", "n", "否", "")


def canonical_rows(text: pl.DataFrame) -> tuple[pl.DataFrame, list[Quarantined]]:
    """(good rows with the columns of `rows.SCHEMA` and `row`, refused rows) of a frame of text."""
    present = [name for name in TEXT if name in text.columns]
    for name in TEXT:
        if name not in text.columns:
            text = text.with_columns(pl.lit(None, pl.String).alias(name))
    text = text.with_columns(pl.col(*TEXT).str.strip_chars(" \u3000\u00a0").replace("", None))
    checks: list[tuple[pl.Expr, str, str]] = []
    for name in present:
        cell = pl.col(name)
        checks.append((cell.str.contains(FOREIGN, literal=True), name, "row_encoding_mixed"))
        checks.append((cell.str.len_chars() > MOST_CELL, name, "field_invalid"))
        if name in ("reference", "far_reference", "kind", "party"):
            checks.append((cell.str.contains(_FORMULA), name, "formula_cell"))
            checks.append((cell.str.contains(_ROUNDED), name, "formula_cell"))
        else:
            checks.append((cell.str.contains(r"^[=@\t\r]"), name, "formula_cell"))
    for what in ("amount", "fee"):
        checks += _amount_checks(what, needed=what == "amount")
    checks.append((pl.col("at").is_null(), "at", "field_missing"))
    checks.append((~pl.col("at").str.contains(_TIME) | pl.col("_at").is_null(), "at", "time_malformed"))
    lowered = pl.col("direction").str.to_lowercase()
    checks.append((~lowered.is_in([*_OUT, *_IN]), "direction", "field_invalid"))
    flag = pl.col("reversed").str.to_lowercase()
    checks.append((~flag.is_in([*_TRUE, *_FALSE]), "reversed", "field_invalid"))

    parsed = text.with_columns(_at=_time(pl.col("at")), _amount=_fen("amount"), _fee=_fen("fee"))
    why = pl.lit(None, pl.Int32)
    for number, (bad, _, _) in reversed(list(enumerate(checks))):
        why = pl.when(bad.fill_null(False)).then(pl.lit(number, pl.Int32)).otherwise(why)
    parsed = parsed.with_columns(why=why)
    refused = [
        Quarantined(
            row,
            checks[number][1],
            Refused(checks[number][2], field=checks[number][1], row=row),
            bare_reference(ref),
        )
        for row, number, ref in parsed.filter(pl.col("why").is_not_null())
        .select("row", "why", "reference")
        .iter_rows()
    ]
    good = parsed.filter(pl.col("why").is_null()).select(
        "row",
        "reference",
        "far_reference",
        kind=pl.col("kind").replace(_KINDS).str.to_lowercase(),
        amount_fen="_amount",
        fee_fen=pl.col("_fee").fill_null(0),
        at="_at",
        party="party",
        direction=pl.when(lowered.is_in(_IN)).then(pl.lit("in")).otherwise(pl.lit("out")).cast(DIRECTION),
        reversed=flag.is_in(_TRUE).fill_null(False),
    )
    return good.select("row", *SCHEMA), refused


def _amount_checks(what: str, *, needed: bool) -> list[tuple[pl.Expr, str, str]]:
    in_yuan, in_fen, value = pl.col(f"{what}_yuan"), pl.col(f"{what}_fen"), pl.col(f"_{what}")
    cell = pl.coalesce(in_yuan, in_fen)
    checks = [
        (cell.str.contains(r"^-[0-9.,]+$"), what, "amount_not_positive"),
        (~in_yuan.str.contains(_AMOUNT), what, "amount_not_a_number"),
        (in_yuan.is_null() & ~in_fen.str.contains(_FEN), what, "amount_not_a_number"),
        (in_yuan.str.contains(r"\.\d{2}\d*[1-9]"), what, "amount_fraction_of_fen"),
        (value > MAX_FEN, what, "amount_above_limit"),
    ]
    if needed:
        checks.insert(0, (cell.is_null(), what, "field_missing"))
        checks.append((value == 0, what, "amount_not_positive"))
    return checks


def _fen(what: str) -> pl.Expr:
    plain = pl.col(f"{what}_yuan").str.replace_all(",", "", literal=True)
    whole = plain.str.extract(r"^(\d+)").cast(pl.Int64, strict=False)
    part = plain.str.extract(r"^\d+\.(\d+)$").str.pad_end(2, "0").str.slice(0, 2).cast(pl.Int64, strict=False)
    in_fen = pl.col(f"{what}_fen").cast(pl.Int64, strict=False)
    return pl.coalesce(whole * 100 + part.fill_null(0), in_fen)


def _time(cell: pl.Expr) -> pl.Expr:
    offset = cell.str.extract(r"([+-]\d{2}:?\d{2})$").str.replace(":", "", literal=True)
    zulu = cell.str.ends_with("Z")
    sign = pl.when(offset.str.starts_with("-")).then(-1).otherwise(1)
    hours = offset.str.slice(1, 2).cast(pl.Int64, strict=False)
    minutes = offset.str.slice(3, 2).cast(pl.Int64, strict=False)
    east = pl.when(zulu).then(0).otherwise((sign * (hours * 60 + minutes)).fill_null(8 * 60))
    local = (
        cell.str.replace(r"(Z|[+-]\d{2}:?\d{2})$", "")
        .str.replace("T", " ", literal=True)
        .str.replace_all("/", "-", literal=True)
        .str.replace(r"^(\d{4}-\d{1,2}-\d{1,2} \d{1,2}:\d{2})$", "${1}:00")
        .str.to_datetime("%Y-%m-%d %H:%M:%S%.f", strict=False, time_unit="us")
    )
    sane = local.is_between(pl.datetime(2000, 1, 1), pl.datetime(2200, 1, 1))
    return pl.when(sane).then(local - pl.duration(minutes=east)).dt.replace_time_zone("UTC").cast(TIME)
