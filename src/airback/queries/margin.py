"""The margin of a period from the ledger, by segment; bookings, agreements and what is owed by them. Reads only."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, Final

import asyncpg

from airback.domain.refusals import Refused
from airback.ledger.margin import (
    BAD_DEBT_PPM,
    FACE_BANDS_FEN,
    MOST_DAYS,
    RESULT_ACCOUNTS,
    Waterfall,
    line_of,
    lines_of,
)
from airback.pricing.formula import CHINA
from airback.store import named_sql

SQL: Final = named_sql.load("margin.sql", package="airback.queries")

#: What the margin may be divided by.
SEGMENTS: Final = ("carrier", "outlet", "product", "face", "client", "day")
MOST_BOOKINGS: Final = 200


@dataclass(frozen=True, slots=True)
class Period:
    """Days in China, both included."""

    first: date
    last: date

    @property
    def since(self) -> datetime:
        """When it begins."""
        return datetime.combine(self.first, time(), tzinfo=CHINA)

    @property
    def until(self) -> datetime:
        """The moment after its end."""
        return datetime.combine(self.last + timedelta(days=1), time(), tzinfo=CHINA)


def last_days(days: int, *, now: datetime) -> Period:
    """The last so many days, today included. Raises `Refused` `period_invalid`."""
    if not 1 <= days <= MOST_DAYS:
        raise Refused("period_invalid", field="days")
    today = now.astimezone(CHINA).date()
    return Period(today - timedelta(days=days - 1), today)


def period(first: str, last: str, *, now: datetime) -> Period:
    """A period of two ISO days; the last may be left out for today. Raises `Refused` `field_invalid`, `period_invalid`."""
    today = now.astimezone(CHINA).date()
    begins = _day(first, field="from")
    ends = _day(last, field="to") if last else today
    if begins > ends or ends > today or (ends - begins).days >= MOST_DAYS:
        raise Refused("period_invalid", field="to" if last else "from")
    return Period(begins, ends)


def _day(text: str, *, field: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Refused("field_invalid", field=field) from None


@dataclass(frozen=True, slots=True)
class Margin:
    """A period's margin: the whole, and its segments, the largest volume first; what belongs to none has key None."""

    period: Period
    by: str
    whole: Waterfall
    segments: list[Waterfall]


async def margin(conn: asyncpg.Connection, *, book: int, during: Period, by: str) -> Margin:
    """The margin of a period divided by one of `SEGMENTS`. The segments sum to the whole, fen by fen.

    Raises `Refused` `field_invalid` for anything else to divide by.
    """
    if by not in SEGMENTS:
        raise Refused("field_invalid", field="by")
    since, until, accounts = during.since, during.until, list(RESULT_ACCOUNTS)
    if by == "outlet":
        moved = await conn.fetch(SQL.moved_by_outlet, book, since, until, accounts)
        volume = await conn.fetch(SQL.volume_by_outlet, book, since, until)
    else:
        bands = list(FACE_BANDS_FEN)
        moved = await conn.fetch(SQL.moved, book, since, until, accounts, by, bands)
        volume = await conn.fetch(SQL.volume, book, since, until, by, bands)
    (orders,) = await conn.fetch(SQL.volume, book, since, until, "", list(FACE_BANDS_FEN)) or [None]
    entries: dict[str | None, list[tuple[str, int]]] = defaultdict(list)
    at_credit: dict[str | None, int] = defaultdict(int)
    for row in moved:
        line = line_of(account=row["account"], part=row["part"], at_credit=row["at_credit"])
        entries[row["key"]].append((line, row["amount_fen"]))
        at_credit[row["key"]] += row["amount_fen"] if row["at_credit"] else 0
    volumes = {row["key"]: row for row in volume}
    segments = []
    for key in {*entries, *volumes}:
        found = volumes.get(key)
        net_fen = proceeds_fen = 0
        if found is not None and by == "outlet":
            proceeds_fen = found["proceeds_fen"]
            net_fen = proceeds_fen - at_credit[key]
        elif found is not None:
            net_fen = found["net_fen"]
            proceeds_fen = net_fen + at_credit[key]
        segments.append(
            Waterfall(
                key=key,
                orders=0 if found is None else found["orders"],
                face_fen=0 if found is None else found["face_fen"],
                net_fen=net_fen,
                proceeds_fen=proceeds_fen,
                lines=lines_of(entries[key]),
            )
        )
    if by == "day":
        segments.sort(key=lambda one: (one.key is None, one.key or ""))
    else:
        segments.sort(key=lambda one: (one.key is None, -one.face_fen, one.key or ""))
    whole = Waterfall(
        key=None,
        orders=0 if orders is None else orders["orders"],
        face_fen=sum(one.face_fen for one in segments),
        net_fen=sum(one.net_fen for one in segments),
        proceeds_fen=sum(one.proceeds_fen for one in segments),
        lines=lines_of(entry for one in entries.values() for entry in one),
    )
    return Margin(during, by, whole, segments)


@dataclass(frozen=True, slots=True)
class Booking:
    """What finance booked: a cost, or a rebate of `carrier`, for the days from `period_from` to `period_to`."""

    id: int
    line: str
    carrier: str | None
    amount_fen: int
    period_from: date
    period_to: date
    source: str
    proposed_by: str
    approved_by: str
    booked_at: datetime


async def bookings(conn: asyncpg.Connection, *, book: int, during: Period) -> list[Booking]:
    """What was booked by hand in a period, newest first."""
    rows = await conn.fetch(SQL.bookings, book, during.since, during.until, MOST_BOOKINGS)
    return [Booking(*row) for row in rows]


async def owed_to_parties(conn: asyncpg.Connection, *, book: int) -> dict[str, int]:
    """Balances of the accounts that proceeds are split to: code → fen."""
    return {row["code"]: row["balance_fen"] for row in await conn.fetch(SQL.owed_to_parties, book)}


@dataclass(frozen=True, slots=True)
class AgreementRow:
    """An approved agreement as it was published."""

    version: int
    scope: str
    document: dict[str, Any]
    effective_at: datetime
    proposed_by: str
    approved_by: str
    created_at: datetime


async def agreements(
    conn: asyncpg.Connection, *, book: int, scope: str | None = None, limit: int = 100
) -> list[AgreementRow]:
    """Agreements of the book, or of one scope, newest first."""
    return [AgreementRow(*row) for row in await conn.fetch(SQL.agreements, book, scope, limit)]


async def knows_client(conn: asyncpg.Connection, *, book: int, client: str) -> bool:
    """Whether anybody of that name has a key, or sold anything."""
    return bool(await conn.fetchval(SQL.knows_client, book, client))


@dataclass(frozen=True, slots=True)
class OrderPart:
    """One part that an order's proceeds were split into: its kind, the account it went to, and when."""

    kind: str
    account: str
    amount_fen: int
    at: datetime


async def split_of_order(conn: asyncpg.Connection, *, book: int, order_id: int) -> list[OrderPart]:
    """An order's split in the waterfall's order; empty without an agreement."""
    return [OrderPart(*row) for row in await conn.fetch(SQL.split_of_order, book, order_id)]


def bad_debt_ppm(settings: Any) -> int:
    """The rate of bad debt to reckon with: the operator's setting, else what S1 gives."""
    return int(getattr(settings, "bad_debt_ppm", BAD_DEBT_PPM))
