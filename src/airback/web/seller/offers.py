"""A seller's own price: named beside the quote, then seen, changed or withdrawn while it rests."""

from datetime import timedelta
from typing import Any, Final

from litestar import Request, Response, get, post
from litestar.params import FromPath

from airback.domain import ids
from airback.domain.assets import CARRIERS
from airback.domain.refusals import REFUSALS, Refused
from airback.engine import offer as engine
from airback.engine.offer import OfferAsk, Prices
from airback.market.offers import LONGEST, State
from airback.orders.intake import AGREEMENT
from airback.orders.proofs import check_proof
from airback.store import offers
from airback.store.offers import StoredOffer
from airback.web.seller import forms, prices
from airback.web.seller.balance import (
    OWN_PRICE,
    WAITS,
    amount_page,
    number_page,
    proof_of,
    proved_number,
    rails_offered,
)
from airback.web.seller.forms import Errors
from airback.web.seller.visit import Visit, open_visit
from airback.web.templates import plain_yuan

_MOST_LISTED: Final = 60
#: The page's fields by what the engine calls them.
_FIELDS: Final = {"face_fen": "amount", "net_fen": "net", "deadline_at": "deadline"}
#: The choice by which a change leaves the deadline as it is.
_KEEP: Final = "keep"
_SAID: Final = ("resting", "changed")


@post("/sell/balance/offer", include_in_schema=False)
async def make(request: Request[Any, Any, Any]) -> Response[str] | Response[None]:
    """Let the price rest that was named on the amount page."""
    visit = open_visit(request)
    form = await visit.form()
    number = proved_number(visit)
    proof = None if number is None else proof_of(visit, number)
    if number is None or proof is None:
        return visit.go("/sell/balance")
    errors: Errors = {}
    platform = visit.platform
    card = await platform.rate_card()
    payee = forms.read_payee(form, errors, rails={rail.name: rail for rail in rails_offered(visit, card)})
    face_fen = forms.read_amount(form, errors)
    net_fen = forms.read_amount(form, errors, field="net")
    wait = _read_wait(form, errors)
    if form.get("agreement") != AGREEMENT:
        errors["agreement"] = REFUSALS["agreement_missing"]
    if errors:
        return await amount_page(visit, number, form, errors)
    proved_at = check_proof(proof, number, visit.now, platform.keys)
    account, name = (number, "本人") if payee.rail == "credit" else (payee.account, payee.name)
    ask = OfferAsk(
        number=number,
        proof=proof,
        face_fen=face_fen,
        net_fen=net_fen,
        deadline_at=min(visit.now + wait, proved_at + LONGEST),
        rail=payee.rail,
        payee_account=account,
        payee_name=name,
        seller_ref=number,
        language=visit.language,
        agreement=AGREEMENT,
    )
    try:
        offer_id, _ = await engine.place(
            platform.pool,
            book=platform.book,
            client=prices.CLIENT,
            ask=ask,
            prices=await _prices(visit),
            carriers=platform.carriers,
            rails={rail: each.capabilities for rail, each in platform.rails.items()},
            subscribers=platform.subscribers,
            keys=platform.keys,
            now=visit.now,
            entropy=platform.entropy,
            idempotency=None,
        )
    except Refused as refused:
        if refused.code == "offer_resting":  # a second tap, or an offer of yesterday: there it can be changed
            resting = await _list(visit, number, state=State.RESTING)
            if resting:
                return visit.go(f"{_address(resting[0])}?said=resting")
        field = _FIELDS.get(refused.field or "", refused.field or "quote")
        return await amount_page(visit, number, form | {OWN_PRICE: "1"}, {field: refused.refusal})
    return visit.go(f"/offers/{ids.public('off', offer_id)}")


@get("/offers", include_in_schema=False)
async def list_mine(request: Request[Any, Any, Any]) -> Response[str]:
    """Offers of the proved number, newest first."""
    visit = open_visit(request)
    found = [] if visit.number is None else await _list(visit, visit.number)
    rows = [(one, _address(one), _carrier(one, visit.language)) for one in found]
    return visit.show("offers.html", {"rows": rows})


@get("/offers/find", include_in_schema=False)
async def find_mine(request: Request[Any, Any, Any]) -> Response[str]:
    """Prove a number, then see what was offered of it."""
    return number_page(open_visit(request), {}, {}, then="/offers")


@get("/offers/{public_id:str}", include_in_schema=False)
async def show(request: Request[Any, Any, Any], public_id: FromPath[str]) -> Response[str]:
    """One offer, as it stands."""
    visit = open_visit(request)
    found = await _own(visit, public_id)
    said = request.query_params.get("said")
    return _page(visit, found, {}, {}, said=said if said in _SAID else None)


@post("/offers/{public_id:str}", include_in_schema=False)
async def change(request: Request[Any, Any, Any], public_id: FromPath[str]) -> Response[str] | Response[None]:
    """Another price, or another time to wait from now on."""
    visit = open_visit(request)
    form = await visit.form()
    found = await _own(visit, public_id)
    errors: Errors = {}
    net_fen = forms.read_amount(form, errors, field="net")
    deadline_at = None
    if form.get("deadline") != _KEEP:
        deadline_at = min(visit.now + _read_wait(form, errors), found.proved_at + LONGEST)
    if not errors and (deadline_at is not None or net_fen != found.net_fen):
        try:
            async with visit.platform.pool.acquire() as conn:
                await engine.revise(
                    conn,
                    book=visit.platform.book,
                    client=prices.CLIENT,
                    offer_id=found.id,
                    net_fen=None if net_fen == found.net_fen else net_fen,
                    net_ppm=None,
                    deadline_at=deadline_at,
                    prices=await _prices(visit),
                    now=visit.now,
                )
        except Refused as refused:
            errors[_FIELDS.get(refused.field or "", "offer")] = refused.refusal
            found = await _own(visit, public_id)
    if errors:
        return _page(visit, found, form, errors)
    return visit.go(f"{_address(found)}?said=changed")


@post("/offers/{public_id:str}/withdraw", include_in_schema=False)
async def withdraw(
    request: Request[Any, Any, Any], public_id: FromPath[str]
) -> Response[str] | Response[None]:
    """Take it back."""
    visit = open_visit(request)
    await visit.form()
    found = await _own(visit, public_id)
    try:
        async with visit.platform.pool.acquire() as conn:
            await engine.withdraw(
                conn, book=visit.platform.book, client=prices.CLIENT, offer_id=found.id, now=visit.now
            )
    except Refused as refused:
        return _page(visit, await _own(visit, public_id), {}, {"offer": refused.refusal})
    return visit.go(_address(found))


def _page(
    visit: Visit, found: StoredOffer, form: dict[str, str], errors: Errors, *, said: str | None = None
) -> Response[str]:
    context = {
        "offer": found,
        "address": _address(found),
        "order": None if found.order_id is None else ids.public("ord", found.order_id),
        "carrier": _carrier(found, visit.language),
        "typed": form or {"net": plain_yuan(found.net_fen)},
        "waits": WAITS,
        "keep": _KEEP,
        "errors": errors,
        "said": said,
    }
    return visit.show("offer.html", context, status=422 if errors else 200)


def _read_wait(form: dict[str, str], errors: Errors) -> timedelta:
    text = form.get("deadline", "")
    if text not in {str(hours) for hours in WAITS}:
        errors["deadline"] = REFUSALS["offer_deadline_invalid"]
        return LONGEST
    return timedelta(hours=int(text))


async def _prices(visit: Visit) -> Prices:
    platform = visit.platform
    return Prices(await platform.rate_card(), await platform.price_facts(), await platform.pauses())


async def _list(visit: Visit, number: str, *, state: State | None = None) -> list[StoredOffer]:
    async with visit.platform.pool.acquire() as conn:
        return await offers.list_offers(
            conn,
            book=visit.platform.book,
            client=prices.CLIENT,
            now=visit.now,
            seller_ref=number,
            state=state,
            limit=_MOST_LISTED,
        )


async def _own(visit: Visit, public_id: str) -> StoredOffer:
    """The offer, if its number was proved here. Raises `Refused` `not_found`, the same for one that is somebody else's."""
    offer_id = ids.parse_public("off", public_id[:40])
    if offer_id is None or visit.number is None:
        raise Refused("not_found")
    async with visit.platform.pool.acquire() as conn:
        found = await offers.get(
            conn, book=visit.platform.book, client=prices.CLIENT, offer_id=offer_id, now=visit.now
        )
    if found is None or found.seller_ref != visit.number:
        raise Refused("not_found")
    return found


def _address(found: StoredOffer) -> str:
    return f"/offers/{ids.public('off', found.id)}"


def _carrier(found: StoredOffer, language: str) -> str:
    carrier = CARRIERS[found.carrier]
    return carrier.zh if language == "zh" else carrier.en
