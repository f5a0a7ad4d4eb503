"""Demand: an outlet says which number it wants topped up, by how much, at what highest price and until when.

Placing is an insert, done here; whatever happens to a demand afterwards is the writer's, so withdrawing is a letter.
The carrier of the number is asked, since portability makes its prefix worthless.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import asyncpg

from airback.domain.assets import CARRIERS
from airback.domain.ids import new_ids
from airback.domain.money import MAX_FEN, PPM, share_floor
from airback.domain.numbers import parse_mobile
from airback.domain.ports.carrier import Line, Subscribers
from airback.domain.refusals import Refused
from airback.engine.identify import living_line
from airback.engine.inbox import append_withdraw
from airback.ledger.accounts import deposit
from airback.market.matching import LEAST_PART_FEN
from airback.orders.intake import MOST_CLIENT_REF, check_ref
from airback.store import balances, demands, intake
from airback.store.demands import NewDemand

MOST_ASKS: Final = 1000
MOST_FEN: Final = MAX_FEN
LONGEST: Final = timedelta(days=30)
_ASKED_AT_ONCE: Final = 16


@dataclass(frozen=True, slots=True)
class DemandAsk:
    """One demand as it was sent: `price_ppm` is the most the outlet pays, in ppm of face value."""

    number: str = field(repr=False)
    amount_fen: int
    price_ppm: int
    deadline_at: datetime
    client_ref: str | None = None


@dataclass(frozen=True, slots=True)
class Placed:
    """A demand that was placed. `replayed`: it was placed before, under the same idempotency key."""

    demand_id: int
    carrier: str
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class _Checked:
    row: int
    ask: DemandAsk
    number: str = field(repr=False)


class _KeyTaken(Exception):
    """Another request stored its answer under our idempotency key meanwhile."""


async def place(
    pool: asyncpg.Pool,
    *,
    book: int,
    client: str,
    outlet: str,
    asks: Sequence[DemandAsk],
    subscribers: Subscribers,
    now: datetime,
    entropy: Callable[[int], bytes],
    idempotency: tuple[str, bytes] | None,
) -> list[Placed | Refused]:
    """One status per ask, in order. The outlet's deposit must cover all its open demands, in the order they came.

    Refusals: `number_malformed`, `amount_not_positive`, `amount_below_minimum`, `amount_above_limit`, `price_malformed`, `deadline_past`,
    `field_invalid`, `client_ref_used`, `number_dead`, `number_suspended`, `carrier_unknown`, `carrier_unreachable`,
    `deposit_insufficient`. Raises `Refused` `idempotency_key_reused`, `body_too_large`, or `not_found` for an outlet
    that is not on record.
    """
    if len(asks) > MOST_ASKS:
        raise Refused("body_too_large", field="demands")
    async with pool.acquire() as conn:
        replay = await _replay(conn, book=book, client=client, idempotency=idempotency)
        if replay is not None:
            return replay
    answers: list[Placed | Refused | None] = [None] * len(asks)
    checked = _checked(asks, answers, now=now)
    lines = await _ask_all(subscribers, {one.number for one in checked})
    (first_id,) = new_ids(now=now, entropy=entropy)
    async with pool.acquire() as conn:
        try:
            async with conn.transaction():
                if not await demands.lock_outlet(conn, book=book, outlet=outlet):
                    raise Refused("not_found", field="outlet")
                # the same request may have been placed while this one waited for the outlet
                replay = await _replay(conn, book=book, client=client, idempotency=idempotency)
                if replay is not None:
                    return replay
                await _insert(
                    conn,
                    checked,
                    lines,
                    answers,
                    book=book,
                    client=client,
                    outlet=outlet,
                    first_id=first_id,
                    now=now,
                    idempotency=idempotency,
                )
        except _KeyTaken:  # by orders of the same client: only those do not wait for the outlet
            await _replay(conn, book=book, client=client, idempotency=idempotency)
            raise Refused("unavailable") from None
    return _complete(answers)


async def withdraw(conn: asyncpg.Connection, *, book: int, outlet: str, demand_id: int, at: datetime) -> bool:
    """Ask the writer to close what is still open of a demand; False when nothing of it is open any more. Either way
    a part of it that cannot be delivered is not wanted again.

    Raises `Refused` `not_found` when the outlet has no such demand."""
    found = await demands.outlet_of(conn, book=book, demand_id=demand_id)
    if found is None or found[0] != outlet:
        raise Refused("not_found", field="id")
    _, still_open, withdrawn = found
    if not withdrawn:
        await append_withdraw(conn, book=book, demand_id=demand_id, outlet=outlet, at=at)
    return still_open


def _checked(
    asks: Sequence[DemandAsk], answers: list[Placed | Refused | None], *, now: datetime
) -> list[_Checked]:
    checked: list[_Checked] = []
    refs: set[str] = set()
    for row, ask in enumerate(asks, start=1):
        try:
            number = _form(ask, now=now)
            if ask.client_ref is not None:
                if ask.client_ref in refs:
                    raise Refused("client_ref_used", field="client_ref")
                refs.add(ask.client_ref)
        except Refused as refused:
            answers[row - 1] = Refused(refused.code, field=refused.field, row=row)
        else:
            checked.append(_Checked(row, ask, number))
    return checked


def _form(ask: DemandAsk, *, now: datetime) -> str:
    number = parse_mobile(ask.number)
    if number is None:
        raise Refused("number_malformed", field="number")
    if ask.amount_fen <= 0:
        raise Refused("amount_not_positive", field="amount_fen")
    if ask.amount_fen < LEAST_PART_FEN:
        raise Refused("amount_below_minimum", field="amount_fen")
    if ask.amount_fen > MOST_FEN:
        raise Refused("amount_above_limit", field="amount_fen")
    if not 1 <= ask.price_ppm <= PPM or share_floor(ask.amount_fen, ask.price_ppm) < 1:
        raise Refused("price_malformed", field="price_ppm")
    if ask.deadline_at <= now:
        raise Refused("deadline_past", field="deadline_at")
    if ask.deadline_at > now + LONGEST:
        raise Refused("field_invalid", field="deadline_at")
    if ask.client_ref is not None:
        check_ref(ask.client_ref, field="client_ref", most=MOST_CLIENT_REF)
    return number


async def _ask_all(subscribers: Subscribers, numbers: set[str]) -> dict[str, Line | Refused]:
    """What the carriers say of each number, a bounded number of questions at a time."""
    permits = asyncio.Semaphore(_ASKED_AT_ONCE)

    async def ask(number: str) -> Line | Refused:
        async with permits:
            try:
                return await living_line(subscribers, number)
            except Refused as refused:
                return refused

    ordered = sorted(numbers)
    return dict(zip(ordered, await asyncio.gather(*map(ask, ordered)), strict=True))


async def _insert(
    conn: asyncpg.Connection,
    checked: Sequence[_Checked],
    lines: dict[str, Line | Refused],
    answers: list[Placed | Refused | None],
    *,
    book: int,
    client: str,
    outlet: str,
    first_id: int,
    now: datetime,
    idempotency: tuple[str, bytes] | None,
) -> None:
    refs = [one.ask.client_ref for one in checked if one.ask.client_ref is not None]
    taken = await demands.taken_refs(conn, book=book, outlet=outlet, refs=refs)
    free_fen = await balances.free_deposit_fen(conn, book=book, outlet=outlet, account_id=deposit(outlet).id)
    rows: dict[int, _Checked] = {}
    new: list[NewDemand] = []
    for one in checked:
        line = lines[one.number]
        worth_fen = share_floor(one.ask.amount_fen, one.ask.price_ppm)
        if one.ask.client_ref in taken:
            answers[one.row - 1] = Refused("client_ref_used", field="client_ref", row=one.row)
        elif isinstance(line, Refused):
            answers[one.row - 1] = Refused(line.code, field=line.field, row=one.row)
        elif line.carrier not in CARRIERS:
            answers[one.row - 1] = Refused("carrier_unknown", field="number", row=one.row)
        elif worth_fen > free_fen:
            answers[one.row - 1] = Refused("deposit_insufficient", field="amount_fen", row=one.row)
        else:
            free_fen -= worth_fen
            demand_id = first_id + len(new)
            rows[demand_id] = one
            new.append(
                NewDemand(
                    id=demand_id,
                    client_ref=one.ask.client_ref,
                    carrier=line.carrier,
                    number=one.number,
                    amount_fen=one.ask.amount_fen,
                    price_ppm=one.ask.price_ppm,
                    deadline_at=one.ask.deadline_at,
                )
            )
    if not new:
        return
    placed = await demands.place(conn, book=book, outlet=outlet, demands=new, at=now)
    for demand in new:
        row = rows[demand.id].row
        if demand.id in placed:
            answers[row - 1] = Placed(demand.id, demand.carrier)
        else:
            answers[row - 1] = Refused("client_ref_used", field="client_ref", row=row)
    if idempotency is not None and placed:
        key, request_hash = idempotency
        stored = [_stored(answer) for answer in answers]
        if not await intake.keep_answer(
            conn, book=book, client=client, key=key, request_hash=request_hash, answer=stored, at=now
        ):
            raise _KeyTaken


async def _replay(
    conn: asyncpg.Connection, *, book: int, client: str, idempotency: tuple[str, bytes] | None
) -> list[Placed | Refused] | None:
    if idempotency is None:
        return None
    key, request_hash = idempotency
    stored = await intake.answer_of(conn, book=book, client=client, key=key)
    if stored is None:
        return None
    if stored[0] != request_hash:
        raise Refused("idempotency_key_reused", field="Idempotency-Key")
    return [
        Placed(document["demand"], document["carrier"], replayed=True)
        if "demand" in document
        else Refused(document["code"], field=document["field"], row=row)
        for row, document in enumerate(stored[1], start=1)
    ]


def _stored(answer: Placed | Refused | None) -> dict[str, Any]:
    if isinstance(answer, Placed):
        return {"demand": answer.demand_id, "carrier": answer.carrier}
    return {"code": "internal" if answer is None else answer.code, "field": answer.field if answer else None}


def _complete(answers: Sequence[Placed | Refused | None]) -> list[Placed | Refused]:
    return [a if a is not None else Refused("internal", row=i + 1) for i, a in enumerate(answers)]
