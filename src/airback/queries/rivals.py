"""The market as pages and API show it: the comparison matrix with our own column, and records beside our own rates."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import asyncpg

from airback.domain.assets import BALANCE
from airback.domain.ids import lowest_id
from airback.pricing.cards import RateCard, parse_card
from airback.pricing.facts import FactsOf, neutral
from airback.pricing.matrix import OWN, Cell, Table, build
from airback.pricing.quotes import public_rate_table
from airback.pricing.rivals import (
    WINDOW,
    Compared,
    Level,
    RivalRate,
    Suggestion,
    compare,
    current,
    latest,
    level,
    our_rate_ppm,
    suggest_competition,
)
from airback.store import books, named_sql, rivals

_SQL: Final = named_sql.load("rivals.sql", package="airback.queries")
#: Our own figures are of so long.
OWN_PERIOD: Final = timedelta(days=30)
#: How far back the market is charted.
CHARTED: Final = timedelta(days=90)
_HOUR_S: Final = 3600


@dataclass(frozen=True, slots=True)
class Market:
    """One asset's market for a face value and place. `compared` has each competitor's last record, fresh or stale, beside our rate when
    each was seen; `history` all records of the period, oldest first, likewise; `ours` our own rate over the period as
    (time, ppm or None), a point at each change; `ours_ppm` our rate now."""

    level: Level
    before: Level
    compared: list[Compared]
    history: list[Compared]
    ours: list[tuple[datetime, int | None]]
    ours_ppm: int | None
    suggestion: Suggestion | None


async def published_cards(conn: asyncpg.Connection, *, book: int) -> list[RateCard]:
    """Every rate card that was published."""
    return [parse_card(row["document"]) for row in await conn.fetch(books.SQL.rate_cards, book, 0)]


async def market(
    conn: asyncpg.Connection,
    *,
    book: int,
    card: RateCard | None,
    carrier: str,
    product: str,
    face_fen: int,
    place: str | None,
    at: datetime,
) -> Market:
    """The market of one asset, 90 days back. `card` is the one in force, for the suggestion."""
    cards = await published_cards(conn, book=book) or ([card] if card is not None else [])
    everything = await rivals.list_rates(conn, book=book, since=at - CHARTED)
    records = [
        one
        for one in everything
        if one.carrier == carrier and one.product == product and one.holds_for(face_fen=face_fen, place=place)
    ]

    def ours_at(moment: datetime) -> int | None:
        return our_rate_ppm(
            cards, carrier=carrier, product=product, face_fen=face_fen, place=place, at=moment
        )

    return Market(
        level=level(records, at=at, face_fen=face_fen, place=place),
        before=level(records, at=at - WINDOW, face_fen=face_fen, place=place),
        compared=compare(
            current(records, at=at, face_fen=face_fen, place=place), cards=cards, at=at, face_fen=face_fen
        ),
        history=compare(records, cards=cards, at=at, face_fen=face_fen),
        ours=[(moment, ours_at(moment)) for moment in _changes(cards, since=at - CHARTED, until=at)],
        ours_ppm=ours_at(at),
        suggestion=None if card is None else suggest_competition(everything, card=card, at=at),
    )


def _changes(cards: list[RateCard], *, since: datetime, until: datetime) -> list[datetime]:
    """Moments at which our own rate may have changed, the period's ends among them."""
    moments = {since, until}
    for card in cards:
        dated = [card.effective_from, card.effective_until]
        for factor in (card.promotion.factor, card.competition.factor, card.region.factor, card.face.factor):
            dated += [factor.since, factor.until]
        moments |= {moment for moment in dated if moment is not None and since < moment < until}
    return sorted(moments)


async def all_compared(
    conn: asyncpg.Connection, *, book: int, at: datetime, carrier: str | None, product: str | None
) -> list[Compared]:
    """The latest record of each competitor, asset, face and place of the last 90 days beside our rate when it was seen."""
    records: list[RivalRate] = await rivals.list_rates(
        conn, book=book, since=at - CHARTED, carrier=carrier, product=product
    )
    return compare(latest(records, at=at), cards=await published_cards(conn, book=book), at=at)


async def matrix(
    conn: asyncpg.Connection,
    *,
    book: int,
    card: RateCard | None,
    at: datetime,
    public: bool,
    facts: FactsOf = neutral,
) -> list[Table]:
    """The comparison matrix. For the public our own column has only what is published anyway: no volumes.
    `facts` are those the published table is of."""
    own = {} if card is None else _published(card, at, facts)
    if not public:
        own |= await _business(conn, book=book, at=at)
    return build(await rivals.list_cells(conn, book=book), own=own)


def _published(card: RateCard, at: datetime, facts: FactsOf) -> dict[tuple[str, str], Cell]:
    table = public_rate_table(card, at=at, facts=facts)
    shares = [row["net_fen"] * 1_000_000 // row["face_fen"] for row in table]
    most = max(limits.most_fen for limits in card.limits.values())
    rails = {name: rail for name, rail in card.rails.items() if rail.factor.counts(at)}
    cells = [
        ("routes", _own("fee", low=card.fee.rate_ppm, high=card.fee.rate_ppm)),
        ("types", _own("limit", high=most)),
        ("routes", _own("limit", high=most)),
        (
            "routes",
            _own(
                "paid_to",
                zh="、".join(rail.factor.zh for rail in rails.values()),
                en=", ".join(rail.factor.en for rail in rails.values()),
            ),
        ),
    ]
    if shares:
        cells.append(("types", _own("rate", low=min(shares), high=max(shares))))
        balance = [
            row["net_fen"] * 1_000_000 // row["face_fen"] for row in table if row["product"] == BALANCE
        ]
        if balance:
            cells.append(("routes", _own("conversion", low=min(balance), high=max(balance))))
    return {(key, cell.criterion): cell for key, cell in cells}


async def _business(conn: asyncpg.Connection, *, book: int, at: datetime) -> Mapping[tuple[str, str], Cell]:
    row = await conn.fetchrow(_SQL.delivered, book, lowest_id(at - OWN_PERIOD))
    people = await conn.fetchval(_SQL.sellers, book)
    cells: dict[tuple[str, str], Cell] = {}
    if people:
        cells["platforms", "users"] = _own("users", low=people, high=people)
    if row["delivered_fen"]:
        daily_yuan = row["delivered_fen"] // 100 // OWN_PERIOD.days
        cells["platforms", "volume"] = _own(
            "volume", zh=f"{daily_yuan:,} 元(近 30 天)", en=f"{daily_yuan:,} yuan (last 30 days)"
        )
    if row["median_s"] is not None:
        minutes = max(1, row["median_s"] // 60)
        hours = row["median_s"] // _HOUR_S
        cells["routes", "arrives"] = _own(
            "arrives",
            low=hours,
            high=hours,
            zh=f"中位数 {minutes} 分钟(近 30 天)",
            en=f"median {minutes} min (last 30 days)",
        )
    return cells


def _own(criterion: str, **values: Any) -> Cell:
    return Cell(
        OWN,
        criterion,
        values.get("low"),
        values.get("high"),
        values.get("zh"),
        values.get("en"),
        OWN,
    )
