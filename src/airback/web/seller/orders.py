"""A seller's orders: the list, one order live, cancelling, a corrected payee, the receipt."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath
from litestar.response import Stream

from airback.domain import ids
from airback.domain.assets import CARRIERS
from airback.domain.refusals import REFUSALS, Refused
from airback.engine import inbox
from airback.evidence import receipt_pdf
from airback.orders.intake import payee as check_payee
from airback.orders.states import State
from airback.queries import orders
from airback.queries.orders import OrderView
from airback.web.layout import security_headers
from airback.web.seller import forms, prices, wording
from airback.web.seller.balance import number_page
from airback.web.seller.desk import desk_of
from airback.web.seller.forms import Errors
from airback.web.seller.live import TooManyWatchers
from airback.web.seller.visit import READER, Visit, open_visit
from airback.web.templates import WEB, render

_MOST_LISTED: Final = 60
_STREAM_LASTS_S: Final = 600
_FONTS: Final[Path] = WEB / "static" / "vendor" / "fonts"
#: A receipt is printed by one thread at a time: it takes a moment of one core.
_PRINTING: Final = asyncio.Semaphore(1)
_SAID: Final = ("cancel", "payee")


@get("/orders", include_in_schema=False)
async def list_mine(request: Request[Any, Any, Any]) -> Response[str]:
    """Orders of the proved number and of this browser, newest first."""
    visit = open_visit(request)
    found = await _mine(visit)
    rows = [(order, wording.saying(order), _carrier(order, visit.language)) for order in found]
    return visit.show("orders.html", {"rows": rows})


@get("/orders/find", include_in_schema=False)
async def find_mine(request: Request[Any, Any, Any]) -> Response[str]:
    """Prove a number, then see what was sold with it."""
    visit = open_visit(request)
    return number_page(visit, {}, {}, then="/orders")


@get("/orders/{public_id:str}", include_in_schema=False)
async def show_order(request: Request[Any, Any, Any], public_id: FromPath[str]) -> Response[str]:
    """One order, as it stands."""
    visit = open_visit(request)
    order = await _own(visit, public_id)
    said = {name: request.query_params.get(name) for name in _SAID}
    return visit.show("order.html", await _context(visit, order, {}, {}, said=said))


@get("/orders/{public_id:str}/live", include_in_schema=False)
async def follow(request: Request[Any, Any, Any], public_id: FromPath[str]) -> Stream:
    """Server-sent events: the order's part of the page anew, each time it changed since the version `seen`."""
    visit = open_visit(request)
    order = await _own(visit, public_id)
    seen = request.headers.get("last-event-id", "") or str(request.query_params.get("seen", ""))
    stream = _messages(visit, order, last_seen=seen)
    headers = {**security_headers(""), "cache-control": "no-store", "x-accel-buffering": "no"}
    return Stream(stream, media_type="text/event-stream; charset=utf-8", headers=headers)


@post("/orders/{public_id:str}/cancel", include_in_schema=False)
async def cancel(request: Request[Any, Any, Any], public_id: FromPath[str]) -> Response[None]:
    """Ask to cancel; the engine answers when it gets there."""
    visit = open_visit(request)
    await visit.form()
    order = await _own(visit, public_id)
    if not wording.may_cancel(order):
        return visit.go(f"/orders/{order.public_id}")
    async with visit.platform.pool.acquire() as conn:
        await inbox.append_cancel(conn, book=visit.platform.book, order_id=order.id, at=visit.now)
    return visit.go(f"/orders/{order.public_id}?cancel=asked")


@post("/orders/{public_id:str}/payee", include_in_schema=False)
async def correct_payee(
    request: Request[Any, Any, Any], public_id: FromPath[str]
) -> Response[str] | Response[None]:
    """Another account or name, after the rail refused the first or gave the money back."""
    visit = open_visit(request)
    form = await visit.form()
    order = await _own(visit, public_id)
    async with visit.platform.pool.acquire() as conn:
        waits = await orders.waits_for_payee(conn, book=visit.platform.book, order=order)
    if not waits:
        return visit.go(f"/orders/{order.public_id}")
    errors: Errors = {}
    given = forms.read_payee({**form, "rail": order.rail}, errors, rails=visit.platform.rails)
    if not errors:
        try:
            account, name = check_payee(
                rail=order.rail,
                account=given.account,
                name=given.name,
                net_fen=order.net_fen,
                rails={rail: each.capabilities for rail, each in visit.platform.rails.items()},
            )
        except Refused as refused:
            errors[refused.field or "payee_account"] = refused.refusal
    if errors:
        return visit.show("order.html", await _context(visit, order, form, errors), status=422)
    sealed = inbox.seal_payee(order_id=order.id, account=account, name=name, keys=visit.platform.keys)
    async with visit.platform.pool.acquire() as conn:
        await inbox.append_payee(
            conn, book=visit.platform.book, order_id=order.id, sealed=sealed, at=visit.now
        )
    return visit.go(f"/orders/{order.public_id}?payee=given")


@get("/orders/{public_id:str}/receipt.json", include_in_schema=False)
async def receipt_json(request: Request[Any, Any, Any], public_id: FromPath[str]) -> Response[bytes]:
    """The signed receipt, to be checked by a machine."""
    visit = open_visit(request)
    order, document = await _receipt(visit, public_id)
    body = msgspec.json.format(msgspec.json.encode(document), indent=2)
    return _file(body, "application/json", f"airback-{order.public_id}.json")


@get("/orders/{public_id:str}/receipt.pdf", include_in_schema=False)
async def receipt_print(request: Request[Any, Any, Any], public_id: FromPath[str]) -> Response[bytes]:
    """The signed receipt, to be read and kept."""
    visit = open_visit(request)
    order, document = await _receipt(visit, public_id)
    async with _PRINTING:
        body = await asyncio.to_thread(receipt_pdf.render, document, fonts=_FONTS, language=visit.language)
    return _file(body, "application/pdf", f"airback-{order.public_id}.pdf")


async def _own(visit: Visit, public_id: str) -> OrderView:
    """The order, if it is this visitor's. Raises `Refused` `not_found`, the same for one that is somebody else's."""
    order_id = ids.parse_public("ord", public_id[:40])
    if order_id is None:
        raise Refused("not_found")
    async with visit.platform.pool.acquire() as conn:
        order = await orders.get_order(conn, book=visit.platform.book, order_id=order_id)
    if order is None or order.client != prices.CLIENT:
        raise Refused("not_found")
    if visit.session.owns(order.id) or order.seller_ref in {visit.session.id, visit.number} - {None}:
        return order
    raise Refused("not_found")


async def _mine(visit: Visit) -> Sequence[OrderView]:
    book = visit.platform.book
    found: dict[int, OrderView] = {}
    async with visit.platform.pool.acquire() as conn:
        if visit.session.own:
            found |= await orders.get_orders(conn, book=book, order_ids=visit.session.own)
        for ref in {visit.session.id, visit.number} - {None}:
            listed = await orders.list_orders(
                conn, book=book, client=prices.CLIENT, seller_ref=ref, limit=_MOST_LISTED
            )
            found |= {order.id: order for order in listed.items}
    return sorted(found.values(), key=lambda order: -order.id)[:_MOST_LISTED]


async def _receipt(visit: Visit, public_id: str) -> tuple[OrderView, dict[str, Any]]:
    order = await _own(visit, public_id)
    async with visit.platform.pool.acquire() as conn:
        document = await orders.receipt(conn, book=visit.platform.book, order_id=order.id)
    if document is None:
        raise Refused("not_found")
    return order, document


def _file(body: bytes, media_type: str, name: str) -> Response[bytes]:
    return Response(
        content=body,
        media_type=media_type,
        headers={
            "content-disposition": f'attachment; filename="{name}"',
            "cache-control": "no-store",
            "x-content-type-options": "nosniff",
        },
    )


def _carrier(order: OrderView, language: str) -> str:
    carrier = CARRIERS[order.carrier]
    return carrier.zh if language == "zh" else carrier.en


async def _context(
    visit: Visit,
    order: OrderView,
    typed: dict[str, str],
    errors: Errors,
    *,
    said: dict[str, str | None] | None = None,
) -> dict[str, Any]:
    async with visit.platform.pool.acquire() as conn:
        events = await orders.events(conn, book=visit.platform.book, order_id=order.id)
        awaits = await orders.waits_for_payee(conn, book=visit.platform.book, order=order)
        receipt = None
        if order.state == State.CLOSED:
            receipt = await orders.receipt(conn, book=visit.platform.book, order_id=order.id)
    state = State(order.state)
    told = state in {State.DECLINED, State.FAILED, State.AWAITING_SELLER, State.EXPIRED}
    rate_card = await visit.platform.rate_card()
    rail = rate_card.rails.get(order.rail)
    return {
        "order": order,
        "saying": wording.saying(order, awaits=awaits),
        "steps": wording.progress(order, events, awaits=awaits),
        "expected": wording.expected(order, visit.platform.now()),
        "refusal": REFUSALS.get(order.code or "") if told else None,
        "may_cancel": wording.may_cancel(order),
        "awaits": awaits,
        "live": _moves(order),
        "has_receipt": receipt is not None,
        "carrier": _carrier(order, visit.language),
        "rail_name": order.rail
        if rail is None
        else rail.factor.zh
        if visit.language == "zh"
        else rail.factor.en,
        "components": prices.parts(order.quote, language=visit.language, sources=rate_card.sources),
        "requoted": order.quote.get("replaces") is not None,
        "too_late": REFUSALS["too_late"] if order.cancel == "too_late" and not order.final else None,
        "said": said or dict.fromkeys(_SAID),
        "typed": typed,
        "errors": errors,
        "version": _version(order),
        "csrf": visit.session.csrf,
    }


async def _messages(visit: Visit, order: OrderView, *, last_seen: str) -> AsyncIterator[bytes]:
    """What changed since the message the browser saw last, then every change, until the order ends."""
    yield b"retry: 2000\n\n"
    seen = last_seen
    if _version(order) != seen:
        seen = _version(order)
        yield await _message(visit, order)
    if not _moves(order):
        yield b"event: end\ndata: end\n\n"
        return
    until = asyncio.get_running_loop().time() + _STREAM_LASTS_S
    try:
        async for view in desk_of(visit.request.app).live.follow(order.id):
            if view is None:
                yield b": alive\n\n"
            elif _version(view) != seen:
                seen = _version(view)
                yield await _message(visit, view)
                if not _moves(view):
                    yield b"event: end\ndata: end\n\n"
                    return
            if asyncio.get_running_loop().time() > until:
                return  # the browser comes back by itself; nothing is held for ever
    except TooManyWatchers:
        return


def _moves(order: OrderView) -> bool:
    """Whether anything may still change on its page."""
    return not order.final or order.owed_again


def _version(order: OrderView) -> str:
    return f"{int(order.updated_at.timestamp() * 1000)}-{order.state}-{order.cancel or ''}"


async def _message(visit: Visit, order: OrderView) -> bytes:
    context = await _context(visit, order, {}, {})
    body = render(READER, "_order_parts.html", language=visit.language, nonce="", context=context)
    lines = "".join(f"data: {line}\n" for line in body.splitlines() if line.strip())
    return f"event: order\nid: {_version(order)}\n{lines}\n".encode()
