"""Orders as screens and clients read them: one, many by cursor, what happened to one, its receipt.

Reads only; amounts are fen, times UTC. Sealed columns (a card's code, the payee) are never read here. Numbers come
whole, for the operator's own screens; `OrderView.masked` is what any other reader sees.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

import asyncpg
import msgspec

from airback.domain import ids
from airback.domain.numbers import mask, parse_card_number, parse_mobile
from airback.orders.states import FINAL, State
from airback.payouts.states import FINAL as FINAL_PAYOUTS
from airback.store import named_sql

SQL: Final = named_sql.load("orders.sql", package="airback.queries")

MOST_PER_PAGE: Final = 200
#: How much of the log one call looks through for a client's events.
STRETCH: Final = 20_000
_MOST_EVENTS: Final = 2_000
_NEWEST: Final = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class OrderView:
    """An order. `public_id` is what people call it; `quote` the signed quote in force."""

    id: int
    public_id: str
    client: str
    client_ref: str | None
    seller: int
    seller_ref: str | None
    lane: int
    product: str
    carrier: str
    number: str | None = field(repr=False)
    card_number: str | None = field(repr=False)
    face_fen: int
    net_fen: int
    quote: dict[str, Any] = field(repr=False)
    rail: str
    notify_number: str | None = field(repr=False)
    language: str
    agreement: str
    state: str
    resume: str | None
    code: str | None
    hold_kind: str
    held_fen: int
    delivered_fen: int
    credited_fen: int
    paid_fen: int
    cancel: str | None
    submitted_at: datetime
    updated_at: datetime
    delivered_at: datetime | None
    final_at: datetime | None
    closed_at: datetime | None

    @property
    def final(self) -> bool:
        """Whether nothing more happens to it."""
        return self.state in FINAL

    @property
    def owed_again(self) -> bool:
        """Whether it closed and its payment came back since: the seller is to name a payee."""
        return self.state == State.CLOSED and self.paid_fen < self.credited_fen

    @property
    def asset_number(self) -> str:
        """The phone or card number that is sold."""
        return self.number or self.card_number or ""

    def masked(self) -> "OrderView":
        """The same order with every number's middle hidden, also inside the quote."""
        quote = dict(self.quote)
        for name in ("number", "card_number"):
            if isinstance(quote.get(name), str):
                quote[name] = mask(quote[name])
        return replace(
            self,
            number=None if self.number is None else mask(self.number),
            card_number=None if self.card_number is None else mask(self.card_number),
            notify_number=None if self.notify_number is None else mask(self.notify_number),
            quote=quote,
        )


@dataclass(frozen=True, slots=True)
class Page:
    """Orders, newest first. `next` is the `after` of the next page, None when this is the last."""

    items: list[OrderView]
    next: int | None


@dataclass(frozen=True, slots=True)
class FillView:
    """The part of an order that goes to one demand; `demand` None is the house. `routed`: why it went there; None for
    the house, and for fills of versions that did not say."""

    id: int
    demand_id: int | None
    outlet: str
    number: str = field(repr=False)
    face_fen: int
    price_ppm: int
    pays_fen: int
    state: str
    delivered_fen: int
    created_at: datetime
    routed: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class PayoutView:
    """A payout, with the share of one order in it."""

    id: int
    rail: str
    amount_fen: int
    share_fen: int
    state: str
    code: str | None
    far_ref: str | None
    created_at: datetime
    updated_at: datetime

    @property
    def under_way(self) -> bool:
        """Whether the rail may still pay it."""
        return self.state not in FINAL_PAYOUTS


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One thing that happened to an order.

    `kind` is `event` (`action` is source:subject:action, `seq` its number in the log, `facts` its body), `effect`
    (something was asked of `far_side`; `action` is the effect's kind, `ref` its client reference) or `result` (what the
    far side said of that effect; `action` is the result, `applied` whether it counted, `exchanges` the raw exchanges
    as redacted before they were stored: {method, path, request, status, response, started_at, milliseconds}).
    """

    at: datetime
    kind: str
    action: str
    seq: int | None = None
    effect_id: int | None = None
    far_side: str | None = None
    ref: str | None = None
    far_ref: str | None = None
    amount_fen: int | None = None
    code: str | None = None
    applied: bool = True
    facts: Mapping[str, Any] = field(default_factory=dict)
    exchanges: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True)
class EventView:
    """One event of the log, as its order's client may read it."""

    seq: int
    action: str
    order_id: int
    at: datetime
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an order stands."""

    state: str
    code: str | None
    cancel: str | None
    updated_at: datetime


async def get_order(conn: asyncpg.Connection, *, book: int, order_id: int) -> OrderView | None:
    """One order, or None."""
    row = await conn.fetchrow(SQL.get_order, book, order_id)
    return None if row is None else _view(row)


async def get_orders(
    conn: asyncpg.Connection, *, book: int, order_ids: Sequence[int]
) -> dict[int, OrderView]:
    """Orders by id; unknown ids are missing."""
    return {row["id"]: _view(row) for row in await conn.fetch(SQL.get_orders, book, order_ids)}


async def find_by_client_ref(
    conn: asyncpg.Connection, *, book: int, client: str, client_ref: str
) -> OrderView | None:
    """The order that the client calls `client_ref`, or None."""
    row = await conn.fetchrow(SQL.find_by_client_ref, book, client, client_ref)
    return None if row is None else _view(row)


async def list_orders(
    conn: asyncpg.Connection,
    *,
    book: int,
    client: str | None = None,
    seller_ref: str | None = None,
    state: str | None = None,
    search: str | None = None,
    after: int | None = None,
    limit: int = 50,
) -> Page:
    """Orders, newest first, those with an id below `after`.

    `search` is a public id, a whole phone or card number, or a reference. `seller_ref` counts only together with
    `client`. `limit` is cut to `MOST_PER_PAGE`.
    """
    limit = max(1, min(limit, MOST_PER_PAGE))
    before = _NEWEST if after is None else after
    rows: Sequence[Any]
    if search is not None and search.strip():
        rows = await _found(conn, book, search.strip(), before, limit + 1, client, state)
    elif client is not None and seller_ref is not None:
        rows = await conn.fetch(SQL.newest_of_seller, book, before, limit + 1, client, seller_ref, state)
    elif state is not None:
        statement = SQL.newest_in_state if state in FINAL else SQL.newest_open_in_state
        rows = await conn.fetch(statement, book, before, limit + 1, state, client)
    elif client is not None:
        rows = await conn.fetch(SQL.newest_of_client, book, before, limit + 1, client)
    else:
        rows = await conn.fetch(SQL.newest, book, before, limit + 1)
    items = [_view(row) for row in rows[:limit]]
    return Page(items, items[-1].id if len(rows) > limit else None)


async def standing(conn: asyncpg.Connection, *, book: int, order_id: int) -> Standing | None:
    """Where an order stands: cheap enough to be asked again and again."""
    row = await conn.fetchrow(SQL.standing, book, order_id)
    return None if row is None else Standing(*row)


async def fills(conn: asyncpg.Connection, *, book: int, order_id: int) -> list[FillView]:
    """The parts of an order."""
    return [FillView(*row) for row in await conn.fetch(SQL.fills_of, book, order_id)]


async def payouts(conn: asyncpg.Connection, *, book: int, order_id: int) -> list[PayoutView]:
    """The payouts that pay an order."""
    return [PayoutView(*row) for row in await conn.fetch(SQL.payouts_of, book, order_id)]


async def waits_for_payee(conn: asyncpg.Connection, *, book: int, order: OrderView) -> bool:
    """Whether the seller is to name another payee: the rail refused the first, or what it paid came back."""
    if order.owed_again:
        return not any(payout.under_way for payout in await payouts(conn, book=book, order_id=order.id))
    return order.state == State.AWAITING_SELLER


async def events(
    conn: asyncpg.Connection, *, book: int, order_id: int, after: int = 0, limit: int = _MOST_EVENTS
) -> list[TimelineEntry]:
    """An order's events with a number above `after`, in order."""
    return [_event(row) for row in await conn.fetch(SQL.events_of, book, order_id, after, limit)]


async def timeline(conn: asyncpg.Connection, *, book: int, order_id: int) -> list[TimelineEntry]:
    """Events, effects and everything far sides said, in order of time. For the operator's own eyes."""
    entries = await events(conn, book=book, order_id=order_id)
    effects = {row["id"]: row for row in await conn.fetch(SQL.effects_of, book, order_id)}
    entries += [
        TimelineEntry(
            at=row["at"],
            kind="effect",
            action=row["kind"],
            effect_id=row["id"],
            far_side=row["far_side"],
            ref=row["ref"],
            amount_fen=row["amount_fen"],
            facts={"send_by": row["send_by"], "epoch": row["epoch"]},
        )
        for row in effects.values()
    ]
    for row in await conn.fetch(SQL.results_of, book, list(effects)):
        effect = effects[row["effect_id"]]
        entries.append(
            TimelineEntry(
                at=row["at"],
                kind="result",
                action=row["result"],
                effect_id=row["effect_id"],
                far_side=effect["far_side"],
                ref=effect["ref"],
                far_ref=row["far_ref"],
                amount_fen=row["amount_fen"],
                code=row["code"],
                applied=row["applied"],
                facts={"kind": effect["kind"], **row["detail"]},
                exchanges=row["exchanges"],
            )
        )
    # of one instant: the answer, then what was decided on it, then what was asked next
    rank = {"result": 0, "event": 1, "effect": 2}
    return sorted(entries, key=lambda e: (e.at, rank[e.kind], e.seq or e.effect_id or 0))


async def receipt(conn: asyncpg.Connection, *, book: int, order_id: int) -> dict[str, Any] | None:
    """An order's signed receipt, or None while it has none."""
    document: dict[str, Any] | None = await conn.fetchval(SQL.receipt, book, order_id)
    return document


async def last_seq(conn: asyncpg.Connection, *, book: int) -> int:
    """The number of the newest event, 0 when there is none."""
    return int(await conn.fetchval(SQL.last_seq, book))


async def client_events(
    conn: asyncpg.Connection, *, book: int, client: str, after: int, limit: int
) -> tuple[list[EventView], int, bool]:
    """(events of a client's orders after number `after`, the number to go on from, whether more of the log is left).

    One call looks through at most `STRETCH` events of the log, so a page may be empty and yet not the last.
    """
    last = await last_seq(conn, book=book)
    until = min(last, after + STRETCH)
    rows = await conn.fetch(SQL.events_of_client, book, client, after, until, limit)
    found = [
        EventView(row["seq"], row["action"], row["order_id"], row["at"], _facts(row["body"])) for row in rows
    ]
    reached = found[-1].seq if len(found) == limit else max(until, after)
    return found, reached, reached < last


async def _found(
    conn: asyncpg.Connection,
    book: int,
    search: str,
    before: int,
    limit: int,
    client: str | None,
    state: str | None,
) -> Sequence[Any]:
    order_id = ids.parse_public("ord", search)
    if order_id is not None:
        row = await conn.fetchrow(SQL.get_order, book, order_id)
        hit = (
            row is not None
            and order_id < before
            and client in (None, row["client"])
            and state in (None, row["state"])
        )
        return [row] if hit else []
    digits = parse_mobile(search) or parse_card_number(search)
    if digits is not None:
        rows = await conn.fetch(SQL.search_digits, book, before, limit, digits, client, state)
        if rows:
            return list(rows)
    return list(await conn.fetch(SQL.search_refs, book, before, limit, search, client, state))


def _view(row: Any) -> OrderView:
    return OrderView(public_id=ids.public("ord", row["id"]), **{name: row[name] for name in _COLUMNS})


def _event(row: Any) -> TimelineEntry:
    facts = _facts(row["body"])
    return TimelineEntry(
        at=row["at"],
        kind="event",
        action=row["action"],
        seq=row["seq"],
        code=facts.get("code"),
        amount_fen=facts.get("amount_fen"),
        facts=facts,
    )


def _facts(body: bytes | None) -> dict[str, Any]:
    """An event's body; empty after erasure."""
    if body is None:
        return {}
    facts: dict[str, Any] = msgspec.json.decode(body)
    return facts


_COLUMNS: Final = tuple(name for name in OrderView.__slots__ if name != "public_id")
