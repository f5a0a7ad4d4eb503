"""`/v1/competitor-rates` and `/v1/market`: what the market pays, the comparison matrix, the arbitrage watch."""

from typing import Any, Final

from litestar import Request, Response, get, post
from litestar.params import FromPath

from airback.api import problems, reading
from airback.api.answers import answer, batch_status
from airback.api.gate import client_of, platform_of
from airback.api.market_documents import (
    Retracted,
    RetractRequest,
    RivalRateAnswer,
    RivalRateAnswers,
    RivalRateRequest,
    RivalRates,
    arbitrage_document,
    level_document,
    matrix_document,
    rate_document,
    suggestion_document,
)
from airback.domain.assets import CARRIERS, PRODUCTS
from airback.domain.ids import parse_public, public
from airback.domain.refusals import Refused
from airback.engine import watch_arbitrage
from airback.engine.act import reason_of
from airback.pricing.cards import RateCard
from airback.pricing.rivals import NewRate, check_rate, level, suggest_competition
from airback.queries import rivals as queries
from airback.queries.platform import Platform
from airback.store import rivals

_MATRIX_KEPT_S: Final = 60


@post("/competitor-rates", opt={"scope": "market:write"})
async def record(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Record competitors' rates, one answer for each. What was said before changes nothing."""
    platform = platform_of(request)
    batch, many = reading.items((await reading.read_json(request)).value, name="rates")
    answers: list[tuple[int, bool] | Refused] = [Refused("internal")] * len(batch)
    rates: dict[int, NewRate] = {}
    for place, item in enumerate(batch):
        try:
            one = reading.read(item, RivalRateRequest)
            if one.seen_at.tzinfo is None:
                raise Refused("field_invalid", field="seen_at")
            rates[place] = check_rate(one.rate(), now=platform.now())
        except Refused as refused:
            field = "rate_ppm" if refused.field == "rate" else refused.field
            answers[place] = Refused(refused.code, field=field)
    async with platform.pool.acquire() as conn:
        recorded = await rivals.record(
            conn,
            book=platform.book,
            rates=list(rates.values()),
            by=f"client:{client_of(request).client}",
            now=platform.now(),
            entropy=platform.entropy,
        )
    for place, kept in zip(rates, recorded, strict=True):
        answers[place] = kept
    if not many and isinstance(answers[0], Refused):
        raise answers[0]
    language = problems.language_of(request)
    documents = [_answer(row, one, language=language) for row, one in enumerate(answers, start=1)]
    if not many:
        return answer(documents[0], status=201)
    return answer(RivalRateAnswers(documents), status=batch_status([one.status for one in documents]))


@post("/competitor-rates/{rate:str}/retract", status_code=200, opt={"scope": "market:write"})
async def retract(request: Request[Any, Any, Any], rate: FromPath[str]) -> Response[bytes]:
    """Take a record back; it stays on record as taken back."""
    platform = platform_of(request)
    ask = reading.read((await reading.read_json(request)).value, RetractRequest)
    rate_id = parse_public("riv", rate)
    why = reason_of(ask.reason)
    async with platform.pool.acquire() as conn:
        if rate_id is None or not await rivals.known(conn, book=platform.book, rate_id=rate_id):
            raise Refused("not_found", field="id")
        if not await rivals.retract(
            conn,
            book=platform.book,
            rate_id=rate_id,
            reason=why,
            by=f"client:{client_of(request).client}",
            now=platform.now(),
        ):
            raise Refused("already_retracted")
    return answer(Retracted(public("riv", rate_id)))


@get("/competitor-rates", opt={"scope": "market:read"})
async def compared(request: Request[Any, Any, Any]) -> Response[bytes]:
    """The latest records beside our own rates, the level of each asset, what follows for the competition factor."""
    platform = platform_of(request)
    asked = reading.query(request, "carrier", "product")
    carrier, product = asked.get("carrier"), asked.get("product")
    if carrier is not None and carrier not in CARRIERS:
        raise Refused("carrier_unknown", field="carrier")
    if product is not None and product not in PRODUCTS:
        raise Refused("field_invalid", field="product")
    now = platform.now()
    card = await _card(platform)
    async with platform.pool.acquire() as conn:
        found = await queries.all_compared(conn, book=platform.book, at=now, carrier=carrier, product=product)
        everything = await rivals.list_rates(conn, book=platform.book, since=now - queries.CHARTED)
    assets = dict.fromkeys((one.record.carrier, one.record.product) for one in found)
    document = RivalRates(
        rates=[rate_document(one) for one in found],
        levels=[
            level_document(*asset, level([r for r in everything if (r.carrier, r.product) == asset], at=now))
            for asset in assets
        ],
        suggestion=None
        if card is None
        else suggestion_document(suggest_competition(everything, card=card, at=now)),
    )
    return answer(document)


@get("/market/matrix", opt={"open": 120})
async def matrix(request: Request[Any, Any, Any]) -> Response[bytes]:
    """The comparison matrix, for everybody."""
    platform = platform_of(request)
    reading.query(request)
    card, market = await _card(platform), await platform.price_facts()
    async with platform.pool.acquire() as conn:
        tables = await queries.matrix(
            conn, book=platform.book, card=card, at=platform.now(), public=True, facts=market.published
        )
    document = matrix_document(tables, language=problems.language_of(request))
    return answer(document, cached_s=_MATRIX_KEPT_S)


@get("/market/arbitrage", opt={"scope": "market:read"})
async def arbitrage(request: Request[Any, Any, Any]) -> Response[bytes]:
    """What each promotion earns a trader by our prices, without its cap and with it."""
    platform = platform_of(request)
    reading.query(request)
    now = platform.now()
    async with platform.pool.acquire() as conn:
        watched = await watch_arbitrage.report(conn, book=platform.book, now=now)
    return answer(arbitrage_document(watched, now=now))


async def _card(platform: Platform) -> RateCard | None:
    try:
        return await platform.rate_card()
    except Refused:
        return None


def _answer(row: int, one: tuple[int, bool] | Refused, *, language: str) -> RivalRateAnswer:
    if isinstance(one, Refused):
        refused = Refused(one.code, field=one.field, row=row)
        return RivalRateAnswer(
            status=refused.refusal.status, row=row, problem=problems.problem(refused, language=language)
        )
    rate_id, new = one
    return RivalRateAnswer(status=201, row=row, id=public("riv", rate_id), replayed=not new)


HANDLERS: Final = [record, retract, compared, matrix, arbitrage]
