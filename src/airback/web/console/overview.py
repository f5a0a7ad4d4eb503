"""The first page: orders by state, money, open effects, alarms; and the registers behind each of them."""

from typing import Any

from litestar import Response, get

from airback.domain import ids
from airback.orders.states import FINAL, State
from airback.queries import console
from airback.staff.roles import Permission
from airback.store import proposals
from airback.web.console.desk import AnyRequest, asked, platform, show, visitor

PAGE = 50


@get("/", name="console-overview")
async def overview_page(request: AnyRequest) -> Response[Any]:
    """What stands where, now."""
    who = await visitor(request, needs=None)
    here = platform(request)
    now = here.now()
    async with here.pool.acquire() as conn:
        counts = (
            await console.orders_by_state(conn, book=here.book, now=now)
            if who.may(Permission.READ_ORDERS)
            else None
        )
        money = await console.money(conn, book=here.book) if who.may(Permission.READ_MONEY) else None
        effects = (
            await console.count_open_effects(conn, book=here.book)
            if who.may(Permission.READ_ORDERS)
            else None
        )
        alarms = (
            await console.open_alarms(conn, book=here.book, limit=5)
            if who.may(Permission.READ_ORDERS)
            else None
        )
        demands = (
            await console.demand_book(conn, book=here.book) if who.may(Permission.READ_OUTLETS) else None
        )
        open_proposals = await proposals.open_proposals(conn, book=here.book, now=now, limit=5)
        by_state = {count.state: count for count in counts or ()}
        order = [str(state) for state in State]
        return await show(
            request,
            who,
            "overview.html",
            section="overview",
            conn=conn,
            counts=None
            if counts is None
            else sorted(counts, key=lambda each: order.index(each.state) if each.state in order else 99),
            open_orders=sum(count.open for count in counts or ()),
            needs_person=sum(
                by_state[state].open
                for state in (State.IN_REVIEW, State.AWAITING_SELLER)
                if state in by_state
            ),
            recent=sum(count.recent for count in counts or ()),
            closed=by_state[State.CLOSED].recent if State.CLOSED in by_state else 0,
            paid_fen=sum(count.paid_fen for count in counts or ()),
            final={str(state) for state in FINAL},
            money=money,
            effects=effects,
            open_effects=sum(effect.effects for effect in effects or ()),
            unknown_effects=sum(effect.effects for effect in effects or () if effect.result == "unknown"),
            alarms=alarms,
            demands=demands,
            proposals=open_proposals if who.may(Permission.READ_PROPOSALS) else None,
        )


@get("/alarms", name="console-alarms")
async def alarms_page(request: AnyRequest) -> Response[Any]:
    """Open alarms, those due first at the top."""
    who = await visitor(request, needs=Permission.READ_ORDERS)
    here = platform(request)
    async with here.pool.acquire() as conn:
        alarms = await console.open_alarms(conn, book=here.book)
        return await show(request, who, "alarms.html", section="alarms", conn=conn, alarms=alarms)


@get("/effects", name="console-effects")
async def effects_page(request: AnyRequest) -> Response[Any]:
    """Effects without a final result, the oldest first."""
    who = await visitor(request, needs=Permission.READ_ORDERS)
    here = platform(request)
    result = asked(request, "result", most=40)
    after = ids.parse_public("eff", asked(request, "after", most=40))
    async with here.pool.acquire() as conn:
        effects = await console.open_effects(
            conn, book=here.book, result=result or None, after=after, limit=PAGE + 1
        )
        counts = await console.count_open_effects(conn, book=here.book)
        return await show(
            request,
            who,
            "effects.html",
            section="effects",
            conn=conn,
            effects=effects[:PAGE],
            more=ids.public("eff", effects[PAGE - 1].id) if len(effects) > PAGE else None,
            results=sorted({count.result for count in counts}),
            result=result,
        )


@get("/money", name="console-money")
async def money_page(request: AnyRequest) -> Response[Any]:
    """Client money against what is owed, and the ledger's accounts."""
    who = await visitor(request, needs=Permission.READ_MONEY)
    here = platform(request)
    prefix = asked(request, "account", most=80)
    code, _, asset = asked(request, "after").rpartition("|")
    async with here.pool.acquire() as conn:
        rows = await console.accounts(
            conn, book=here.book, prefix=prefix, after=(code, asset) if code else None, limit=PAGE + 1
        )
        return await show(
            request,
            who,
            "money.html",
            section="money",
            conn=conn,
            money=await console.money(conn, book=here.book),
            accounts=rows[:PAGE],
            more=f"{rows[PAGE - 1].code}|{rows[PAGE - 1].asset}" if len(rows) > PAGE else None,
            prefix=prefix,
        )
