"""The open rate index as it was published. Reads only."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

import asyncpg

from airback.market.rate_index import EXPIRY_BANDS_DAYS, FACE_BANDS_FEN, Privacy
from airback.store import named_sql

SQL: Final = named_sql.load("rate_index.sql", package="airback.queries")

MOST_WEEKS: Final = 26


@dataclass(frozen=True, slots=True)
class CellView:
    """A cell: quartiles of the rate paid, in ppm of face. A dimension is None where it stands for several values, "" for
    orders that did not state it; `face` and `expiry` are places of bands."""

    carrier: str
    face: str | None
    province: str | None
    expiry: str | None
    orders: int
    lower_ppm: int
    median_ppm: int
    upper_ppm: int


@dataclass(frozen=True, slots=True)
class Index:
    """The index of the week that begins with the Monday `week`."""

    week: date
    published_at: datetime
    least_sellers: int
    most_share_ppm: int
    cells: list[CellView]


async def index_of(conn: asyncpg.Connection, *, book: int, week: date | None) -> Index | None:
    """The index of a week, without one the latest; None when there is none."""
    row = await conn.fetchrow(SQL.index_of, book, week)
    if row is None:
        return None
    document = row["document"]
    return Index(
        row["week"],
        row["published_at"],
        document["least_sellers"],
        document["most_share_ppm"],
        [CellView(**cell) for cell in document["cells"]],
    )


async def weeks(conn: asyncpg.Connection, *, book: int) -> list[date]:
    """Weeks that have an index, the latest first."""
    return [row["week"] for row in await conn.fetch(SQL.weeks, book, MOST_WEEKS)]


def bounds(place: str | None, ends: tuple[int, ...]) -> tuple[int | None, int | None]:
    """(above, up to) of a band by its place; None where it has no end, or where it is none."""
    if place is None or place == "":
        return None, None
    at = int(place)
    return (ends[at - 1] if at else 0), (ends[at] if at < len(ends) else None)


def face_bounds(cell: CellView) -> tuple[int | None, int | None]:
    """The face band in fen."""
    return bounds(cell.face, FACE_BANDS_FEN)


def expiry_bounds(cell: CellView) -> tuple[int | None, int | None]:
    """The band of validity left, in days."""
    return bounds(cell.expiry, EXPIRY_BANDS_DAYS)


def privacy_of(settings: Any) -> Privacy:
    """The operator's setting of what may be published, else the default."""
    found = getattr(settings, "index_privacy", None)
    return found if isinstance(found, Privacy) else Privacy()
