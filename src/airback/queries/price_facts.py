"""The facts prices read, gathered for all quotes at once: demand and the best bid of each carrier, sellers' classes.

No caps are known here: whoever keeps them joins them in `PriceFacts.read`, where `Market` takes them by (carrier, product).
"""

from datetime import UTC, datetime, timedelta
from typing import Final

import asyncpg

from airback.pricing.cards import RateCard
from airback.pricing.facts import Market
from airback.store.named_sql import load

_SQL: Final = load("price_facts.sql", package="airback.queries")
#: Classes are read again from so long before the newest that was seen: another transaction may have been slower.
_OVERLAP: Final = timedelta(minutes=5)
_FIRST: Final = datetime(1970, 1, 1, tzinfo=UTC)


class PriceFacts:
    """The facts of one book, as one process knows them. Classes are read whole once, then what changed."""

    def __init__(self, *, book: int) -> None:
        self._book = book
        self._classes: dict[str, str] = {}
        self._newest = _FIRST

    async def read(self, pool: asyncpg.Pool, *, card: RateCard | None, now: datetime) -> Market:
        """The market at this moment: two statements, however many quotes are made by it."""
        wanted = {
            row["carrier"]: (row["open_fen"], row["best_ppm"])
            for row in await pool.fetch(_SQL.wanted, self._book, now)
        }
        since = max(_FIRST, self._newest - _OVERLAP) if self._newest > _FIRST else _FIRST
        for row in await pool.fetch(_SQL.classes, self._book, since):
            self._classes[f"{row['client']}/{row['ref']}"] = row["class"]
            self._newest = max(self._newest, row["changed_at"])
        standing = None if card is None else card.standing
        return Market(
            wanted=wanted,
            classes={} if standing is None else self._classes,
            lowest=None if standing is None else standing.classes[0].name,
        )
