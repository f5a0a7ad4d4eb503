"""`airback backtest`: the orders of the last days under another rate card and another routing margin, beside what happened."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from airback.app.opening import open_installation
from airback.app.platform import database
from airback.app.quoting import read_document
from airback.app.settings import Settings
from airback.pricing.cards import parse_card
from airback.pricing.preview import report
from airback.queries.preview import replayed
from airback.store.pool import connect_once


async def backtest(
    settings: Settings,
    *,
    card: Path,
    days: int,
    margin_ppm: int,
    now: datetime,
    progress: Callable[[int], None] = lambda done: None,
) -> dict[str, Any]:
    """What `airback.pricing.preview.report` gives, with `days`, `since`, `until`, `margin_ppm` and the card's version.

    Nothing is written but an installation that is not there yet. Raises Refused for a file that is no rate card
    (`document_unreadable`, or its faulty field), and `preview_without_history`.
    """
    parsed = parse_card(read_document(card))
    async with database(settings) as url:
        await open_installation(settings, url=url, now=now)
        conn = await connect_once(url)
        try:
            found = await replayed(
                conn,
                book=settings.book,
                card=parsed,
                days=days,
                now=now,
                margin_ppm=margin_ppm,
                progress=progress,
            )
        finally:
            await conn.close()
    told = report(found.replay)
    return {
        "orders": told.pop("orders"),
        "days": found.days,
        "since": found.since.isoformat(timespec="seconds"),
        "until": found.until.isoformat(timespec="seconds"),
        "card_version": parsed.version,
        "margin_ppm": found.margin_ppm,
        **told,
    }
