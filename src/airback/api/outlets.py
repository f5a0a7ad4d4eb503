"""`/v1/market/depth` and `/v1/webhook`: what an outlet sees of the market, and where it is told of its fills."""

from typing import Any, Final

from litestar import Request, Response, delete, get, post

from airback.api import reading
from airback.api.answers import answer
from airback.api.documents import (
    CarrierDepth,
    Depth,
    PriceLevel,
    Webhook,
    WebhookRequest,
    WebhookSecret,
)
from airback.api.gate import client_of, platform_of
from airback.domain.refusals import Refused
from airback.engine import hook
from airback.queries import outlets as queries
from airback.store import outlets


@get("/market/depth", opt={"scope": "demands:read"})
async def depth(request: Request[Any, Any, Any]) -> Response[bytes]:
    """How much is wanted at each price, of everybody together."""
    platform = platform_of(request)
    reading.query(request)
    outlet = outlet_of(request)
    async with platform.pool.acquire() as conn:
        levels = await queries.depth(conn, book=platform.book, now=platform.now(), outlet=outlet)
    carriers: dict[str, list[PriceLevel]] = {}
    for level in levels:
        carriers.setdefault(level.carrier, []).append(
            PriceLevel(level.price_ppm, level.open_fen, level.bids, level.own_fen)
        )
    return answer(Depth(platform.now(), [CarrierDepth(name, book) for name, book in carriers.items()]))


@post("/webhook", opt={"scope": "demands:write"})
async def register(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Be told there from now on; the signing secret is shown once."""
    platform = platform_of(request)
    outlet = outlet_of(request)
    asked = reading.read((await reading.read_json(request)).value, WebhookRequest)
    async with platform.pool.acquire() as conn:
        secret = await hook.register(
            conn,
            book=platform.book,
            outlet=outlet,
            url=asked.url,
            allow_loopback=bool(getattr(platform.settings, "sandbox", False)),
            keys=platform.keys,
            now=platform.now(),
            entropy=platform.entropy,
        )
    return answer(WebhookSecret(asked.url, secret), status=201)


@get("/webhook", opt={"scope": "demands:read"})
async def read(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Where you are told."""
    platform = platform_of(request)
    reading.query(request)
    async with platform.pool.acquire() as conn:
        found = await outlets.hook(conn, book=platform.book, outlet=outlet_of(request))
    if found is None:
        raise Refused("not_found")
    return answer(Webhook(*found))


@delete("/webhook", status_code=204, opt={"scope": "demands:write"})
async def drop(request: Request[Any, Any, Any]) -> None:
    """Be told no more."""
    platform = platform_of(request)
    async with platform.pool.acquire() as conn:
        if not await outlets.drop_hook(conn, book=platform.book, outlet=outlet_of(request)):
            raise Refused("not_found")


def outlet_of(request: Request[Any, Any, Any]) -> str:
    """The outlet this client speaks for. Raises `Refused` `scope_missing`."""
    outlet = client_of(request).outlet
    if outlet is None:
        raise Refused("scope_missing")
    return outlet


HANDLERS: Final = [depth, register, read, drop]
