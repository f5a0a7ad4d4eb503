"""stand: an outlet bids for any number of orders, and demands are made from its bid as they are used up.

A standing bid is a template: for each of its numbers one demand is kept open, of at most `order_fen`, as far as its
day, its whole and its outlet's money allow. Those demands are matched, earmarked and withdrawn like any other, so there
is one market. A fast bid's demands are good for half an hour, a slow one's for a day; what expires is made anew.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

import asyncpg

from airback.domain.assets import CARRIERS
from airback.domain.ids import new_ids
from airback.domain.money import MAX_FEN, PPM, share_floor
from airback.domain.numbers import parse_mobile
from airback.domain.ports.carrier import Subscribers
from airback.domain.refusals import Refused
from airback.engine.identify import living_line
from airback.engine.inbox import append_withdraw
from airback.ledger.accounts import deposit
from airback.market.matching import LEAST_PART_FEN
from airback.orders.intake import MOST_CLIENT_REF, check_ref
from airback.store import balances, demands, standing_bids
from airback.store.demands import NewDemand
from airback.store.outlets import day_and_month
from airback.store.standing_bids import StandingBid, Wanting

MOST_NUMBERS: Final = 50
#: So many bids of one outlet may stand: the writer looks at each of them every few seconds.
MOST_BIDS: Final = 200
#: How long a demand made from a bid is good for, by the bid's speed.
SPEEDS: Final = MappingProxyType({"fast": timedelta(minutes=30), "slow": timedelta(hours=24)})


@dataclass(frozen=True, slots=True)
class BidAsk:
    """A standing bid as it was sent."""

    carrier: str
    numbers: Sequence[str] = field(repr=False)
    price_ppm: int
    order_fen: int
    daily_fen: int
    total_fen: int | None = None
    speed: str = "slow"
    client_ref: str | None = None


async def place(
    pool: asyncpg.Pool,
    *,
    book: int,
    outlet: str,
    ask: BidAsk,
    subscribers: Subscribers,
    now: datetime,
    entropy: Callable[[int], bytes],
) -> int:
    """Let a bid stand, make its first demands, and return its id.

    Raises `Refused`: `carrier_unknown`, `number_malformed`, `number_dead`, `number_suspended`, `carrier_unreachable`,
    `bid_carriers_differ`, `price_malformed`, `amount_below_minimum`, `amount_above_limit`, `bid_limits_contradict`,
    `field_invalid`, `client_ref_used`, `bids_too_many`, `bid_above_deposit` when what its numbers take at once is above the outlet's free
    money, `not_found` for an outlet that is not on record.
    """
    numbers = _form(ask)
    lines = await asyncio.gather(*(living_line(subscribers, number) for number in numbers))
    if any(line.carrier != ask.carrier for line in lines):
        raise Refused("bid_carriers_differ", field="numbers")
    (bid_id,) = new_ids(now=now, entropy=entropy)
    bid = StandingBid(
        bid_id,
        ask.client_ref,
        ask.carrier,
        numbers,
        ask.price_ppm,
        ask.order_fen,
        ask.daily_fen,
        ask.total_fen,
        ask.speed,
        now,
    )
    async with pool.acquire() as conn, conn.transaction():
        if not await demands.lock_outlet(conn, book=book, outlet=outlet):
            raise Refused("not_found", field="outlet")
        if await standing_bids.count(conn, book=book, outlet=outlet) >= MOST_BIDS:
            raise Refused("bids_too_many")
        free_fen = await balances.free_deposit_fen(
            conn, book=book, outlet=outlet, account_id=deposit(outlet).id
        )
        at_once_fen = min(len(numbers) * ask.order_fen, ask.daily_fen, ask.total_fen or ask.daily_fen)
        if share_floor(at_once_fen, ask.price_ppm) > free_fen:
            raise Refused("bid_above_deposit", field="order_fen")
        if not await standing_bids.insert(conn, book=book, outlet=outlet, bid=bid):
            raise Refused("client_ref_used", field="client_ref")
        await _refill(conn, book=book, outlet=outlet, now=now, entropy=entropy)
    return bid_id


async def withdraw(conn: asyncpg.Connection, *, book: int, outlet: str, bid_id: int, at: datetime) -> None:
    """Let a bid stand no more; the writer closes what is open of its demands, and nothing of them is wanted again. Raises
    `Refused` `not_found`."""
    async with conn.transaction():
        # the writer may be making demands from it at this moment
        await demands.lock_outlet(conn, book=book, outlet=outlet)
        under_way = await standing_bids.withdraw(conn, book=book, outlet=outlet, bid_id=bid_id, at=at)
        if under_way is None:
            raise Refused("not_found", field="id")
        for demand_id in under_way:
            await append_withdraw(conn, book=book, demand_id=demand_id, outlet=outlet, at=at)


async def refill(conn: Any, *, book: int, now: datetime, entropy: Callable[[int], bytes]) -> None:
    """Make the demands that standing bids want and have not. For the book's writer, every few seconds: it waits for nobody
    who places demands at that moment."""
    for outlet in await standing_bids.outlets(conn, book=book):
        async with conn.transaction():
            if await demands.lock_outlet_if_free(conn, book=book, outlet=outlet):
                await _refill(conn, book=book, outlet=outlet, now=now, entropy=entropy)


async def _refill(
    conn: Any, *, book: int, outlet: str, now: datetime, entropy: Callable[[int], bytes]
) -> None:
    day, _ = day_and_month(now)
    wanting = await standing_bids.wanting(conn, book=book, outlet=outlet, day=day, now=now)
    if not wanting:
        return
    free_fen = await balances.free_deposit_fen(conn, book=book, outlet=outlet, account_id=deposit(outlet).id)
    new = demands_of(wanting, free_fen=free_fen, now=now, entropy=entropy)
    if new:
        await demands.place(conn, book=book, outlet=outlet, demands=new, at=now)


def demands_of(
    wanting: Sequence[Wanting], *, free_fen: int, now: datetime, entropy: Callable[[int], bytes]
) -> list[NewDemand]:
    """The demands that bids, in their order, come to within their limits and `free_fen` of money."""
    made_fen: dict[int, int] = {}
    new: list[NewDemand] = []
    ids = iter(new_ids(now=now, entropy=entropy, count=len(wanting)))
    for one in wanting:
        under_way_fen = one.open_fen + made_fen.get(one.id, 0)
        left_fen = min(one.order_fen, one.daily_fen - one.day_fen - under_way_fen)
        if one.total_fen is not None:
            left_fen = min(left_fen, one.total_fen - one.all_fen - under_way_fen)
        worth_fen = share_floor(max(left_fen, 0), one.price_ppm)
        if left_fen < LEAST_PART_FEN or worth_fen > free_fen:
            continue
        free_fen -= worth_fen
        made_fen[one.id] = made_fen.get(one.id, 0) + left_fen
        new.append(
            NewDemand(
                id=next(ids),
                client_ref=None,
                carrier=one.carrier,
                number=one.number,
                amount_fen=left_fen,
                price_ppm=one.price_ppm,
                deadline_at=now + SPEEDS[one.speed],
                bid_id=one.id,
            )
        )
    return new


def _form(ask: BidAsk) -> list[str]:
    if ask.carrier not in CARRIERS:
        raise Refused("carrier_unknown", field="carrier")
    if not 1 <= len(ask.numbers) <= MOST_NUMBERS:
        raise Refused("field_invalid", field="numbers")
    parsed = [parse_mobile(number) for number in ask.numbers]
    numbers = [number for number in parsed if number is not None]
    if len(numbers) < len(parsed) or len(set(numbers)) < len(numbers):
        raise Refused("number_malformed", field="numbers")
    if ask.order_fen < LEAST_PART_FEN:
        raise Refused("amount_below_minimum", field="order_fen")
    for key, amount in (
        ("order_fen", ask.order_fen),
        ("daily_fen", ask.daily_fen),
        ("total_fen", ask.total_fen or 0),
    ):
        if amount > MAX_FEN:
            raise Refused("amount_above_limit", field=key)
    if not 1 <= ask.price_ppm <= PPM or share_floor(LEAST_PART_FEN, ask.price_ppm) < 1:
        raise Refused("price_malformed", field="price_ppm")
    if ask.order_fen > ask.daily_fen:
        raise Refused("bid_limits_contradict", field="daily_fen")
    if ask.total_fen is not None and ask.order_fen > ask.total_fen:
        raise Refused("bid_limits_contradict", field="total_fen")
    if ask.speed not in SPEEDS:
        raise Refused("field_invalid", field="speed")
    if ask.client_ref is not None:
        check_ref(ask.client_ref, field="client_ref", most=MOST_CLIENT_REF)
    return numbers
