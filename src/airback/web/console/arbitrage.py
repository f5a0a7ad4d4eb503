"""The arbitrage watch: promotions on record, what they earn a trader by our prices, the caps, and their effect."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from litestar import Response, get, post
from litestar.params import FromPath

from airback.domain import ids
from airback.domain.assets import CARRIERS, PRODUCTS
from airback.domain.money import MoneyError, parse_yuan, percent
from airback.domain.refusals import Refused
from airback.engine import draft as drafting
from airback.engine import watch_arbitrage
from airback.engine.watch_arbitrage import Watched
from airback.pricing.arbitrage import (
    LEAVES_PPM,
    PER_SELLER_FEN_PER_DAY,
    NewPromotion,
    suggest_promotion,
    with_promotion,
)
from airback.pricing.rivals import read_share, read_time
from airback.queries.rivals import published_cards
from airback.staff.roles import Permission
from airback.store import price_caps
from airback.store.rate_card_drafts import PREFIX
from airback.web.console.desk import AnyRequest, Visitor, asked, go, platform, posted, show, visitor
from airback.web.console.pricing_desk import PRICES
from airback.web.console.rivals import MARKET
from airback.web.layout import language_of
from airback.web.templates import plain_yuan

#: How long after its end a promotion's orders are still counted: they are read one by one.
_COUNTED: Final = timedelta(days=7)
ARBITRAGE: Final = f"{MARKET}/arbitrage"
_FIELDS: Final = (
    "carrier",
    "product",
    "buy",
    "since",
    "until",
    "per_account",
    "leaves",
    "per_seller",
    "source",
)


@get("/market/arbitrage", name="console-arbitrage")
async def arbitrage_page(request: AnyRequest) -> Response[Any]:
    """Every promotion of the last 90 days and to come, with the trade it makes and the cap."""
    who = await visitor(request, needs=Permission.READ_PRICES)
    return await _page(request, who, told=asked(request, "told", most=20))


@post("/market/arbitrage", status_code=200)
async def promotion_form(request: AnyRequest) -> Response[Any]:
    """Record a promotion; the watch looks at once. What was typed stays in the form when it is refused."""
    who = await visitor(request, needs=Permission.RECORD_MARKET)
    here = platform(request)
    form = await posted(request, who)
    values = {key: form.text(key, most=300) for key in _FIELDS}
    try:
        promotion = _read(values)
        async with here.pool.acquire() as conn:
            await watch_arbitrage.record_promotion(
                conn,
                book=here.book,
                promotion=promotion,
                by=who.name,
                roles=who.roles,
                now=here.now(),
                entropy=here.entropy,
            )
    except Refused as refused:
        return await _page(request, who, refused=refused, values=values)
    return go(f"{ARBITRAGE}?told=recorded")


@post("/market/arbitrage/{public:str}/withdraw", status_code=200)
async def withdraw_form(request: AnyRequest, public: FromPath[str]) -> Response[Any]:
    """Withdraw a promotion; its cap ends at once."""
    who = await visitor(request, needs=Permission.RECORD_MARKET)
    here = platform(request)
    form = await posted(request, who)
    promotion_id = ids.parse_public("prm", public)
    try:
        if promotion_id is None:
            raise Refused("not_found", field="promotion")
        async with here.pool.acquire() as conn:
            await watch_arbitrage.withdraw_promotion(
                conn,
                book=here.book,
                promotion_id=promotion_id,
                reason=form.text("reason"),
                by=who.name,
                roles=who.roles,
                now=here.now(),
                entropy=here.entropy,
            )
    except Refused as refused:
        return await _page(request, who, refused=refused)
    return go(f"{ARBITRAGE}?told=withdrawn")


@post("/market/arbitrage/{public:str}/draft", status_code=200)
async def draft_form(request: AnyRequest, public: FromPath[str]) -> Response[Any]:
    """A draft of the card in force with the promotion factor on for this promotion's time."""
    who = await visitor(request, needs=Permission.PROPOSE_RATE_CARD)
    here = platform(request)
    await posted(request, who)
    promotion_id = ids.parse_public("prm", public)
    async with here.pool.acquire() as conn:
        watched = await watch_arbitrage.report(conn, book=here.book, now=here.now())
        one = next((one for one in watched if one.promotion.id == promotion_id), None)
        cards = {card.version: card for card in await published_cards(conn, book=here.book)}
        if one is None or one.finding is None:
            raise Refused("not_found", field="promotion")
        card = cards[one.finding.card_version]
        share = suggest_promotion(one.finding, card=card)
        if share is None or one.promotion.over(here.now()):
            raise Refused("promotion_over", field="promotion")
        draft = await drafting.start(
            conn,
            book=here.book,
            name=f"{public} {percent(share)}%",
            based_on=card.version,
            document=with_promotion(card.document, promotion=one.promotion, share_ppm=share),
            by=who.name,
            roles=who.roles,
            now=here.now(),
            entropy=here.entropy,
        )
    return go(f"{PRICES}/drafts/{ids.public(PREFIX, draft)}")


async def _page(
    request: AnyRequest,
    who: Visitor,
    *,
    refused: Refused | None = None,
    values: Mapping[str, str] | None = None,
    told: str = "",
) -> Response[Any]:
    here = platform(request)
    now = here.now()
    given = dict(
        values or {"leaves": f"{percent(LEAVES_PPM)}%", "per_seller": plain_yuan(PER_SELLER_FEN_PER_DAY)}
    )
    async with here.pool.acquire() as conn:
        watched = await watch_arbitrage.report(conn, book=here.book, now=now)
        cards = {card.version: card for card in await published_cards(conn, book=here.book)}
        rows = []
        for one in watched:
            limit = None if one.cap is None else one.cap.per_seller_fen_per_day
            sold = None
            if one.promotion.since <= now < one.promotion.until + _COUNTED:
                sold = await price_caps.sold_under(
                    conn, book=here.book, promotion=one.promotion, limit_fen=limit
                )
            share = None
            if one.finding is not None and not one.promotion.over(now):
                share = suggest_promotion(one.finding, card=cards[one.finding.card_version])
            rows.append(
                {
                    "public": ids.public("prm", one.promotion.id),
                    "promotion": one.promotion,
                    "state": one.promotion.state(now),
                    "finding": one.finding,
                    "cap": one.cap,
                    "sold": sold,
                    "suggested_ppm": share,
                    "chart": _chart(one, zh=language_of(request).startswith("zh")),
                }
            )
        return await show(
            request,
            who,
            "market_arbitrage.html",
            section="market",
            conn=conn,
            status=200 if refused is None else refused.refusal.status,
            tab="arbitrage",
            refused=refused,
            values=given,
            told=told,
            rows=rows,
            carriers=list(CARRIERS),
            products=list(PRODUCTS),
        )


def _read(values: Mapping[str, str]) -> NewPromotion:
    for name in ("carrier", "product", "buy", "since", "until", "leaves", "source"):
        if not values[name]:
            raise Refused("field_missing", field=name)
    # Nothing may be left to a trader; a price is never nothing.
    leaves = values["leaves"].rstrip("% ")
    return NewPromotion(
        carrier=values["carrier"],
        product=values["product"],
        buy_ppm=read_share(values["buy"], field="buy"),
        since=read_time(values["since"], field="since"),
        until=read_time(values["until"], field="until"),
        per_account_fen=_fen(values["per_account"], field="per_account"),
        leaves_ppm=0 if leaves in ("0", "0.0") else read_share(f"{leaves}%", field="leaves"),
        per_seller_fen_per_day=_fen(values["per_seller"], field="per_seller"),
        source=values["source"],
    )


def _fen(text: str, *, field: str) -> int | None:
    if not text:
        return None
    try:
        return parse_yuan(text.replace(",", ""))
    except MoneyError as error:
        raise Refused(error.code, field=field) from None


def _chart(one: Watched, *, zh: bool) -> dict[str, Any] | None:
    """A trader's profit by face value, without the cap and with it, as an ECharts option."""
    if one.finding is None or not one.finding.trades or one.cap is None:
        return None
    trades = one.finding.trades
    names = ("封顶前利润", "封顶后利润") if zh else ("Profit without the cap", "Profit under the cap")
    figures = ([trade.profit_fen for trade in trades], [trade.profit_capped_fen for trade in trades])
    return {
        "tooltip": {"trigger": "axis", "valueFormatter": "@yuan"},
        "legend": {"bottom": 0, "textStyle": {"fontFamily": "sans-serif"}},
        "grid": {"left": 8, "right": 16, "top": 16, "bottom": 36, "containLabel": True},
        "xAxis": {"type": "category", "data": [f"¥{plain_yuan(trade.face_fen)}" for trade in trades]},
        "yAxis": {"type": "value", "axisLabel": {"formatter": "@yuan"}},
        "series": [
            {"name": name, "type": "bar", "data": data} for name, data in zip(names, figures, strict=True)
        ],
    }
