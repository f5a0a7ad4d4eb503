"""The market: what competitors pay beside our own rate, recording it, and the comparison matrix."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from litestar import Response, get, post
from litestar.params import FromPath

from airback.domain import ids
from airback.domain.assets import CARRIERS, PRODUCTS
from airback.domain.money import MoneyError, parse_yuan, percent
from airback.domain.refusals import Refused
from airback.engine import draft as drafting
from airback.engine.act import reason_of
from airback.pricing.cards import RateCard
from airback.pricing.matrix import Cell, Recorded, Table, check_cell, figure_text, platform_keys, unit_of
from airback.pricing.rivals import (
    FRESH_FOR,
    REFERENCE_FACE_FEN,
    WINDOW,
    BadRow,
    NewRate,
    read_file,
    read_rate,
    read_share,
    suggest_competition,
    with_competition,
)
from airback.queries import rivals as queries
from airback.queries.rivals import Market
from airback.staff.roles import Permission
from airback.store import rivals
from airback.store.rate_card_drafts import PREFIX
from airback.web.console.desk import AnyRequest, Visitor, asked, go, platform, posted, show, visitor
from airback.web.console.pricing_desk import PRICES
from airback.web.layout import language_of
from airback.web.templates import BEIJING

MARKET: Final = "/console/market"
_RECORDED: Final = 50
_RATE_FIELDS: Final = (
    "competitor",
    "carrier",
    "product",
    "face_yuan",
    "place",
    "rate",
    "seen_at",
    "source",
)
_CELL_FIELDS: Final = ("cell", "platform", "low", "high", "words", "source")


@get("/market", name="console-market")
async def market_page(request: AnyRequest) -> Response[Any]:
    """One asset's market: our rate, the competitors', over time, and what follows."""
    who = await visitor(request, needs=Permission.READ_PRICES)
    here = platform(request)
    card = await _card(request)
    carrier, product, face_fen, place, refused = _wanted(request)
    async with here.pool.acquire() as conn:
        found = await queries.market(
            conn,
            book=here.book,
            card=card,
            carrier=carrier,
            product=product,
            face_fen=face_fen,
            place=place,
            at=here.now(),
        )
        return await show(
            request,
            who,
            "market.html",
            section="market",
            conn=conn,
            status=200 if refused is None else refused.refusal.status,
            refused=refused,
            tab="rivals",
            carriers=list(CARRIERS),
            products=list(PRODUCTS),
            carrier=carrier,
            product=product,
            face_fen=face_fen,
            place=place or "",
            market=found,
            compared=sorted(found.compared, key=lambda one: (one.stale, -one.record.rate_ppm)),
            chart=_chart(found, ours="本平台" if language_of(request).startswith("zh") else "This platform"),
            fresh_days=FRESH_FOR.days,
            window_days=WINDOW.days,
        )


@get("/market/record", name="console-market-record")
async def record_page(request: AnyRequest) -> Response[Any]:
    """Record what was seen, by hand or from a file, and the records of late."""
    who = await visitor(request, needs=Permission.READ_PRICES)
    return await _recording(request, who, told=asked(request, "told", most=20))


@post("/market/record", status_code=200)
async def record_form(request: AnyRequest) -> Response[Any]:
    """Record one rate. What was typed stays in the form when it is refused."""
    who = await visitor(request, needs=Permission.RECORD_MARKET)
    here = platform(request)
    form = await posted(request, who)
    values = {key: form.text(key, most=300) for key in _RATE_FIELDS}
    try:
        rate = read_rate(values, now=here.now())
        async with here.pool.acquire() as conn:
            ((_, new),) = await rivals.record(
                conn, book=here.book, rates=[rate], by=who.name, now=here.now(), entropy=here.entropy
            )
    except Refused as refused:
        return await _recording(request, who, refused=refused, values=values)
    return go(f"{MARKET}/record?told={'recorded' if new else 'known'}")


@post("/market/upload", status_code=200)
async def upload_form(request: AnyRequest) -> Response[Any]:
    """Record a file of rates: good rows are kept, each bad one is named; the same file again changes nothing."""
    who = await visitor(request, needs=Permission.RECORD_MARKET)
    here = platform(request)
    form = await posted(request, who)
    try:
        content = form.file("file")
        if not content:
            raise Refused("field_missing", field="file")
        rows = read_file(content, now=here.now())
    except Refused as refused:
        return await _recording(request, who, refused=refused)
    good = [row for row in rows if isinstance(row, NewRate)]
    async with here.pool.acquire() as conn:
        recorded = await rivals.record(
            conn, book=here.book, rates=good, by=who.name, now=here.now(), entropy=here.entropy
        )
    new = sum(fresh for _, fresh in recorded)
    read = {"rows": len(rows), "new": new, "known": len(recorded) - new}
    return await _recording(request, who, read=read, bad=[row for row in rows if isinstance(row, BadRow)])


@post("/market/rates/{public:str}/retract", status_code=200)
async def retract_form(request: AnyRequest, public: FromPath[str]) -> Response[Any]:
    """Take a record back, with a reason."""
    who = await visitor(request, needs=Permission.RECORD_MARKET)
    here = platform(request)
    form = await posted(request, who)
    rate_id = ids.parse_public("riv", public)
    try:
        why = reason_of(form.text("reason"))
        async with here.pool.acquire() as conn:
            if rate_id is None or not await rivals.known(conn, book=here.book, rate_id=rate_id):
                raise Refused("not_found", field="rate")
            if not await rivals.retract(
                conn, book=here.book, rate_id=rate_id, reason=why, by=who.name, now=here.now()
            ):
                raise Refused("already_retracted")
    except Refused as refused:
        return await _recording(request, who, refused=refused)
    return go(f"{MARKET}/record?told=retracted")


@get("/market/matrix", name="console-matrix")
async def matrix_page(request: AnyRequest) -> Response[Any]:
    """The comparison matrix, as tables and radar."""
    who = await visitor(request, needs=Permission.READ_PRICES)
    return await _matrix(request, who, told=asked(request, "told", most=20))


@post("/market/matrix", status_code=200)
async def matrix_form(request: AnyRequest) -> Response[Any]:
    """Write a cell; without any value what was written before is taken back."""
    who = await visitor(request, needs=Permission.RECORD_MARKET)
    here = platform(request)
    form = await posted(request, who)
    values = {key: form.text(key, most=300) for key in _CELL_FIELDS}
    matrix, _, criterion = values["cell"].partition(".")
    try:
        unit = unit_of(matrix, criterion)
        if unit is None:
            raise Refused("not_found", field="cell")
        low, high = (_figure(values[end], unit, field=end) for end in ("low", "high"))
        check_cell(
            matrix=matrix,
            platform=values["platform"],
            criterion=criterion,
            low=low,
            high=high,
            words=values["words"],
            source=values["source"],
        )
        cell = Recorded(
            matrix=matrix,
            platform=values["platform"],
            criterion=criterion,
            low=low,
            high=high,
            words=values["words"] or None,
            source=values["source"],
            recorded_by=who.name,
            recorded_at=here.now(),
        )
        async with here.pool.acquire() as conn:
            cell_id = ids.new_ids(now=here.now(), entropy=here.entropy)[0]
            await rivals.record_cell(conn, book=here.book, cell_id=cell_id, cell=cell)
    except Refused as refused:
        return await _matrix(request, who, refused=refused, values=values)
    return go(f"{MARKET}/matrix?told=recorded")


@post("/market/suggestion", status_code=200)
async def suggestion_form(request: AnyRequest) -> Response[Any]:
    """A draft of the card in force with the suggested competition factor, for a person to look at and propose."""
    who = await visitor(request, needs=Permission.PROPOSE_RATE_CARD)
    here = platform(request)
    await posted(request, who)
    card = await here.rate_card()
    async with here.pool.acquire() as conn:
        records = await rivals.list_rates(conn, book=here.book, since=here.now() - queries.CHARTED)
        suggested = suggest_competition(records, card=card, at=here.now())
        draft = await drafting.start(
            conn,
            book=here.book,
            name=f"竞争因素 {percent(suggested.rate_ppm)}%",
            based_on=card.version,
            document=with_competition(card.document, rate_ppm=suggested.rate_ppm),
            by=who.name,
            roles=who.roles,
            now=here.now(),
            entropy=here.entropy,
        )
    return go(f"{PRICES}/drafts/{ids.public(PREFIX, draft)}")


async def _recording(
    request: AnyRequest,
    who: Visitor,
    *,
    refused: Refused | None = None,
    values: Mapping[str, str] | None = None,
    told: str = "",
    read: Mapping[str, int] | None = None,
    bad: list[BadRow] | None = None,
) -> Response[Any]:
    here = platform(request)
    now = here.now()
    given = dict(values or {"seen_at": f"{now.astimezone(BEIJING):%Y-%m-%d %H:%M}"})
    async with here.pool.acquire() as conn:
        records = await rivals.list_rates(conn, book=here.book, since=now - queries.CHARTED)
        return await show(
            request,
            who,
            "market_record.html",
            section="market",
            conn=conn,
            status=200 if refused is None else refused.refusal.status,
            tab="record",
            refused=refused,
            values=given,
            told=told,
            read=read,
            bad=bad or [],
            carriers=list(CARRIERS),
            products=list(PRODUCTS),
            records=sorted(records, key=lambda one: (one.seen_at, one.id), reverse=True)[:_RECORDED],
            fresh_for=FRESH_FOR,
        )


async def _matrix(
    request: AnyRequest,
    who: Visitor,
    *,
    refused: Refused | None = None,
    values: Mapping[str, str] | None = None,
    told: str = "",
) -> Response[Any]:
    here = platform(request)
    language = language_of(request)
    card, market = await _card(request), await here.price_facts()
    async with here.pool.acquire() as conn:
        tables = await queries.matrix(
            conn, book=here.book, card=card, at=here.now(), public=False, facts=market.published
        )
        return await show(
            request,
            who,
            "market_matrix.html",
            section="market",
            conn=conn,
            status=200 if refused is None else refused.refusal.status,
            tab="matrix",
            refused=refused,
            values=dict(values or {}),
            told=told,
            tables=[(table, table.radar(), _radar(table, language)) for table in tables],
            figure=lambda cell, unit: figure_text(cell, unit, language=language),
            words=lambda cell: _words(cell, language),
            platforms=platform_keys(),
        )


async def _card(request: AnyRequest) -> RateCard | None:
    try:
        return await platform(request).rate_card()
    except Refused:
        return None


def _wanted(request: AnyRequest) -> tuple[str, str, int, str | None, Refused | None]:
    """(carrier, product, face, place, what was refused of them) of the address."""
    refused: Refused | None = None
    carrier = asked(request, "carrier", most=20) or next(iter(CARRIERS))
    product = asked(request, "product", most=20) or PRODUCTS[0]
    if carrier not in CARRIERS:
        carrier, refused = next(iter(CARRIERS)), Refused("carrier_unknown", field="carrier")
    if product not in PRODUCTS:
        product, refused = PRODUCTS[0], Refused("field_invalid", field="product")
    face_fen = REFERENCE_FACE_FEN
    if text := asked(request, "face", most=20):
        try:
            face_fen = parse_yuan(text)
        except MoneyError as error:
            refused = Refused(error.code, field="face")
    place = asked(request, "place", most=20) or None
    if place is not None and not (place.isascii() and place.isdigit() and 2 <= len(place) <= 6):
        place, refused = None, Refused("field_invalid", field="place")
    return carrier, product, face_fen, place, refused


def _figure(text: str, unit: str, *, field: str) -> int | None:
    """A figure of the matrix as it is typed: a share, yuan, or a whole number. Raises Refused."""
    if not text:
        return None
    if unit == "ppm":
        return read_share(text if text.endswith("%") else f"{text}%", field=field)
    plain = text.replace(",", "")
    if unit == "fen":
        try:
            return parse_yuan(plain)
        except MoneyError as error:
            raise Refused(error.code, field=field) from None
    if unit == "text" or not (plain.isascii() and plain.isdigit() and len(plain) <= 15):
        raise Refused("field_invalid", field=field)
    return int(plain)


def _words(cell: Cell, language: str) -> str:
    return (cell.zh if language.startswith("zh") else cell.en) or ""


def _point(at: datetime, ppm: int | None) -> list[Any]:
    return [at.isoformat(), ppm]


def _chart(found: Market, *, ours: str) -> dict[str, Any]:
    """Our rate against each competitor's over time, as an ECharts option."""
    by_name: dict[str, list[list[Any]]] = {}
    for one in found.history:
        by_name.setdefault(one.record.competitor, []).append(_point(one.record.seen_at, one.record.rate_ppm))
    series: list[dict[str, Any]] = [
        {
            "name": ours,
            "type": "line",
            "step": "end",
            "symbol": "none",
            "lineStyle": {"width": 3},
            "data": [_point(at, ppm) for at, ppm in found.ours],
        }
    ]
    series += [
        {"name": name, "type": "line", "step": "end", "symbolSize": 6, "data": points}
        for name, points in sorted(by_name.items())
    ]
    return {
        "tooltip": {"trigger": "axis", "valueFormatter": "@percent"},
        "legend": {"type": "scroll", "bottom": 0, "textStyle": {"fontFamily": "sans-serif"}},
        "grid": {"left": 8, "right": 16, "top": 16, "bottom": 40, "containLabel": True},
        "xAxis": {"type": "time", "axisLabel": {"hideOverlap": True}},
        "yAxis": {"type": "value", "scale": True, "axisLabel": {"formatter": "@percent"}},
        "series": series,
    }


def _radar(table: Table, language: str) -> dict[str, Any] | None:
    """The platforms that state every axis, as an ECharts option; None when there is too little to compare."""
    axes, whole, _ = table.radar()
    if not axes:
        return None
    zh = language.startswith("zh")
    ends = {"low": "下限" if zh else "low", "high": "上限" if zh else "high"}
    both = {axis.criterion.key for axis in axes if axis.end == "low"} & {
        axis.criterion.key for axis in axes if axis.end == "high"
    }
    indicator = [
        {
            # a word a line: on a phone there is no room beside the figure
            "name": "\n".join(
                f"{axis.criterion.name(language)} "
                f"{f'({ends[axis.end]})' if axis.criterion.key in both else ''}".split()
            ),
            "max": 100,
        }
        for axis in axes
    ]
    return {
        "tooltip": {},
        "legend": {"bottom": 0, "textStyle": {"fontFamily": "sans-serif"}},
        "radar": {
            "indicator": indicator,
            "radius": "58%",
            "center": ["50%", "46%"],
            "axisName": {"color": "#465160", "lineHeight": 15},
        },
        "series": [
            {
                "type": "radar",
                "data": [
                    {"name": column.name(language), "value": [axis.scores[column.key] for axis in axes]}
                    for column in whole
                ],
            }
        ],
    }
