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


@dataclass(frozen=True, slots=True)
class _Day:
    """What became of one outlet's fills of one day; `taken_fen` with what it is about to take."""

    taken_fen: int = 0
    delivered: int = 0
    failed: int = 0


@dataclass(slots=True)
class Counted:
    """What outlets took on each of the last days, as far as it was read: when, and by outlet.

    Days that are over hardly change, and there may be millions of fills. So each count reads today's, and of the others
    the one that was read longest ago.
    """

    days: dict[datetime, tuple[datetime, dict[str, _Day]]] = field(default_factory=dict)

    async def count(self, conn: Any, *, book: int, now: datetime) -> None:
        """Read what is missing of the days that count: this month's, and those of `RECORD_DAYS`."""
        today, month = day_and_month(now)
        first = min(month, day_and_month(now - timedelta(days=RECORD_DAYS))[0])
        known = self.days
        self.days = {}
        for n in range((today - first).days + 1):
            day = first + timedelta(days=n)
            # before it was over its last fills were not there yet
            if day in known and known[day][0] >= day + _DAY:
                self.days[day] = known[day]
            else:
                await self._read(conn, book, day, now)
        over = [day for day in self.days if day in known and day < today]
        if over:
            await self._read(conn, book, min(over, key=lambda day: self.days[day][0]), now)

    async def _read(self, conn: Any, book: int, day: datetime, now: datetime) -> None:
        rows = await conn.fetch(SQL.taken_between, book, lowest_id(day), lowest_id(day + _DAY))
        found = {row["outlet"]: _Day(row["taken_fen"], row["delivered"], row["failed"]) for row in rows}
        self.days[day] = (now, found)

    def since(self, day: datetime, outlet: str) -> _Day:
        """What became of an outlet's fills from that day on."""
        found = [by.get(outlet, _NOTHING) for at, (_, by) in self.days.items() if at >= day]
        return _Day(
            sum(one.taken_fen for one in found),
            sum(one.delivered for one in found),
            sum(one.failed for one in found),
        )


_DAY: Final = timedelta(days=1)
_NOTHING: Final = _Day()


async def standings(
    conn: Any, *, book: int, now: datetime, counted: Counted | None = None
) -> dict[str, Standing]:
    """Every outlet with terms in force, with what is left of its limits by Beijing's day and month, and its record.

    An outlet with too few fills counts as one that never failed: it must be tried to have a record. `counted`: what an
    earlier count has read already; it is brought up to date.
    """
    terms = await terms_in_force(conn, book=book, now=now)
    if not terms:
        return {}
    today, month = day_and_month(now)
    begun, _ = day_and_month(now - timedelta(days=RECORD_DAYS))
    counted = Counted() if counted is None else counted
    await counted.count(conn, book=book, now=now)
    rows = await conn.fetch(SQL.begun_since, book, lowest_id(now - timedelta(minutes=1)))
    minute: Mapping[str, int] = {row["outlet"]: row["fills"] for row in rows}
    rows = await conn.fetch(SQL.reversed_since, book, lowest_id(begun))
    taken_back: Mapping[str, int] = {row["outlet"]: row["reversed"] for row in rows}
    found = {}
    for outlet, one in terms.items():
        lately = counted.since(begun, outlet)
        record = Record(lately.delivered, lately.failed, reversed=taken_back.get(outlet, 0))
        success, reversal = record.success_ppm, record.reversal_ppm
        day_fen, month_fen = (counted.since(day, outlet).taken_fen for day in (today, month))
        found[outlet] = Standing(
            outlet=outlet,
            terms=one,
            daily_left_fen=max(0, one.daily_fen - day_fen),
            monthly_left_fen=MAX_FEN if one.monthly_fen is None else max(0, one.monthly_fen - month_fen),
            per_minute_left=max(0, one.per_minute - minute.get(outlet, 0)),
            success_ppm=PPM if success is None else success,
            reversal_ppm=0 if reversal is None else min(reversal, PPM),
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
