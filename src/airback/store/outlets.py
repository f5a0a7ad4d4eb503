"""The register of outlets: their terms by version, what became of their fills, and where they want to be told."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import asyncpg

from airback.domain.ids import lowest_id
from airback.domain.money import MAX_FEN, PPM
from airback.market.terms import Terms, parse_terms
from airback.store.named_sql import load

SQL: Final = load("outlets.sql")

#: Over so many days an outlet's record is counted.
RECORD_DAYS: Final = 30
#: With fewer fills than this a share says nothing yet.
LEAST_FILLS: Final = 20
_BEIJING: Final = timedelta(hours=8)


@dataclass(frozen=True, slots=True)
class TermsVersion:
    """One version of an outlet's terms as it was approved."""

    version: int
    document: dict[str, Any]
    effective_at: datetime
    proposed_by: str
    approved_by: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Record:
    """What became of an outlet's fills; amounts in fen. Counted from fills, never typed in."""

    delivered: int = 0
    failed: int = 0
    delivered_fen: int = 0
    paid_fen: int = 0
    reversed: int = 0

    @property
    def success_ppm(self) -> int | None:
        """Share of fills that came to an end and were delivered, rounded down; None while there are too few."""
        ended = self.delivered + self.failed
        return None if ended < LEAST_FILLS else self.delivered * PPM // ended

    @property
    def reversal_ppm(self) -> int | None:
        """Share of delivered fills that were taken back, rounded up; None while there are too few."""
        return None if self.delivered < LEAST_FILLS else -(-self.reversed * PPM // self.delivered)


@dataclass(frozen=True, slots=True)
class Standing:
    """One outlet with terms as routing needs it: what is left of its limits now, and its record. Amounts in fen of face.

    `delay_s`: until its money is here, `speed_s`: until it has taken the airtime. None of `price_ppm` is here: a price
    depends on carrier, product and face (`Terms.price_ppm`).
    """

    outlet: str
    terms: Terms
    daily_left_fen: int
    monthly_left_fen: int
    per_minute_left: int
    success_ppm: int
    reversal_ppm: int
    delay_s: int
    speed_s: int


@dataclass(frozen=True, slots=True)
class Hook:
    """Where an outlet wants to be told; `secret` is sealed."""

    outlet: str
    url: str
    secret: bytes = field(repr=False)
    created_at: datetime


async def names(conn: Any, *, book: int) -> list[str]:
    """Every outlet of the book."""
    return [row["outlet"] for row in await conn.fetch(SQL.names, book)]


async def versions(conn: asyncpg.Connection, *, book: int, outlet: str) -> list[TermsVersion]:
    """Every version of an outlet's terms, the last first."""
    return [TermsVersion(**dict(row)) for row in await conn.fetch(SQL.versions, book, outlet)]


async def last_versions(conn: Any, *, book: int, outlets: Collection[str]) -> dict[str, int]:
    """The last version of these outlets' terms; an outlet without terms is missing."""
    rows = await conn.fetch(SQL.last_versions, book, sorted(outlets))
    return {row["outlet"]: row["version"] for row in rows}


async def terms_in_force(conn: Any, *, book: int, now: datetime) -> dict[str, Terms]:
    """The terms in force of every outlet that has some."""
    rows = await conn.fetch(SQL.in_force, book, now)
    return {row["outlet"]: parse_terms(row["document"]) for row in rows}


async def records(conn: Any, *, book: int, now: datetime, outlet: str | None = None) -> dict[str, Record]:
    """What became of each outlet's fills in the last `RECORD_DAYS` days."""
    since = lowest_id(now - timedelta(days=RECORD_DAYS))
    rows = await conn.fetch(SQL.record, book, since, outlet)
    return {
        row["outlet"]: Record(
            row["delivered"], row["failed"], row["delivered_fen"], row["paid_fen"], row["reversed"]
        )
        for row in rows
    }


async def standings(conn: Any, *, book: int, now: datetime) -> dict[str, Standing]:
    """Every outlet with terms in force, with what is left of its limits by Beijing's day and month, and its record.

    An outlet with too few fills counts as one that never failed: it must be tried to have a record.
    """
    terms = await terms_in_force(conn, book=book, now=now)
    if not terms:
        return {}
    day, month = day_and_month(now)
    rows = await conn.fetch(
        SQL.taken, book, lowest_id(day), lowest_id(month), lowest_id(now - timedelta(minutes=1))
    )
    taken: Mapping[str, Any] = {row["outlet"]: row for row in rows}
    known = await records(conn, book=book, now=now)
    found = {}
    for outlet, one in terms.items():
        used = taken.get(outlet)
        day_fen, month_fen, fills = (
            (0, 0, 0) if used is None else (used["day_fen"], used["month_fen"], used["minute_fills"])
        )
        record = known.get(outlet, Record())
        success, reversal = record.success_ppm, record.reversal_ppm
        found[outlet] = Standing(
            outlet=outlet,
            terms=one,
            daily_left_fen=max(0, one.daily_fen - day_fen),
            monthly_left_fen=MAX_FEN if one.monthly_fen is None else max(0, one.monthly_fen - month_fen),
            per_minute_left=max(0, one.per_minute - fills),
            success_ppm=PPM if success is None else success,
            reversal_ppm=0 if reversal is None else reversal,
            delay_s=one.settle_to_days * 86_400,
            speed_s=one.delay_s,
        )
    return found


def day_and_month(now: datetime) -> tuple[datetime, datetime]:
    """When this day and this month began in Beijing."""
    there = now + _BEIJING
    day = there.replace(hour=0, minute=0, second=0, microsecond=0)
    return day - _BEIJING, day.replace(day=1) - _BEIJING


async def hooks(conn: Any, *, book: int) -> dict[str, Hook]:
    """Where outlets want to be told, by outlet."""
    return {row["outlet"]: Hook(**dict(row)) for row in await conn.fetch(SQL.hooks, book)}


async def hook(conn: asyncpg.Connection, *, book: int, outlet: str) -> tuple[str, datetime] | None:
    """(address, since when) of one outlet, or None."""
    row = await conn.fetchrow(SQL.hook, book, outlet)
    return None if row is None else (row["url"], row["created_at"])


async def set_hook(conn: asyncpg.Connection, *, book: int, hook: Hook) -> None:
    """Tell an outlet there from now on."""
    await conn.execute(SQL.set_hook, book, hook.outlet, hook.url, hook.secret, hook.created_at)


async def drop_hook(conn: asyncpg.Connection, *, book: int, outlet: str) -> bool:
    """Tell it no more; False when it was not told."""
    return bool(await conn.fetchval(SQL.drop_hook, book, outlet))
