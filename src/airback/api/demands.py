"""`/v1/demands` and `/v1/balances`: what outlets want, and what is left to pay for it."""

import asyncio
from typing import Any, Final

from litestar import Request, Response, delete, get, post
from litestar.params import FromPath

from airback.api import problems, reading
from airback.api.answers import answer, batch_status
from airback.api.documents import (
    Balances,
    DemandAnswer,
    DemandAnswers,
    DemandRequest,
    Demands,
    OutletBalance,
    SellersBalance,
    WithdrawAnswer,
    demand_document,
)
from airback.api.gate import client_of, platform_of
from airback.api.orders import LOOKS_EVERY_S, WAITS_S
from airback.api.outlets import outlet_of
from airback.domain.ids import parse_public, public
from airback.domain.refusals import Refused
from airback.engine import demand as engine
from airback.engine.demand import DemandAsk, Placed
from airback.queries import balances, demands
from airback.queries.demands import DemandView


@post("/demands", opt={"scope": "demands:write"})
async def create(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Place demands, one answer for each."""
    platform = platform_of(request)
    outlet = outlet_of(request)
    value, body, _ = await reading.read_json(request)
    key = reading.idempotency(request, body)
    batch, many = reading.items(value, name="demands")
    answers: list[Placed | Refused] = [Refused("internal")] * len(batch)
    refs: list[str | None] = [None] * len(batch)
    asks: dict[int, DemandAsk] = {}
    for place, item in enumerate(batch):
        try:
            one = reading.read(item, DemandRequest)
            if one.deadline_at.tzinfo is None:
                raise Refused("field_invalid", field="deadline_at")
        except Refused as refused:
            answers[place] = refused
        else:
            asks[place] = one.ask()
            refs[place] = one.client_ref
    placed = await engine.place(
        platform.pool,
        book=platform.book,
        client=client_of(request).client,
        outlet=outlet,
        asks=list(asks.values()),
        subscribers=platform.subscribers,
        now=platform.now(),
        entropy=platform.entropy,
        idempotency=key,
    )
    for place, one_answer in zip(asks, placed, strict=True):
        answers[place] = one_answer
    if not many and isinstance(answers[0], Refused):
        raise Refused(answers[0].code, field=answers[0].field)
    language = problems.language_of(request)
    documents = [
        _answer(row, one, client_ref=ref, language=language)
        for row, (one, ref) in enumerate(zip(answers, refs, strict=True), start=1)
    ]
    if not many:
        return answer(documents[0], status=201)
    return answer(DemandAnswers(documents), status=batch_status([d.status for d in documents]))


@get("/demands", opt={"scope": "demands:read"})
async def find(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Your demands, newest first."""
    platform = platform_of(request)
    asked = reading.query(request, "client_ref", "cursor", "limit")
    limit = reading.limit_of(asked, most=demands.MOST_PER_PAGE)
    after = None
    if "cursor" in asked:
        after = parse_public("dem", asked["cursor"])
        if after is None:
            raise Refused("field_invalid", field="cursor")
    async with platform.pool.acquire() as conn:
        page = await demands.list_demands(
            conn,
            book=platform.book,
            outlet=outlet_of(request),
            client_ref=asked.get("client_ref"),
            after=after,
            limit=limit,
        )
    now = platform.now()
    following = None if page.next is None else public("dem", page.next)
    return answer(Demands([demand_document(view, now=now) for view in page.items], following))


@get("/demands/{demand:str}", opt={"scope": "demands:read"})
async def read(request: Request[Any, Any, Any], demand: FromPath[str]) -> Response[bytes]:
    """One of your demands."""
    reading.query(request)
    return answer(demand_document(await _own(request, demand), now=platform_of(request).now()))


@delete("/demands/{demand:str}", status_code=200, opt={"scope": "demands:write"})
async def withdraw(request: Request[Any, Any, Any], demand: FromPath[str]) -> Response[bytes]:
    """Take back what is still open; fills already reserved stand. Waits a little for the writer's word."""
    platform = platform_of(request)
    view = await _own(request, demand)
    async with platform.pool.acquire() as conn:
        asked = await engine.withdraw(
            conn, book=platform.book, outlet=view.outlet, demand_id=view.id, at=platform.now()
        )
    loop = asyncio.get_running_loop()
    until = loop.time() + WAITS_S
    still_open = asked
    while still_open and loop.time() < until:
        await asyncio.sleep(LOOKS_EVERY_S)
        async with platform.pool.acquire() as conn:
            still_open = await demands.is_open(conn, book=platform.book, demand_id=view.id)
    document = demand_document(await _own(request, demand), now=platform.now())
    if still_open:
        return answer(WithdrawAnswer("accepted", document), status=202)
    return answer(WithdrawAnswer("withdrawn", document))


@get("/balances", opt={"scope": "balances:read"})
async def read_balances(request: Request[Any, Any, Any]) -> Response[bytes]:
    """An outlet's deposit; what is owed to a client's sellers, or to one of them."""
    platform = platform_of(request)
    client = client_of(request)
    asked = reading.query(request, "seller_ref")
    outlet = sellers = None
    async with platform.pool.acquire() as conn:
        if client.outlet is not None:
            money = await balances.deposit(conn, book=platform.book, outlet=client.outlet)
            outlet = OutletBalance(
                client.outlet, money.balance_fen, money.earmarked_fen, money.demanded_fen, money.free_fen
            )
        if client.kind != "outlet":
            owed = await balances.owed(
                conn, book=platform.book, client=client.client, seller_ref=asked.get("seller_ref")
            )
            sellers = SellersBalance(owed.payable_fen, owed.under_way_fen, owed.stored_fen)
    return answer(Balances(outlet, sellers))


async def _own(request: Request[Any, Any, Any], demand: str) -> DemandView:
    platform = platform_of(request)
    outlet = outlet_of(request)
    demand_id = parse_public("dem", demand)
    if demand_id is None:
        raise Refused("not_found", field="id")
    async with platform.pool.acquire() as conn:
        view = await demands.get_demand(conn, book=platform.book, demand_id=demand_id)
    if view is None or view.outlet != outlet:
        raise Refused("not_found", field="id")
    return view


def _answer(row: int, one: Placed | Refused, *, client_ref: str | None, language: str) -> DemandAnswer:
    if isinstance(one, Refused):
        refused = Refused(one.code, field=one.field, row=row)
        return DemandAnswer(
            status=refused.refusal.status,
            row=row,
            client_ref=client_ref,
            problem=problems.problem(refused, language=language),
        )
    return DemandAnswer(
        status=201,
        row=row,
        id=public("dem", one.demand_id),
        carrier=one.carrier,
        client_ref=client_ref,
        replayed=one.replayed,
    )


HANDLERS: Final = [create, find, read, withdraw, read_balances]
