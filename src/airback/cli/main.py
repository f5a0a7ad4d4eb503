"""`airback`: every verb of the platform at a terminal. Arguments are read here; the work is done in `app`.

A command's module is imported when it is called for: a worker need not load the pages.
"""

import argparse
import importlib
import logging
import os
import sys
from collections.abc import Sequence
from datetime import date
from typing import Any

import structlog

from airback import __version__
from airback.app.running import run
from airback.cli.show import say
from airback.domain.assets import CARRIERS, PRODUCTS


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command; exit with its status (0 done, 1 something was found or failed, 2 wrong use, 130 interrupted)."""
    parser = build_parser()
    arguments = parser.parse_args(argv)
    _logs()
    command = importlib.import_module(f"airback.cli.commands.{arguments.module}")
    try:
        status = int(run(command.run(arguments)))
    except KeyboardInterrupt:
        status = 130
    except Exception as error:
        if not isinstance(error, _expected()):
            raise
        say(f"airback {arguments.command}: {_sentence(error)}")
        status = 1
    sys.exit(status)


def _expected() -> tuple[type[Exception], ...]:
    """Errors that are told as a sentence, not as a traceback."""
    import asyncpg

    from airback.adapters.keys.files import KeysUnusable
    from airback.app.api_client import ApiUnreachable
    from airback.app.platform import SandboxAway
    from airback.app.presence import AlreadyRunning
    from airback.app.processes import ProcessFailed
    from airback.domain.refusals import Refused
    from airback.store.problems import DatabaseProblem

    return (
        AlreadyRunning,
        ApiUnreachable,
        DatabaseProblem,
        KeysUnusable,
        ProcessFailed,
        Refused,
        SandboxAway,
        OSError,
        asyncpg.PostgresError,
    )


def _sentence(error: Exception) -> str:
    """What went wrong, where, and what to do about it; a refusal's code stands at the end."""
    from airback.domain.refusals import Refused

    if not isinstance(error, Refused):
        return str(error)
    where = "".join(
        f", {name} {value}"
        for name, value in (("row", error.row), ("field", error.field))
        if value is not None
    )
    return f"{error.refusal.en} {error.refusal.remedy_en} ({error.code}{where})"


def build_parser() -> argparse.ArgumentParser:
    """All commands and their arguments."""
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--data", metavar="DIR", help="data directory (default: $AIRBACK_DATA or ./.airback)")
    machine = argparse.ArgumentParser(add_help=False)
    machine.add_argument(
        "--json", action="store_true", help="one JSON object as the last line of standard output"
    )
    parser = argparse.ArgumentParser(
        prog="airback", description="Buy back prepaid airtime: quote, hold, deliver, pay, prove."
    )
    parser.add_argument("--version", action="version", version=f"airback {__version__}")
    verbs = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    demo = verbs.add_parser("demo", parents=[shared, machine], help="watch airtime become money, end to end")
    demo.add_argument(
        "--once", action="store_true", help="end when the orders have ended; otherwise the pages stay"
    )
    demo.add_argument("--orders", type=_count, default=60, metavar="N", help="attempts to sell (default 60)")
    demo.add_argument(
        "--seed", type=int, default=None, metavar="N", help="draws who sells what and what is wrong"
    )
    demo.add_argument("--fault", choices=["kill"], help="kill the worker at least three times on the way")
    demo.set_defaults(module="demo")

    quote = verbs.add_parser(
        "quote", parents=[shared, machine], help="a signed price with its every component; nothing need run"
    )
    quote.add_argument("--carrier", choices=sorted(CARRIERS))
    quote.add_argument("--product", choices=sorted(PRODUCTS), default="balance")
    quote.add_argument("--face-yuan", metavar="YUAN", help="face value, such as 100 or 99.5")
    quote.add_argument(
        "--validity-days", type=_days, metavar="N", help="days it is valid yet (default: not stated)"
    )
    place = quote.add_mutually_exclusive_group()
    place.add_argument("--city-tier", type=int, metavar="N", help="tier of the seller's city")
    place.add_argument("--place", metavar="CODE", help="the seller's place by GB/T 2260, such as 4401")
    quote.add_argument("--rail", default="alipay", metavar="NAME", help="how it is paid (default alipay)")
    quote.add_argument(
        "--seller-class", metavar="NAME", help="the seller's class in the rate card, such as gold"
    )
    quote.add_argument(
        "--demand-yuan", metavar="YUAN", help="face value that outlets want open of the carrier now"
    )
    quote.add_argument(
        "--outlet-ppm",
        type=int,
        metavar="PPM",
        help="the best price an outlet bids now, parts per million of face",
    )
    quote.add_argument(
        "--cap-ppm", type=int, metavar="PPM", help="a live cap of the asset, parts per million of face"
    )
    quote.add_argument("--cap-promotion", metavar="NAME", help="the promotion that the cap answers")
    quote.add_argument("--card", metavar="FILE", help="price and sign by this rate card, published or not")
    quote.add_argument("--out", metavar="FILE", help="write the quote with its breakdown")
    quote.add_argument("--card-out", metavar="FILE", help="write the rate card it was made by")
    quote.add_argument("--key-out", metavar="FILE", help="write the public keys that check it")
    quote.set_defaults(module="quote")
    quoted = quote.add_subparsers(dest="part", metavar="PART")
    proof = quoted.add_parser("verify", help="whether a quote's signature and price hold, offline")
    proof.add_argument("file", metavar="FILE")
    # What was said before `verify` counts: without SUPPRESS its own defaults would take that back.
    unsaid: dict[str, Any] = {"default": argparse.SUPPRESS}
    proof.add_argument(
        "--card",
        metavar="FILE",
        help="the published rate card (default: the one of the data directory)",
        **unsaid,
    )
    proof.add_argument(
        "--key", metavar="FILE", help="public keys as JSON (default: those of the data directory)"
    )
    proof.add_argument("--data", metavar="DIR", help="data directory", **unsaid)
    proof.add_argument("--json", action="store_true", help="one JSON object as the last line", **unsaid)
    proof.set_defaults(module="quote_verify")

    serve = verbs.add_parser("serve", parents=[shared], help="API and pages")
    serve.add_argument("--host", default="127.0.0.1")
    serve.add_argument(
        "--port", type=int, default=None, help="default 8420, or a free one when that is taken"
    )
    serve.set_defaults(module="serve")

    work = verbs.add_parser("work", parents=[shared], help="write books and send their effects")
    work.add_argument(
        "--books",
        type=_count,
        default=None,
        metavar="N",
        help="write at most so many (default: all there are)",
    )
    work.set_defaults(module="work")

    sandbox = verbs.add_parser("sandbox", parents=[shared], help="far sides to practise with")
    sandbox.add_argument(
        "--listen", default="127.0.0.1:0", metavar="HOST:PORT", help="port 0 takes a free one"
    )
    sandbox.add_argument("--no-auth", action="store_true", help="accept every caller")
    sandbox.add_argument("--notices", action="store_true", help="its reseller is told of fills by webhook")
    sandbox.set_defaults(module="sandbox")
    desks = sandbox.add_subparsers(dest="desk", metavar="DESK")
    issue = desks.add_parser(
        "issue-cards", parents=[shared, machine], help="cards that the sandbox's carriers will honour"
    )
    issue.add_argument("count", type=_count, metavar="N")
    issue.add_argument("--out", required=True, metavar="FILE")
    issue.add_argument("--format", choices=["csv", "csv-gb18030"], default="csv")
    issue.add_argument(
        "--bad",
        type=_share,
        default=0,
        metavar="SHARE",
        help="share that is used, expired or unknown: 0.02 or 2%%",
    )
    issue.add_argument("--seed", type=int, default=None, metavar="N")
    issue.set_defaults(module="issue_cards")
    bill = desks.add_parser(
        "statement", parents=[shared, machine], help="a far side's statement of a day, from its own books"
    )
    bill.add_argument("far_side", metavar="FAR_SIDE", help="rail:alipay, carrier:cmcc, …")
    bill.add_argument("--day", type=_day, metavar="DAY", help="day in China (default: today)")
    bill.add_argument("--out", required=True, metavar="FILE")
    bill.set_defaults(module="sandbox_statement")

    sell = verbs.add_parser("sell", parents=[shared, machine], help="sell a file of recharge cards")
    sell.add_argument(
        "--file", required=True, metavar="FILE", help="CSV in UTF-8 or GB18030, headers in Chinese or English"
    )
    sell.add_argument(
        "--out", metavar="ANSWER.csv", help="row-by-row answer (default: FILE with .answer.csv)"
    )
    sell.add_argument("--api", metavar="URL", help="an API that runs elsewhere (its key in AIRBACK_API_KEY)")
    sell.add_argument("--payee-account", default=None, metavar="ACCOUNT", help="Alipay account to be paid")
    sell.add_argument("--payee-name", default=None, metavar="NAME", help="name of that account's holder")
    sell.set_defaults(module="sell")

    order = verbs.add_parser(
        "order", parents=[shared, machine], help="one order: figures and everything that happened to it"
    )
    order.add_argument("id", metavar="ID")
    order.set_defaults(module="order")

    check = verbs.add_parser(
        "verify", parents=[shared, machine], help="check what must always hold on the live database"
    )
    check.add_argument(
        "--full", action="store_true", help="everything, not only what came since the last clean run"
    )
    check.set_defaults(module="verify")

    arbitrage = verbs.add_parser(
        "arbitrage",
        parents=[shared, machine],
        help="what carriers' promotions earn a trader by our prices, without the cap and with it",
    )
    arbitrage.set_defaults(module="arbitrage")
    margin = verbs.add_parser(
        "margin", parents=[shared, machine], help="what is left of each hundred yuan, from the ledger"
    )
    margin.add_argument("--days", type=_count, default=30, metavar="N", help="the last N days (default 30)")
    margin.add_argument(
        "--by",
        choices=["carrier", "outlet", "product", "face", "client", "day"],
        default="carrier",
        help="what it is divided by (default carrier)",
    )
    margin.set_defaults(module="margin")

    simulate = verbs.add_parser(
        "simulate", parents=[machine], help="years of faults from one seed, on the real engine"
    )
    simulate.add_argument("--seed", type=int, default=None, metavar="N", help="default: drawn")
    simulate.add_argument("--orders", type=_count, default=20_000, metavar="N", help="sales (default 20000)")
    simulate.add_argument(
        "--plant", metavar="NAME", help="plant a bug and find it; `list` prints the names there are"
    )
    simulate.set_defaults(module="simulate")

    chaos = verbs.add_parser(
        "chaos", parents=[shared, machine], help="kill the real processes under load; nothing may be lost"
    )
    chaos.add_argument("--minutes", type=_count, default=2, metavar="M", help="how long to kill (default 2)")
    chaos.add_argument("--seed", type=int, default=None, metavar="N", help="draws who is killed when")
    chaos.set_defaults(module="chaos")

    reconcile = verbs.add_parser(
        "reconcile", parents=[shared, machine], help="lay a far side's statement beside our own rows"
    )
    reconcile.add_argument(
        "--statement",
        metavar="FILE",
        help="CSV, camt.053 XML or Alipay's daily bill; without it a live outlet is asked",
    )
    ours = reconcile.add_mutually_exclusive_group(required=True)
    ours.add_argument("--ours", metavar="FILE", help="our own rows, in any of these formats")
    ours.add_argument(
        "--live", action="store_true", help="our own books; the result is kept and becomes work"
    )
    reconcile.add_argument(
        "--far-side", metavar="NAME", help="such as rail:alipay, carrier:cmcc, outlet:NAME (for --live)"
    )
    reconcile.add_argument(
        "--day", type=_day, metavar="DAY", help="day in China; default: what the statement says"
    )
    reconcile.add_argument("--out", metavar="FILE.csv", help="write every difference")
    reconcile.set_defaults(module="reconcile")

    backtest = verbs.add_parser(
        "backtest",
        parents=[shared, machine],
        help="past orders under another rate card, beside what happened",
    )
    backtest.add_argument("--card", required=True, metavar="FILE", help="the rate card, published or not")
    backtest.add_argument(
        "--days", type=_back, default=30, metavar="N", help="orders of the last N days (default 30)"
    )
    backtest.add_argument(
        "--margin-ppm",
        type=_ppm,
        default=0,
        metavar="N",
        help="what outlets must pay above what the seller costs, of a million of face value (default 0)",
    )
    backtest.set_defaults(module="backtest")

    bench = verbs.add_parser(
        "bench", parents=[machine], help="the platform's speed as ratios to this machine's own"
    )
    bench.add_argument("--full", action="store_true", help="longer rounds and more of them")
    bench.add_argument("--out", metavar="FILE.html", help="a page with charts")
    bench.set_defaults(module="bench")
    measured = bench.add_subparsers(dest="bench", metavar="PART")
    bench_reconcile = measured.add_parser(
        "reconcile", parents=[machine], help="a million rows against a million, beside a bare join"
    )
    bench_reconcile.add_argument("--rows", type=_count, default=1_000_000, metavar="N")
    bench_reconcile.add_argument("--rounds", type=_count, default=5, metavar="N")
    bench_reconcile.add_argument("--seed", type=int, default=1, metavar="N")
    bench_reconcile.set_defaults(module="bench_reconcile")
    bench_price = measured.add_parser(
        "price", parents=[machine], help="a million prices on one core, and one signed quote over HTTP"
    )
    bench_price.set_defaults(module="bench_price")

    bench_latency = measured.add_parser(
        "latency", parents=[machine], help="how long one person waits, alone and beside a company's file"
    )
    bench_latency.add_argument("--persons", type=_count, default=200, metavar="N")
    bench_latency.add_argument("--per-s", type=_count, default=5, metavar="N", help="persons a second")
    bench_latency.add_argument("--file", type=_count, default=20_000, metavar="N", help="orders of the file")
    bench_latency.set_defaults(module="bench_latency")
    bench_routing = measured.add_parser(
        "routing",
        parents=[machine],
        help="orders to outlets: one after another, and 10 000 at once beside the bound",
    )
    bench_routing.add_argument("--seed", type=int, default=1, metavar="N")
    bench_routing.set_defaults(module="bench_routing")

    allocate = verbs.add_parser(
        "allocate",
        parents=[machine],
        help="place a batch of orders with outlets, offline, and say why each goes there",
    )
    allocate.add_argument(
        "--orders", required=True, metavar="FILE.csv", help="order, carrier, face_yuan, least_percent"
    )
    allocate.add_argument(
        "--outlets",
        required=True,
        metavar="FILE.csv",
        help="outlet, price_percent and limits (docs/routing.md)",
    )
    allocate.add_argument("--out", metavar="FILE.csv", help="write where each order goes and why")
    allocate.set_defaults(module="allocate")

    auction = verbs.add_parser(
        "auction",
        parents=[machine],
        help="award a batch of lots to sealed bids, offline, and report what else it would bring",
    )
    auction.add_argument(
        "--lots", required=True, metavar="FILE.csv", help="lot, carrier, face_yuan, reserve_percent"
    )
    auction.add_argument(
        "--bids", required=True, metavar="FILE.csv", help="bidder, lot, price_percent, and salt where sealed"
    )
    auction.add_argument(
        "--bidders", required=True, metavar="FILE.csv", help="bidder, deposit_yuan, most_yuan"
    )
    auction.add_argument(
        "--sealed",
        metavar="FILE.csv",
        help="bidder, seal: the hashes that were handed in before the bids were opened",
    )
    auction.add_argument("--rule", choices=["pay_as_bid", "second_price"], default="pay_as_bid")
    auction.add_argument("--out", metavar="FILE.csv", help="write each lot's award")
    auction.set_defaults(module="auction")

    migrate = verbs.add_parser(
        "migrate", parents=[shared, machine], help="bring the database's schema up to date"
    )
    migrate.add_argument(
        "--pre",
        action="store_true",
        help="only what processes of the version before tolerate, which still run",
    )
    migrate.set_defaults(module="migrate")

    backup = verbs.add_parser(
        "backup", parents=[shared, machine], help="the whole database in one file, while everything runs"
    )
    backup.add_argument("--out", required=True, metavar="FILE")
    backup.set_defaults(module="backup")

    restore = verbs.add_parser(
        "restore",
        parents=[shared, machine],
        help="a backup into an empty database; nothing is sent until two agree",
    )
    restore.add_argument("file", metavar="FILE")
    restore.set_defaults(module="restore")

    staff = verbs.add_parser("staff", parents=[shared], help="create a member of staff for the console")
    staff.add_argument("name")
    staff.add_argument("--role", action="append", required=True, dest="roles", metavar="ROLE")
    staff.set_defaults(module="staff")

    client = verbs.add_parser("client", parents=[shared, machine], help="create an API client and its key")
    client.add_argument("name")
    client.add_argument("--kind", choices=["seller", "company", "outlet", "staff"], required=True)
    client.add_argument("--outlet", metavar="NAME", help="the outlet whose demands it places")
    client.add_argument("--scope", action="append", required=True, dest="scopes", metavar="SCOPE")
    client.set_defaults(module="client")
    return parser


def _count(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 10_000_000:
        raise argparse.ArgumentTypeError("a whole number from 1 on is needed")
    return value


def _back(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 366:
        raise argparse.ArgumentTypeError("a whole number of days from 1 to 366 is needed")
    return value


def _ppm(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 1_000_000:
        raise argparse.ArgumentTypeError("a whole number from 0 to 1000000 is needed")
    return value


def _days(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 36_500:
        raise argparse.ArgumentTypeError("a whole number of days from 0 to 36500 is needed")
    return value


def _day(text: str) -> date:
    """An argument such as 2026-11-20."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError("a day such as 2026-11-20 is needed") from None


def _share(text: str) -> int:
    """`0.02` or `2%` → parts per million."""
    plain = text.strip()
    scale = 1_000_000
    if plain.endswith("%"):
        plain, scale = plain[:-1], 10_000
    whole, _, part = plain.partition(".")
    if not (whole + part).isdigit() or len(part) > 6:
        raise argparse.ArgumentTypeError("a share such as 0.02 or 2% is needed")
    digits = len(part)
    value: int = (int(whole or "0") * 10**digits + int(part or "0")) * scale // 10**digits
    if value > 1_000_000:
        raise argparse.ArgumentTypeError("a share is at most 1")
    return value


def _logs() -> None:
    """Structured lines on standard error. Tracebacks never show local values: they may hold secrets."""
    # The driver tells of a lost connection with a whole traceback; whoever asks the database gets the error anyway.
    logging.getLogger("asyncpg").setLevel(logging.CRITICAL)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.ExceptionRenderer(
                structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
            ),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            getattr(logging, os.environ.get("AIRBACK_LOG", "INFO").upper(), logging.INFO)
        ),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
