"""Forms that propose: money that came in, a licence, a pause, the result of an effect.

Each form shows what stands now, reads what shall be, and hands both to `engine.propose`. Nothing is executed here.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Any, Final

import asyncpg
from litestar import Response, get, post
from litestar.params import FromPath

from airback.compliance.licences import Capability
from airback.domain import ids
from airback.domain.assets import CARRIERS
from airback.domain.money import MoneyError, parse_yuan
from airback.domain.refusals import Refused
from airback.engine import propose
from airback.engine.outlets import CREDIT_LINE, WITHDRAW
from airback.ledger.split import payable_account
from airback.orders.states import State
from airback.pricing.rivals import read_share
from airback.queries import console, margin, outlets
from airback.reconciliation.breaks import State as BreakState
from airback.staff.actions import (
    ACTIONS,
    BOOKED,
    CORRECTIONS,
    COURSES,
    RESOLUTIONS,
    SETTLEMENTS,
    STOP,
    Action,
)
from airback.store import licences, pauses, price_caps, statements
from airback.web.console.approvals import APPROVALS, FORMS
from airback.web.console.desk import (
    MOST_BODY,
    AnyRequest,
    Visitor,
    asked,
    go,
    platform,
    posted,
    show,
    visitor,
)
from airback.web.console.typed import effective_at, read_document
from airback.web.layout import language_of
from airback.web.templates import BEIJING

#: Forms that name an outlet on record.
_OF_OUTLETS: Final = ("deposit", "withdraw", "credit-line")


def _action(form: str) -> Action:
    if form not in FORMS:
        raise Refused("not_found")
    return ACTIONS[FORMS[form]]


async def _stands(
    request: AnyRequest, conn: asyncpg.Connection, action: Action, about: str
) -> dict[str, Any]:
    """What stands now, as the proposal's `before`."""
    here = platform(request)
    match action.name:
        case "finance:deposit:credit":
            balance = await console.balance_fen(conn, book=here.book, code=f"deposit:{about}")
            return {"outlet": about, "balance_fen": balance} if about else {}
        case "finance:deposit:withdraw":
            if not about:
                return {}
            money = await outlets.money(conn, book=here.book, outlet=about)
            return {"outlet": about, "free_fen": money.own_free_fen}
        case "finance:credit_line:set":
            if not about:
                return {}
            money = await outlets.money(conn, book=here.book, outlet=about)
            return {"outlet": about, "line_fen": money.line_fen}
        case "operations:pause:lift":
            return await _pause_stands(conn, here.book, about)
        case "finance:float:credit":
            return {"balance_fen": await console.balance_fen(conn, book=here.book, code="float")}
        case "finance:party:pay":
            owed = await margin.owed_to_parties(conn, book=here.book)
            return {"account": about, "balance_fen": owed[about]} if about in owed else {}
        case "finance:split:agree":
            standing = await margin.agreements(conn, book=here.book, scope=about, limit=1) if about else []
            return {"scope": about} | (
                {"version": str(standing[0].version), "document": standing[0].document} if standing else {}
            )
        case "finance:booking:post":
            return {}
        case "operations:book:pause" | "operations:book:resume":
            book = await console.book_now(conn, book=here.book)
            if book is None:
                raise Refused("not_found")
            return {"routing": book.routing} | ({"reason": book.pause_reason} if book.pause_reason else {})
        case "pricing:cap:override":
            return await _cap_stands(conn, here.book, about, now=here.now())
        case "operations:effect:resolve":
            effect = await console.effect_by_ref(conn, book=here.book, ref=about) if about else None
            if effect is None:
                return {}
            return {
                "effect": effect.ref,
                "kind": effect.kind,
                "far_side": effect.far_side,
                "result": effect.result,
                "amount_fen": effect.amount_fen,
            }
        case "reconciliation:break:resolve":
            return await _break_stands(conn, here.book, about)
        case "finance:correction:settle":
            found = await _correction(conn, here.book, about)
            return {} if found is None else _correction_stands(found)
        case "operations:order:decide":
            order_id = ids.parse_public("ord", about)
            return await console.order_to_decide(conn, book=here.book, order_id=order_id) if order_id else {}
        case _:
            for licence in await licences.list_licences(conn, book=here.book):
                if licence.number == about:
                    return {
                        "number": licence.number,
                        "issuer": licence.issuer,
                        "capabilities": sorted(licence.capabilities),
                        "valid_from": licence.valid_from.astimezone(UTC).isoformat(),
                        "valid_until": licence.valid_until.astimezone(UTC).isoformat(),
                    }
            return {}


async def _pause_stands(conn: asyncpg.Connection, book: int, about: str) -> dict[str, Any]:
    pause_id = ids.parse_public("pau", about)
    found = None if pause_id is None else await pauses.get(conn, book=book, pause_id=pause_id)
    if found is None or found.lifted_at is not None:
        return {}
    pause = found.pause
    return {"kind": str(pause.kind), "subject": pause.subject, "reason": pause.reason_zh}


async def _check_money(conn: asyncpg.Connection, book: int, action: Action, after: Mapping[str, Any]) -> None:
    """Refuse an amount that the outlet's money does not allow now; the writer looks again when he gets there."""
    found = await outlets.money(conn, book=book, outlet=after["outlet"])
    if action.name == WITHDRAW and after["amount_fen"] > found.own_free_fen:
        raise Refused("deposit_in_use", field="amount_fen")
    if action.name == CREDIT_LINE and found.line_fen - after["amount_fen"] > found.free_fen:
        raise Refused("credit_line_in_use", field="amount_fen")
    if action.name == CREDIT_LINE and after["amount_fen"] - found.line_fen > max(0, found.operator_fen):
        raise Refused("credit_line_uncovered", field="amount_fen")


async def _correction(conn: asyncpg.Connection, book: int, about: str) -> console.CorrectionRow | None:
    found = ids.parse_public("cor", about)
    return None if found is None else await console.correction(conn, book=book, correction_id=found)


async def _check_correction(conn: asyncpg.Connection, book: int, after: Mapping[str, Any]) -> None:
    """Refuse what the book would not allow as it stands; the writer looks again when he gets there."""
    found = await _correction(conn, book, after["correction"])
    if found is not None:
        found.correction.check(after["amount_fen"])


def _correction_stands(found: console.CorrectionRow) -> dict[str, Any]:
    correction = found.correction
    return {
        "correction": ids.public("cor", correction.id),
        "order": ids.public("ord", correction.order_id),
        "far_side": found.far_side,
        "bearer": str(correction.bearer),
        "total_fen": correction.amount_fen,
        "left_fen": correction.left_fen,
    }


async def _cap_stands(conn: asyncpg.Connection, book: int, about: str, *, now: datetime) -> dict[str, Any]:
    promotion = ids.parse_public("prm", about)
    caps = await price_caps.caps_by_promotion(conn, book=book, since=now)
    if promotion is None or promotion not in caps:
        return {}
    cap = caps[promotion]
    stands = {"promotion": about, "most_ppm": cap.most_ppm}
    limit = cap.per_seller_fen_per_day
    return stands if limit is None else {**stands, "per_seller_fen_per_day": limit}


async def _break_stands(conn: asyncpg.Connection, book: int, about: str) -> dict[str, Any]:
    break_id = ids.parse_public("brk", about)
    found = None if break_id is None else await statements.get_break(conn, book=book, break_id=break_id)
    if found is None:
        return {}
    stands = {
        "break": ids.public("brk", found.id),
        "far_side": found.far_side,
        "explanation": found.explanation,
        "reference": found.reference,
        "our_amount_fen": found.our_amount_fen,
        "their_amount_fen": found.their_amount_fen,
        "left_fen": found.left_fen,
        "state": found.state,
    }
    return {key: value for key, value in stands.items() if value is not None}


async def _form(
    request: AnyRequest,
    who: Visitor,
    form: str,
    *,
    status: int = 200,
    refused: Refused | None = None,
    values: Mapping[str, str] | None = None,
    chosen: list[str] | None = None,
) -> Response[Any]:
    here = platform(request)
    action = _action(form)
    given = dict(values or {})
    about = given.get("about") or asked(request, "about")
    async with here.pool.acquire() as conn:
        stands = await _stands(request, conn, action, about)
        return await show(
            request,
            who,
            "propose.html",
            section="approvals",
            status=status,
            conn=conn,
            form=form,
            action=action,
            stands=stands,
            about=about,
            values=given,
            chosen=chosen or [],
            refused=refused,
            outlets=await console.outlets(conn, book=here.book) if form in _OF_OUTLETS else [],
            effects=await console.open_effects(conn, book=here.book, limit=100)
            if form == "effect" and not stands
            else [],
            reviews=await console.orders_in_review(conn, book=here.book, limit=100)
            if form == "order" and not stands
            else [],
            courses={
                one: names[0 if language_of(request).startswith("zh") else 1]
                for one, names in COURSES.items()
                if (one == STOP) is (stands.get("state") != State.IN_REVIEW)
            },
            capabilities=[str(one) for one in Capability],
            resolutions=[str(one) for one in RESOLUTIONS],
            corrections=list(CORRECTIONS),
            breaks=await statements.list_breaks(conn, book=here.book, limit=100)
            if form == "break" and not stands
            else [],
            settlements=list(SETTLEMENTS),
            booked=list(BOOKED),
            carriers=list(CARRIERS),
            owed=await margin.owed_to_parties(conn, book=here.book) if form == "party" and not stands else {},
            agreement_text=given.get("document") or _agreement_text(stands) if form == "split" else "",
            open_corrections=await console.corrections(conn, book=here.book, limit=100)
            if form == "correction" and not stands
            else [],
        )


def _agreement_text(stands: Mapping[str, Any]) -> str:
    """The agreement in force, to be changed; without one an example that shows every key."""
    document = stands.get("document") or {
        "title": "推荐人分成",
        "source": "合同 2026-001",
        "shares": [
            {"kind": "reserve", "base": "face", "share_ppm": 5_000, "rounding": "up"},
            {
                "kind": "referrer",
                "party": "li-si",
                "base": "platform",
                "share_ppm": 100_000,
                "rounding": "down",
            },
        ],
    }
    order = ("title", "source", "shares", "kind", "party", "base", "share_ppm", "fixed_fen", "rounding")

    def ordered(part: Mapping[str, Any]) -> dict[str, Any]:
        return {key: part[key] for key in order if key in part}

    shares = [ordered(share) for share in document["shares"]]
    return json.dumps({**ordered(document), "shares": shares}, ensure_ascii=False, indent=2)


@get("/approvals/propose/{form:str}", name="console-propose")
async def propose_page(request: AnyRequest, form: FromPath[str]) -> Response[Any]:
    """The form of one action."""
    who = await visitor(request, needs=_action(form).propose)
    return await _form(request, who, form)


@post("/approvals/propose/{form:str}", status_code=200)
async def propose_form(request: AnyRequest, form: FromPath[str]) -> Response[Any]:
    """Propose. What was typed stays in the form when it is refused."""
    action = _action(form)
    who = await visitor(request, needs=action.propose)
    here = platform(request)
    sent = await posted(request, who)
    keys = (
        "about",
        "amount",
        "number",
        "issuer",
        "from",
        "until",
        "result",
        "correction",
        "settlement",
        "line",
        "carrier",
        "source",
        "course",
        "public_reason",
        "most",
        "limit",
        "effective",
        "reason",
    )
    values = {key: sent.text(key) for key in keys} | {"document": sent.text("document", most=MOST_BODY)}
    chosen = sent.texts("capabilities")
    try:
        async with here.pool.acquire() as conn:
            about = values["number"] if form == "licence" else values["about"]
            stands = await _stands(request, conn, action, about)
            subject, after = _read(form, values, chosen, stands=stands, book=here.book, now=here.now())
            if form == "correction":
                await _check_correction(conn, here.book, after)
            if form in _OF_OUTLETS and about not in {
                outlet.outlet for outlet in await console.outlets(conn, book=here.book)
            }:
                raise Refused("not_found", field="outlet")
            head, _, client = about.partition(":")
            named = form == "split" and head == "client" and client
            if named and not await margin.knows_client(conn, book=here.book, client=client):
                raise Refused("not_found", field="scope")
            if form == "party" and after["amount_fen"] > stands["balance_fen"]:
                raise Refused("party_balance_short", field="amount_fen")
            if action.name in (WITHDRAW, CREDIT_LINE):
                await _check_money(conn, here.book, action, after)
            proposal = await propose.propose(
                conn,
                book=here.book,
                action=action.name,
                subject=subject,
                before=stands,
                after=after,
                reason=values["reason"],
                by=who.name,
                roles=who.roles,
                now=here.now(),
                entropy=here.entropy,
            )
    except Refused as refused:
        return await _form(
            request,
            who,
            form,
            status=refused.refusal.status,
            refused=refused,
            values=values,
            chosen=chosen,
        )
    return go(f"{APPROVALS}/{ids.public('pro', proposal)}?told=proposed")


def _read(
    form: str,
    values: Mapping[str, str],
    chosen: list[str],
    *,
    stands: Mapping[str, Any],
    book: int,
    now: datetime,
) -> tuple[str, dict[str, Any]]:
    """(subject, after) of what was typed. Raises `Refused` with the field."""
    match form:
        case "deposit":
            return values["about"], {"outlet": values["about"], "amount_fen": _fen(values["amount"])}
        case "withdraw":
            return values["about"], {"outlet": values["about"], "amount_fen": _fen(values["amount"])}
        case "credit-line":
            zero = values["amount"] in ("0", "0.00")
            return values["about"], {
                "outlet": values["about"],
                "amount_fen": 0 if zero else _fen(values["amount"]),
            }
        case "lift":
            if not stands:
                raise Refused("pause_over", field="pause")
            return values["about"], {"pause": values["about"]}
        case "float":
            return "float", {"amount_fen": _fen(values["amount"])}
        case "booking":
            carrier = {"carrier": values["carrier"]} if values["carrier"] else {}
            return values["line"], {
                "line": values["line"],
                **carrier,
                "amount_fen": _fen(values["amount"]),
                "period_from": values["from"],
                "period_to": values["until"],
                "source": values["source"],
            }
        case "party":
            if not stands or not payable_account(values["about"]):
                raise Refused("not_found", field="account")
            return values["about"], {
                "account": values["about"],
                "amount_fen": _fen(values["amount"]),
                "source": values["source"],
            }
        case "split":
            return values["about"], {
                "scope": values["about"],
                "document": read_document(values["document"]),
                "effective_at": effective_at(values["effective"], now=now),
            }
        case "pause":
            if stands.get("routing") is False:
                raise Refused("already_decided", field="routing")
            return f"book-{book}", {"routing": False, "reason": values["public_reason"]}
        case "resume":
            if stands.get("routing") is True:
                raise Refused("already_decided", field="routing")
            return f"book-{book}", {"routing": True}
        case "effect":
            if not stands:
                raise Refused("not_found", field="effect")
            amount = _fen(values["amount"]) if values["amount"] else None
            after: dict[str, Any] = {"effect": values["about"], "result": values["result"]}
            return values["about"], after | ({} if amount is None else {"amount_fen": amount})
        case "cap":
            if not stands:
                raise Refused("not_found", field="promotion")
            cap: dict[str, Any] = {
                "promotion": stands["promotion"],
                "most_ppm": read_share(values["most"], field="most"),
            }
            limit = {"per_seller_fen_per_day": _fen(values["limit"])} if values["limit"] else {}
            return str(stands["promotion"]), cap | limit
        case "break":
            if not stands:
                raise Refused("not_found", field="break")
            if stands["state"] != BreakState.OPEN:
                raise Refused("break_closed", field="break")
            return str(stands["break"]), {"break": stands["break"], "correction": values["correction"]}
        case "correction":
            if not stands:
                raise Refused("not_found", field="correction")
            return str(stands["correction"]), {
                "correction": stands["correction"],
                "settlement": values["settlement"],
                "amount_fen": _fen(values["amount"]),
            }
        case "order":
            if not stands:
                raise Refused("not_found", field="order")
            return values["about"], {"order": values["about"], "course": values["course"]}
        case _:
            return values["number"], {
                "number": values["number"],
                "issuer": values["issuer"],
                "capabilities": sorted(set(chosen)),
                "valid_from": _day(values["from"], field="valid_from"),
                # a licence is good through its last day
                "valid_until": _day(values["until"], field="valid_until", plus=1),
            }


def _fen(text: str) -> int:
    try:
        return parse_yuan(text.replace(",", "").replace(",", ""))
    except MoneyError as error:
        raise Refused(error.code, field="amount_fen") from error


def _day(text: str, *, field: str, plus: int = 0) -> str:
    """The beginning of a day in Beijing, `plus` days later, as an ISO time in UTC."""
    try:
        day = datetime.strptime(text, "%Y-%m-%d").date() + timedelta(days=plus)  # noqa: DTZ007
    except (ValueError, OverflowError):
        raise Refused("field_invalid", field=field) from None
    return datetime.combine(day, time(), tzinfo=BEIJING).astimezone(UTC).isoformat()
