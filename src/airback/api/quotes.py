"""`/v1/verifications`, `/v1/quotes`, `/v1/rates`: what comes before an order."""

import asyncio
from typing import Any, Final, cast

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath
from litestar.types import ASGIApp

from airback.api import problems, reading
from airback.api.answers import Written, answer
from airback.api.documents import (
    CodeRequest,
    LineDocument,
    Proof,
    PublishedCard,
    PublishedCards,
    QuoteAnswer,
    QuoteAnswers,
    QuoteRequest,
    Rate,
    Rates,
    Verification,
    VerificationRequest,
)
from airback.api.gate import client_of, entrance_of, platform_of
from airback.api.offering import Offering
from airback.domain.assets import BALANCE
from airback.domain.ids import parse_public, public
from airback.domain.numbers import parse_mobile
from airback.domain.ports.carrier import Subscribers
from airback.domain.refusals import Refused
from airback.engine import identify
from airback.orders.intake import AGREEMENT
from airback.pricing.quotes import public_rate_table
from airback.pricing.schedule import spans

_AGREEMENT: Final = msgspec.json.encode(AGREEMENT)
_ASKED_AT_ONCE: Final = 16
_RATES_KEPT_S: Final = 60
#: From so many quotes on, prices are made in a thread, so that the event loop goes on serving.
_MANY: Final = 32


@post("/verifications", opt={"scope": "orders:write"})
async def send_code(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Have the number's carrier send a one-time code."""
    platform = platform_of(request)
    ask = reading.read((await reading.read_json(request)).value, VerificationRequest)
    sent = await identify.send_code(
        platform.pool,
        book=platform.book,
        client=client_of(request).client,
        number=ask.number,
        language=ask.language,
        subscribers=platform.subscribers,
        now=platform.now(),
        entropy=platform.entropy,
    )
    document = Verification(public("ver", sent.verification_id), sent.resend_at, sent.expires_at)
    return answer(document, status=201)


@post("/verifications/{verification:str}/check", status_code=200, opt={"scope": "orders:write"})
async def check_code(request: Request[Any, Any, Any], verification: FromPath[str]) -> Response[bytes]:
    """Compare the code; the proof and the line's balance."""
    platform = platform_of(request)
    ask = reading.read((await reading.read_json(request)).value, CodeRequest)
    verification_id = parse_public("ver", verification)
    if verification_id is None:
        raise Refused("not_found", field="id")
    proven = await identify.check_code(
        platform.pool,
        book=platform.book,
        client=client_of(request).client,
        verification_id=verification_id,
        code=ask.code.strip(),
        subscribers=platform.subscribers,
        keys=platform.keys,
        now=platform.now(),
    )
    line = proven.line
    document = LineDocument(line.carrier, line.province, line.sellable_fen, line.expires_at)
    return answer(Proof(proven.proof, proven.expires_at, document))


@post("/quotes", status_code=200, opt={"scope": "quotes:write"})
async def make(request: Request[Any, Any, Any]) -> ASGIApp:
    """Signed quotes, one answer for each ask."""
    batch, many = reading.items((await reading.read_json(request)).value, name="asks")
    if not many:
        one = reading.read(batch[0], QuoteRequest)
        carrier: str | Refused | None = one.carrier
        if carrier is None:
            carrier = (await _carriers(platform_of(request).subscribers, {0: one})).get(0)
        quote = (await _offering(request)).quote(one, client=client_of(request).client, carrier=carrier)
        return Written(b'{"quote":%s,"agreement":%s}' % (quote, _AGREEMENT))
    language = problems.language_of(request)
    documents = [
        QuoteAnswer(status=200, row=row, quote=cast(dict[str, Any], msgspec.Raw(one)))  # written already
        if not isinstance(one, Refused)
        else QuoteAnswer(
            status=one.refusal.status,
            row=row,
            problem=problems.problem(one.at(field=one.field, row=row), language=language),
        )
        for row, one in enumerate(await _quotes(request, batch), start=1)
    ]
    return Written(msgspec.json.encode(QuoteAnswers(documents, AGREEMENT)))


@get("/rates", opt={"open": 120})
async def rates(request: Request[Any, Any, Any]) -> Response[bytes]:
    """The published rates, for everybody."""
    platform = platform_of(request)
    reading.query(request)
    card = await platform.rate_card()
    market = await platform.price_facts()
    table = [Rate(**row) for row in public_rate_table(card, at=platform.now(), facts=market.published)]
    document = Rates(card.version, card.effective_from, AGREEMENT, table)
    return answer(document, cached_s=_RATES_KEPT_S)


@get("/rate-cards", opt={"open": 120})
async def rate_cards(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Every published rate card with its time, for everybody."""
    platform = platform_of(request)
    reading.query(request)
    found = [
        PublishedCard(span.card.version, span.card.effective_from, span.until, span.in_force)
        for span in reversed(spans(await platform.rate_cards(), at=platform.now()))
    ]
    return answer(PublishedCards(found), cached_s=_RATES_KEPT_S)


@get("/rate-cards/{version:str}", opt={"open": 120})
async def rate_card(request: Request[Any, Any, Any], version: FromPath[str]) -> Response[bytes]:
    """One published rate card's document, for everybody."""
    reading.query(request)
    for card in await platform_of(request).rate_cards():
        if str(card.version) == version:
            return answer(card.document, cached_s=_RATES_KEPT_S)
    raise Refused("not_found", field="version")


async def _quotes(request: Request[Any, Any, Any], batch: list[Any]) -> list[bytes | Refused]:
    """A signed quote's JSON or a refusal for each item, in order."""
    answers: list[bytes | Refused] = [Refused("internal")] * len(batch)
    requests: dict[int, QuoteRequest] = {}
    for place, item in enumerate(batch):
        try:
            requests[place] = reading.read(item, QuoteRequest)
        except Refused as refused:
            answers[place] = refused
    carriers = await _carriers(platform_of(request).subscribers, requests)
    offering, client = await _offering(request), client_of(request).client

    def price() -> None:
        for place, one in requests.items():
            try:
                answers[place] = offering.quote(one, client=client, carrier=carriers.get(place, one.carrier))
            except Refused as refused:
                answers[place] = refused

    if len(requests) >= _MANY:
        await asyncio.to_thread(price)
    else:
        price()
    return answers


async def _offering(request: Request[Any, Any, Any]) -> Offering:
    """What is offered in this second."""
    platform, entrance = platform_of(request), entrance_of(request)
    now = platform.now()
    known = entrance.offering
    pauses = await platform.pauses()
    if known is None or not known.lasts(now, pauses):
        card, market = await platform.rate_card(), await platform.price_facts()
        known = entrance.offering = Offering(platform, card=card, market=market, pauses=pauses, now=now)
    return known


async def _carriers(subscribers: Subscribers, requests: dict[int, QuoteRequest]) -> dict[int, str | Refused]:
    """The carrier of each balance whose ask does not name one, as the directory says."""
    unnamed = {
        place: number
        for place, one in requests.items()
        if one.product == BALANCE and one.carrier is None and (number := parse_mobile(one.number or ""))
    }
    if not unnamed:
        return {}
    permits = asyncio.Semaphore(_ASKED_AT_ONCE)

    async def carrier(number: str) -> str | Refused:
        async with permits:
            try:
                return (await identify.living_line(subscribers, number)).carrier
            except Refused as refused:
                return refused

    numbers = sorted(set(unnamed.values()))
    known = dict(zip(numbers, await asyncio.gather(*map(carrier, numbers)), strict=True))
    return {place: known[number] for place, number in unnamed.items()}


HANDLERS: Final = [send_code, check_code, make, rates, rate_cards, rate_card]
