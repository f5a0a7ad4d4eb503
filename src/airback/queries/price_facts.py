"""The facts prices read, gathered for all quotes at once: demand and the best bid of each carrier, sellers' classes, caps."""

from datetime import UTC, datetime, timedelta
from typing import Final

import asyncpg

from airback.domain.ids import public
from airback.pricing.cards import RateCard, lowest_class
from airback.pricing.facts import Cap, Market
from airback.store import price_caps
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
        """The market at this moment: three statements, however many quotes are made by it."""
        wanted = {
            row["carrier"]: (row["open_fen"], row["best_ppm"])
            for row in await pool.fetch(_SQL.wanted, self._book, now)
        }
        since = max(_FIRST, self._newest - _OVERLAP) if self._newest > _FIRST else _FIRST
        for row in await pool.fetch(_SQL.classes, self._book, since):
            self._classes[f"{row['client']}/{row['ref']}"] = row["class"]
            self._newest = max(self._newest, row["changed_at"])
        caps: dict[tuple[str, str], Cap] = {}
        for cap in await price_caps.live(pool, self._book, now):
            known = caps.get((cap.carrier, cap.product))
            if known is None or cap.most_ppm < known.most_ppm:  # of two for one asset the lower counts
                caps[cap.carrier, cap.product] = Cap(cap.most_ppm, public("prm", cap.promotion))
        standing = None if card is None else card.standing
        return Market(
            wanted=wanted,
            caps=caps,
            classes={} if standing is None else self._classes,
            lowest=None if card is None else lowest_class(card),
        )
