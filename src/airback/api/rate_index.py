"""`/v1/market/index`: what sellers were paid, for everybody, without a key."""

from datetime import date, datetime
from typing import Annotated, Any, Final

import msgspec
from litestar import Request, Response, get
from msgspec import Meta

from airback.api import reading
from airback.api.answers import answer
from airback.api.documents import Ppm
from airback.api.gate import platform_of
from airback.domain.refusals import Refused
from airback.engine.publish_index import publish_due
from airback.queries import rate_index as reads

_KEPT_S: Final = 300
_Bound = Annotated[int, Meta(description="Null: no bound, or several bands together.")]


class IndexCell(msgspec.Struct, frozen=True):
    """One cell. What is put together because it was too small by itself has `several` naming those dimensions."""

    carrier: str
    several: list[str]
    province: (
        Annotated[str, Meta(description="First two digits of GB/T 2260; null: not stated, or several.")]
        | None
    )
    face_above_fen: _Bound | None
    face_to_fen: _Bound | None
    days_above: _Bound | None
    days_to: _Bound | None
    orders: Annotated[int, Meta(description="Rounded down to tens.")]
    lower_quartile_ppm: Ppm
    median_ppm: Ppm
    upper_quartile_ppm: Ppm


class RateIndex(msgspec.Struct, frozen=True):
    """The rate index of the week that begins with `week`."""

    week: date
    published_at: datetime
    least_sellers: int
    most_share_ppm: Ppm
    cells: list[IndexCell]


@get("/market/index", opt={"open": 120})
async def read(request: Request[Any, Any, Any]) -> Response[bytes]:
    """The index of a week, by default the latest."""
    platform = platform_of(request)
    asked = reading.query(request, "week")
    week: date | None = None
    if "week" in asked:
        try:
            week = date.fromisoformat(asked["week"])
        except ValueError:
            raise Refused("field_invalid", field="week") from None
    async with platform.pool.acquire() as conn:
        privacy = reads.privacy_of(platform.settings)
        await publish_due(conn, book=platform.book, now=platform.now(), privacy=privacy)
        found = await reads.index_of(conn, book=platform.book, week=week)
    if found is None:
        raise Refused("index_not_published", field="week")
    cells = [_cell(cell) for cell in found.cells]
    document = RateIndex(found.week, found.published_at, found.least_sellers, found.most_share_ppm, cells)
    return answer(document, cached_s=_KEPT_S)


def _cell(cell: reads.CellView) -> IndexCell:
    face_above, face_to = reads.face_bounds(cell)
    days_above, days_to = reads.expiry_bounds(cell)
    return IndexCell(
        carrier=cell.carrier,
        several=[name for name in ("face", "province", "expiry") if getattr(cell, name) is None],
        province=cell.province or None,
        face_above_fen=face_above,
        face_to_fen=face_to,
        days_above=days_above,
        days_to=days_to,
        orders=cell.orders,
        lower_quartile_ppm=cell.lower_ppm,
        median_ppm=cell.median_ppm,
        upper_quartile_ppm=cell.upper_ppm,
    )


HANDLERS: Final = [read]
