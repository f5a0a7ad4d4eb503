"""The last page of a sale: the signed price with its every line, the agreement, and for a card its code."""

import hashlib
from dataclasses import replace
from typing import Any, Final

from litestar import Request, Response, get, post
from litestar.params import FromPath

from airback.domain import ids
from airback.domain.assets import BALANCE, CARRIERS
from airback.domain.canonical import canonical
from airback.domain.refusals import REFUSALS, Refused
from airback.engine.submit import Accepted, OrderAsk, submit
from airback.orders.intake import AGREEMENT
from airback.pricing.quotes import Quote
from airback.queries import orders
from airback.web.seller import balance, card, forms, prices
from airback.web.seller.balance import amount_page, proof_of, typed_of
from airback.web.seller.card import card_page
from airback.web.seller.draft import Draft, draft_cookie, drop_cookie, read_draft
from airback.web.seller.forms import Errors
from airback.web.seller.visit import Visit, open_visit

#: After these the price has to be shown and agreed to anew.
_NEW_QUOTE: Final = frozenset({"quote_expired", "quote_used", "quote_invalid", "quote_mismatch"})
#: After these the same sale may already be an order: a second tap, or the back button.
_PERHAPS_SOLD: Final = frozenset({"quote_used", "client_ref_used", "idempotency_key_reused"})
_PROVE_AGAIN: Final = frozenset({"proof_invalid", "number_unproven"})


class DraftGone(Exception):
    """The sale's cookie lapsed, or the address was never this browser's."""


@get("/sell/{draft_id:str}", include_in_schema=False)
async def show_quote(request: Request[Any, Any, Any], draft_id: FromPath[str]) -> Response[str]:
    """A fresh quote each time the page is opened."""
    visit = open_visit(request)
    draft = _draft(visit, draft_id)
    return await _page(visit, draft, {}, quote=None)


@get("/sell/{draft_id:str}/edit", include_in_schema=False)
async def change(request: Request[Any, Any, Any], draft_id: FromPath[str]) -> Response[str] | Response[None]:
    """Back to what was typed."""
    visit = open_visit(request)
    draft = _draft(visit, draft_id)
    if draft.number is None:
        return await card_page(visit, typed_of(draft), {})
    if proof_of(visit, draft.number) is None:
        return visit.go("/sell/balance")
    return await amount_page(visit, draft.number, typed_of(draft), {})


@post("/sell/{draft_id:str}", include_in_schema=False)
async def sell(request: Request[Any, Any, Any], draft_id: FromPath[str]) -> Response[str] | Response[None]:
    """Agree and sell. The same tap twice gives the same order."""
    visit = open_visit(request)
    form = await visit.form()
    draft = read_draft(visit.request.cookies, draft_id=draft_id, keys=visit.platform.keys, now=visit.now)
    if draft is None:
        return await _sold_before(visit, form.get("quote", ""))
    errors: Errors = {}
    try:
        quote = prices.unpack(form.get("quote", ""), platform=visit.platform, now=visit.now)
    except Refused as refused:
        return await _page(visit, draft, {"quote": refused.refusal}, quote=None)
    if form.get("agreement") != AGREEMENT:
        errors["agreement"] = REFUSALS["agreement_missing"]
    code = None
    if draft.card_number is not None:
        code = forms.read_card_code(form, errors, card_number=draft.card_number)
    if errors:
        return await _page(visit, draft, errors, quote=quote, agreed="agreement" not in errors)
    answer = await _submit(visit, draft, quote, code)
    if isinstance(answer, Refused):
        sold = await _already_sold(visit, quote) if answer.code in _PERHAPS_SOLD else None
        if sold is None:
            fresh = answer.code in _NEW_QUOTE
            field = {"card_code": "card_code", "agreement": "agreement"}.get(answer.field or "", "quote")
            return await _page(
                visit, draft, {field: answer.refusal}, quote=None if fresh else quote, agreed=not fresh
            )
        answer = Accepted(sold, replayed=True)
    visit.session = visit.session.with_order(answer.order_id)
    return visit.go(f"/orders/{ids.public('ord', answer.order_id)}", cookies=(drop_cookie(draft),))


async def _sold_before(visit: Visit, packed: str) -> Response[None]:
    """A late second tap: the draft is gone because its quote was sold. The order's page guards itself."""
    try:
        sold = await _already_sold(visit, prices.unpack(packed, platform=visit.platform, now=visit.now))
    except Refused:
        sold = None
    if sold is None:
        raise DraftGone
    return visit.go(f"/orders/{ids.public('ord', sold)}")


def _draft(visit: Visit, draft_id: str) -> Draft:
    draft = read_draft(visit.request.cookies, draft_id=draft_id, keys=visit.platform.keys, now=visit.now)
    if draft is None:
        raise DraftGone
    return draft


def _seller_ref(visit: Visit, draft: Draft) -> str:
    return draft.number or card.seller_ref(visit)


async def _submit(visit: Visit, draft: Draft, quote: Quote, code: str | None) -> Accepted | Refused:
    platform = visit.platform
    ref = _seller_ref(visit, draft)
    account, name = draft.payee_account, draft.payee_name
    if draft.rail == "credit":
        account, name = ref, "本人"
    ask = OrderAsk(
        quote=quote.document,
        seller_ref=ref,
        proof=proof_of(visit, draft.number) if draft.number else None,
        card_code=code,
        payee_account=account,
        payee_name=name,
        client_ref=quote.id,
        notify_number=draft.notify_number,
        language=visit.language,
        agreement=AGREEMENT,
    )
    # the code stays out: a hash of so few digits could be tried out
    said = {"quote": quote.id, "seller": ref, "account": account, "name": name}
    try:
        (answer,) = await submit(
            platform.pool,
            book=platform.book,
            client=prices.CLIENT,
            asks=[ask],
            now=visit.now,
            entropy=platform.entropy,
            keys=platform.keys,
            idempotency=(quote.id, hashlib.sha256(canonical(said)).digest()),
            rails={rail: each.capabilities for rail, each in platform.rails.items()},
            hold_kinds={code: each.capabilities.hold for code, each in platform.carriers.items()},
            pauses=await platform.pauses(),
        )
    except Refused as refused:
        return refused
    if isinstance(answer, Accepted) and not answer.replayed:
        platform.exposure.used(
            client=prices.CLIENT,
            seller=quote.seller,
            carrier=quote.carrier,
            face_fen=quote.face_fen,
            until_s=int(quote.valid_until.timestamp()),
        )
    return answer


async def _already_sold(visit: Visit, quote: Quote) -> int | None:
    async with visit.platform.pool.acquire() as conn:
        found = await orders.find_by_client_ref(
            conn, book=visit.platform.book, client=prices.CLIENT, client_ref=quote.id
        )
    if found is None or f"{prices.CLIENT}/{found.seller_ref}" != quote.seller:
        return None
    return found.id


async def _page(
    visit: Visit, draft: Draft, errors: Errors, *, quote: Quote | None, agreed: bool = False
) -> Response[str]:
    """The quote; a fresh one unless one is given that still stands."""
    problems = dict(errors)
    rate_card = await visit.platform.rate_card()
    if quote is None:
        try:
            quote = await prices.offer(
                visit.platform, draft, seller_ref=_seller_ref(visit, draft), now=visit.now
            )
        except Refused as refused:
            problems["quote"] = refused.refusal
    carrier = CARRIERS[draft.carrier]
    rail = rate_card.rails.get(draft.rail)
    unproved = draft.number is not None and proof_of(visit, draft.number) is None
    context: dict[str, Any] = {
        "step": balance.STEPS if draft.product == BALANCE else card.STEPS,
        "of": balance.STEPS if draft.product == BALANCE else card.STEPS,
        "draft": draft,
        "errors": problems,
        "quote": quote,
        "carrier": carrier.zh if visit.language == "zh" else carrier.en,
        "rail_name": "" if rail is None else rail.factor.zh if visit.language == "zh" else rail.factor.en,
        "agreement": AGREEMENT,
        "agreed": agreed,
        "unproved": unproved,
    }
    if quote is not None:
        context |= {
            "quote_text": prices.pack(quote),
            "left_ms": max(0, int((quote.valid_until - visit.now).total_seconds() * 1000)),
            "components": prices.parts(quote.document, language=visit.language, sources=rate_card.sources),
        }
    # a draft that is looked at lives on
    kept = replace(draft, made_at=int(visit.now.timestamp()))
    cookie = draft_cookie(kept, keys=visit.platform.keys, secure=visit.secure)
    return visit.show("confirm.html", context, status=422 if problems else 200, cookies=(cookie,))
