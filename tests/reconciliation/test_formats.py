"""Each format is read as it is written, and each fault of a file is refused or quarantined by its name."""

from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest

from airback.domain.effects import Kind
from airback.domain.ports.carrier import StatementLine
from airback.domain.refusals import Refused
from airback.reconciliation import own_csv, tables
from airback.reconciliation.reading import read_statement
from airback.reconciliation.rows import Period, Statement, from_lines
from tests.reconciliation.planting import DAY, PERIOD, frame, plant, row

HEAD = "reference,amount,time,party,kind\n"
GOOD = "A1,10.00,2026-11-20 10:00:00,13800138000,pay\n"


def quarantine(statement: Statement) -> list[tuple[int, str | None, str]]:
    """(row, field, code) of what was quarantined."""
    return [(q.row, q.field, q.refused.code) for q in statement.quarantined]


def refusal(content: bytes, **given: Any) -> tuple[str, str | None]:
    """(code, field) of a file refused as a whole."""
    with pytest.raises(Refused) as refused:
        read_statement(content, **given)
    return refused.value.code, refused.value.field


# -- our own CSV


def test_our_own_file_comes_back_as_it_was() -> None:
    rows = plant(
        ["reversed_flag", "reversed_contra", "fee_charged", "no_reference"], agreeing=40, seed=1
    ).theirs
    ordered = rows.sort("at", maintain_order=True)
    read = read_statement(own_csv.write(ordered, period=PERIOD))
    assert read.rows.equals(ordered)
    assert (read.period, read.totals_checked, quarantine(read), read.out_of_order) == (
        PERIOD,
        True,
        [],
        False,
    )


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_headers_in_chinese_in_any_order_and_either_encoding(encoding: str, delimiter: str) -> None:
    cells = [
        ["时间", "金额(元)", "对方", "流水号", "收支", "手续费", "备注", "是否冲正"],
        ["2026/11/20 9:05", "1,234.5", "张三", "A1", "收入", "0.1", "谢谢", "是"],
    ]
    text = "".join(delimiter.join(f'"{cell}"' for cell in line) + "\r\n" for line in cells)
    (found,) = read_statement(text.encode(encoding)).rows.rows(named=True)
    assert found == {
        "reference": "A1",
        "far_reference": None,
        "kind": None,
        "amount_fen": 123_450,
        "fee_fen": 10,
        "at": datetime(2026, 11, 20, 1, 5, tzinfo=UTC),
        "party": "张三",
        "direction": "in",
        "reversed": True,
    }


@pytest.mark.parametrize(
    ("time", "hour"),
    [
        ("2026-11-20 10:00:00", 2),
        ("2026-11-20T10:00:00Z", 10),
        ("2026-11-20T10:00:00.123456+05:00", 5),
        ("2026-11-20 10:00:00-0200", 12),
    ],
)
def test_a_time_is_china_time_unless_it_says_otherwise(time: str, hour: int) -> None:
    read = read_statement(f"{HEAD}A1,1,{time},,\n".encode())
    assert read.rows["at"][0].hour == hour


@pytest.mark.parametrize(
    ("line", "field", "code"),
    [
        ("=A1,1,2026-11-20 10:00:00,,", "reference", "formula_cell"),
        ("A1,1,2026-11-20 10:00:00,+cmd,", "party", "formula_cell"),
        ("A1,1,2026-11-20 10:00:00,,-x", "kind", "formula_cell"),
        ("@A1,1,2026-11-20 10:00:00,,", "reference", "formula_cell"),
        ("1.23E+17,1,2026-11-20 10:00:00,,", "reference", "formula_cell"),
        ("A1,=1+1,2026-11-20 10:00:00,,", "amount", "formula_cell"),
        ("A1,,2026-11-20 10:00:00,,", "amount", "field_missing"),
        ("A1,ten,2026-11-20 10:00:00,,", "amount", "amount_not_a_number"),
        ("A1,1e3,2026-11-20 10:00:00,,", "amount", "amount_not_a_number"),
        ('A1,"1,00",2026-11-20 10:00:00,,', "amount", "amount_not_a_number"),
        ("A1,0,2026-11-20 10:00:00,,", "amount", "amount_not_positive"),
        ("A1,-5.00,2026-11-20 10:00:00,,", "amount", "amount_not_positive"),
        ("A1,1.001,2026-11-20 10:00:00,,", "amount", "amount_fraction_of_fen"),
        ("A1,100000000.01,2026-11-20 10:00:00,,", "amount", "amount_above_limit"),
        ("A1,1,,,", "at", "field_missing"),
        ("A1,1,2026-11-20,,", "at", "time_malformed"),
        ("A1,1,2026-11-31 10:00:00,,", "at", "time_malformed"),
        ("A1,1,46346.5,,", "at", "time_malformed"),
        ("A1,1,2026-11-23 10:00:00,,", "at", "row_wrong_day"),
        ("A1,1,2026-11-20 10:00:00,", None, "row_incomplete"),
        ("A1,1,2026-11-20 10:00:00,,,extra", None, "row_incomplete"),
        (f"{'x' * 201},1,2026-11-20 10:00:00,,", "reference", "field_invalid"),
    ],
)
def test_a_bad_row_is_quarantined_by_name_and_the_others_go_on(
    line: str, field: str | None, code: str
) -> None:
    read = read_statement(f"{HEAD}{GOOD}{line}\n{GOOD.replace('A1', 'A3')}".encode(), day=DAY)
    assert [(n, f and f.removesuffix("_yuan"), c) for n, f, c in quarantine(read)] == [(2, field, code)]
    assert read.rows["reference"].to_list() == ["A1", "A3"]
    assert read.source_rows.to_list() == [1, 3]
    refused = read.quarantined[0].refused.refusal
    assert refused.sentence("zh") and refused.remedy("en")


def test_an_amount_is_read_digit_by_digit() -> None:
    amounts = ["0.07", "1.1", "99999999.99", "0.29", "1.10000000", "12,345,678.01"]
    lines = "".join(f'A{n},"{text}",2026-11-20 10:00:0{n},,\n' for n, text in enumerate(amounts))
    read = read_statement((HEAD + lines).encode())
    assert read.rows["amount_fen"].to_list() == [7, 110, 9_999_999_999, 29, 110, 1_234_567_801]
    in_fen = read_statement(b"ref,amount_fen,fee_fen,at\nA,12345,6,2026-11-20 10:00:00\n")
    assert in_fen.rows.select("amount_fen", "fee_fen").row(0) == (12_345, 6)


def test_a_line_in_another_encoding_is_quarantined() -> None:
    lines = [f"A{n},1.00,2026-11-20 10:00:0{n},张三丰,pay\n" for n in range(4)]
    mixed = (HEAD + lines[0] + lines[1]).encode() + lines[2].encode("gb18030") + lines[3].encode()
    assert quarantine(read_statement(mixed)) == [(3, "party", "row_encoding_mixed")]
    turned = (HEAD + lines[0] + lines[1]).encode("gb18030") + lines[2].encode() + lines[3].encode("gb18030")
    assert quarantine(read_statement(turned)) == [(3, "party", "row_encoding_mixed")]


def test_rows_out_of_order_are_put_in_order_and_told() -> None:
    times = ["12:00", "10:00", "11:00"]
    lines = "".join(f"A{n},1,2026-11-20 {time},,\n" for n, time in enumerate(times))
    read = read_statement((HEAD + lines).encode())
    assert read.out_of_order
    assert read.rows["reference"].to_list() == ["A1", "A2", "A0"]
    assert read.source_rows.to_list() == [2, 3, 1]


WRITTEN = own_csv.write(frame([{**row(__import__("random").Random(n), n)} for n in range(5)]), period=PERIOD)


@pytest.mark.parametrize(
    ("content", "code", "field"),
    [
        (b"", "statement_format_unknown", None),
        (b"hello\nworld\n", "statement_format_unknown", None),
        (b"reference,amount\nA,1\n", "statement_columns_missing", "at"),
        (b"amount,time\n1,2026-11-20 10:00:00\n", "statement_columns_missing", "reference"),
        (b"PK\x03\x04" + bytes(50), "text_not_decodable", None),
        (b"ref\x00erence,amount,time\n", "text_not_decodable", None),
        (f"{HEAD}{GOOD}A2,1.0".encode(), "statement_truncated", None),
        (WRITTEN.replace(b"# rows: 5", b"# rows: 6"), "statement_truncated", "rows"),
        (WRITTEN.replace(b"# rows: 5", b"# rows: 4"), "statement_totals_wrong", "rows"),
        (WRITTEN.replace(b"# in_yuan: 0.00", b"# in_yuan: 0.01"), "statement_totals_wrong", "in_fen"),
        (WRITTEN.replace(b"# out_yuan: ", b"# out_yuan: 9"), "statement_totals_wrong", "out_fen"),
        (WRITTEN.replace(b"# rows: 5", b"# rows: five"), "field_invalid", "rows"),
        (WRITTEN.replace(b"# day: 2026-11-20", b"# day: soon"), "field_invalid", "day"),
    ],
)
def test_a_bad_file_is_refused_by_name(content: bytes, code: str, field: str | None) -> None:
    assert refusal(content) == (code, field)


def test_a_file_of_another_day_is_refused() -> None:
    assert refusal(WRITTEN, day=date(2026, 11, 19)) == ("statement_wrong_day", "day")
    without = WRITTEN.replace(b"# day: 2026-11-20\n", b"")
    assert refusal(without, day=date(2026, 11, 19)) == ("statement_wrong_day", "day")
    assert read_statement(without).period == PERIOD


def test_a_file_is_not_read_beyond_its_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MOST_ROWS", 3)
    assert refusal(WRITTEN)[0] == "body_too_large"
    monkeypatch.setattr(tables, "MOST_BYTES", 10)
    assert refusal(WRITTEN)[0] == "body_too_large"


def test_totals_prove_nothing_while_a_row_is_in_quarantine() -> None:
    read = read_statement(WRITTEN.replace(b",pay,", b",=pay,", 1))
    assert (len(read.quarantined), read.totals_checked) == (1, False)
    assert read.quarantined[0].reference is not None


# -- Alipay

BILL = """#支付宝账务明细查询
#账号：[20880000000000000156]
#起始日期：[2026年11月20日 00:00:00]   终止日期：[2026年11月21日 00:00:00]
#-----------------------------------------账务明细列表----------------------------------------
账务流水号,业务流水号,商户订单号,商品名称,发生时间,对方账号,收入金额（+元）,支出金额（-元）,账户余额（元）,交易渠道,业务类型,备注,
7001\t,2026\t,A1\t,话费转让款,2026-11-20 10:00:00,li@example.com,,-10.00,90.00,支付宝,转账,\t,
7002\t,2026\t,A1\t,服务费,2026-11-20 10:00:00,,,-0.10,89.90,支付宝,收费,,
7003\t,2027\t,A2\t,退回,2026-11-20 10:00:01,li@example.com,+7.00,0.00,96.90,支付宝,退款,,
#-----------------------------------------账务明细列表结束------------------------------------
#支出合计：2笔，共-10.10元
#收入合计：1笔，共7.00元
#导出时间：[2026年11月21日 09:00:00]
"""


def test_an_alipay_bill_is_read_with_its_charges_beside_their_payments() -> None:
    read = read_statement(BILL.encode("gb18030"))
    assert (read.layout, read.period, read.totals_checked) == ("alipay_bill", PERIOD, True)
    assert read.rows.select(
        "reference", "far_reference", "kind", "amount_fen", "fee_fen", "direction"
    ).rows() == [
        ("A1", "7001", "pay", 1_000, 10, "out"),
        ("A2", "7003", "退款", 700, 0, "in"),
    ]


def test_an_alipay_bill_of_trades_is_read() -> None:
    bill = """#支付宝业务明细查询
#账号：[2088]
支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,对方账户,订单金额（元）,商家实收（元）,服务费（元）,备注
9001\t,B1\t,交易,x,2026-11-20 08:00:00,2026-11-20 08:00:05,a@b.c,10.00,9.90,-0.10,
#----业务明细列表结束----
#交易合计：1笔，商家实收共9.90元
"""
    (found,) = read_statement(bill.replace("-0.10", "0.10").encode("gb18030")).rows.rows(named=True)
    assert (found["reference"], found["far_reference"], found["direction"]) == ("B1", "9001", "in")
    assert found["fee_fen"] == 10


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("共-10.10元", "共-10.11元", "statement_totals_wrong"),
        ("支出合计：2笔", "支出合计：3笔", "statement_truncated"),
        ("收入合计：1笔", "收入合计：0笔", "statement_totals_wrong"),
        ("商户订单号", "订单", "statement_columns_missing"),
        ("2026年11月21日 00:00:00", "2026年13月21日 00:00:00", "field_invalid"),
    ],
)
def test_a_bad_alipay_bill_is_refused_by_name(old: str, new: str, code: str) -> None:
    assert refusal(BILL.replace(old, new).encode("gb18030"))[0] == code


def test_an_alipay_bill_cut_anywhere_before_its_totals_is_refused() -> None:
    content = BILL.encode("gb18030")
    for end in range(200, content.index("#支出".encode("gb18030")), 37):
        assert refusal(content[:end])[0] == "statement_truncated", end


# -- camt.053

CAMT = """<?xml version="1.0" encoding="UTF-8"?>
<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt><Stmt><Id>1</Id>
<FrToDt><FrDtTm>2026-11-20T00:00:00+08:00</FrDtTm><ToDtTm>2026-11-21T00:00:00+08:00</ToDtTm></FrToDt>
<Bal><Tp><CdOrPrtry><Cd>OPBD</Cd></CdOrPrtry></Tp><Amt Ccy="CNY">100.00</Amt><CdtDbtInd>CRDT</CdtDbtInd></Bal>
<Bal><Tp><CdOrPrtry><Cd>CLBD</Cd></CdOrPrtry></Tp><Amt Ccy="CNY">75.50</Amt><CdtDbtInd>CRDT</CdtDbtInd></Bal>
<TxsSummry><TtlNtries><NbOfNtries>3</NbOfNtries><Sum>36.50</Sum></TtlNtries></TxsSummry>
<Ntry><Amt Ccy="CNY">20.00</Amt><CdtDbtInd>DBIT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts>
<BookgDt><DtTm>2026-11-20T10:00:00+08:00</DtTm></BookgDt><AcctSvcrRef>B1</AcctSvcrRef>
<NtryDtls><TxDtls><Refs><EndToEndId>E1</EndToEndId></Refs><Chrgs><Rcrd><Amt Ccy="CNY">0.1</Amt></Rcrd></Chrgs>
<RltdPties><Cdtr><Pty><Nm>张三</Nm></Pty></Cdtr></RltdPties></TxDtls></NtryDtls></Ntry>
<Ntry><Amt Ccy="CNY">10.50</Amt><CdtDbtInd>DBIT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts><BookgDt><Dt>2026-11-20</Dt></BookgDt>
<NtryDtls><TxDtls><Refs><EndToEndId>E2</EndToEndId></Refs><Amt Ccy="CNY">4.50</Amt></TxDtls>
<TxDtls><Refs><EndToEndId>NOTPROVIDED</EndToEndId><InstrId>E3</InstrId></Refs><Amt Ccy="CNY">6</Amt></TxDtls></NtryDtls></Ntry>
<Ntry><Amt Ccy="CNY">6</Amt><CdtDbtInd>CRDT</CdtDbtInd><RvslInd>true</RvslInd><Sts><Cd>BOOK</Cd></Sts>
<BookgDt><DtTm>2026-11-20T15:00:00+08:00</DtTm></BookgDt><NtryDtls><TxDtls><Refs><EndToEndId>E3</EndToEndId></Refs></TxDtls></NtryDtls></Ntry>
</Stmt></BkToCstmrStmt></Document>"""


def test_a_bank_statement_is_read_entry_by_entry() -> None:
    read = read_statement(CAMT.encode())
    assert (read.layout, read.period, read.totals_checked, quarantine(read)) == ("camt053", PERIOD, True, [])
    columns = ("reference", "far_reference", "amount_fen", "fee_fen", "party", "direction", "reversed")
    assert read.rows.select(columns).rows() == [
        ("E1", "B1", 2_000, 10, "张三", "out", False),
        ("E2", None, 450, 0, None, "out", False),
        ("E3", None, 600, 0, None, "out", False),
        ("E3", None, 600, 0, None, "in", True),
    ]


BOMB = """<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>
<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><x>&b;</x></Document>"""


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (BOMB.encode(), "xml_unsafe"),
        (BOMB.replace("?>", ' encoding="UTF-16"?>', 1).encode("utf-16"), "xml_unsafe"),
        (CAMT.replace("?>", '?><!DOCTYPE a SYSTEM "http://127.0.0.1:1/x.dtd">', 1).encode(), "xml_unsafe"),
        (CAMT.replace("E1", "&outside;").encode(), "statement_format_unknown"),
        (CAMT[:700].encode(), "statement_truncated"),
        (CAMT[:-30].encode(), "statement_truncated"),
        (CAMT.replace("<NbOfNtries>3", "<NbOfNtries>4").encode(), "statement_truncated"),
        (CAMT.replace("<NbOfNtries>3", "<NbOfNtries>2").encode(), "statement_totals_wrong"),
        (CAMT.replace("<Sum>36.50", "<Sum>36.51").encode(), "statement_totals_wrong"),
        (CAMT.replace("75.50", "75.51").encode(), "statement_totals_wrong"),
        (CAMT.replace("camt.053", "camt.052").encode(), "statement_format_unknown"),
        (b"<html><body>no</body></html>", "statement_format_unknown"),
        (CAMT.replace("Stmt>", "X>").encode(), "statement_truncated"),
        (("<a>" * 300 + CAMT).encode(), "statement_format_unknown"),
    ],
)
def test_a_bad_bank_statement_is_refused_by_name(content: bytes, code: str) -> None:
    assert refusal(content)[0] == code


@pytest.mark.parametrize(
    ("old", "new", "field", "code"),
    [
        ('<Amt Ccy="CNY">20.00', '<Amt Ccy="USD">20.00', "Ccy", "currency_unknown"),
        ("<Cd>BOOK</Cd>", "<Cd>PDNG</Cd>", "Sts", "field_invalid"),
        ("<EndToEndId>E1", "<EndToEndId>=E1", "reference", "formula_cell"),
        ("2026-11-20T10:00:00+08:00", "soon", "at", "time_malformed"),
        ('<Rcrd><Amt Ccy="CNY">0.1', '<Rcrd><Amt Ccy="CNY">few', "fee", "amount_not_a_number"),
    ],
)
def test_a_bad_entry_is_quarantined_and_the_others_go_on(old: str, new: str, field: str, code: str) -> None:
    read = read_statement(CAMT.replace(old, new, 1).encode())
    assert [(n, f, c) for n, f, c in quarantine(read)] == [(1, field, code)]
    assert read.rows.height == 3


def test_parts_that_are_not_the_entry_are_quarantined() -> None:
    read = read_statement(CAMT.replace(">4.50<", ">4.40<").encode())
    assert quarantine(read) == [(2, "TxDtls", "statement_totals_wrong")]


# -- a far side's own interface


def test_lines_of_an_interface_become_rows() -> None:
    at = datetime(2026, 11, 20, 4, tzinfo=UTC)
    rows = from_lines(
        [
            StatementLine("B", Kind.RELEASE, 5, "f2", at),
            StatementLine("A", Kind.PAY, 7, "f1", at.replace(hour=3)),
        ]
    )
    assert rows.select("reference", "kind", "amount_fen", "direction").rows() == [
        ("A", "pay", 7, "out"),
        ("B", "release", 5, "in"),
    ]
    assert Period.of_day(DAY).day == DAY
    assert isinstance(rows, pl.DataFrame)
