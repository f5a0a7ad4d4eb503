"""Rows of a book that earns: orders credited and split, costs and a rebate booked, a loss."""

from datetime import timedelta
from typing import Any

import asyncpg

from airback.ledger.accounts import account
from tests.web.console.world import BOOK, START

#: A line of an order of 100 yuan, in fen: an outlet pays 95.50.
ORDER = {"fee": 500, "rail_cost": 37, "spread": 322}
NET_FEN = 8_691
AGREEMENT = {
    "title": "推荐人分成",
    "source": "合同 2026-001",
    "shares": [
        {"kind": "reserve", "base": "face", "share_ppm": 5_000, "rounding": "up"},
        {"kind": "referrer", "party": "li-si", "base": "platform", "share_ppm": 100_000},
    ],
}


async def _post(
    conn: asyncpg.Connection,
    subject: int,
    kind: str,
    leg: int,
    debit: str,
    credit: str,
    amount_fen: int,
    order: int | None = None,
) -> None:
    """One transfer, with its accounts' sums."""
    ids = []
    for code, debits, credits in ((debit, amount_fen, 0), (credit, 0, amount_fen)):
        made = account(code)
        ids.append(made.id)
        await conn.execute(
            "INSERT INTO accounts (book, id, code, asset, side, bounded, debits_posted, credits_posted)"
            " VALUES ($1, $2, $3, 'CNY', $4, false, $5, $6) ON CONFLICT (book, id) DO UPDATE SET"
            " debits_posted = accounts.debits_posted + $5, credits_posted = accounts.credits_posted + $6, bounded = false",
            BOOK,
            made.id,
            code,
            made.side,
            debits,
            credits,
        )
    await conn.execute(
        "INSERT INTO transfers (book, subject, kind, leg, phase, asset, debit, credit, amount_fen, order_id, event_at, created_at)"
        " VALUES ($1, $2, $3, $4, 'posted', 'CNY', $5, $6, $7, $8, $9, $9)",
        BOOK,
        subject,
        kind,
        leg,
        *ids,
        amount_fen,
        order,
        START - timedelta(hours=2),
    )


async def earn(pool: asyncpg.Pool, made: dict[str, Any]) -> None:
    """Credit the closed orders of `furnish` and book what else a margin is made of."""
    async with pool.acquire() as conn, conn.transaction():
        for n, order in enumerate(id for state, id in made["orders"] if state == "closed"):
            await conn.execute(
                "INSERT INTO fills (book, id, order_id, outlet, number, face_fen, price_ppm, pays_fen, state, delivered_fen, created_at)"
                " VALUES ($1, $2, $3, $4, '13900139000', 10000, 955000, 9550, 'delivered', 10000, $5)",
                BOOK,
                5_000 + n,
                order,
                ("yida", "suxin")[n % 2],
                START - timedelta(hours=2),
            )
            await _post(conn, order, "credit", 1, "proceeds", "payable:7", NET_FEN, order)
            for leg, (code, amount) in enumerate(ORDER.items(), start=2):
                await _post(conn, order, "credit", leg, "proceeds", code, amount, order)
            await _post(conn, order, "split", 1, "shared:reserve", "reserve", 50, order)
            await _post(conn, order, "split", 2, "shared:referrer", "party:li-si", 82, order)
        await _post(conn, 71, "correct", 0, "rail_cost", "clearing:alipay", 130)
        await _post(conn, 72, "reversal", 2, "loss", "deposit:yida", 180, made["done"])
        for subject, line, carrier, amount in (
            (81, "compliance", None, 140),
            (82, "anti_fraud", None, 320),
            (83, "rebate", "cmcc", 300),
        ):
            code = f"rebate:{carrier}" if carrier else f"cost:{line}"
            debit, credit = ("cash:own", code) if carrier else (code, "cash:own")
            await _post(conn, subject, "booking", 0, debit, credit, amount)
            await conn.execute(
                "INSERT INTO operating_bookings VALUES ($1, $2, $3, $4, $5, '2026-11-01', '2026-11-30', $6, 'wang.fang', 'liu.yang', $7)",
                BOOK,
                subject,
                line,
                carrier,
                amount,
                f"发票 2026-{subject}",
                START - timedelta(hours=2),
            )
        await conn.execute(
            "INSERT INTO split_agreements VALUES ($1, 1, 'client:street', $2, $3, 'wang.fang', 'liu.yang', $3)",
            BOOK,
            AGREEMENT,
            START - timedelta(days=9),
        )
