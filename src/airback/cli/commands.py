"""What each command does with its arguments: settings, progress, and how the outcome is shown."""

import argparse
import asyncio
import getpass
import json
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import asyncpg

from airback.adapters.keys.files import FileKeys
from airback.api.credentials import create_client
from airback.app import demo as demonstration
from airback.app import processes, sandboxing, selling
from airback.app.api_client import ApiUnreachable
from airback.app.opening import open_installation
from airback.app.platform import SandboxAway, database, open_platform
from airback.app.presence import AlreadyRunning
from airback.app.processes import ProcessFailed
from airback.app.serving import serve as serve_pages
from airback.app.settings import Settings, read
from airback.app.together import Running
from airback.app.working import work as work_books
from airback.cli.show import print_json, progress_bars, say
from airback.domain import ids
from airback.domain.money import yuan
from airback.domain.refusals import Refused
from airback.engine.appoint import create_staff
from airback.queries import orders as order_queries
from airback.queries.verify import INVARIANTS, summary
from airback.queries.verify import verify as verify_book
from airback.store.pool import connect_once
from airback.store.problems import DatabaseProblem

#: Errors that are told as a sentence, not as a traceback.
EXPECTED: Final = (
    AlreadyRunning,
    ApiUnreachable,
    DatabaseProblem,
    ProcessFailed,
    Refused,
    SandboxAway,
    OSError,
    asyncpg.PostgresError,
)


def _settings(arguments: argparse.Namespace) -> Settings:
    return read(data=arguments.data)


async def demo(arguments: argparse.Namespace) -> int:
    """`airback demo`."""
    settings = _settings(arguments)
    stages = {
        "demands": "outlets place demands",
        "selling": "sellers sell",
        "paying": "orders come to their end",
        "*": "checking every invariant",
    }
    seed = demonstration.DEFAULT_SEED if arguments.seed is None else arguments.seed
    if not arguments.json:
        say(f"Airback demonstration in {settings.data_dir}: {arguments.orders} attempts, seed {seed}")
    with progress_bars(stages, quiet=arguments.json) as progress:
        report = await demonstration.run(
            settings,
            orders=arguments.orders,
            seed=seed,
            fault=arguments.fault,
            progress=progress,
            stay=None if arguments.once else _stay,
        )
    if arguments.once and not arguments.json:
        _tell(report)
    if arguments.json:
        print_json(report)
    return 1 if report["verify"]["violations"] else 0


def _tell(report: dict[str, Any]) -> None:
    far = report["far_side"]
    say()
    say(
        f"{report['closed']} of {report['orders']} attempts were closed: delivered, paid and receipted; {yuan(report['paid_fen'])} yuan paid."
    )
    for code, count in report["refused"].items():
        say(f"  {count:>4}  {code}")
    say(
        f"The far sides counted {report['http_calls']} requests, {far['executions']} deliveries of "
        f"{yuan(far['delivered_fen'])} yuan, {far['payments']} payments of {yuan(far['paid_fen'])} yuan, "
        f"{far['duplicates']} duplicates."
    )
    say(f"verify: {report['verify']['violations']} violations. {report['seconds']} s.")


async def _stay(running: Running, people: dict[str, str], report: dict[str, Any]) -> None:
    _tell(report)
    stop = processes.stop_event()
    say()
    say(f"Seller's page  {running.api_url}/")
    say(f"Console        {running.api_url}/console")
    for name, password in people.items():
        say(f"               {name} / {password}")
    say(f"API            {running.api_url}/v1/openapi.json")
    say(f"SMS sent       {running.sandbox_url}/sandbox/sms?number=13800138000")
    say(
        "Numbers to try: 13800138000 (China Mobile), 13300133000 (Telecom), 13000130000 (Unicom), 19200192000 (Broadnet)."
    )
    say("Ctrl-C stops everything.")
    await stop.wait()


async def serve(arguments: argparse.Namespace) -> int:
    """`airback serve`."""
    settings = _settings(arguments)
    await serve_pages(
        settings,
        host=arguments.host,
        port=arguments.port,
        stop=processes.stop_event(),
        ready=lambda url: say(f"serving at {url}"),
    )
    return 0


async def work(arguments: argparse.Namespace) -> int:
    """`airback work`."""
    await work_books(_settings(arguments), stop=processes.stop_event(), ready=lambda: say("working"))
    return 0


async def sandbox(arguments: argparse.Namespace) -> int:
    """`airback sandbox`."""
    await sandboxing.serve(
        _settings(arguments),
        listen=arguments.listen,
        auth=not arguments.no_auth,
        stop=processes.stop_event(),
        ready=lambda url: say(f"sandbox at {url}"),
    )
    return 0


async def issue_cards(arguments: argparse.Namespace) -> int:
    """`airback sandbox issue-cards`."""
    with progress_bars(
        {"issuing": "issuing cards", "writing": "writing the file"}, quiet=arguments.json
    ) as progress:
        written = await asyncio.to_thread(
            sandboxing.issue_cards,
            _settings(arguments),
            count=arguments.count,
            out=Path(arguments.out),
            file_format=arguments.format,
            bad_ppm=arguments.bad,
            seed=arguments.seed,
            progress=progress,
        )
    say(f"{written} cards in {arguments.out}")
    if arguments.json:
        print_json({"cards": written, "file": arguments.out})
    return 0


async def sell(arguments: argparse.Namespace) -> int:
    """`airback sell`."""
    settings = _settings(arguments)
    file = Path(arguments.file)
    out = Path(arguments.out) if arguments.out else file.with_name(f"{file.stem}.answer.csv")
    if arguments.api is not None and not (arguments.payee_account and arguments.payee_name):
        say("airback sell: --api needs --payee-account and --payee-name")
        return 2
    payee = selling.Payee(
        arguments.payee_account or "company@demo.example", arguments.payee_name or "示范公司"
    )
    language = "zh" if os.environ.get("LANG", "").startswith("zh") else "en"
    try:
        with progress_bars(
            {"submitting": "submitting", "paying": "paid or refused"}, quiet=arguments.json
        ) as progress:
            report = await selling.sell_file(
                settings,
                file=file,
                out=out,
                api=arguments.api,
                payee=payee,
                language=language,
                progress=progress,
            )
    except Refused as refused:
        where = f" ({refused.field})" if refused.field else ""
        say(f"airback sell: {refused.refusal.sentence(language)}{where} {refused.refusal.remedy(language)}")
        if arguments.json:
            print_json({"rows": 0, "closed": 0, "refused": {refused.code: 1}, "answer_file": None})
        return 1
    say(f"{report['closed']} of {report['rows']} rows paid; answers in {out}")
    for code, count in report["refused"].items():
        say(f"  {count:>6}  {code}")
    if arguments.json:
        print_json(report)
    return 0


async def order(arguments: argparse.Namespace) -> int:
    """`airback order ID`."""
    settings = _settings(arguments)
    order_id = ids.parse_public("ord", arguments.id)
    if order_id is None:
        raise Refused("not_found", field="id")
    async with database(settings) as url:
        conn = await connect_once(url)
        try:
            view = await order_queries.get_order(conn, book=settings.book, order_id=order_id)
            if view is None:
                raise Refused("not_found", field="id")
            entries = await order_queries.timeline(conn, book=settings.book, order_id=order_id)
        finally:
            await conn.close()
    if arguments.json:
        print_json(sandboxing.plain({"order": view, "timeline": entries}))
        return 0
    say(
        f"{arguments.id}  {view.carrier} {view.product}  {yuan(view.face_fen)} yuan → {yuan(view.net_fen)} yuan net"
    )
    say(
        f"state {view.state}{' · ' + view.code if view.code else ''}  delivered {yuan(view.delivered_fen)}  paid {yuan(view.paid_fen)}"
    )
    for entry in entries:
        say(f"  {sandboxing.line_of(entry)}")
    return 0


async def verify(arguments: argparse.Namespace) -> int:
    """`airback verify`."""
    settings = _settings(arguments)
    report: dict[str, Any]
    with progress_bars({"*": "checking"}, quiet=arguments.json) as progress:
        report = await _verified(settings, progress)
    for name, check in report["checks"].items():
        mark = "✗" if check["violations"] else ("–" if check.get("unchecked") else "✓")
        say(
            f"{mark} {check['invariant']} {name.replace('_', ' ')}"
            + (f" · not checked: {check['unchecked']}" if check.get("unchecked") else "")
        )
        for found in check["found"]:
            say(f"      {found['subject']}: {found['detail']}")
    if arguments.json:
        print_json(report)
    return 1 if report["violations"] else 0


async def _verified(settings: Settings, progress: Callable[[str, int, int], None]) -> dict[str, Any]:
    async with (
        sandboxing.beside(settings),
        database(settings) as url,
        open_platform(settings, url=url) as platform,
    ):
        findings = await verify_book(
            platform.pool,
            book=settings.book,
            now=platform.now(),
            keys=platform.keys,
            carriers=platform.carriers,
            rails=platform.connected.far_sides.rails,
            progress=progress,
        )
    return {**summary(findings), "invariants": INVARIANTS}


async def migrate(arguments: argparse.Namespace) -> int:
    """`airback migrate`."""
    settings = _settings(arguments)
    async with database(settings) as url:
        await open_installation(settings, url=url, now=datetime.now(UTC))
    say("the schema is up to date")
    if arguments.json:
        print_json({"migrated": True})
    return 0


async def staff(arguments: argparse.Namespace) -> int:
    """`airback staff NAME`: the password is asked for at the terminal, or read from standard input."""
    settings = _settings(arguments)
    password = getpass.getpass("password: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    async with database(settings) as url:
        await open_installation(settings, url=url, now=datetime.now(UTC))
        conn = await connect_once(url)
        try:
            name = await create_staff(
                conn,
                book=settings.book,
                name=arguments.name,
                password=password,
                roles=arguments.roles,
                by="setup",
                now=datetime.now(UTC),
                entropy=os.urandom,
            )
        finally:
            await conn.close()
    say(f"{name} may sign in to the console")
    return 0


async def client(arguments: argparse.Namespace) -> int:
    """`airback client NAME`: the key is shown once and kept nowhere."""
    settings = _settings(arguments)
    async with database(settings) as url:
        await open_installation(settings, url=url, now=datetime.now(UTC))
        conn = await connect_once(url)
        try:
            key = await create_client(
                conn,
                book=settings.book,
                client=arguments.name,
                kind=arguments.kind,
                outlet=arguments.outlet,
                scopes=arguments.scopes,
                keys=FileKeys(settings.keys_dir),
                now=datetime.now(UTC),
                entropy=os.urandom,
            )
        finally:
            await conn.close()
    if arguments.json:
        print_json({"client": arguments.name, "key": key})
    else:
        sys.stdout.write(json.dumps(key)[1:-1] + "\n")
    return 0
