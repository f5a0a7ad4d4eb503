"""Carriers' promotions, and the caps on our own prices that follow from them.

Promotions and the watch's caps are written by whoever runs the watch, one at a time for a book; other figures for a cap are
two people's decision, which the book's writer carries out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import asyncpg

from airback.domain.ids import lowest_id
from airback.pricing.arbitrage import NewPromotion, Promotion
from airback.store.named_sql import load

SQL: Final = load("price_caps.sql")


@dataclass(frozen=True, slots=True)
class PriceCap:
    """A cap that counts. `most_ppm` bounds the gross rate (before fee and cost of payment), ppm of face value;
    `per_seller_fen_per_day` is the face value one seller may bring in a day of China, None: as much as they like."""

    carrier: str
    product: str
    most_ppm: int
    per_seller_fen_per_day: int | None
    promotion: int
    reason: str
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class CapOfPromotion:
    """The cap of a promotion as it stands; `overridden_by` is set when people chose its figures."""

    promotion: int
    most_ppm: int
    per_seller_fen_per_day: int | None
    reason: str
    since: datetime
    until: datetime
    set_at: datetime
    overridden_by: str | None


@dataclass(frozen=True, slots=True)
class SoldUnder:
    """What sellers brought of a promotion's asset in its time; `at_limit` of them reached the daily limit on some day."""

    orders: int
    face_fen: int
    net_fen: int
    sellers: int
    at_limit: int


async def live(conn: asyncpg.Connection | asyncpg.Pool, book: int, at: datetime) -> list[PriceCap]:
    """Caps that count at that time, by carrier, product and promotion; of two for one asset both count."""
    return [PriceCap(**row) for row in await conn.fetch(SQL.live, book, at)]


async def caps_by_promotion(
    conn: asyncpg.Connection, *, book: int, since: datetime
) -> dict[int, CapOfPromotion]:
    """Caps that ended after `since`, or have not, by promotion."""
    return {row["promotion"]: CapOfPromotion(**row) for row in await conn.fetch(SQL.all_caps, book, since)}


async def promotions(conn: asyncpg.Connection, *, book: int, since: datetime) -> list[Promotion]:
    """Promotions that ended after `since`, or have not, newest first; withdrawn ones too."""
    return [Promotion(**row) for row in await conn.fetch(SQL.promotions, book, since)]


async def record_promotion(
    conn: asyncpg.Connection, *, book: int, promotion_id: int, promotion: NewPromotion, by: str, now: datetime
) -> None:
    """Put a promotion on record."""
    await conn.execute(
        SQL.record_promotion,
        book,
        promotion_id,
        promotion.carrier,
        promotion.product,
        promotion.buy_ppm,
        promotion.since,
        promotion.until,
        promotion.per_account_fen,
        promotion.leaves_ppm,
        promotion.per_seller_fen_per_day,
        promotion.source,
        by,
        now,
    )


async def withdraw_promotion(
    conn: asyncpg.Connection, *, book: int, promotion_id: int, reason: str, by: str, now: datetime
) -> bool:
    """Withdraw a promotion; False when it is over, was withdrawn, or never was."""
    return bool(await conn.fetchval(SQL.withdraw_promotion, book, promotion_id, by, reason, now))


async def lock_sellers(conn: asyncpg.Connection, *, book: int, sellers: Sequence[int]) -> None:
    """Keep other intakes from counting these sellers' room until the transaction ends. All of a request's at once: who locks
    some, counts, and locks others waits for somebody who does the same the other way round."""
    await conn.execute(SQL.lock_sellers, book, sellers)


async def sold_since(
    conn: asyncpg.Connection,
    *,
    book: int,
    sellers: Sequence[int],
    since: datetime,
    carrier: str,
    product: str,
) -> Mapping[int, int]:
    """Face value each of the sellers brought of that asset since then, fen. Whoever counts on it has locked them."""
    rows = await conn.fetch(SQL.sold_since, book, sellers, lowest_id(since), carrier, product)
    return {row["seller"]: row["face_fen"] for row in rows}


async def sold_under(
    conn: asyncpg.Connection, *, book: int, promotion: Promotion, limit_fen: int | None
) -> SoldUnder:
    """What was brought of a promotion's asset while it ran."""
    row = await conn.fetchrow(
        SQL.sold_under,
        book,
        lowest_id(promotion.since),
        lowest_id(promotion.until),
        promotion.carrier,
        promotion.product,
        promotion.since,
        limit_fen,
    )
    return SoldUnder(**row)
