"""`airback sell`: a file of cards, row by row to its answer."""

import argparse
import os
from pathlib import Path

from airback.app import selling
from airback.app.settings import read
from airback.cli.show import print_json, progress_bars, say
from airback.domain.refusals import Refused


async def run(arguments: argparse.Namespace) -> int:
    """`airback sell`."""
    settings = read(data=arguments.data)
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
