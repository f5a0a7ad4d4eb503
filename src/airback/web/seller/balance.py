"""Sell a number's balance: prove the number by a code, see what it can sell, choose an amount."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Final

from litestar import Request, Response, get, post

from airback.domain.assets import BALANCE, CARRIERS
from airback.domain.ports.carrier import CodeCheck, CodeRefused, FarSideUnreachable, Line, LineStatus
from airback.domain.refusal import Refusal
from airback.domain.refusals import REFUSALS, Refused
from airback.orders.intake import AGREEMENT
from airback.orders.proofs import check_proof, make_proof
from airback.pricing.cards import RateCard
from airback.web.seller import forms, prices
from airback.web.seller.desk import desk_of
from airback.web.seller.draft import Draft, draft_cookie, new_draft_id
from airback.web.seller.forms import Errors
from airback.web.seller.session import CodeAsked
from airback.web.seller.throttle import RESEND_AFTER_S
from airback.web.seller.visit import Visit, open_visit
from airback.web.templates import BEIJING, plain_yuan

STEPS: Final = 4
_PICKS_FEN: Final = (1_000, 2_000, 3_000, 5_000, 10_000, 20_000, 30_000, 50_000, 100_000)
_MOST_PICKS: Final = 7
#: For how many hours a seller's own price may rest, and the field that keeps that part of the page open.
WAITS: Final = (1, 6, 24, 72)
OWN_PRICE: Final = "own_price"
#: Where a right code may lead, besides to the amount.
_THEN: Final = re.compile(r"/orders|/offers|/sell/[0-9a-z]{12}", re.ASCII)
_CODE_CHECKS: Final = {
    CodeCheck.WRONG: "code_wrong",
    CodeCheck.EXPIRED: "code_expired",
    CodeCheck.TOO_MANY: "code_too_many",
}
_CODE_TEXT: Final = {
    "zh": "【话费回收】验证码 {{code}},用于确认号码由您持有。请勿告诉任何人。",
    "en": "[Airback] Your code is {{code}}. It confirms that this number is yours. Tell nobody.",
}


@dataclass(frozen=True, slots=True)
class RailChoice:
    """A way of being paid that can be chosen now."""

    name: str
    zh: str
    en: str


def rails_offered(visit: Visit, card: RateCard) -> list[RailChoice]:
    """Rails that are connected, licensed and priced, Alipay first."""
    found = [
        RailChoice(name, card.rails[name].factor.zh, card.rails[name].factor.en)
        for name in visit.platform.rails
        if name in card.rails and card.rails[name].factor.counts(visit.now)
    ]
    return sorted(found, key=lambda rail: (rail.name != "alipay", rail.name))


def proof_of(visit: Visit, number: str) -> str | None:
    """The proof of a number this browser holds, while it is good for selling."""
    proof = visit.session.proof
    if proof is None or visit.session.number != number:
        return None
    try:
        check_proof(proof, number, visit.now, visit.platform.keys)
    except Refused:
        return None
    return proof


def proved_number(visit: Visit) -> str | None:
    """The number this browser may sell from right now."""
    number = visit.session.number
    return number if number is not None and proof_of(visit, number) is not None else None


@get("/sell/balance", include_in_schema=False)
async def ask_number(request: Request[Any, Any, Any]) -> Response[str]:
    """Which number?"""
    visit = open_visit(request)
    return number_page(visit, {}, {})


@post("/sell/balance", include_in_schema=False)
async def take_number(request: Request[Any, Any, Any]) -> Response[str] | Response[None]:
    """Send a code to the number."""
    visit = open_visit(request)
    form = await visit.form()
    errors: Errors = {}
    then = form.get("then", "") if _THEN.fullmatch(form.get("then", "")) else None
    number = forms.read_number(form, errors)
    if errors:
        return number_page(visit, form, errors, then=then)
    if proof_of(visit, number) is not None:
        return visit.go(then or "/sell/balance/amount")
    problem = await _send_code(visit, number, then)
    if problem is not None and not (problem.code == "code_too_soon" and _waits_for(visit, number)):
        errors["number"] = problem
        return number_page(visit, form, errors, then=then)
    return visit.go("/sell/balance/code")


@get("/sell/balance/code", include_in_schema=False)
async def ask_code(request: Request[Any, Any, Any]) -> Response[str] | Response[None]:
    """Which code?"""
    visit = open_visit(request)
    if visit.session.code is None:
        return visit.go("/sell/balance/amount" if proved_number(visit) else "/sell/balance")
    return _code_page(visit, {})


@post("/sell/balance/code", include_in_schema=False)
async def take_code(request: Request[Any, Any, Any]) -> Response[str] | Response[None]:
    """Compare the code; a right one proves the number for a quarter of an hour."""
    visit = open_visit(request)
    form = await visit.form()
    asked = visit.session.code
    if asked is None:
        return visit.go("/sell/balance/amount" if proved_number(visit) else "/sell/balance")
    errors: Errors = {}
    code = forms.read_code(form, errors)
    if not errors:
        try:
            check = await visit.platform.subscribers.check_code(
                authentication_id=asked.authentication_id, code=code
            )
        except FarSideUnreachable:
            errors["code"] = REFUSALS["carrier_unreachable"]
        else:
            if check is not CodeCheck.RIGHT:
                errors["code"] = REFUSALS[_CODE_CHECKS[check]]
    if errors:
        return _code_page(visit, errors)
    visit.session = replace(
        visit.session,
        number=asked.number,
        proved_at=int(visit.now.timestamp()),
        proof=make_proof(asked.number, visit.now, visit.platform.keys),
        code=None,
    )
    return visit.go(asked.then or "/sell/balance/amount")


@post("/sell/balance/resend", include_in_schema=False)
async def send_again(request: Request[Any, Any, Any]) -> Response[str] | Response[None]:
    """Send another code; the earlier one stops counting."""
    visit = open_visit(request)
    await visit.form()
    asked = visit.session.code
    if asked is None:
        return visit.go("/sell/balance")
    problem = await _send_code(visit, asked.number, asked.then)
    if "hx-request" in request.headers:
        return visit.show("_resend.html", _resend(visit, problem=problem, resent=problem is None))
    return _code_page(visit, {}, problem=problem, resent=problem is None)


@get("/sell/balance/amount", include_in_schema=False)
async def ask_amount(request: Request[Any, Any, Any]) -> Response[str] | Response[None]:
    """How much, and who is paid?"""
    visit = open_visit(request)
    number = proved_number(visit)
    if number is None:
        return visit.go("/sell/balance")
    return await amount_page(visit, number, {}, {})


@post("/sell/balance/amount", include_in_schema=False)
async def take_amount(request: Request[Any, Any, Any]) -> Response[str] | Response[None]:
    """Keep what was chosen and go on to the quote."""
    visit = open_visit(request)
    form = await visit.form()
    number = proved_number(visit)
    if number is None:
        return visit.go("/sell/balance")
    errors: Errors = {}
    card = await visit.platform.rate_card()
    payee = forms.read_payee(form, errors, rails={rail.name: rail for rail in rails_offered(visit, card)})
    face_fen = forms.read_amount(form, errors)
    line = await _inspect(visit, number, errors)
    if line is not None and face_fen > line.sellable_fen:
        errors.setdefault("amount", REFUSALS["balance_insufficient"])
    if line is None or errors:
        return await amount_page(visit, number, form, errors, line=line)
    draft = Draft(
        id=new_draft_id(visit.platform.entropy),
        made_at=int(visit.now.timestamp()),
        product=BALANCE,
        carrier=line.carrier,
        face_fen=face_fen,
        number=number,
        expires_on=_expiry(line),
        province=line.province,
        rail=payee.rail,
        payee_account=payee.account,
        payee_name=payee.name,
    )
    try:
        await prices.check(visit.platform, draft, seller_ref=number, now=visit.now)
    except Refused as refused:
        errors["amount" if refused.field == "face_fen" else refused.field or "quote"] = refused.refusal
        return await amount_page(visit, number, form, errors, line=line)
    return visit.go(
        draft.address, cookies=(draft_cookie(draft, keys=visit.platform.keys, secure=visit.secure),)
    )


@get("/sell/estimate", include_in_schema=False)
async def estimate(request: Request[Any, Any, Any]) -> Response[str]:
    """What one would receive: a piece of page, while typing."""
    visit = open_visit(request)
    asked = {name: str(value) for name, value in request.query_params.multi_items()}
    return visit.show("_estimate.html", await estimated(visit, asked, product=asked.get("product", "")))


async def estimated(visit: Visit, asked: Mapping[str, str], *, product: str) -> dict[str, Any]:
    """What the piece of page with the estimate shows for what was typed: a sum, a refusal, or what is missing."""
    errors: Errors = {}
    field = "amount" if product == BALANCE else "face"
    context: dict[str, Any] = {"estimate": None, "estimate_problem": None, "estimate_for": product}
    if not asked.get(field, "").strip() or not asked.get("carrier"):
        return context
    face_fen = forms.read_amount(asked, errors, field=field)
    if errors:
        return context | {"estimate_problem": errors[field]}
    try:
        return context | {
            "estimate": await prices.estimate(
                visit.platform,
                product=product,
                carrier=asked["carrier"],
                face_fen=face_fen,
                expires_on=_date(asked.get("expires_on", "")),
                province=asked.get("province"),
                rail=asked.get("rail") or prices.RAIL_SHOWN,
                now=visit.now,
            )
        }
    except Refused as refused:
        return context | {"estimate_problem": refused.refusal}


async def amount_page(
    visit: Visit, number: str, form: dict[str, str], errors: Errors, *, line: Line | None = None
) -> Response[str]:
    """The page that asks for an amount; with errors, and with what was typed."""
    card = await visit.platform.rate_card()
    problems = dict(errors)
    if line is None:
        line = await _inspect(visit, number, problems)
    limits = card.limits[BALANCE]
    context: dict[str, Any] = {
        "step": 3,
        "of": STEPS,
        "errors": problems,
        "typed": form,
        "line": line,
        "rails": rails_offered(visit, card),
        "least_fen": limits.least_fen,
        "agreement": AGREEMENT,
        "waits": WAITS,
        "keep": None,
        "own_price": OWN_PRICE in form or bool({"net", "deadline", "agreement"} & problems.keys()),
    }
    if line is None or min(line.sellable_fen, limits.most_fen) < limits.least_fen:
        return visit.show("balance_nothing.html", context, status=200 if line else 422)
    most_fen = min(line.sellable_fen, limits.most_fen)
    carrier = CARRIERS[line.carrier]
    expiry = _expiry(line)
    # what is wrong with the amount stands at its field; the estimate does not say it again
    typed = {
        "amount": "" if "amount" in problems else form.get("amount", ""),
        "rail": form.get("rail", ""),
        "carrier": line.carrier,
        "province": line.province or "",
        "expires_on": expiry.isoformat() if expiry else "",
    }
    picks = [fen for fen in _PICKS_FEN if limits.least_fen <= fen < most_fen]
    context |= {
        "carrier": carrier.zh if visit.language == "zh" else carrier.en,
        "kept_fen": line.principal_fen - line.sellable_fen,
        "most_fen": most_fen,
        "expires_on": expiry,
        "picks": picks[-_MOST_PICKS:] if len(picks) >= _MOST_PICKS else picks,
        **await estimated(visit, typed, product=BALANCE),
    }
    return visit.show("balance_amount.html", context, status=422 if problems else 200)


def typed_of(draft: Draft) -> dict[str, str]:
    """What was typed for a draft, as its form shows it again."""
    return {
        "amount": plain_yuan(draft.face_fen),
        "face": plain_yuan(draft.face_fen),
        "carrier": draft.carrier,
        "card_number": draft.card_number or "",
        "expires_on": draft.expires_on.isoformat() if draft.expires_on else "",
        "notify_number": draft.notify_number or "",
        "rail": draft.rail,
        "payee_account": draft.payee_account,
        "payee_name": draft.payee_name,
    }


async def _inspect(visit: Visit, number: str, errors: Errors) -> Line | None:
    """The line as its carrier describes it, or None with the reason noted."""
    try:
        line = await visit.platform.subscribers.inspect(number)
    except FarSideUnreachable:
        errors["number"] = REFUSALS["carrier_unreachable"]
        return None
    if line is None or line.status is LineStatus.DEAD:
        errors["number"] = REFUSALS["number_dead"]
        return None
    if line.status is LineStatus.SUSPENDED:
        errors["number"] = REFUSALS["number_suspended"]
        return None
    if line.carrier not in CARRIERS or line.carrier not in visit.platform.carriers:
        errors["number"] = REFUSALS["carrier_unknown"]
        return None
    return line


async def _send_code(visit: Visit, number: str, then: str | None) -> Refusal | None:
    """Have a code sent; the refusal if it was not."""
    throttle = desk_of(visit.request.app).throttle
    wait = throttle.wait(number=number, address=visit.address, now=visit.now)
    if wait is not None:
        return REFUSALS[wait.code]
    throttle.sent(number=number, address=visit.address, now=visit.now)
    try:
        authentication_id = await visit.platform.subscribers.send_code(
            number=number, text=_CODE_TEXT[visit.language]
        )
    except FarSideUnreachable:
        return REFUSALS["carrier_unreachable"]
    except CodeRefused as refused:
        return REFUSALS.get(refused.code, REFUSALS["unavailable"])
    visit.session = replace(
        visit.session, code=CodeAsked(number, authentication_id, int(visit.now.timestamp()), then)
    )
    return None


def _waits_for(visit: Visit, number: str) -> bool:
    return visit.session.code is not None and visit.session.code.number == number


def number_page(
    visit: Visit, typed: dict[str, str], errors: Errors, *, then: str | None = None
) -> Response[str]:
    """The page that asks for a number: to sell from, or (`then`) to find its orders."""
    context = {
        "step": 1,
        "of": STEPS,
        "then": then,
        "typed": typed or {"number": visit.number or ""},
        "errors": errors,
        "ready_number": proved_number(visit),
    }
    return visit.show("balance_number.html", context, status=422 if errors else 200)


def _code_page(
    visit: Visit, errors: Errors, *, problem: Refusal | None = None, resent: bool = False
) -> Response[str]:
    context = {"step": 2, "of": STEPS, "errors": errors, **_resend(visit, problem=problem, resent=resent)}
    return visit.show("balance_code.html", context, status=422 if errors else 200)


def _resend(visit: Visit, *, problem: Refusal | None, resent: bool) -> dict[str, Any]:
    asked = visit.session.code
    assert asked is not None  # the callers looked
    waited_s = int(visit.now.timestamp()) - asked.sent_at
    return {
        "code_number": asked.number,
        "wait_s": max(0, RESEND_AFTER_S - waited_s),
        "resend_problem": problem,
        "resent": resent,
    }


def _expiry(line: Line) -> date | None:
    return None if line.expires_at is None else line.expires_at.astimezone(BEIJING).date()


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        return None
