"""`airback margin`: what is left of each hundred yuan, from the ledger."""

import argparse
from datetime import UTC, datetime

import msgspec
from rich.table import Table

from airback.api.margin import margin_answer
from airback.app.opening import open_installation
from airback.app.platform import database
from airback.app.settings import read
from airback.cli.show import CONSOLE, print_json, say
from airback.domain.money import percent, yuan
from airback.ledger.margin import LINES, Waterfall
from airback.queries.margin import last_days, margin
from airback.store.pool import connect_once


async def run(arguments: argparse.Namespace) -> int:
    """`airback margin [--days N] [--by SEGMENT]`: 0; a period of more than a year is refused."""
    now = datetime.now(UTC)
    during = last_days(arguments.days, now=now)
    settings = read(data=arguments.data)
    async with database(settings) as url:
        await open_installation(settings, url=url, now=now)
        conn = await connect_once(url)
        try:
            found = await margin(conn, book=settings.book, during=during, by=arguments.by)
        finally:
            await conn.close()
    if arguments.json:
        print_json(msgspec.to_builtins(margin_answer(found, bad_debt_ppm=settings.bad_debt_ppm)))
        return 0
    whole = found.whole
    say(
        f"{during.first} – {during.last}: {whole.orders} orders, {yuan(whole.face_fen)} yuan of face delivered"
    )
    table = Table(show_header=True, header_style="bold")
    table.add_column("")
    for name in ("yuan", "% of face"):
        table.add_column(name, justify="right")
    for line in LINES:
        amount = whole.lines[line.key]
        table.add_row(line.en, "–" if amount is None else yuan(amount), _share(whole, amount))
    table.add_row("Margin", yuan(whole.total_fen), _share(whole, whole.total_fen), style="bold")
    CONSOLE.print(table)
    for one in found.segments:
        name = one.key or "of no segment"
        say(
            f"{name}: {yuan(one.face_fen)} yuan of face, margin {yuan(one.total_fen)} ({_share(one, one.total_fen)} %)"
        )
    return 0


def _share(whole: Waterfall, amount_fen: int | None) -> str:
    ppm = whole.ppm(amount_fen)
    return "–" if ppm is None else percent(ppm)
