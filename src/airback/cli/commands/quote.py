"""`airback quote`: a signed price with its every component."""

import argparse
from datetime import UTC, datetime
from pathlib import Path

from airback.app import quoting
from airback.app.settings import read
from airback.cli.show import print_json, say
from airback.domain.money import MoneyError, parse_yuan, percent, yuan
from airback.domain.refusals import Refused
from airback.pricing.facts import Cap, Facts


async def run(arguments: argparse.Namespace) -> int:
    """`airback quote`."""
    settings = read(data=arguments.data)
    for name in ("carrier", "face_yuan"):
        if getattr(arguments, name) is None:
            raise Refused("field_missing", field=f"--{name.replace('_', '-')}")
    try:
        face_fen = parse_yuan(arguments.face_yuan)
    except MoneyError as error:
        raise Refused(error.code, field="--face-yuan") from None
    document = (
        await quoting.published_card(settings, now=datetime.now(UTC))
        if arguments.card is None
        else quoting.read_document(Path(arguments.card))
    )
    made = quoting.quote(
        settings,
        document,
        product=arguments.product,
        carrier=arguments.carrier,
        face_fen=face_fen,
        validity_days=arguments.validity_days,
        place=arguments.place if arguments.city_tier is None else f"tier{arguments.city_tier}",
        rail=arguments.rail,
        facts=_facts(arguments),
        now=datetime.now(UTC),
    )
    for path, value in (
        (arguments.out, made),
        (arguments.card_out, document),
        (arguments.key_out, quoting.public_keys(settings)),
    ):
        if path is not None:
            quoting.write_document(Path(path), value)
    width = max(len(line["en"]) for line in made["components"])
    for line in made["components"]:
        say(f"{line['en']:<{width}}  {percent(line['ppm']):>9} %  {yuan(line['fen']):>10}  {line['source']}")
    say(f"{'Paid':<{width}}  {percent(made['rate_ppm']):>9} %  {yuan(made['pays_fen']):>10}")
    say(f"valid until {made['valid_until']}, rate card {made['card_version']}, signed by {made['key_id']}")
    if arguments.json:
        print_json(made)
    return 0


def _facts(arguments: argparse.Namespace) -> Facts:
    """The facts that were named; what was not is not known."""
    demand_fen = None
    if arguments.demand_yuan is not None:
        try:
            demand_fen = parse_yuan(arguments.demand_yuan)
        except MoneyError as error:
            raise Refused(error.code, field="--demand-yuan") from None
    cap = None
    if arguments.cap_ppm is not None:
        if not arguments.cap_promotion:
            raise Refused("field_missing", field="--cap-promotion")
        cap = Cap(arguments.cap_ppm, arguments.cap_promotion)
    return Facts(arguments.seller_class, demand_fen, arguments.outlet_ppm, cap)
