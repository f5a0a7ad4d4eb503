"""`/v1/orders` and `/v1/events`: placing, reading, cancelling, giving another payee, receipts."""

import asyncio
from datetime import datetime
from typing import Any, Final

from litestar import Request, Response, get, post
from litestar.params import FromPath

from airback.api import problems, reading
from airback.api.answers import answer, batch_status
from airback.api.documents import (
    CancelAnswer,
    Event,
    Events,
    OrderAnswer,
    OrderAnswers,
    OrderRequest,
    Orders,
    PayeeRequest,
    order_document,
)
from airback.api.gate import client_of, entrance_of, platform_of
from airback.domain.canonical import canonical
from airback.domain.ids import parse_public, public
from airback.domain.refusals import Refused
from airback.engine import inbox
from airback.engine.submit import FILES, PEOPLE, Accepted, OrderAsk
from airback.evidence import receipt_pdf
from airback.orders.intake import payee
from airback.orders.states import FINAL, State
from airback.queries import orders
from airback.queries.orders import OrderView
from airback.queries.platform import Platform

#: A longer batch is a file unless it says otherwise.
MOST_OF_A_PERSON: Final = 20
#: How long a cancellation waits for the writer's word, and how often it looks.
WAITS_S: Final = 2.0
LOOKS_EVERY_S: Final = 0.05
_LANES: Final = {"people": PEOPLE, "files": FILES}


@post("/orders", opt={"scope": "orders:write"})
async def create(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Place orders, one answer for each."""
    platform = platform_of(request)
    sent = await reading.read_json(request)
    key = reading.idempotency(request, sent.body)
    batch, many = reading.items(sent.value, name="orders")
    answers: list[Accepted | Refused] = [Refused("internal")] * len(batch)
    refs: list[str | None] = [None] * len(batch)
    asks: dict[int, OrderAsk] = {}
    for place, item in enumerate(batch):
        try:
            one = reading.read(item, OrderRequest)
            if sent.fractions and reading.holds_fraction(one.quote):
                raise Refused("quote_invalid", field="quote")
        except Refused as refused:
            answers[place] = refused
        else:
            lane = _LANES[one.lane] if one.lane else PEOPLE if len(batch) <= MOST_OF_A_PERSON else FILES
            asks[place] = one.ask(lane=lane)
            refs[place] = one.client_ref
    accepted = await entrance_of(request).intake.submit(
        client=client_of(request).client,
        asks=list(asks.values()),
        now=platform.now(),
        idempotency=key,
        rails={name: rail.capabilities for name, rail in platform.rails.items()},
        hold_kinds={name: carrier.capabilities.hold for name, carrier in platform.carriers.items()},
        pauses=await platform.pauses(),
    )
    for place, one_answer in zip(asks, accepted, strict=True):
        answers[place] = one_answer
        if isinstance(one_answer, Accepted) and not one_answer.replayed:
            _used(platform, client_of(request).client, asks[place].quote)
    if not many and isinstance(answers[0], Refused):
        raise answers[0].at(field=answers[0].field)
    language = problems.language_of(request) if any(isinstance(a, Refused) for a in answers) else "zh"
    documents = [
        _answer(row, one, client_ref=ref, language=language)
        for row, (one, ref) in enumerate(zip(answers, refs, strict=True), start=1)
    ]
    if not many:
        return answer(documents[0], status=201)
    return answer(OrderAnswers(documents), status=batch_status([d.status for d in documents]))


def _used(platform: Platform, client: str, quote: Any) -> None:
    """Its promise was kept: the quote of an order that was just accepted is live no more."""
    platform.exposure.used(
        client=client,
        seller=quote["seller"],
        carrier=quote["carrier"],
        face_fen=quote["face_fen"],
        until_s=int(datetime.fromisoformat(quote["valid_until"]).timestamp()),
    )


@get("/orders", opt={"scope": "orders:read"})
async def find(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Your orders, newest first."""
    platform = platform_of(request)
    client = client_of(request).client
    asked = reading.query(request, "client_ref", "seller_ref", "state", "cursor", "limit")
    limit = reading.limit_of(asked, most=orders.MOST_PER_PAGE)
    after = None
    if "cursor" in asked:
        after = parse_public("ord", asked["cursor"])
        if after is None:
            raise Refused("field_invalid", field="cursor")
    state = asked.get("state")
    if state is not None and state not in set(State):
        raise Refused("field_invalid", field="state")
    async with platform.pool.acquire() as conn:
        if "client_ref" in asked:
            one = await orders.find_by_client_ref(
                conn, book=platform.book, client=client, client_ref=asked["client_ref"]
            )
            hit = one is not None and state in (None, one.state) and (after is None or one.id < after)
            page = orders.Page([one] if one is not None and hit else [], None)
        else:
            page = await orders.list_orders(
                conn,
                book=platform.book,
                client=client,
                seller_ref=asked.get("seller_ref"),
                state=state,
                after=after,
                limit=limit,
            )
    following = None if page.next is None else public("ord", page.next)
    return answer(Orders([order_document(view) for view in page.items], following))


@get("/orders/{order:str}", opt={"scope": "orders:read"})
async def read(request: Request[Any, Any, Any], order: FromPath[str]) -> Response[bytes]:
    """One of your orders."""
    platform = platform_of(request)
    reading.query(request)
    view = await _own(request, order)
    async with platform.pool.acquire() as conn:
        payouts = await orders.payouts(conn, book=platform.book, order_id=view.id)
    return answer(order_document(view, payouts))


@post("/orders/{order:str}/cancel", status_code=200, opt={"scope": "orders:write"})
async def cancel(request: Request[Any, Any, Any], order: FromPath[str]) -> Response[bytes]:
    """Cancel an order: free until a delivery is committed. Waits a little for the writer's word."""
    platform = platform_of(request)
    view = await _own(request, order)
    if not view.final and view.cancel is None:
        async with platform.pool.acquire() as conn:
            await inbox.append_cancel(conn, book=platform.book, order_id=view.id, at=platform.now())
        await _writers_word(platform, view)
    view = await _own(request, order)
    if view.state == State.CANCELLED:
        return answer(CancelAnswer("cancelled", order_document(view)))
    if view.final or view.cancel == "too_late":
        raise Refused("too_late")
    return answer(CancelAnswer("accepted", order_document(view)), status=202)


@post("/orders/{order:str}/payee", status_code=202, opt={"scope": "orders:write"})
async def give_payee(request: Request[Any, Any, Any], order: FromPath[str]) -> Response[bytes]:
    """Name another account to pay, when the rail refused the first or gave the money back."""
    platform = platform_of(request)
    ask = reading.read((await reading.read_json(request)).value, PayeeRequest)
    view = await _own(request, order)
    async with platform.pool.acquire() as conn:
        waits = await orders.waits_for_payee(conn, book=platform.book, order=view)
    if not waits:
        raise Refused("order_not_waiting")
    account, name = payee(
        rail=view.rail,
        account=ask.payee_account,
        name=ask.payee_name,
        net_fen=view.net_fen,
        rails={name: rail.capabilities for name, rail in platform.rails.items()},
    )
    sealed = inbox.seal_payee(order_id=view.id, account=account, name=name, keys=platform.keys)
    async with platform.pool.acquire() as conn:
        await inbox.append_payee(conn, book=platform.book, order_id=view.id, sealed=sealed, at=platform.now())
    return answer(order_document(view), status=202)


@get("/orders/{order:str}/events", opt={"scope": "orders:read"})
async def order_events(request: Request[Any, Any, Any], order: FromPath[str]) -> Response[bytes]:
    """What happened to one of your orders."""
    platform = platform_of(request)
    asked = reading.query(request, "cursor", "limit")
    limit, after = reading.limit_of(asked, default=200, most=1000), _sequence(asked)
    view = await _own(request, order)
    async with platform.pool.acquire() as conn:
        found = await orders.events(conn, book=platform.book, order_id=view.id, after=after, limit=limit + 1)
    documents = [
        Event(entry.seq or 0, entry.action, view.public_id, entry.at, dict(entry.facts))
        for entry in found[:limit]
    ]
    following = documents[-1].seq if documents else after
    return answer(Events(documents, str(following), len(found) > limit))


@get("/events", opt={"scope": "orders:read"})
async def events(request: Request[Any, Any, Any]) -> Response[bytes]:
    """What happened to all of your orders, from a cursor on; `end` is the cursor of what has not happened yet."""
    platform = platform_of(request)
    asked = reading.query(request, "cursor", "limit")
    limit = reading.limit_of(asked, default=200, most=1000)
    async with platform.pool.acquire() as conn:
        if asked.get("cursor") == "end":
            return answer(Events([], str(await orders.last_seq(conn, book=platform.book)), False))
        found, reached, more = await orders.client_events(
            conn,
            book=platform.book,
            client=client_of(request).client,
            after=_sequence(asked),
            limit=limit,
        )
    documents = [Event(e.seq, e.action, public("ord", e.order_id), e.at, dict(e.facts)) for e in found]
    return answer(Events(documents, str(reached), more))


@get(["/orders/{order:str}/receipt", "/orders/{order:str}/receipt.pdf"], opt={"scope": "orders:read"})
async def receipt(request: Request[Any, Any, Any], order: FromPath[str]) -> Response[bytes]:
    """The signed receipt of a closed order: JSON, or PDF when asked for by address or Accept."""
    platform = platform_of(request)
    asked = reading.query(request, "language")
    language = asked.get("language", problems.language_of(request))
    if language not in ("zh", "en"):
        raise Refused("field_invalid", field="language")
    view = await _own(request, order)
    async with platform.pool.acquire() as conn:
        document = await orders.receipt(conn, book=platform.book, order_id=view.id)
    if document is None:
        raise Refused("not_found", field="receipt")
    if request.url.path.endswith(".pdf") or "application/pdf" in request.headers.get("accept", ""):
        pdf = await asyncio.to_thread(
            receipt_pdf.render, document, fonts=platform.settings.fonts_dir, language=language
        )
        return Response(
            content=pdf,
            media_type="application/pdf",
            headers={
                "Content-Disposition": f'attachment; filename="{view.public_id}.pdf"',
                "Cache-Control": "no-store",
            },
        )
    return Response(
        content=canonical(document),
        media_type="application/json",
        headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"},
    )


async def _own(request: Request[Any, Any, Any], order: str) -> OrderView:
    """The client's own order; anybody else's does not exist. Raises `Refused` `not_found`."""
    platform = platform_of(request)
    order_id = parse_public("ord", order)
    if order_id is None:
        raise Refused("not_found", field="id")
    async with platform.pool.acquire() as conn:
        view = await orders.get_order(conn, book=platform.book, order_id=order_id)
    if view is None or view.client != client_of(request).client:
        raise Refused("not_found", field="id")
    return view


async def _writers_word(platform: Platform, before: OrderView) -> None:
    """Wait until the writer took note of a cancellation, at most `WAITS_S`."""
    loop = asyncio.get_running_loop()
    until = loop.time() + WAITS_S
    while loop.time() < until:
        await asyncio.sleep(LOOKS_EVERY_S)
        async with platform.pool.acquire() as conn:
            now = await orders.standing(conn, book=platform.book, order_id=before.id)
        if now is None or now.state in FINAL or now.cancel == "too_late":
            return


def _answer(row: int, one: Accepted | Refused, *, client_ref: str | None, language: str) -> OrderAnswer:
    if isinstance(one, Refused):
        refused = one.at(field=one.field, row=row)
        return OrderAnswer(
            status=refused.refusal.status,
            row=row,
            client_ref=client_ref,
            problem=problems.problem(refused, language=language),
        )
    return OrderAnswer(
        status=201,
        row=row,
        id=public("ord", one.order_id),
        state=State.SUBMITTED,
        client_ref=client_ref,
        replayed=one.replayed,
    )


def _sequence(asked: dict[str, str]) -> int:
    text = asked.get("cursor", "0")
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise Refused("field_invalid", field="cursor")
    return int(text)


HANDLERS: Final = [create, find, read, cancel, give_payee, order_events, events, receipt]
