"""`/v1/offers`: a seller's own price, resting until a demand meets it or its time is up."""

from typing import Any, Final

from litestar import Request, Response, delete, get, patch, post
from litestar.params import FromPath

from airback.api import reading
from airback.api.answers import answer
from airback.api.gate import client_of, platform_of
from airback.api.offer_documents import OfferChange, OfferDocument, OfferRequest, Offers, offer_document
from airback.domain.ids import parse_public, public
from airback.domain.refusals import Refused
from airback.engine import offer as engine
from airback.engine.offer import Prices
from airback.market.offers import State
from airback.queries.platform import Platform
from airback.store import offers


@post("/offers", opt={"scope": "orders:write"})
async def create(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Let an offer rest."""
    platform = platform_of(request)
    sent = await reading.read_json(request)
    key = reading.idempotency(request, sent.body)
    asked = reading.read(sent.value, OfferRequest)
    offer_id, _ = await engine.place(
        platform.pool,
        book=platform.book,
        client=client_of(request).client,
        ask=asked.ask(),
        prices=await prices_of(platform),
        carriers=platform.carriers,
        rails={name: rail.capabilities for name, rail in platform.rails.items()},
        subscribers=platform.subscribers,
        keys=platform.keys,
        now=platform.now(),
        entropy=platform.entropy,
        idempotency=key,
    )
    return answer(await _one(request, offer_id), status=201)


@get("/offers", opt={"scope": "orders:read"})
async def find(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Your offers, newest first."""
    platform = platform_of(request)
    asked = reading.query(request, "seller_ref", "state", "cursor", "limit")
    limit = reading.limit_of(asked)
    after = None
    if "cursor" in asked:
        after = parse_public("off", asked["cursor"])
        if after is None:
            raise Refused("field_invalid", field="cursor")
    state = asked.get("state")
    if state is not None and state not in set(State):
        raise Refused("field_invalid", field="state")
    async with platform.pool.acquire() as conn:
        found = await offers.list_offers(
            conn,
            book=platform.book,
            client=client_of(request).client,
            now=platform.now(),
            seller_ref=asked.get("seller_ref"),
            state=state,
            after=after,
            limit=limit + 1,
        )
    following = public("off", found[limit - 1].id) if len(found) > limit else None
    return answer(Offers([offer_document(one) for one in found[:limit]], following))


@get("/offers/{offer:str}", opt={"scope": "orders:read"})
async def read(request: Request[Any, Any, Any], offer: FromPath[str]) -> Response[bytes]:
    """One of your offers."""
    reading.query(request)
    return answer(await _one(request, _id(offer)))


@patch("/offers/{offer:str}", opt={"scope": "orders:write"})
async def revise(request: Request[Any, Any, Any], offer: FromPath[str]) -> Response[bytes]:
    """Give a resting offer another price, another deadline or both."""
    platform = platform_of(request)
    asked = reading.read((await reading.read_json(request)).value, OfferChange)
    prices = await prices_of(platform)
    async with platform.pool.acquire() as conn:
        await engine.revise(
            conn,
            book=platform.book,
            client=client_of(request).client,
            offer_id=_id(offer),
            net_fen=asked.net_fen,
            net_ppm=asked.net_ppm,
            deadline_at=asked.deadline_at,
            prices=prices,
            now=platform.now(),
        )
    return answer(await _one(request, _id(offer)))


@delete("/offers/{offer:str}", status_code=200, opt={"scope": "orders:write"})
async def withdraw(request: Request[Any, Any, Any], offer: FromPath[str]) -> Response[bytes]:
    """Take a resting offer back. It is certain at once: what was met meanwhile is refused as `offer_closed`."""
    platform = platform_of(request)
    async with platform.pool.acquire() as conn:
        await engine.withdraw(
            conn,
            book=platform.book,
            client=client_of(request).client,
            offer_id=_id(offer),
            now=platform.now(),
        )
    return answer(await _one(request, _id(offer)))


async def prices_of(platform: Platform) -> Prices:
    """What an offer is compared with now."""
    return Prices(await platform.rate_card(), await platform.price_facts(), await platform.pauses())


def _id(text: str) -> int:
    found = parse_public("off", text)
    if found is None:
        raise Refused("not_found", field="id")
    return found


async def _one(request: Request[Any, Any, Any], offer_id: int) -> OfferDocument:
    platform = platform_of(request)
    async with platform.pool.acquire() as conn:
        found = await offers.get(
            conn,
            book=platform.book,
            client=client_of(request).client,
            offer_id=offer_id,
            now=platform.now(),
        )
    if found is None:
        raise Refused("not_found", field="id")
    return offer_document(found)


HANDLERS: Final = [create, find, read, revise, withdraw]
