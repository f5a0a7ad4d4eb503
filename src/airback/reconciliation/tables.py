"""Delimited text with headers in two languages: bytes to lines, lines to cells, cells to a frame of text.

One encoding rules a file, UTF-8 or GB18030. A line written in the other one (two files pasted together) is not guessed
at: its foreign letters become U+FFFD, and `texts` refuses the row by name.
"""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from airback.domain.refusals import Refused
from airback.reconciliation.rows import MOST_BYTES, MOST_ROWS, Quarantined, bare_reference
from airback.reconciliation.texts import FOREIGN, canonical_rows

_CHUNK: Final = 50_000
_CJK_IN_UTF8: Final = re.compile(rb"[\xe3-\xe9][\x80-\xbf][\x80-\xbf]")
_NOT_ASCII: Final = re.compile(rb"[\x80-\xff]+")


def decode(content: bytes) -> str:
    """The text. Raises Refused `body_too_large`, or `text_not_decodable` for a spreadsheet or other binary file."""
    if len(content) > MOST_BYTES:
        raise Refused("body_too_large")
    if content[:2] == b"PK" or content[:4] == b"\xd0\xcf\x11\xe0" or b"\x00" in content[:4096]:
        raise Refused("text_not_decodable")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    lines = content.split(b"\n")
    # Short GB18030 words can be valid UTF-8 by chance, but never a Chinese letter's three bytes.
    unicode = [n for n, line in enumerate(lines) if _CJK_IN_UTF8.search(line) and _reads(line, "utf-8")]
    national = [n for n, line in enumerate(lines) if not _reads(line, "utf-8")]
    if len(unicode) >= len(national):
        foreign, encoding = national, "utf-8-sig"
    else:
        foreign, encoding = unicode, "gb18030"
        foreign += [n for n in national if not _reads(lines[n], "gb18030")]
    if len(foreign) * 2 > len(lines):
        raise Refused("text_not_decodable")
    for number in foreign:
        lines[number] = _NOT_ASCII.sub(b"\x1a", lines[number])
    try:
        text = b"\n".join(lines).decode(encoding)
    except UnicodeDecodeError:
        raise Refused("text_not_decodable") from None
    return text.replace("\x1a", FOREIGN)


def _reads(line: bytes, encoding: str) -> bool:
    try:
        line.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def folded(header: str) -> str:
    """A header as it is looked up: no space, full-width brackets and case folded away."""
    text = header.strip().strip("\ufeff").lower().replace("（", "(").replace("）", ")")
    return re.sub(r"\s+", "", text)


@dataclass(slots=True)
class Table:
    """Good rows of a table (the columns of `rows.SCHEMA` and `row`), refused ones, and how it ended."""

    frame: pl.DataFrame
    quarantined: list[Quarantined] = field(default_factory=list)
    count: int = 0
    last_line_short: bool = False


def columns_of(
    header: Sequence[str], *, names: Mapping[str, str], needed: Sequence[Sequence[str]]
) -> dict[str, int]:
    """Canonical column → place. Raises Refused `statement_columns_missing` when of some group in `needed` no column is
    there; `field` names the group's first."""
    columns: dict[str, int] = {}
    for place, cell in enumerate(header):
        name = names.get(folded(cell))
        if name is not None and name not in columns:
            columns[name] = place
    for group in needed:
        if not any(name in columns for name in group):
            raise Refused("statement_columns_missing", field=group[0])
    return columns


def cells(text: str, *, delimiter: str) -> Iterator[list[str]]:
    """Rows of cells. Raises Refused `text_not_decodable` when the quoting cannot be read."""
    try:
        yield from csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    except csv.Error:
        raise Refused("text_not_decodable") from None


def read_table(
    rows: Iterator[list[str]], *, columns: Mapping[str, int], width: int, loose: bool = False
) -> Table:
    """Read rows of cells in pieces. A row of another width than the header is refused (`row_incomplete`); `loose`
    allows more cells than headers when they are empty."""
    names, places = list(columns), list(columns.values())
    named = columns["reference"]
    table = Table(pl.DataFrame())
    pieces: list[pl.DataFrame] = []
    chunk: list[list[str]] = []
    numbers: list[int] = []

    def flush() -> None:
        text = pl.DataFrame(
            {"row": numbers, **{n: [c[p] for c in chunk] for n, p in zip(names, places, strict=True)}},
            schema={"row": pl.UInt32, **dict.fromkeys(names, pl.String)},
        )
        good, refused = canonical_rows(text)
        pieces.append(good)
        table.quarantined += refused
        chunk.clear()
        numbers.clear()

    for row in rows:
        if not any(cell.strip() for cell in row):
            continue
        table.count += 1
        if table.count > MOST_ROWS:
            raise Refused("body_too_large", row=table.count)
        table.last_line_short = len(row) < width
        if len(row) < width or (len(row) > width and not (loose and not any(c.strip() for c in row[width:]))):
            table.quarantined.append(
                Quarantined(
                    table.count,
                    None,
                    Refused("row_incomplete", row=table.count),
                    bare_reference(row[named]) if named < len(row) else None,
                )
            )
            continue
        numbers.append(table.count)
        chunk.append(row)
        if len(chunk) >= _CHUNK:
            flush()
    flush()
    table.frame = pl.concat(pieces)
    table.quarantined.sort(key=lambda q: q.row)
    return table
