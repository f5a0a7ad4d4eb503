"""publish_index: the rate index of each week that is over, made once and never again.

A second version of a week, or one of a week that still goes on, could be compared with the first, and the difference
would be about the few who sold in between. So what was published stays, whatever is corrected later.
"""

from collections import defaultdict
from datetime import date, datetime, time, timedelta
from typing import Any, Final

from airback.market.rate_index import EXPIRY_BANDS_DAYS, FACE_BANDS_FEN, Facts, Leaf, Privacy, publish
from airback.pricing.formula import CHINA
from airback.store.named_sql import load

SQL: Final = load("publish_index.sql", package="airback.engine")

#: A batch that began before midnight is written by then.
SETTLES: Final = timedelta(hours=1)

#: So many weeks back a missing index is still made.
MOST_WEEKS: Final = 13


async def publish_due(conn: Any, *, book: int, now: datetime, privacy: Privacy) -> list[date]:
    """Publish the weeks that are over and have no index yet. Their Mondays; whoever comes second publishes nothing."""
    over = now - SETTLES
    earliest = over.astimezone(CHINA).date() - timedelta(weeks=MOST_WEEKS)
    weeks = [row["week"] for row in await conn.fetch(SQL.unpublished, book, over, earliest)]
    for week in weeks:
        document = await _document(conn, book=book, week=week, privacy=privacy)
        await conn.execute(SQL.insert_index, book, week, document, now)
    return weeks


async def _document(conn: Any, *, book: int, week: date, privacy: Privacy) -> dict[str, Any]:
    since = datetime.combine(week, time(), tzinfo=CHINA)
    leaves: defaultdict[Leaf, Facts] = defaultdict(Facts)
    rows = await conn.fetch(
        SQL.paid, book, since, since + timedelta(days=7), list(FACE_BANDS_FEN), list(EXPIRY_BANDS_DAYS)
    )
    for row in rows:
        leaf = Leaf(row["carrier"], row["face"], row["province"], row["expiry"])
        leaves[leaf].add(
            seller=row["seller"], rate_ppm=row["rate_ppm"], orders=row["orders"], face_fen=row["face_fen"]
        )
    return {
        "least_sellers": privacy.least_sellers,
        "most_share_ppm": privacy.most_share_ppm,
        "cells": [
            {
                "carrier": cell.carrier,
                "face": cell.face,
                "province": cell.province,
                "expiry": cell.expiry,
                "orders": cell.orders,
                "lower_ppm": cell.lower_ppm,
                "median_ppm": cell.median_ppm,
                "upper_ppm": cell.upper_ppm,
            }
            for cell in publish(leaves, privacy)
        ],
    }
