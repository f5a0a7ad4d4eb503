"""Past orders under another card, as a page: the preview of a draft, and the backtest of any card with another margin.

Both show what the operator earns, so they are for whoever may approve a rate card, not for all who may read one.
"""

from typing import Any, Final

import asyncpg
from litestar import Response, get
from litestar.params import FromPath

from airback.domain import ids
from airback.domain.refusals import Refused
from airback.pricing.cards import RateCard, parse_card
from airback.pricing.preview import ASSUMPTIONS, NO_TIER, report
from airback.queries import console
from airback.queries.preview import MOST_DAYS, Replayed, replayed
from airback.staff.roles import Permission
from airback.store import rate_card_drafts as drafts
from airback.store.rate_card_drafts import PREFIX
from airback.web.console.card_form import read_percent
from airback.web.console.desk import AnyRequest, Visitor, asked, platform, show, visitor
from airback.web.console.pricing_desk import SECTION, find_draft
from airback.web.console.typed import moment_of
from airback.web.console.words import Words
from airback.web.layout import language_of
from airback.web.templates import typeset

#: So many orders are priced again while a person waits; the command takes all of them.
MOST_ORDERS: Final = 20_000
_DAYS: Final = 7


@get("/prices/drafts/{public:str}/preview", name="console-draft-preview")
async def preview_page(request: AnyRequest, public: FromPath[str]) -> Response[Any]:
    """What the orders of the last days would have come to by the draft."""
    who = await visitor(request, needs=Permission.APPROVE_RATE_CARD)
    here = platform(request)
    async with here.pool.acquire() as conn:
        draft = await find_draft(request, conn, public)
        return await _page(
            request,
            who,
            conn,
            "preview.html",
            card=parse_card(draft.document),
            margin_text="0",
            draft=draft,
        )


@get("/prices/backtest", name="console-backtest")
async def backtest_page(request: AnyRequest) -> Response[Any]:
    """The orders of the last days by any card and margin, with the profit and loss of both sides."""
    who = await visitor(request, needs=Permission.APPROVE_RATE_CARD)
    here = platform(request)
    chosen = asked(request, "card", most=60)
    async with here.pool.acquire() as conn:
        versions = await console.rate_cards(conn, book=here.book)
        open_drafts = await drafts.list_drafts(conn, book=here.book)
        row = console.in_force(versions, now=here.now())
        if not chosen and row is not None:
            chosen = str(row.version)
        documents = {str(one.version): one.document for one in versions}
        documents |= {one.public_id: one.document for one in open_drafts}
        if chosen not in documents and (draft := ids.parse_public(PREFIX, chosen)) is not None:
            found = await drafts.get(conn, book=here.book, draft=draft)
            documents |= {} if found is None else {chosen: found.document}
        if chosen and chosen not in documents:
            raise Refused("not_found", field="card")
        return await _page(
            request,
            who,
            conn,
            "backtest.html",
            card=parse_card(documents[chosen]) if chosen else None,
            margin_text=asked(request, "margin", most=20) or "0",
            chosen=chosen,
            versions=versions,
            open_drafts=open_drafts,
        )


async def _page(
    request: AnyRequest,
    who: Visitor,
    conn: asyncpg.Connection,
    template: str,
    *,
    card: RateCard | None,
    margin_text: str,
    **context: Any,
) -> Response[Any]:
    here = platform(request)
    values = {
        "days": asked(request, "days", most=10) or str(_DAYS),
        "at": asked(request, "at", most=40),
        "margin": margin_text,
    }
    refused: Refused | None = None
    found: Replayed | None = None
    try:
        at = moment_of(values["at"], field="at")
        if card is not None:
            found = await replayed(
                conn,
                book=here.book,
                card=card,
                days=_whole(values["days"]),
                now=here.now(),
                margin_ppm=_margin(values["margin"]),
                at=at,
                most=MOST_ORDERS,
            )
    except Refused as error:
        refused = error
    language = language_of(request)
    told = None if found is None else report(found.replay)
    return await show(
        request,
        who,
        template,
        section=SECTION,
        # a page without history says so, and is a page all the same
        status=200 if refused is None or _found_nothing(refused) else refused.refusal.status,
        conn=conn,
        values=values,
        most_days=MOST_DAYS,
        most_orders=MOST_ORDERS,
        refused=refused,
        found=found,
        told=told,
        segments=[] if told is None else _named(told["segments"], language),
        charts=None if told is None else _charts(_named(told["segments"], language), language),
        assumptions=[typeset(zh) if language == "zh" else en for zh, en in ASSUMPTIONS.values()],
        **context,
    )


def _found_nothing(refused: Refused) -> bool:
    """Whether there was nothing to compare, rather than something wrong with what was asked."""
    return refused.code == "preview_without_history"


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 4):
        raise Refused("field_invalid", field="days")
    return int(text)


def _margin(text: str) -> int:
    ppm = read_percent(text)
    if not 0 <= ppm <= 1_000_000:
        raise Refused("field_invalid", field="margin")
    return ppm


def _named(segments: list[dict[str, Any]], language: str) -> list[dict[str, Any]]:
    """Segments with what people call them."""
    return [{**segment, "name": _name(segment["by"], segment["key"], language)} for segment in segments]


def _name(by: str, key: str, language: str) -> str:
    chinese = language == "zh"
    if by == "asset":
        carrier, _, product = key.partition(".")
        words = Words(language)
        return f"{words.word('carrier', carrier)} · {words.word('product', product)}"
    if by == "face":
        least, _, most = key.partition("-")
        if not most:
            return f"> ¥{key.removesuffix('+')}"
        return f"≤ ¥{most}" if least == "0" else f"¥{least}–{most}"
    if key == NO_TIER:
        return "未注明地区" if chinese else "place not stated"
    return f"{key} 级城市" if chinese else f"tier {key}"


def _charts(segments: list[dict[str, Any]], language: str) -> dict[str, Any]:
    """Options of two charts by carrier and product: what sellers get of face value, and what is left to the operator."""
    assets = [segment for segment in segments if segment["by"] == "asset"]
    return {
        "rate": _bars(assets, "sellers_rate_ppm", "@percent", language),
        "profit": _bars(assets, "profit_fen", "@yuan", language),
    }


def _bars(segments: list[dict[str, Any]], figure: str, form: str, language: str) -> dict[str, Any]:
    sides = (("happened", "当时", "Then", "#6b7a90"), ("would_be", "重算", "Priced again", "#0b57b7"))
    return {
        "grid": {"left": 8, "right": 24, "top": 36, "bottom": 8, "containLabel": True},
        "legend": {"top": 0, "left": 0},
        "tooltip": {"trigger": "axis", "axisPointer": {"type": "shadow"}, "valueFormatter": form},
        "xAxis": {"type": "value", "axisLabel": {"formatter": form, "hideOverlap": True}, "splitNumber": 3},
        "yAxis": {"type": "category", "inverse": True, "data": [segment["name"] for segment in segments]},
        "series": [
            {
                "type": "bar",
                "name": zh if language == "zh" else en,
                "itemStyle": {"color": colour},
                "data": [segment[side][figure] for segment in segments],
            }
            for side, zh, en, colour in sides
        ],
    }
