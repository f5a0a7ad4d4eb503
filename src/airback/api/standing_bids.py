"""`/v1/standing-bids`: a price that stands for any number of orders."""

from typing import Any, Final

from litestar import Request, Response, delete, get, post
from litestar.params import FromPath

from airback.api import reading
from airback.api.answers import answer
from airback.api.documents import Bid, BidRequest, Bids, bid_document
from airback.api.gate import platform_of
from airback.api.outlets import outlet_of
from airback.domain.ids import parse_public
from airback.domain.refusals import Refused
from airback.engine import stand
from airback.store import standing_bids


@post("/standing-bids", opt={"scope": "demands:write"})
async def create(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Let a bid stand."""
    platform = platform_of(request)
    outlet = outlet_of(request)
    asked = reading.read((await reading.read_json(request)).value, BidRequest)
    bid_id = await stand.place(
        platform.pool,
        book=platform.book,
        outlet=outlet,
        ask=asked.ask(),
        subscribers=platform.subscribers,
        now=platform.now(),
        entropy=platform.entropy,
    )
    return answer(await _one(request, bid_id), status=201)


@get("/standing-bids", opt={"scope": "demands:read"})
async def find(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Your standing bids, newest first."""
    platform = platform_of(request)
    reading.query(request)
    async with platform.pool.acquire() as conn:
        found = await standing_bids.list_bids(conn, book=platform.book, outlet=outlet_of(request))
    return answer(Bids([bid_document(bid) for bid in found]))


@delete("/standing-bids/{bid:str}", status_code=200, opt={"scope": "demands:write"})
async def withdraw(request: Request[Any, Any, Any], bid: FromPath[str]) -> Response[bytes]:
    """Let it stand no more; fills under way go on, what is open of it is closed by the engine."""
    platform = platform_of(request)
    bid_id = parse_public("bid", bid)
    if bid_id is None:
        raise Refused("not_found", field="id")
    async with platform.pool.acquire() as conn:
        await stand.withdraw(
            conn, book=platform.book, outlet=outlet_of(request), bid_id=bid_id, at=platform.now()
        )
    return answer(await _one(request, bid_id))


async def _one(request: Request[Any, Any, Any], bid_id: int) -> Bid:
    platform = platform_of(request)
    async with platform.pool.acquire() as conn:
        found = await standing_bids.get(conn, book=platform.book, outlet=outlet_of(request), bid_id=bid_id)
    if found is None:
        raise Refused("not_found", field="id")
    return bid_document(found)


HANDLERS: Final = [create, find, withdraw]
