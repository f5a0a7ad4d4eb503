"""ISO 20022 camt.053, the bank's statement: entries read one after another by lxml, its doors shut.

No document type, no entity, no network, no huge tree: a file that brings a DTD is refused before any of it is expanded.
Any version of the message is read by its local names. An entry with several transactions gives one row for each. An
entry that reverses an earlier one (`RvslInd`) gives a reversed row of its own direction, a contra entry. A booking
date without a time counts as noon in China: it says the day, and no edge of it.
"""

import io
import re
from datetime import UTC, datetime
from typing import Final

import polars as pl
from lxml import etree

from airback.domain.refusals import Refused
from airback.reconciliation.rows import CHINA, MOST_BYTES, MOST_ROWS, Period, Quarantined, Statement
from airback.reconciliation.texts import canonical_rows

_NAMESPACE: Final = re.compile(r"urn:iso:std:iso:20022:tech:xsd:camt\.053\.001\.\d{2}")
_AMOUNT: Final = re.compile(r"(\d{1,15})(?:\.(\d{1,5}))?")
_CHUNK: Final = 20_000
_NOON: Final = "T12:00:00+08:00"

_Element = etree._Element


def looks_like(content: bytes) -> bool:
    """Whether it begins as XML does, in any encoding XML allows."""
    head = content[:200].replace(b"\x00", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n")
    return head.startswith(b"<")


def read(content: bytes) -> Statement:
    """Read the statement. Raises Refused for it as a whole: `xml_unsafe`, `statement_truncated`,
    `statement_format_unknown`, `statement_totals_wrong` (counts, sums, or opening + entries ≠ closing balance)."""
    if len(content) > MOST_BYTES:
        raise Refused("body_too_large")
    if re.search(
        rb"<!\s*(DOCTYPE|ENTITY)", content.replace(b"\x00", b"") if b"\x00" in content[:200] else content
    ):
        raise Refused("xml_unsafe")
    reading = _Reading()
    try:
        for event, element in etree.iterparse(
            io.BytesIO(content),
            events=("start", "end"),
            resolve_entities=False,
            no_network=True,
            load_dtd=False,
            dtd_validation=False,
            attribute_defaults=False,
            huge_tree=False,
            remove_comments=True,
            remove_pis=True,
        ):
            if not reading.begun:
                _check_root(element)
                reading.begun = True
            if event == "end":
                reading.take(element)
    except etree.XMLSyntaxError:
        whole = content.rstrip().endswith(b">") and b"Document>" in content[-200:]
        raise Refused("statement_format_unknown" if whole else "statement_truncated") from None
    return reading.statement()


def _check_root(root: _Element) -> None:
    info = root.getroottree().docinfo
    if info.internalDTD is not None or info.externalDTD is not None:
        raise Refused("xml_unsafe")
    name = etree.QName(root)
    if name.localname != "Document" or _NAMESPACE.fullmatch(name.namespace or "") is None:
        raise Refused("statement_format_unknown")


class _Reading:
    """What has been read so far."""

    def __init__(self) -> None:
        self.begun = False
        self._rows: list[dict[str, str | None]] = []
        self._numbers: list[int] = []
        self._pieces: list[pl.DataFrame] = []
        self._quarantined: list[Quarantined] = []
        self._count = 0
        self._entries = {"CRDT": 0, "DBIT": 0}
        self._sums = {"CRDT": 0, "DBIT": 0}
        self._balances: dict[str, int] = {}
        self._stated: dict[str, tuple[int | None, int | None]] = {}
        self._period: Period | None = None
        self._statements = 0

    def take(self, element: _Element) -> None:
        """Fold in an element that has ended."""
        match etree.QName(element).localname:
            case "Ntry":
                self._entry(element)
                _forget(element)
            case "Bal":
                self._balance(element)
            case "TtlNtries" | "TtlCdtNtries" | "TtlDbtNtries" as name:
                count, total = _text(element, "NbOfNtries"), _text(element, "Sum")
                self._stated[name] = (_count(count), None if total is None else _fen(total))
            case "FrToDt":
                since, until = _moment(_text(element, "FrDtTm")), _moment(_text(element, "ToDtTm"))
                if since is not None and until is not None and since < until:
                    self._period = Period(since, until)
            case "Stmt":
                self._statements += 1
                self._check()

    def statement(self) -> Statement:
        """The whole. Raises Refused `statement_truncated` when no statement was in it."""
        if self._statements == 0:
            raise Refused("statement_truncated")
        self._flush()
        frame = pl.concat(self._pieces)
        proven = bool(self._stated or {"OPBD", "CLBD"} <= self._balances.keys())
        return Statement("camt053", frame, frame["row"], self._quarantined, self._period, proven)

    def _entry(self, entry: _Element) -> None:
        side = _text(entry, "CdtDbtInd")
        amount = _child(entry, "Amt")
        value = None if amount is None else _fen(amount.text or "")
        if side not in self._sums or amount is None or value is None:
            self._refuse("field_invalid", "Ntry")
            return
        self._entries[side] += 1
        self._sums[side] += value
        if amount.get("Ccy") != "CNY":
            self._refuse("currency_unknown", "Ccy")
            return
        if (_text(entry, "Sts", "Cd") or _text(entry, "Sts")) not in (None, "", "BOOK"):
            self._refuse("field_invalid", "Sts")
            return
        details = [d for block in _children(entry, "NtryDtls") for d in _children(block, "TxDtls")]
        parts = [_part(detail) for detail in details] if len(details) > 1 else [amount.text or ""]
        if len(details) > 1 and sum(_fen(part) or 0 for part in parts) != value:
            self._refuse("statement_totals_wrong", "TxDtls")
            return
        back = _text(entry, "RvslInd") in ("true", "1")
        going = side == "DBIT"
        at = _text(entry, "BookgDt", "DtTm") or _noon(_text(entry, "BookgDt", "Dt"))
        at = at or _text(entry, "ValDt", "DtTm") or _noon(_text(entry, "ValDt", "Dt"))
        for place, part in enumerate(parts):
            detail = details[place] if details else entry
            self._add(
                {
                    "reference": _reference(detail) or _given(_text(entry, "NtryRef")),
                    "far_reference": _text(detail, "Refs", "AcctSvcrRef") or _text(entry, "AcctSvcrRef"),
                    "kind": "pay",
                    "amount_yuan": part,
                    "fee_yuan": _charges(detail) or _charges(entry),
                    "at": at,
                    "party": _party(detail, going=going != back),
                    "direction": "out" if going else "in",
                    "reversed": "true" if back else "false",
                }
            )

    def _add(self, row: dict[str, str | None]) -> None:
        self._next()
        self._rows.append(row)
        self._numbers.append(self._count)
        if len(self._rows) >= _CHUNK:
            self._flush()

    def _refuse(self, code: str, field: str) -> None:
        self._next()
        self._quarantined.append(Quarantined(self._count, field, Refused(code, field=field, row=self._count)))

    def _next(self) -> None:
        self._count += 1
        if self._count > MOST_ROWS:
            raise Refused("body_too_large", row=self._count)

    def _flush(self) -> None:
        names = (
            "reference", "far_reference", "kind", "amount_yuan", "fee_yuan", "at", "party", "direction", "reversed",
        )  # fmt: skip
        text = pl.DataFrame(
            {"row": self._numbers, **{name: [row[name] for row in self._rows] for name in names}},
            schema={"row": pl.UInt32, **dict.fromkeys(names, pl.String)},
        )
        good, refused = canonical_rows(text)
        self._pieces.append(good)
        self._quarantined += refused
        self._rows.clear()
        self._numbers.clear()

    def _balance(self, balance: _Element) -> None:
        code = _text(balance, "Tp", "CdOrPrtry", "Cd")
        value = _fen(_text(balance, "Amt") or "")
        if code in ("OPBD", "CLBD") and value is not None:
            self._balances[code] = -value if _text(balance, "CdtDbtInd") == "DBIT" else value

    def _check(self) -> None:
        """Hold the totals of one statement against its entries."""
        found = {
            "TtlNtries": (sum(self._entries.values()), sum(self._sums.values())),
            "TtlCdtNtries": (self._entries["CRDT"], self._sums["CRDT"]),
            "TtlDbtNtries": (self._entries["DBIT"], self._sums["DBIT"]),
        }
        for name, (count, total) in self._stated.items():
            if count is not None and count != found[name][0]:
                code = "statement_truncated" if found[name][0] < count else "statement_totals_wrong"
                raise Refused(code, field=name)
            if total is not None and total != found[name][1]:
                raise Refused("statement_totals_wrong", field=name)
        if {"OPBD", "CLBD"} <= self._balances.keys():
            moved = self._sums["CRDT"] - self._sums["DBIT"]
            if self._balances["OPBD"] + moved != self._balances["CLBD"]:
                raise Refused("statement_totals_wrong", field="CLBD")
        self._entries, self._sums = {"CRDT": 0, "DBIT": 0}, {"CRDT": 0, "DBIT": 0}


def _forget(entry: _Element) -> None:
    """Free an entry that was read, so that a large statement never stands in memory whole."""
    entry.clear()
    parent = entry.getparent()
    if parent is not None:
        while entry.getprevious() is not None:
            previous = parent[0]
            if etree.QName(previous).localname != "Ntry":
                break
            del parent[0]


def _children(element: _Element, name: str) -> list[_Element]:
    return [child for child in element if isinstance(child.tag, str) and etree.QName(child).localname == name]


def _child(element: _Element, *path: str) -> _Element | None:
    found: _Element | None = element
    for name in path:
        found = next(iter(_children(found, name)), None) if found is not None else None
    return found


def _text(element: _Element, *path: str) -> str | None:
    found = _child(element, *path)
    text = None if found is None else (found.text or "").strip()
    return text or None


def _given(text: str | None) -> str | None:
    return None if text in (None, "NOTPROVIDED") else text


def _reference(detail: _Element) -> str | None:
    for name in ("EndToEndId", "InstrId", "TxId"):
        found = _given(_text(detail, "Refs", name))
        if found is not None:
            return found
    return None


def _part(detail: _Element) -> str:
    return _text(detail, "Amt") or _text(detail, "AmtDtls", "TxAmt", "Amt") or ""


def _charges(element: _Element) -> str | None:
    charges = _child(element, "Chrgs")
    if charges is None:
        return None
    records = [_text(record, "Amt") for record in _children(charges, "Rcrd")]
    values = [_fen(text or "") for text in records] or [_fen(_text(charges, "Amt") or "")]
    known = [value for value in values if value is not None]
    if len(known) != len(values):
        return "?"  # refused with the row: a charge that is no amount
    total = sum(known)
    return f"{total // 100}.{total % 100:02d}"


def _party(detail: _Element, *, going: bool) -> str | None:
    role = "Cdtr" if going else "Dbtr"
    account = _child(detail, "RltdPties", f"{role}Acct", "Id")
    if account is not None:
        found = _text(account, "IBAN") or _text(account, "Othr", "Id")
        if found is not None:
            return found
    return _text(detail, "RltdPties", role, "Nm") or _text(detail, "RltdPties", role, "Pty", "Nm")


def _noon(day: str | None) -> str | None:
    return None if day is None else f"{day[:10]}{_NOON}"


def _count(text: str | None) -> int | None:
    return int(text) if text is not None and re.fullmatch(r"\d{1,9}", text) else None


def _fen(text: str) -> int | None:
    match = _AMOUNT.fullmatch(text.strip())
    if match is None or (match[2] or "")[2:].strip("0"):
        return None
    return int(match[1]) * 100 + int((match[2] or "0")[:2].ljust(2, "0"))


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=CHINA)).astimezone(UTC)
