"""`/v1/margin`: what is left of each hundred yuan, for the operator's own programs."""

from datetime import date
from typing import Annotated, Any, Final

import msgspec
from litestar import Request, Response, get
from msgspec import Meta

from airback.api import reading
from airback.api.answers import answer
from airback.api.documents import Fen, Ppm
from airback.api.gate import client_of, platform_of
from airback.domain.refusals import Refused
from airback.ledger.margin import as_document
from airback.queries import margin as reads

_DAYS: Final = 30


class MarginLine(msgspec.Struct, frozen=True):
    """One step of the waterfall; null where nothing was posted."""

    line: Annotated[str, Meta(examples=["fee"])]
    amount_fen: Fen | None
    of_face_ppm: Ppm | None


class MarginPart(msgspec.Struct, frozen=True):
    """The waterfall of one segment. `key` is null for the whole, and for what belongs to no segment."""

    key: str | None
    orders: int
    face_fen: Fen
    proceeds_fen: Annotated[int, Meta(description="What outlets paid.")]
    net_fen: Annotated[int, Meta(description="What sellers net.")]
    lines: list[MarginLine]
    margin_fen: Fen
    margin_of_face_ppm: Ppm | None
    expected_bad_debt_fen: Annotated[
        int, Meta(description="A reckoning at the operator's rate; in no account.")
    ]


class MarginAnswer(msgspec.Struct, frozen=True):
    """The margin of a period."""

    first: date
    last: date
    by: str
    bad_debt_ppm: Ppm
    whole: MarginPart
    segments: list[MarginPart]


@get("/margin", opt={"scope": "margin:read"})
async def read(request: Request[Any, Any, Any]) -> Response[bytes]:
    """The margin by segment, for clients of kind `staff` only."""
    platform = platform_of(request)
    if client_of(request).kind != "staff":
        raise Refused("scope_missing")
    asked = reading.query(request, "from", "to", "by")
    now = platform.now()
    during = (
        reads.period(asked["from"], asked.get("to", ""), now=now)
        if "from" in asked
        else reads.last_days(_DAYS, now=now)
    )
    async with platform.pool.acquire() as conn:
        found = await reads.margin(conn, book=platform.book, during=during, by=asked.get("by", "carrier"))
    return answer(margin_answer(found, bad_debt_ppm=reads.bad_debt_ppm(platform.settings)))


def margin_answer(found: reads.Margin, *, bad_debt_ppm: int) -> MarginAnswer:
    """A margin as it goes over the wire."""

    def part(one: Any) -> MarginPart:
        return msgspec.convert(as_document(one, bad_debt_ppm=bad_debt_ppm), MarginPart)

    return MarginAnswer(
        found.period.first,
        found.period.last,
        found.by,
        bad_debt_ppm,
        part(found.whole),
        [part(one) for one in found.segments],
    )


HANDLERS: Final = [read]
