"""Pages anybody may read: the start, the price table, the agreement, what happens to personal data."""

from typing import Any, Final

from litestar import Request, Response, get, post
from litestar.params import FromPath

from airback.domain.assets import CARRIERS
from airback.domain.refusals import Refused
from airback.market.pauses import PauseKind
from airback.orders.intake import AGREEMENT
from airback.pricing.cards import RateCard, lowest_class
from airback.pricing.facts import Market
from airback.pricing.schedule import spans
from airback.queries.platform import Platform
from airback.web.seller import prices
from airback.web.seller.session import new_session
from airback.web.seller.visit import Visit, open_visit

_MOST_HISTORY: Final = 20


async def rate_card(platform: Platform) -> RateCard | None:
    """The rate card in force, or None when nothing is bought at present."""
    try:
        return await platform.rate_card()
    except Refused:
        return None


@get("/", include_in_schema=False)
async def start(request: Request[Any, Any, Any]) -> Response[str]:
    """What can be sold, what it nets, how it goes."""
    visit = open_visit(request)
    card = await rate_card(visit.platform)
    facts = (await visit.platform.price_facts()).published
    shown = prices.hundred(card, language=visit.language, now=visit.now, facts=facts) if card else []
    return visit.show("landing.html", {"prices": shown, "paused": await _paused(visit, card)})


async def _paused(visit: Visit, card: RateCard | None) -> list[tuple[str, str, str]]:
    """What is not bought or paid out at present, each with its reason, in the reader's language."""
    standing = await visit.platform.pauses()
    told = []
    for pause in standing.every:
        if pause.kind is PauseKind.OUTLET or (pause.until is not None and pause.until <= visit.now):
            continue  # whom we sell to is nothing of the seller's
        subject = pause.subject
        if pause.kind is PauseKind.CARRIER and subject in CARRIERS:
            subject = CARRIERS[subject].zh if visit.language == "zh" else CARRIERS[subject].en
        elif pause.kind is PauseKind.RAIL:
            rail = None if card is None else card.rails.get(subject)
            if rail is not None:
                subject = rail.factor.zh if visit.language == "zh" else rail.factor.en
        told.append((str(pause.kind), subject, pause.reason(visit.language)))
    return told


@get("/rates", include_in_schema=False)
async def rates(request: Request[Any, Any, Any]) -> Response[str]:
    """The published rate table."""
    visit = open_visit(request)
    card = await rate_card(visit.platform)
    facts = (await visit.platform.price_facts()).published
    shown = prices.table(card, language=visit.language, now=visit.now, facts=facts) if card else None
    history = list(reversed(spans(await visit.platform.rate_cards(), at=visit.now)))[:_MOST_HISTORY]
    return visit.show("rates.html", {"table": shown, "history": history, "now": visit.now, "span": None})


@get("/rates/{version:int}", include_in_schema=False)
async def rates_of(request: Request[Any, Any, Any], version: FromPath[int]) -> Response[str]:
    """A published rate table as it stood, or will stand, when it takes effect."""
    visit = open_visit(request)
    published = spans(await visit.platform.rate_cards(), at=visit.now)
    span = next((one for one in published if one.card.version == version), None)
    if span is None:
        raise Refused("not_found")
    lowest = Market(lowest=lowest_class(span.card)).published
    shown = prices.table(span.card, language=visit.language, now=span.card.effective_from, facts=lowest)
    history = list(reversed(published))[:_MOST_HISTORY]
    return visit.show("rates.html", {"table": shown, "history": history, "now": visit.now, "span": span})


@get("/agreement", include_in_schema=False)
async def agreement(request: Request[Any, Any, Any]) -> Response[str]:
    """The agreement in force."""
    return open_visit(request).show("agreement.html", {"agreement": AGREEMENT})


@get("/privacy", include_in_schema=False)
async def privacy(request: Request[Any, Any, Any]) -> Response[str]:
    """What is done with personal data, and the way out."""
    return open_visit(request).show("privacy.html")


@post("/leave", include_in_schema=False)
async def leave(request: Request[Any, Any, Any]) -> Response[None]:
    """Forget this browser's number and orders."""
    visit = open_visit(request)
    await visit.form()
    visit.session = new_session(now=visit.now, entropy=visit.platform.entropy)
    return visit.go("/")
