"""A market to look at: competitors' rates over two months, promotions that are over, live and to come, a recorded cell."""

from datetime import datetime, timedelta
from typing import Any

import asyncpg

from airback.domain import ids
from airback.engine.watch_arbitrage import watch_book
from airback.pricing.arbitrage import NewPromotion
from airback.pricing.matrix import Recorded
from airback.pricing.rivals import NewRate
from airback.store import price_caps, rivals

_RIVALS = (
    ("淘话费", 862_000, 4_000, 0),
    ("卡卡礼品网", 830_000, 2_500, 1),
    ("707卡盟", 878_000, -1_500, 2),
    ("回呗", 845_000, 1_000, 0),
    ("闲鱼", 880_000, 3_000, 12),
)


async def furnish_market(conn: asyncpg.Connection, *, book: int, now: datetime, mark: str) -> dict[str, Any]:
    """Public ids of a live promotion (`prm`) and of a record (`riv`). `mark` stands in every text."""
    count = 0

    def entropy(length: int) -> bytes:
        nonlocal count
        count += 1
        return (count * 4096).to_bytes(length, "big")

    rates = [
        NewRate(
            competitor=f"{name}{mark}",
            carrier="cmcc",
            product="balance",
            face_fen=5_000 if step % 2 else None,
            face_upto_fen=30_000 if step % 2 else None,
            place="44" if name == "回呗" else None,
            rate_ppm=first + drift * step // 2,
            seen_at=now - timedelta(days=quiet + 8 * (7 - step), hours=2),
            source=f"App 报价页{mark}",
        )
        for name, first, drift, quiet in _RIVALS
        for step in range(8)
    ]
    recorded = await rivals.record(conn, book=book, rates=rates, by=f"chen{mark}", now=now, entropy=entropy)
    cell = Recorded(
        "platforms", "xianyu", "complaints", 700, 700, None, f"平台公告{mark}", f"chen{mark}", now
    )
    await rivals.record_cell(conn, book=book, cell_id=5, cell=cell)
    live = 0
    for number, (since, days, buy_ppm, per_account) in enumerate(
        ((-2, 6, 750_000, 10_000), (-9, 1, 800_000, None), (9, 3, 900_000, None)), start=1
    ):
        begins = now + timedelta(days=since)
        promotion = NewPromotion(
            carrier="cmcc",
            product="balance" if number < 3 else "card",
            buy_ppm=buy_ppm,
            since=begins,
            until=begins + timedelta(days=days),
            per_account_fen=per_account,
            leaves_ppm=12_000,
            per_seller_fen_per_day=20_000,
            source=f"运营商公告{mark}",
        )
        promotion_id = ids.lowest_id(now) + number
        await price_caps.record_promotion(
            conn, book=book, promotion_id=promotion_id, promotion=promotion, by="chen", now=begins
        )
        live = live or promotion_id
    await watch_book(conn, book=book, now=now, entropy=entropy)
    # as if the book's writer had folded in what the watch told it
    await conn.execute("DELETE FROM inbox WHERE book = $1 AND body->>'decided_by' = 'watch'", book)
    return {"prm": ids.public("prm", live), "riv": ids.public("riv", recorded[0][0])}
