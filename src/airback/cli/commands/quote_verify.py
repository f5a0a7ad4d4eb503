"""`airback quote verify FILE`: whether a quote's signature and price hold. Needs no database."""

import argparse
from pathlib import Path
from typing import Final

from airback.app import quoting
from airback.app.settings import read
from airback.cli.show import plain, print_json, say
from airback.domain.refusals import Refused

_MOST_TOLD: Final = 50
_LONGEST: Final = 300


async def run(arguments: argparse.Namespace) -> int:
    """Status 0 when everything holds, 1 when something does not. Raises Refused `field_invalid` beside what asks a price."""
    for name in ("carrier", "face_yuan"):
        if getattr(arguments, name) is not None:
            raise Refused("field_invalid", field=f"--{name.replace('_', '-')}")
    document = quoting.read_document(Path(arguments.file))
    found = quoting.verify(
        read(data=arguments.data),
        document,
        card=None if arguments.card is None else quoting.read_document(Path(arguments.card)),
        keys=None if arguments.key is None else quoting.read_document(Path(arguments.key)),
    )
    for fault in found[:_MOST_TOLD]:
        say(plain(fault)[:_LONGEST])
    say("the quote does not hold" if found else "signature, price and breakdown hold")
    if arguments.json:
        print_json({"holds": not found, "faults": found})
    return 1 if found else 0
