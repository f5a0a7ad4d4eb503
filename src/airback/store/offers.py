"""Offers on record. Their sellers change and withdraw them, the book's writer alone meets and ends them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final

import asyncpg

from airback.market.offers import State
from airback.store.named_sql import load

SQL: Final = load("offers.sql")


@dataclass(frozen=True, slots=True)
class StoredOffer:
    """One row of `offers`; `payee` is sealed, `seller_class` is read only where prices are made."""

    id: int
    client: str
    client_ref: str | None
    seller: int
    seller_ref: str
    carrier: str
    number: str = field(repr=False)
    province: str | None
    expires_on: date | None
    face_fen: int
    net_fen: int
    net_ppm: int
    rail: str
    payee: bytes = field(repr=False)
    notify_number: str | None = field(repr=False)
    language: str
    agreement: str
    proved_at: datetime
    deadline_at: datetime
    state: State
    order_id: int | None
    created_at: datetime
    seller_class: str | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What outlets want open of a carrier (fen of face), and the best price bid (ppm)."""

    carrier: str
    open_fen: int
    best_ppm: int


@dataclass(frozen=True, slots=True)
class AskLevel:
    """What rests of a carrier at a price: `face_fen` in so many `offers`, `net_ppm` rounded down to a tenth of a percent."""

    carrier: str
    net_ppm: int
    offers: int
    face_fen: int


async def insert(conn: asyncpg.Connection, *, book: int, offer: StoredOffer) -> bool:
    """Put an offer on record; False when its reference was taken or its number is offered already."""
    made = await conn.fetchval(
        SQL.insert,
        book,
        offer.id,
        offer.client,
        offer.client_ref,
        offer.seller,
        offer.seller_ref,
        offer.carrier,
        offer.number,
        offer.province,
        offer.expires_on,
        offer.face_fen,
        offer.net_fen,
        offer.net_ppm,
        offer.rail,
        offer.payee,
        offer.notify_number,
        offer.language,
        offer.agreement,
        offer.proved_at,
        offer.deadline_at,
        offer.created_at,
    )
    return made is not None


async def number_rests(conn: asyncpg.Connection, *, book: int, client: str, number: str) -> bool:
    """Whether a client has an offer of the number that rests."""
    return bool(await conn.fetchval(SQL.number_rests, book, client, number))


async def list_offers(
    conn: asyncpg.Connection,
    *,
    book: int,
    client: str,
    now: datetime,
    seller_ref: str | None = None,
    state: str | None = None,
    after: int | None = None,
    limit: int,
) -> list[StoredOffer]:
    """A client's offers, newest first."""
    rows = await conn.fetch(SQL.list, book, client, None, seller_ref, state, after, limit, now)
    return [_offer(row) for row in rows]


async def get(
    conn: asyncpg.Connection, *, book: int, client: str, offer_id: int, now: datetime
) -> StoredOffer | None:
    """One of a client's offers, or None."""
    row = await conn.fetchrow(SQL.list, book, client, offer_id, None, None, None, 1, now)
    return None if row is None else _offer(row)


async def revise(
    conn: asyncpg.Connection,
    *,
    book: int,
    client: str,
    offer_id: int,
    net_fen: int,
    net_ppm: int,
    deadline_at: datetime,
    now: datetime,
) -> bool:
    """Give it another price or deadline; False when it rests no more."""
    done = await conn.execute(SQL.revise, book, client, offer_id, net_fen, net_ppm, deadline_at, now)
    return bool(done == "UPDATE 1")


async def withdraw(conn: asyncpg.Connection, *, book: int, client: str, offer_id: int, now: datetime) -> bool:
    """Take it back; False when it rests no more."""
    return bool(await conn.execute(SQL.withdraw, book, client, offer_id, now) == "UPDATE 1")


async def expire(conn: Any, *, book: int, now: datetime) -> None:
    """End those whose time is up. For the book's writer."""
    await conn.execute(SQL.expire, book, now)


async def wanted(conn: Any, *, book: int, now: datetime) -> list[Wanted]:
    """Carriers of which an offer may be met."""
    return [Wanted(**dict(row)) for row in await conn.fetch(SQL.wanted, book, now)]


async def best(
    conn: Any, *, book: int, carrier: str, below_ppm: int, now: datetime, limit: int
) -> list[StoredOffer]:
    """A carrier's offers in the order in which they are met, locked until the transaction ends."""
    rows = await conn.fetch(SQL.best, book, carrier, below_ppm, now, limit)
    return [_offer(row) for row in rows]


async def meet(conn: Any, *, book: int, now: datetime, orders: Sequence[tuple[int, int]]) -> bool:
    """Offers (id, order id) became orders; False when one of them rested no more."""
    done = await conn.execute(SQL.meet, book, now, [one[0] for one in orders], [one[1] for one in orders])
    return bool(done == f"UPDATE {len(orders)}")


async def levels(conn: asyncpg.Connection, *, book: int, now: datetime) -> list[AskLevel]:
    """The ask side of the book."""
    return [AskLevel(**dict(row)) for row in await conn.fetch(SQL.levels, book, now)]


def _offer(row: asyncpg.Record) -> StoredOffer:
    values = dict(row)
    values["state"] = State(values["state"])
    values["seller_class"] = values.pop("class", None)
    return StoredOffer(**values)
