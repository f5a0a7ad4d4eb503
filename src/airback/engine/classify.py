"""classify: which published class each seller is in, by what they closed. Prices read the class and nothing else of a person.

Closed orders are counted once each, from the log of events, into a row a seller and day. Sellers with new closed orders
are classed again; all of them once a day, since days fall out of the term, and when another rate card took effect.
"""

from datetime import datetime, timedelta
from typing import Any, Final

from airback.pricing.cards import MOST_STANDING_DAYS, parse_card
from airback.pricing.formula import CHINA
from airback.store.named_sql import load

_SQL: Final = load("classify.sql", package="airback.engine")
#: Events that are looked through in one transaction.
MOST_EVENTS: Final = 50_000


async def classify(conn: Any, *, book: int, now: datetime) -> int:
    """Count what closed since the last time, at most `MOST_EVENTS` events of it, and class whom it concerns.

    Returns how many sellers changed their class. May be called by any number of workers at any time.
    """
    async with conn.transaction():
        await conn.execute(_SQL.begin, book)
        counted = await conn.fetchrow(_SQL.counted, book)
        document = await conn.fetchval(_SQL.card, book, now)
        if document is None:
            return 0
        card = parse_card(document)
        if card.standing is None:
            return 0
        today = now.astimezone(CHINA).date()
        seq = min(await conn.fetchval(_SQL.last_seq, book), counted["seq"] + MOST_EVENTS)
        rows = await conn.fetch(_SQL.count_closed, book, counted["seq"], seq)
        sellers: list[int] | None = [row["seller"] for row in rows]
        if (counted["day"], counted["card_version"]) != (today, card.version):
            sellers = None
            await conn.execute(_SQL.forget_days, book, today - timedelta(days=MOST_STANDING_DAYS))
        elif not sellers and seq == counted["seq"]:
            return 0
        classes = card.standing.classes
        changed: int = await conn.fetchval(
            _SQL.classify,
            book,
            today - timedelta(days=card.standing.days),
            sellers,
            [one.name for one in classes],
            [one.least_face_fen for one in classes],
            [one.least_orders for one in classes],
            now,
        )
        await conn.execute(_SQL.keep_counted, book, seq, today, card.version)
    return changed
