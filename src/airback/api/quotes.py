"""`/v1/verifications`, `/v1/quotes`, `/v1/rates`: what comes before an order."""

import asyncio
from typing import Any, Final

from litestar import Request, Response, get, post
from litestar.params import FromPath

from airback.api import problems, reading
from airback.api.answers import answer
from airback.api.documents import (
    CodeRequest,
    LineDocument,
    OneQuote,
    Proof,
    QuoteAnswer,
    QuoteAnswers,
    QuoteRequest,
    Rate,
    Rates,
    Verification,
    VerificationRequest,
)
from airback.api.gate import Entrance, client_of, entrance_of, platform_of
from airback.domain.assets import BALANCE, parse_carrier
from airback.domain.ids import new_reference, parse_public, public
from airback.domain.money import MoneyError, parse_yuan
from airback.domain.numbers import parse_mobile
from airback.domain.ports.carrier import Subscribers
from airback.domain.refusals import Refused
from airback.engine import identify
from airback.orders.intake import AGREEMENT, MOST_SELLER_REF, check_ref, seller_of
from airback.pricing.quotes import QuoteAsk, make_quotes, mark_quote, public_rate_table, sign_quote
from airback.queries.platform import Platform

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
async def make(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Signed quotes, one answer for each ask."""
    platform = platform_of(request)
    client = client_of(request).client
    batch, many = reading.items((await reading.read_json(request)).value, name="asks")
    answers = await _quotes(platform, client, batch, entrance=entrance_of(request))
    if not many:
        (only,) = answers
        if isinstance(only, Refused):
            raise only.at(field=only.field)
        return answer(OneQuote(only, AGREEMENT))
    language = problems.language_of(request)
    documents = [
        QuoteAnswer(status=200, row=row, quote=one)
        if not isinstance(one, Refused)
        else QuoteAnswer(
            status=one.refusal.status,
            row=row,
            problem=problems.problem(one.at(field=one.field, row=row), language=language),
        )
        for row, one in enumerate(answers, start=1)
    ]
    return answer(QuoteAnswers(documents, AGREEMENT))


@get("/rates", opt={"open": 120})
async def rates(request: Request[Any, Any, Any]) -> Response[bytes]:
    """The published rates, for everybody."""
    platform = platform_of(request)
    reading.query(request)
    card = await platform.rate_card()
    table = [Rate(**row) for row in public_rate_table(card, at=platform.now())]
    document = Rates(card.version, card.effective_from, AGREEMENT, table)
    return answer(document, cached_s=_RATES_KEPT_S)


async def _quotes(
    platform: Platform, client: str, batch: list[Any], *, entrance: Entrance
) -> list[dict[str, Any] | Refused]:
    """A signed quote or a refusal for each item, in order."""
    answers: list[dict[str, Any] | Refused | None] = [None] * len(batch)
    requests: dict[int, QuoteRequest] = {}
    for place, item in enumerate(batch):
        try:
            requests[place] = reading.read(item, QuoteRequest)
        except Refused as refused:
            answers[place] = refused
    carriers = await _carriers(platform.subscribers, requests)
    asks: dict[int, QuoteAsk] = {}
    for place, one in requests.items():
        try:
            asks[place] = _ask(one, client=client, carrier=carriers.get(place))
        except Refused as refused:
            answers[place] = refused
    if asks:
        card = await platform.rate_card()
        pauses = await platform.pauses()
        issued_at = platform.now()
        for place, ask in list(asks.items()) if pauses.every else ():
            paused = pauses.buying(carrier=ask.carrier, province=ask.province, rail=ask.rail, at=issued_at)
            if paused is not None:
                answers[place] = paused
                del asks[place]
        ids = [new_reference(entropy=platform.entropy) for _ in asks]

        def price() -> list[dict[str, Any] | Refused]:
            bodies = make_quotes(
                book=platform.book,
                card=card,
                asks=list(asks.values()),
                quote_ids=ids,
                issued_at=issued_at,
                priced=entrance.prices_of(card),
            )
            return [
                b
                if isinstance(b, Refused)
                else mark_quote(sign_quote(b, keys=platform.keys), keys=platform.keys)
                for b in bodies
            ]

        priced = await asyncio.to_thread(price) if len(asks) >= _MANY else price()
        for place, one_priced in zip(asks, priced, strict=True):
            answers[place] = one_priced
    return [one if one is not None else Refused("internal") for one in answers]


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


def _ask(one: QuoteRequest, *, client: str, carrier: str | Refused | None) -> QuoteAsk:
    """The ask as pricing takes it. Raises `Refused` for what pricing does not look at."""
    check_ref(one.seller_ref, field="seller_ref", most=MOST_SELLER_REF)
    if one.number is not None and parse_mobile(one.number) is None:
        raise Refused("number_malformed", field="number")
    if isinstance(carrier, Refused):
        raise carrier
    if one.carrier is not None:
        carrier = parse_carrier(one.carrier)
        if carrier is None:
            raise Refused("carrier_unknown", field="carrier")
    if carrier is None:
        raise Refused("field_missing", field="carrier")
    return QuoteAsk(
        product=one.product,
        carrier=carrier,
        face_fen=_face_fen(one),
        number=one.number,
        card_number=one.card_number,
        expires_on=one.expires_on,
        province=one.province,
        rail=one.rail,
        seller=seller_of(client=client, seller_ref=one.seller_ref),
    )


def _face_fen(one: QuoteRequest) -> int:
    if (one.face_fen is None) == (one.face_yuan is None):
        raise Refused("field_missing" if one.face_fen is None else "field_invalid", field="face_fen")
    if one.face_fen is not None:
        return one.face_fen
    try:
        return parse_yuan(one.face_yuan or "")
    except MoneyError as error:
        raise Refused(error.code, field="face_yuan") from None


HANDLERS: Final = [send_code, check_code, make, rates]
