"""Orders: find them, and one order with everything that happened to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from litestar import Response, get, post
from litestar.params import FromPath

from airback.domain import ids
from airback.domain.numbers import mask, parse_card_number, parse_mobile
from airback.domain.refusals import Refused
from airback.engine.act import cancel_order
from airback.orders.states import FINAL, State
from airback.queries import console, margin, orders
from airback.queries.orders import OrderView, TimelineEntry
from airback.staff.roles import Permission
from airback.web.console.desk import HOME, AnyRequest, Visitor, asked, go, platform, posted, show, visitor

PAGE: Final = 50
_PREFIXES: Final = {"pro": "approvals"}


@get("/orders", name="console-orders")
async def orders_page(request: AnyRequest) -> Response[Any]:
    """Orders by cursor, by state, or whatever the search found."""
    who = await visitor(request, needs=Permission.READ_ORDERS)
    return await _list(request, who, search=asked(request, "search"), state=asked(request, "state", most=40))


@post("/orders", status_code=200)
async def search_form(request: AnyRequest) -> Response[Any]:
    """The one search box. A phone or card number stays in the form: addresses are written into logs."""
    who = await visitor(request, needs=Permission.READ_ORDERS)
    form = await posted(request, who)
    search, state = form.text("search", most=200), form.text("state", most=40)
    if _is_number(search):
        return await _list(request, who, search=search, state=state)
    return go(f"{HOME}/orders?{urlencode({'search': search, 'state': state})}")


def _is_number(text: str) -> bool:
    return parse_mobile(text) is not None or parse_card_number(text) is not None


async def _list(request: AnyRequest, who: Visitor, *, search: str, state: str) -> Response[Any]:
    here = platform(request)
    after = ids.parse_public("ord", asked(request, "after", most=40))
    if state and state not in set(State):
        raise Refused("field_invalid", field="state")
    number = _is_number(search)
    async with here.pool.acquire() as conn:
        elsewhere = await _elsewhere(conn, book=here.book, text=search) if search and not number else None
        if elsewhere is not None:
            return go(elsewhere)
        found = await orders.list_orders(
            conn,
            book=here.book,
            state=state or None,
            search=search or None,
            after=after,
            limit=orders.MOST_PER_PAGE if number else PAGE,
        )
        return await show(
            request,
            who,
            "orders.html",
            section="orders",
            conn=conn,
            orders=[order.masked() for order in found.items],
            more=None if found.next is None or number else ids.public("ord", found.next),
            cut=found.next is not None and number,
            search="" if number else search,
            number=mask(search) if number else None,
            state=state,
            states=[str(each) for each in State],
            first=after is None,
        )


async def _elsewhere(conn: Any, *, book: int, text: str) -> str | None:
    """The page of what the text names outright: an order, a payout, a fill, an effect's reference, a proposal."""
    head, _, _ = text.partition("_")
    order = ids.parse_public("ord", text)
    if order is not None and await orders.standing(conn, book=book, order_id=order) is not None:
        return f"{HOME}/orders/{ids.public('ord', order)}"
    if head == "pro" and ids.parse_public("pro", text) is not None:
        return f"{HOME}/approvals/{text.strip()}"
    if head in ("pay", "fil") or len(text) == 26:
        found = await console.order_of(conn, book=book, text=text)
        if found is not None:
            return f"{HOME}/orders/{ids.public('ord', found)}"
    return None


@dataclass(frozen=True, slots=True)
class Moment:
    """One entry of a timeline as the page shows it: facts as (key, value), exchanges as they were stored."""

    entry: TimelineEntry
    facts: list[tuple[str, Any]]
    exchanges: Sequence[Mapping[str, Any]]


@get("/orders/{public:str}", name="console-order")
async def order_page(request: AnyRequest, public: FromPath[str]) -> Response[Any]:
    """One order: figures, price, fills, payouts, ledger, timeline."""
    who = await visitor(request, needs=Permission.READ_ORDERS)
    here = platform(request)
    order_id = ids.parse_public("ord", public)
    async with here.pool.acquire() as conn:
        order = None if order_id is None else await orders.get_order(conn, book=here.book, order_id=order_id)
        if order is None:
            raise Refused("not_found")
        entries = await orders.timeline(conn, book=here.book, order_id=order.id)
        return await show(
            request,
            who,
            "order.html",
            section="orders",
            conn=conn,
            order=order.masked(),
            components=_components(order),
            due_at=await console.order_due(conn, book=here.book, order_id=order.id),
            fills=await orders.fills(conn, book=here.book, order_id=order.id),
            payouts=await orders.payouts(conn, book=here.book, order_id=order.id),
            transfers=await console.order_transfers(conn, book=here.book, order_id=order.id)
            if who.may(Permission.READ_MONEY)
            else None,
            split=await margin.split_of_order(conn, book=here.book, order_id=order.id)
            if who.may(Permission.READ_MONEY)
            else [],
            effects=await console.order_open_effects(conn, book=here.book, order_id=order.id),
            receipt=await orders.receipt(conn, book=here.book, order_id=order.id),
            moments=[_moment(entry, raw=who.may(Permission.READ_EXCHANGES)) for entry in entries],
            raw=who.may(Permission.READ_EXCHANGES),
            may_cancel=_may_cancel(order) and who.may(Permission.CANCEL_ORDERS),
            told=asked(request, "told", most=20),
        )


@post("/orders/{public:str}/cancel", status_code=200)
async def cancel_form(request: AnyRequest, public: FromPath[str]) -> Response[Any]:
    """Ask for cancellation on the seller's word; the book's writer decides whether it is still free."""
    who = await visitor(request, needs=Permission.CANCEL_ORDERS)
    here = platform(request)
    form = await posted(request, who)
    order_id = ids.parse_public("ord", public)
    async with here.pool.acquire() as conn:
        order = None if order_id is None else await orders.get_order(conn, book=here.book, order_id=order_id)
        if order is None:
            raise Refused("not_found")
        if not _may_cancel(order):
            raise Refused("too_late")
        await cancel_order(
            conn,
            book=here.book,
            order_id=order.id,
            reason=form.text("reason"),
            by=who.name,
            roles=who.roles,
            now=here.now(),
        )
    return go(f"{HOME}/orders/{order.public_id}?told=cancel")


def _may_cancel(order: OrderView) -> bool:
    return order.state not in FINAL and order.cancel is None and order.delivered_fen == 0


def _components(order: OrderView) -> list[dict[str, Any]]:
    found = order.quote.get("components")
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


# What the timeline's own columns already say.
_SAID: Final = frozenset({"action", "at", "book", "seq", "order", "code", "amount_fen", "to"})


def _moment(entry: TimelineEntry, *, raw: bool) -> Moment:
    facts = [(key, value) for key, value in entry.facts.items() if key not in _SAID and value is not None]
    return Moment(entry=entry, facts=facts, exchanges=entry.exchanges if raw else ())
