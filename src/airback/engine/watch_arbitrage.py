"""The arbitrage watch: promotions on record, what they would earn a trader by our own card, and the caps that follow.

`watch_book` looks at every promotion that is not over, sets the caps it wants, ends those it wants no more, opens and closes
alarms, and hands each change to the book's log. Doing it again changes nothing. A worker does so every minute, and
whoever records a promotion does at once.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import asyncpg
import msgspec

from airback.domain import ids
from airback.domain.money import percent
from airback.domain.refusals import Refused
from airback.engine.act import reason_of, record_act
from airback.pricing.arbitrage import Finding, NewPromotion, Promotion, check_promotion, honoured, watch
from airback.pricing.cards import RateCard, card_in_force, parse_card
from airback.staff.roles import Permission, require
from airback.store import books, price_caps
from airback.store.price_caps import SQL, CapOfPromotion

#: How often a worker looks.
EVERY_S: Final = 60.0
BY: Final = "watch"
#: How long what is over stays in reports.
REPORTED: Final = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Watched:
    """A promotion with what the watch found (None: no published price at that time) and its cap as it stands."""

    promotion: Promotion
    finding: Finding | None
    cap: CapOfPromotion | None


async def watch_book(
    conn: asyncpg.Connection, *, book: int, now: datetime, entropy: Callable[[int], bytes]
) -> list[Watched]:
    """Look at the book's promotions, bring its caps up to date; what stands then, newest promotion first."""
    async with conn.transaction():
        await conn.execute(SQL.lock_watch, book)
        cards = await _cards(conn, book)
        found = await price_caps.promotions(conn, book=book, since=now)
        caps = await price_caps.caps_by_promotion(conn, book=book, since=now)
        findings = {one.id: _finding(one, cards, now) for one in found if not one.over(now)}
        wanted = [finding for finding in findings.values() if finding and finding.most_ppm is not None]
        changed = await _set(conn, book, wanted, now=now) if wanted else set()
        kept = {finding.promotion.id for finding in wanted}
        kept |= {one for one, cap in caps.items() if cap.overridden_by is not None and one in findings}
        ended = await _end(conn, book, sorted(set(caps) - kept), now=now)
        for finding in wanted:
            if finding.promotion.id in changed:
                await _log(conn, book, finding, before=caps.get(finding.promotion.id), now=now)
        for one in ended:
            await _log_end(conn, book, caps[one], now=now)
        await _alarms(conn, book, wanted, changed, now=now, entropy=entropy)
        caps = await price_caps.caps_by_promotion(conn, book=book, since=now - REPORTED)
    return [Watched(one, findings.get(one.id), caps.get(one.id)) for one in found]


async def report(conn: asyncpg.Connection, *, book: int, now: datetime) -> list[Watched]:
    """The same without changing anything: promotions of the last 90 days and those to come, each with what it meant or
    means, under the cap that people or the watch set."""
    cards = await _cards(conn, book)
    caps = await price_caps.caps_by_promotion(conn, book=book, since=now - REPORTED)
    answers = []
    for one in await price_caps.promotions(conn, book=book, since=now - REPORTED):
        cap = caps.get(one.id)
        finding = _finding(one, cards, now, most_ppm=cap.most_ppm if cap else None)
        if finding is not None and (
            cap is None or not honoured(card_in_force(cards, finding.at), finding.at)
        ):
            finding = finding.uncapped()
        answers.append(Watched(one, finding, cap))
    return answers


async def record_promotion(
    conn: asyncpg.Connection,
    *,
    book: int,
    promotion: NewPromotion,
    by: str,
    roles: Collection[str],
    now: datetime,
    entropy: Callable[[int], bytes],
) -> int:
    """Put a promotion on record and watch at once; its id. Raises Refused `role_missing`, and as `check_promotion` does."""
    require(roles=roles, permission=Permission.RECORD_MARKET)
    check_promotion(promotion, now=now)
    promotion_id = ids.new_ids(now=now, entropy=entropy)[0]
    async with conn.transaction():
        await price_caps.record_promotion(
            conn, book=book, promotion_id=promotion_id, promotion=promotion, by=by, now=now
        )
        await watch_book(conn, book=book, now=now, entropy=entropy)
    return promotion_id


async def withdraw_promotion(
    conn: asyncpg.Connection,
    *,
    book: int,
    promotion_id: int,
    reason: str,
    by: str,
    roles: Collection[str],
    now: datetime,
    entropy: Callable[[int], bytes],
) -> None:
    """Withdraw a promotion that was recorded in error or ended early; its cap ends at once. Raises Refused `role_missing`,
    `reason_missing`, `promotion_over`."""
    require(roles=roles, permission=Permission.RECORD_MARKET)
    why = reason_of(reason)
    async with conn.transaction():
        if not await price_caps.withdraw_promotion(
            conn, book=book, promotion_id=promotion_id, reason=why, by=by, now=now
        ):
            raise Refused("promotion_over", field="promotion")
        await watch_book(conn, book=book, now=now, entropy=entropy)


async def _cards(conn: asyncpg.Connection, book: int) -> list[RateCard]:
    return [parse_card(row["document"]) for row in await conn.fetch(books.SQL.rate_cards, book, 0)]


def _finding(
    one: Promotion, cards: Iterable[RateCard], now: datetime, most_ppm: int | None = None
) -> Finding | None:
    """What it means when it begins, or now that it runs; of one that is over, what it meant at its end."""
    at = max(one.since, min(now, one.until - timedelta(seconds=1)))
    try:
        return watch(one, card=card_in_force(cards, at), at=at, most_ppm=most_ppm)
    except Refused:
        return None


async def _set(
    conn: asyncpg.Connection, book: int, wanted: Collection[Finding], *, now: datetime
) -> set[int]:
    rows = [
        (
            f.promotion.id,
            f.promotion.carrier,
            f.promotion.product,
            f.most_ppm,
            f.promotion.per_seller_fen_per_day,
            f"{f.promotion.source} ({percent(f.promotion.buy_ppm)} %)",
            f.promotion.since,
            f.promotion.until,
        )
        for f in sorted(wanted, key=lambda f: f.promotion.id)
    ]
    return {
        row["promotion"]
        for row in await conn.fetch(SQL.set_caps, book, now, *map(list, zip(*rows, strict=True)))
    }


async def _end(conn: asyncpg.Connection, book: int, promotions: list[int], *, now: datetime) -> list[int]:
    if not promotions:
        return []
    ended = await conn.fetch(SQL.end_caps, book, now, promotions)
    dropped = await conn.fetch(SQL.drop_caps, book, now, promotions)
    return [row["promotion"] for row in (*ended, *dropped)]


async def _log(
    conn: asyncpg.Connection, book: int, finding: Finding, *, before: CapOfPromotion | None, now: datetime
) -> None:
    await record_act(
        conn,
        book=book,
        action="pricing:cap:set",
        subject=ids.public("prm", finding.promotion.id),
        before={} if before is None else {"most_ppm": before.most_ppm},
        after=_facts(finding),
        reason="arbitrage watch",
        by=BY,
        now=now,
    )


async def _log_end(conn: asyncpg.Connection, book: int, cap: CapOfPromotion, *, now: datetime) -> None:
    await record_act(
        conn,
        book=book,
        action="pricing:cap:ended",
        subject=ids.public("prm", cap.promotion),
        before={"most_ppm": cap.most_ppm},
        after={},
        reason="arbitrage watch",
        by=BY,
        now=now,
    )


async def _alarms(
    conn: asyncpg.Connection,
    book: int,
    wanted: Collection[Finding],
    changed: Collection[int],
    *,
    now: datetime,
    entropy: Callable[[int], bytes],
) -> None:
    new = [finding for finding in wanted if finding.promotion.id in changed]
    if new:
        numbers = ids.new_ids(now=now, entropy=entropy, count=len(new))
        await conn.execute(
            SQL.open_alarms,
            book,
            now,
            numbers,
            [ids.public("prm", f.promotion.id) for f in new],
            [msgspec.json.encode(_facts(f)).decode() for f in new],
            [f.promotion.until for f in new],
        )
    await conn.execute(SQL.close_alarms, book, now, [ids.public("prm", f.promotion.id) for f in wanted])


def _facts(finding: Finding) -> dict[str, Any]:
    worst = finding.worst
    one = finding.promotion
    facts: dict[str, Any] = {
        "carrier": one.carrier,
        "product": one.product,
        "buy_ppm": one.buy_ppm,
        "most_ppm": finding.most_ppm,
        "card_version": finding.card_version,
    }
    if one.per_seller_fen_per_day is not None:
        facts["per_seller_fen_per_day"] = one.per_seller_fen_per_day
    if worst is not None:
        facts |= {
            "face_fen": worst.face_fen,
            "profit_fen": worst.profit_fen,
            "profit_capped_fen": worst.profit_capped_fen,
        }
    return facts
