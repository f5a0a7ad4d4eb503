"""The first sheet of an XLSX file as rows of text: a zip of XML, read within limits, formulas refused by their readers.

A number is given to the fifteen digits a spreadsheet shows (it stores 0.85 as 0.84999999999999998), a cell with a
formula as `=`, so that whoever reads cells refuses it as one; what it last came to is not taken.
"""

import io
import re
import zipfile
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from typing import Final

from lxml import etree

from airback.domain.refusals import Refused

MOST_UNPACKED: Final = 32 << 20
MOST_CELLS: Final = 400_000
_MOST_COLUMNS: Final = 200

_MAIN: Final = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_LINKED: Final = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_REFERENCE: Final = re.compile(r"([A-Z]{1,3})[0-9]+", re.ASCII)
_SHOWN: Final = Context(prec=15, rounding=ROUND_HALF_EVEN)


def looks_like(content: bytes) -> bool:
    """Whether it is a zip, as XLSX files are."""
    return content[:4] == b"PK\x03\x04"


def read_sheet(content: bytes) -> list[list[str]]:
    """Rows of the first sheet, each as long as its last cell. Raises Refused: `text_not_decodable` for what is no
    spreadsheet, `body_too_large` when it unpacks to more than `MOST_UNPACKED` bytes or has too many cells."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            if sum(part.file_size for part in packed.infolist()) > MOST_UNPACKED:
                raise Refused("body_too_large")
            shared = _shared(packed)
            return _rows(_xml(packed, _first_sheet(packed)), shared)
    except (zipfile.BadZipFile, KeyError, etree.XMLSyntaxError, NotImplementedError, EOFError, ValueError):
        raise Refused("text_not_decodable") from None


def _xml(packed: zipfile.ZipFile, name: str) -> etree._Element:
    with packed.open(name) as part:
        text = part.read(MOST_UNPACKED + 1)
    if len(text) > MOST_UNPACKED:  # a zip may state another size than it has
        raise Refused("body_too_large")
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    root = etree.fromstring(text, parser)
    if b"<!DOCTYPE" in text:
        raise ValueError("a document type")
    return root


def _first_sheet(packed: zipfile.ZipFile) -> str:
    """The part of the first sheet, by the workbook's own order."""
    sheet = _xml(packed, "xl/workbook.xml").find(f"{_MAIN}sheets/{_MAIN}sheet")
    if sheet is None:
        raise KeyError("no sheet")
    wanted = sheet.get(_LINKED)
    for link in _xml(packed, "xl/_rels/workbook.xml.rels"):
        if link.get("Id") == wanted:
            target = str(link.get("Target"))
            return target[1:] if target.startswith("/") else f"xl/{target}"
    raise KeyError("no such sheet")


def _shared(packed: zipfile.ZipFile) -> list[str]:
    if "xl/sharedStrings.xml" not in packed.namelist():
        return []
    return [_text(each) for each in _xml(packed, "xl/sharedStrings.xml").iter(f"{_MAIN}si")]


def _text(item: etree._Element) -> str:
    # Phonetic hints (`rPh`) stand beside the text and are none of it.
    parts = item.iterfind(f"{_MAIN}t"), item.iterfind(f"{_MAIN}r/{_MAIN}t")
    return "".join(part.text or "" for found in parts for part in found)


def _rows(sheet: etree._Element, shared: list[str]) -> list[list[str]]:
    rows: list[list[str]] = []
    count = 0
    for row in sheet.iter(f"{_MAIN}row"):
        cells: list[str] = []
        for cell in row.iterfind(f"{_MAIN}c"):
            place = _place(cell.get("r"), len(cells))
            count += 1
            if count > MOST_CELLS or place >= _MOST_COLUMNS:
                raise Refused("body_too_large")
            cells += [""] * (place + 1 - len(cells))
            cells[place] = _cell(cell, shared)
        rows.append(cells)
    return rows


def _place(reference: str | None, following: int) -> int:
    """The column a cell says it stands in, from 0."""
    match = _REFERENCE.fullmatch(reference or "")
    if match is None:
        return following
    place = 0
    for letter in match[1]:
        place = place * 26 + ord(letter) - ord("A") + 1
    return place - 1


def _cell(cell: etree._Element, shared: list[str]) -> str:
    if cell.find(f"{_MAIN}f") is not None:
        return "="
    kind = cell.get("t", "n")
    if kind == "inlineStr":
        inline = cell.find(f"{_MAIN}is")
        return "" if inline is None else _text(inline)
    value = cell.findtext(f"{_MAIN}v") or ""
    if kind == "s":
        return shared[int(value)] if value.isdigit() and int(value) < len(shared) else ""
    return _number(value) if kind == "n" and value else value


def _number(text: str) -> str:
    try:
        shown = _SHOWN.create_decimal(Decimal(text)).normalize()
    except InvalidOperation:
        return text
    return f"{shown:f}"
