"""`airback arbitrage`: what carriers' promotions earn a trader by our own prices, without the cap and with it."""

import argparse
import os
from datetime import UTC, datetime

import msgspec
from rich.table import Table

from airback.api.market_documents import ArbitragePromotion, arbitrage_document
from airback.app.opening import open_installation
from airback.app.platform import database
from airback.app.settings import read
from airback.cli.show import CONSOLE, print_json, say
from airback.domain.money import percent, yuan
from airback.engine import watch_arbitrage
from airback.store.pool import connect_once


async def run(arguments: argparse.Namespace) -> int:
    """`airback arbitrage`: looks, brings the caps up to date, reports; 0 whatever it found."""
    settings = read(data=arguments.data)
    now = datetime.now(UTC)
    async with database(settings) as url:
        await open_installation(settings, url=url, now=now)
        conn = await connect_once(url)
        try:
            await watch_arbitrage.watch_book(conn, book=settings.book, now=now, entropy=os.urandom)
            watched = await watch_arbitrage.report(conn, book=settings.book, now=now)
        finally:
            await conn.close()
    document = arbitrage_document(watched, now=now)
    if arguments.json:
        print_json(msgspec.to_builtins(document))
        return 0
    if not document.promotions:
        say("No promotion on record. Record one in the console under Market, Arbitrage watch.")
    for one in document.promotions:
        _tell(one)
    return 0


def _tell(one: ArbitragePromotion) -> None:
    say(
        f"{one.id}  {one.carrier} {one.product} at {percent(one.buy_ppm)} % of face, {one.state}, "
        f"{one.since:%Y-%m-%d} – {one.until:%Y-%m-%d}  ({one.source})"
    )
    if one.cap is not None:
        limit = one.cap.per_seller_fen_per_day
        say(
            f"  cap {percent(one.cap.most_ppm)} % before fees"
            + ("" if limit is None else f", {yuan(limit)} yuan a day for each account")
            + ("" if one.cut_ppm is None else f"; takes {percent(one.cut_ppm)} % of the profit at least")
            + ("" if one.cap.overridden_by is None else f"; figures approved by {one.cap.overridden_by}")
        )
    table = Table(show_header=True, header_style="bold")
    for name in ("face", "costs", "we pay", "profit", "under the cap", "profit then"):
        table.add_column(name, justify="right")
    for trade in one.trades:
        figures = (
            trade.face_fen,
            trade.cost_fen,
            trade.pays_fen,
            trade.profit_fen,
            trade.pays_capped_fen,
            trade.profit_capped_fen,
        )
        table.add_row(*map(yuan, figures))
    if one.trades:
        CONSOLE.print(table)
