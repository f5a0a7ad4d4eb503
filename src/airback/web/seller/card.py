"""Sell a recharge card: carrier, face, printed number, who is paid. The code is asked after the price was agreed."""

from typing import Any, Final

from litestar import Request, Response, get, post

from airback.domain.assets import CARD, CARRIERS, airtime
from airback.domain.refusals import Refused
from airback.web.seller import forms, prices
from airback.web.seller.balance import estimated, rails_offered
from airback.web.seller.draft import Draft, draft_cookie, new_draft_id
from airback.web.seller.forms import Errors
from airback.web.seller.visit import Visit, open_visit
from airback.web.templates import BEIJING

STEPS: Final = 2


@get("/sell/card", include_in_schema=False)
async def ask_card(request: Request[Any, Any, Any]) -> Response[str]:
    """Which card?"""
    return await card_page(open_visit(request), {}, {})


@post("/sell/card", include_in_schema=False)
async def take_card(request: Request[Any, Any, Any]) -> Response[str] | Response[None]:
    """Keep what was typed and go on to the quote."""
    visit = open_visit(request)
    form = await visit.form()
    errors: Errors = {}
    rate_card = await visit.platform.rate_card()
    card = forms.read_card(form, errors, today=visit.now.astimezone(BEIJING).date())
    payee = forms.read_payee(form, errors, rails={r.name: r for r in rails_offered(visit, rate_card)})
    if errors:
        return await card_page(visit, form, errors)
    draft = Draft(
        id=new_draft_id(visit.platform.entropy),
        made_at=int(visit.now.timestamp()),
        product=CARD,
        carrier=card.carrier,
        face_fen=card.face_fen,
        card_number=card.card_number,
        expires_on=card.expires_on,
        notify_number=card.notify_number,
        rail=payee.rail,
        payee_account=payee.account,
        payee_name=payee.name,
    )
    try:
        await prices.check(visit.platform, draft, seller_ref=seller_ref(visit), now=visit.now)
    except Refused as refused:
        errors["face" if refused.field == "face_fen" else refused.field or "quote"] = refused.refusal
        return await card_page(visit, form, errors)
    return visit.go(
        draft.address, cookies=(draft_cookie(draft, keys=visit.platform.keys, secure=visit.secure),)
    )


def seller_ref(visit: Visit) -> str:
    """Who sells a card: the proved number, or this browser. A number that was only typed proves nothing."""
    return visit.number or visit.session.id


async def card_page(visit: Visit, form: dict[str, str], errors: Errors) -> Response[str]:
    """The page that asks for a card; with errors, and with what was typed."""
    rate_card = await visit.platform.rate_card()
    limits = rate_card.limits[CARD]
    typed = {name: said for name, said in form.items() if name not in errors}
    context = {
        "step": 1,
        "of": STEPS,
        "errors": errors,
        "typed": form,
        "carriers": [
            carrier
            for carrier in CARRIERS.values()
            if airtime(carrier.code, CARD) in rate_card.base.rates_ppm
            and carrier.code in visit.platform.carriers
        ],
        "faces": sorted(
            fen for fen in rate_card.card_faces_fen if limits.least_fen <= fen <= limits.most_fen
        ),
        "rails": rails_offered(visit, rate_card),
        "today": visit.now.astimezone(BEIJING).date().isoformat(),
        **await estimated(visit, typed, product=CARD),
    }
    return visit.show("card.html", context, status=422 if errors else 200)
