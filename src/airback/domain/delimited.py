"""Delimited text as people keep it: UTF-8 (with or without a mark) or GB18030; comma, semicolon or tab."""

import csv
import io
from collections.abc import Iterator

from airback.domain.refusals import Refused

#: How a packed file (XLSX among them) and an old Excel workbook begin.
_BINARY = (b"PK", b"\xd0\xcf\x11\xe0")


def rows_of(content: bytes) -> Iterator[list[str]]:
    """Rows of cells, blank ones too. Raises Refused `text_not_decodable` for another encoding, a binary file, or quoting that
    cannot be read."""
    text = _text(content)
    delimiter = max(",;\t", key=text.split("\n", 1)[0].count)
    try:
        yield from csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    except csv.Error:
        raise Refused("text_not_decodable") from None


def _text(content: bytes) -> str:
    if content.startswith(_BINARY) or b"\x00" in content[:4096]:
        raise Refused("text_not_decodable")
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise Refused("text_not_decodable")
