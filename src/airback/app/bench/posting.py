"""Postings a second on hot accounts: our set-based posting, a thousand transfers a transaction, beside the usual way:
one function call a transfer, which locks two accounts, updates both, and inserts the transfer and its two entries."""

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from airback.adapters.keys.files import FileKeys
from airback.app.bench import pgbench
from airback.app.bench.instant import InstantFarSides
from airback.app.settings import Settings
from airback.engine.batch import Batch
from airback.engine.persist import persist
from airback.engine.tenure import writer_connection
from airback.ledger.accounts import account, deposit
from airback.pricing.cards import parse_card
from airback.pricing.default_card import DEFAULT_CARD
from airback.store import books
from airback.store import pool as pools
from airback.store.migrate import migrate
from airback.store.named_sql import load

_SQL: Final = load("posting.sql", package="airback.app.bench")

TRANSFERS: Final = 1000
_HOT: Final = 20
_AMOUNT_FEN: Final = 100

#: The one-by-one rival, as a script of pgbench: accounts are the same few.
_SCRIPT: Final = f"""\\set a random(1, {_HOT})
\\set b 1 + (:a + random(1, {_HOT - 1}) - 1) % {_HOT}
SELECT post_one(:a, :b, {_AMOUNT_FEN});
"""


async def one_by_one(url: str, *, seconds: int) -> float:
    """Transfers a second the usual way, 8 clients, in the tables that `make_rival` made."""
    return await pgbench.script(url, _SCRIPT, seconds=seconds)


async def make_rival(url: str) -> None:
    """The rival's tables, accounts and function, in a database of its own."""
    conn = await pools.connect_once(url)
    try:
        for statement in (_SQL.accounts, _SQL.transfers, _SQL.entries, _SQL.entries_index, _SQL.function):
            await conn.execute(statement)
        await conn.execute(_SQL.fill, _HOT)
    finally:
        await conn.close()


async def make_ours(url: str, settings: Settings) -> None:
    """Our schema and a book that somebody writes."""
    await migrate(url)
    conn = await pools.connect_once(url)
    try:
        await books.create(conn, book=settings.book, name=settings.operator, now=datetime.now(UTC))
        await books.publish_first(conn, book=settings.book, document=DEFAULT_CARD, now=datetime.now(UTC))
    finally:
        await conn.close()


async def in_batches(url: str, settings: Settings, *, seconds: float) -> float:
    """Transfers a second through the engine's own persist: fence, transfers, accounts, commit."""
    conn = await writer_connection(url)
    try:
        epoch = await books.take(conn, book=settings.book, worker="bench", lease=timedelta(0))
        if epoch is None:
            raise RuntimeError("the bench's book is held by somebody else")
        keys = FileKeys(Path(settings.keys_dir))
        policy = InstantFarSides().connected(operator=settings.operator).policy
        card = parse_card(DEFAULT_CARD)
        hot = [deposit(f"hot-{n}") for n in range(_HOT)]
        done = 0
        begun = time.perf_counter()
        while (taken := time.perf_counter() - begun) < seconds:
            batch = Batch(
                book=settings.book,
                epoch=epoch,
                now=datetime.now(UTC),
                entropy=os.urandom,
                keys=keys,
                policy=policy,
                rate_card=card,
                rate_cards_known={},
                routing=True,
                next_seq=1,
            )
            for n in range(TRANSFERS):
                batch.post(
                    "bench",
                    subject=batch.new_id(),
                    debit=account("cash:own"),
                    credit=hot[n % _HOT],
                    amount_fen=_AMOUNT_FEN,
                )
            await persist(conn, batch)
            done += TRANSFERS
        return done / taken
    finally:
        await conn.close()


async def posted(url: str) -> dict[str, Any]:
    """What stands in our books afterwards: how many transfers, and whether debits and credits agree."""
    conn = await pools.connect_once(url)
    try:
        return dict(await conn.fetchrow(_SQL.standing))
    finally:
        await conn.close()
