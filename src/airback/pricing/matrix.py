"""The comparison matrix: platforms × criteria, each figure with where it comes from; what nobody states stays empty.

Three sources meet in a cell, the later before the earlier: what the trade articles print (`market_figures`), what staff
recorded, and, for our own column, what our own books say. The radar compares only those that state all its figures.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from airback.domain.money import PPM, percent, yuan
from airback.domain.refusals import Refused
from airback.pricing.market_figures import TABLES

OWN: Final = "own"
MOST_NAME: Final = 40
MOST_WORDS: Final = 200
MOST_FIGURE: Final = 10**15
#: A radar needs so many axes, and so many platforms to compare.
_LEAST_AXES: Final = 3
_LEAST_SHAPES: Final = 2


@dataclass(frozen=True, slots=True)
class Cell:
    """One figure. `low` and `high` are in the criterion's unit, either may be open; `zh` and `en` are words beside or instead
    of them. `source` is S1, S2, `own` (computed) or what staff wrote; then `recorded_at` says when."""

    platform: str
    criterion: str
    low: int | None
    high: int | None
    zh: str | None
    en: str | None
    source: str
    recorded_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Criterion:
    """A row of the matrix. `unit`: ppm, fen, hours, people or text; `better`: which end is better for a seller, if any."""

    key: str
    zh: str
    en: str
    unit: str
    better: str | None

    def name(self, language: str) -> str:
        """The name in `zh` or `en`."""
        return self.zh if language.startswith("zh") else self.en


@dataclass(frozen=True, slots=True)
class Column:
    """A platform."""

    key: str
    zh: str
    en: str

    def name(self, language: str) -> str:
        """The name in `zh` or `en`."""
        return self.zh if language.startswith("zh") else self.en


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of the radar: an end of a criterion's figures. Scores are whole, 20 the worst stated and 100 the best."""

    criterion: Criterion
    end: str
    scores: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Table:
    """One table of the matrix."""

    key: str
    zh: str
    en: str
    columns: tuple[Column, ...]
    criteria: tuple[Criterion, ...]
    cells: Mapping[tuple[str, str], Cell]

    def name(self, language: str) -> str:
        """The name in `zh` or `en`."""
        return self.zh if language.startswith("zh") else self.en

    def cell(self, column: str, criterion: str) -> Cell | None:
        """The cell, or None: not stated."""
        return self.cells.get((column, criterion))

    def radar(self) -> tuple[list[Axis], list[Column], list[Column]]:
        """(axes, platforms that state every one of them, those left out). No axes when there is too little to compare."""
        axes: list[Axis] = []
        for criterion in self.criteria:
            if criterion.better is None:
                continue
            for end in ("low", "high"):
                stated = {
                    column.key: value
                    for column in self.columns
                    if (cell := self.cell(column.key, criterion.key)) is not None
                    and (value := getattr(cell, end)) is not None
                }
                if len(stated) >= _LEAST_SHAPES:
                    axes.append(Axis(criterion, end, _scores(stated, criterion.better)))
        whole = [column for column in self.columns if all(column.key in axis.scores for axis in axes)]
        if len(axes) < _LEAST_AXES or len(whole) < _LEAST_SHAPES:
            return [], [], list(self.columns)
        return axes, whole, [column for column in self.columns if column not in whole]


@dataclass(frozen=True, slots=True)
class Recorded:
    """What staff wrote into a cell. Without any value it takes back what was written before."""

    matrix: str
    platform: str
    criterion: str
    low: int | None
    high: int | None
    words: str | None
    source: str
    recorded_by: str
    recorded_at: datetime


def build(recorded: Iterable[Recorded], *, own: Mapping[tuple[str, str], Cell]) -> list[Table]:
    """The whole matrix. `own` has our own cells by (table, criterion); `recorded` in the order they were written."""
    written: dict[tuple[str, str, str], Recorded] = {
        (one.matrix, one.platform, one.criterion): one for one in recorded
    }
    return [_table(document, written, own) for document in TABLES]


def check_cell(
    *, matrix: str, platform: str, criterion: str, low: int | None, high: int | None, words: str, source: str
) -> None:
    """Whether staff may write it. Raises Refused with the field: `not_found` (table, criterion), `matrix_cell_computed`,
    `field_missing` (source), `field_invalid`, `rival_rate_above_face`."""
    document = next((one for one in TABLES if one["key"] == matrix), None)
    if document is None:
        raise Refused("not_found", field="matrix")
    found = next((one for one in document["criteria"] if one[0] == criterion), None)
    if found is None:
        raise Refused("not_found", field="criterion")
    if platform == OWN:
        raise Refused("matrix_cell_computed", field="platform")
    if not platform.strip() or len(platform) > MOST_NAME or not platform.isprintable():
        raise Refused("field_invalid", field="platform")
    if len(words) > MOST_WORDS or not words.isprintable():
        raise Refused("field_invalid", field="words")
    if not source.strip():
        raise Refused("field_missing", field="source")
    if len(source) > MOST_WORDS or not source.isprintable():
        raise Refused("field_invalid", field="source")
    for name, value in (("low", low), ("high", high)):
        if value is None:
            continue
        if found[3] == "text" or not 0 <= value <= MOST_FIGURE:
            raise Refused("field_invalid", field=name)
        if found[3] == "ppm" and value > PPM:
            raise Refused("rival_rate_above_face", field=name)
    if low is not None and high is not None and high < low:
        raise Refused("field_invalid", field="high")


def unit_of(matrix: str, criterion: str) -> str | None:
    """The unit of a criterion; None when there is no such."""
    for document in TABLES:
        for key, _, _, unit, _ in document["criteria"]:
            if (document["key"], key) == (matrix, criterion):
                return str(unit)
    return None


def figure_text(cell: Cell, unit: str, *, language: str) -> str:
    """The figures of a cell as text: `85–92 %`, `≤ ¥500`, `1.2 bn+`; empty where there are only words."""
    if cell.low is None and cell.high is None:
        return ""
    low = None if cell.low is None else _figure(cell.low, unit, language)
    high = None if cell.high is None else _figure(cell.high, unit, language)
    if low is not None and high is not None:
        return low if low == high else f"{low} – {high}"
    return f"≤ {high}" if low is None else f"{low}+"


def _figure(value: int, unit: str, language: str) -> str:
    zh = language.startswith("zh")
    if unit == "ppm":
        return f"{percent(value)} %"
    if unit == "fen":
        whole, _, part = yuan(value).partition(".")
        return f"¥{int(whole):,}" + (f".{part}" if part != "00" else "")
    if unit == "hours":
        return f"{value} 小时" if zh else f"{value} h"
    if unit == "people" and value and value % 10_000 == 0:
        return f"{value // 10_000:,} 万人" if zh else f"{value // 10_000 * 10_000:,}"
    return f"{value:,} 人" if zh and unit == "people" else f"{value:,}"


def _scores(stated: Mapping[str, int], better: str) -> dict[str, int]:
    least, most = min(stated.values()), max(stated.values())
    if least == most:
        return dict.fromkeys(stated, 100)
    return {
        key: 20 + 80 * ((value - least) if better == "high" else (most - value)) // (most - least)
        for key, value in stated.items()
    }


def _table(
    document: Mapping[str, Any],
    written: Mapping[tuple[str, str, str], Recorded],
    own: Mapping[tuple[str, str], Cell],
) -> Table:
    key = document["key"]
    columns = [Column(*each) for each in document["platforms"]]
    criteria = tuple(Criterion(*each) for each in document["criteria"])
    known = {column.key for column in columns} | {OWN}
    added = sorted(
        {
            platform
            for (matrix, platform, _), one in written.items()
            if matrix == key and platform not in known and _says(one)
        }
    )
    columns += [Column(name, name, name) for name in added]
    cells: dict[tuple[str, str], Cell] = {
        (platform, criterion): Cell(
            platform,
            criterion,
            figure.get("low"),
            figure.get("high"),
            figure.get("zh"),
            figure.get("en"),
            document["source"],
        )
        for (platform, criterion), figure in document["cells"].items()
    }
    for (matrix, platform, criterion), one in written.items():
        if matrix == key and _says(one):
            cells[platform, criterion] = Cell(
                platform, criterion, one.low, one.high, one.words, one.words, one.source, one.recorded_at
            )
    cells |= {(OWN, criterion): cell for (matrix, criterion), cell in own.items() if matrix == key}
    ours = Column(OWN, "本平台", "This platform")
    return Table(key, document["zh"], document["en"], (*columns, ours), criteria, cells)


def _says(one: Recorded) -> bool:
    return one.low is not None or one.high is not None or bool(one.words)


def platform_keys() -> Sequence[tuple[str, str, str, str]]:
    """(table, key, zh, en) of every platform that the articles name, to choose from."""
    return [(one["key"], *each) for one in TABLES for each in one["platforms"]]
