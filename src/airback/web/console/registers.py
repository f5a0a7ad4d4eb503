"""Registers: the rate card in force, and licences with what they allow."""

from typing import Any

from litestar import Response, get

from airback.compliance.licences import Capability, allowed, standing
from airback.domain.refusals import Refused
from airback.pricing.cards import RateCard, outside_sources
from airback.queries import console
from airback.staff.roles import Permission
from airback.store import licences
from airback.web.console.desk import AnyRequest, platform, show, visitor
from airback.web.console.figures import figures


@get("/prices", name="console-prices")
async def prices_page(request: AnyRequest) -> Response[Any]:
    """The rate card in force as a table, and the versions before and after it."""
    who = await visitor(request, needs=Permission.READ_PRICES)
    here = platform(request)
    card: RateCard | None
    try:
        card = await here.rate_card()
    except Refused:
        card = None
    async with here.pool.acquire() as conn:
        return await show(
            request,
            who,
            "prices.html",
            section="prices",
            conn=conn,
            card=card,
            factors=[] if card is None else _factors(card),
            outside=[] if card is None else outside_sources(card),
            versions=await console.rate_cards(conn, book=here.book),
        )


def _factors(card: RateCard) -> list[dict[str, Any]]:
    """Every part of the card that makes or changes a price, with its figures as text."""
    document = card.document
    parts = [(f"factors.{name}", part) for name, part in document["factors"].items()]
    parts.append(("fee", document["fee"]))
    parts += [(f"charges[{index + 1}]", part) for index, part in enumerate(document["charges"])]
    parts += [(f"rails.{name}", part) for name, part in document["rails"].items()]
    return [
        {
            "path": path,
            "zh": part["zh"],
            "en": part["en"],
            "on": part.get("on", True),
            "source": part.get("source", ""),
            "figures": figures(part),
        }
        for path, part in parts
    ]


@get("/licences", name="console-licences")
async def licences_page(request: AnyRequest) -> Response[Any]:
    """Recorded licences, and which capabilities they switch on."""
    who = await visitor(request, needs=Permission.READ_LICENCES)
    here = platform(request)
    now = here.now()
    async with here.pool.acquire() as conn:
        found = await licences.list_licences(conn, book=here.book)
        return await show(
            request,
            who,
            "licences.html",
            section="licences",
            conn=conn,
            licences=[(licence, standing(licence=licence, now=now)) for licence in found],
            capabilities=[str(one) for one in Capability],
            allowed=allowed(licences=found, now=now),
        )
