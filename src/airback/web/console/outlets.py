"""The market's side: outlets with their terms and money, the book of bids, and what is paused."""

from collections.abc import Mapping
from typing import Any, Final

from litestar import Response, get, post
from litestar.params import FromPath

from airback.domain import ids
from airback.domain.assets import CARRIERS, PRODUCTS
from airback.domain.effects import Result
from airback.domain.money import MoneyError, parse_yuan
from airback.domain.refusals import Refused
from airback.engine import pause as engine
from airback.engine import propose
from airback.engine.act import record_act
from airback.engine.outlets import RESEND, TERMS
from airback.market.pauses import PauseKind
from airback.market.profiles import PROFILES, Profile
from airback.market.terms import ChannelKind, FundsOutlet
from airback.queries import console
from airback.queries import outlets as queries
from airback.staff.roles import Permission
from airback.store import offers, pauses, standing_bids
from airback.store import outlets as store
from airback.web.console.approvals import APPROVALS
from airback.web.console.desk import (
    HOME,
    AnyRequest,
    Form,
    Visitor,
    asked,
    go,
    platform,
    posted,
    show,
    visitor,
)
from airback.web.console.typed import effective_at, moment_of
from airback.web.layout import language_of

_NOTICES: Final = 30
_FILLS: Final = 20
_PAST: Final = 30
#: Rows of the form for prices: at least so many, and so many empty ones beside those that are filled in.
_RATE_ROWS: Final = 8
_EMPTY_ROWS: Final = 2
_MOST_RATE_ROWS: Final = 40
#: Prices of one carrier that the page lists; the chart shows them all.
_LEVELS: Final = 12


@get("/outlets", name="console-outlets")
async def outlets_page(request: AnyRequest) -> Response[Any]:
    """Outlets with their deposits and records, the kinds that may be added, and the book of open demands."""
    who = await visitor(request, needs=Permission.READ_OUTLETS)
    here = platform(request)
    async with here.pool.acquire() as conn:
        standing = await pauses.standing(conn, book=here.book, now=here.now())
        return await show(
            request,
            who,
            "outlets.html",
            section="outlets",
            conn=conn,
            outlets=await console.outlets(conn, book=here.book),
            terms=await store.terms_in_force(conn, book=here.book, now=here.now()),
            records=await store.records(conn, book=here.book, now=here.now()),
            paused=standing.outlets(at=here.now()),
            profiles=PROFILES,
            demands=await console.demand_book(conn, book=here.book),
        )


@get("/outlet/{outlet:str}", name="console-outlet")
async def outlet_page(request: AnyRequest, outlet: FromPath[str]) -> Response[Any]:
    """One outlet: terms in force and before, money, record, last fills, notices."""
    who = await visitor(request, needs=Permission.READ_OUTLETS)
    here = platform(request)
    now = here.now()
    async with here.pool.acquire() as conn:
        found = await queries.head(conn, book=here.book, outlet=outlet)
        if found is None:
            raise Refused("not_found")
        versions = await store.versions(conn, book=here.book, outlet=outlet)
        in_force = next((one for one in versions if one.effective_at <= now), None)
        records = await store.records(conn, book=here.book, now=now, outlet=outlet)
        standings = await store.standings(conn, book=here.book, now=now)
        standing = await pauses.standing(conn, book=here.book, now=now)
        return await show(
            request,
            who,
            "outlet.html",
            section="outlets",
            conn=conn,
            outlet=found,
            versions=versions,
            in_force=in_force,
            terms=standings[outlet].terms if outlet in standings else None,
            left=standings.get(outlet),
            record=records.get(outlet, store.Record()),
            money=await queries.money(conn, book=here.book, outlet=outlet),
            fills=await queries.last_fills(conn, book=here.book, limit=_FILLS, outlet=outlet),
            bids=await standing_bids.list_bids(conn, book=here.book, outlet=outlet),
            hook=await store.hook(conn, book=here.book, outlet=outlet),
            notices=await queries.notices(conn, book=here.book, outlet=outlet, limit=_NOTICES),
            pause=standing.standing(PauseKind.OUTLET, outlet, at=now),
            told=asked(request, "told", most=20),
        )


@post("/outlets/resend", status_code=200)
async def resend_form(request: AnyRequest) -> Response[Any]:
    """Send a notice once more that its outlet never took. One person's act; the writer sends it."""
    who = await visitor(request, needs=Permission.PROPOSE_OUTLET)
    here = platform(request)
    sent = await posted(request, who)
    outlet, ref = sent.text("outlet", most=40), sent.text("ref", most=40)
    async with here.pool.acquire() as conn, conn.transaction():
        told = await queries.notices(conn, book=here.book, outlet=outlet, limit=_NOTICES)
        if not any(notice.ref == ref and notice.result == Result.FAILED for notice in told):
            raise Refused("not_found", field="ref")
        await record_act(
            conn,
            book=here.book,
            action=RESEND,
            subject=ref,
            before={},
            after={"outlet": outlet},
            reason="resend",
            by=who.name,
            now=here.now(),
        )
    return go(f"{HOME}/outlet/{outlet}?told=resent")


# -- terms


@get("/outlets/terms", name="console-outlet-terms")
async def terms_page(request: AnyRequest) -> Response[Any]:
    """The form of an outlet's terms: its last ones, else the profile of the kind that was chosen."""
    who = await visitor(request, needs=Permission.PROPOSE_OUTLET)
    return await _terms(request, who)


@post("/outlets/terms", status_code=200)
async def terms_form(request: AnyRequest) -> Response[Any]:
    """Propose terms. What was typed stays in the form when it is refused."""
    who = await visitor(request, needs=Permission.PROPOSE_OUTLET)
    here = platform(request)
    sent = await posted(request, who)
    typed = {key: sent.text(key) for key in (*_TEXTS, *_AMOUNTS, *_PERCENTS, *_COUNTS)}
    rows = _typed_rows(sent)
    try:
        document = _document(typed, rows)
        async with here.pool.acquire() as conn:
            versions = await store.versions(conn, book=here.book, outlet=typed["outlet"])
            before: dict[str, Any] = {"version": "0"}
            if versions:
                before = {"version": str(versions[0].version), "document": versions[0].document}
            proposal = await propose.propose(
                conn,
                book=here.book,
                action=TERMS,
                subject=typed["outlet"],
                before=before,
                after={
                    "outlet": typed["outlet"],
                    "name": typed["name"],
                    "effective_at": effective_at(typed["effective"], now=here.now()),
                    "document": document,
                },
                reason=typed["reason"],
                by=who.name,
                roles=who.roles,
                now=here.now(),
                entropy=here.entropy,
            )
    except Refused as refused:
        return await _terms(
            request, who, status=refused.refusal.status, refused=refused, typed=typed, rows=rows
        )
    return go(f"{APPROVALS}/{ids.public('pro', proposal)}?told=proposed")


_TEXTS: Final = ("outlet", "name", "kind", "source", "own_network", "funds", "effective", "reason")
_AMOUNTS: Final = ("order_least_fen", "order_most_fen", "daily_fen", "monthly_fen", "fee_fen")
_PERCENTS: Final = ("fee_ppm",)
_COUNTS: Final = ("delay_s", "per_minute", "settle_from_days", "settle_to_days")
_ROW: Final = ("carrier", "product", "least_fen", "most_fen", "price_ppm")


async def _terms(
    request: AnyRequest,
    who: Visitor,
    *,
    status: int = 200,
    refused: Refused | None = None,
    typed: Mapping[str, str] | None = None,
    rows: list[dict[str, str]] | None = None,
) -> Response[Any]:
    here = platform(request)
    outlet = (typed or {}).get("outlet") or asked(request, "outlet", most=40)
    chosen = (typed or {}).get("kind") or asked(request, "kind", most=40)
    profile = PROFILES.get(ChannelKind(chosen)) if chosen in set(ChannelKind) else None
    async with here.pool.acquire() as conn:
        found = await queries.head(conn, book=here.book, outlet=outlet) if outlet else None
        if typed is None:
            versions = await store.versions(conn, book=here.book, outlet=outlet) if outlet else []
            document = versions[0].document if versions else _draft(profile)
            profile = profile or PROFILES.get(ChannelKind(document["kind"]))
            typed, rows = _shown(document)
            typed = {**typed, "outlet": outlet, "name": found.name if found else ""}
        return await show(
            request,
            who,
            "outlet_terms.html",
            section="outlets",
            status=status,
            conn=conn,
            known=found is not None,
            values=typed,
            rows=_padded(rows or []),
            refused=refused,
            profile=profile,
            kinds=list(ChannelKind),
            funds=list(FundsOutlet),
            carriers=list(CARRIERS),
            products=list(PRODUCTS),
        )


def _draft(profile: Profile | None) -> dict[str, Any]:
    """What the form begins with. A channel of one carrier begins with the first."""
    if profile is None:
        return {"kind": str(ChannelKind.RESELLER)}
    return profile.draft(carrier=next(iter(CARRIERS)) if profile.own_network else None)


def _padded(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    empty = max(_EMPTY_ROWS, _RATE_ROWS - len(rows))
    return rows + [dict.fromkeys(_ROW, "") for _ in range(empty)]


def _shown(document: Mapping[str, Any]) -> tuple[dict[str, str], list[dict[str, str]]]:
    """A terms document as the form's texts."""
    values = {key: str(document.get(key) or "") for key in _TEXTS}
    values |= {key: _yuan(document.get(key)) for key in _AMOUNTS}
    values |= {key: _percent(document.get(key)) for key in _PERCENTS}
    values |= {key: "" if document.get(key) is None else str(document[key]) for key in _COUNTS}
    rows = [
        {
            "carrier": rate["carrier"],
            "product": rate["product"],
            "least_fen": _yuan(rate["least_fen"]),
            "most_fen": _yuan(rate["most_fen"]),
            "price_ppm": _percent(rate["price_ppm"]),
        }
        for rate in document.get("rates", ())
    ]
    return values, rows


def _yuan(fen: int | None) -> str:
    if fen is None:
        return ""
    whole, part = divmod(fen, 100)
    return f"{whole}.{part:02d}" if part else str(whole)


def _percent(ppm: int | None) -> str:
    if ppm is None:
        return ""
    whole, part = divmod(ppm, 10_000)
    return f"{whole}.{part:04d}".rstrip("0").rstrip(".")


def _typed_rows(sent: Form) -> list[dict[str, str]]:
    """The rows of prices as they were typed, without those that are empty but for their carrier and product."""
    columns = {key: sent.texts(f"rate_{key}")[:_MOST_RATE_ROWS] for key in _ROW}
    count = max(map(len, columns.values()), default=0)
    rows = [
        {key: column[place] if place < len(column) else "" for key, column in columns.items()}
        for place in range(count)
    ]
    return [row for row in rows if any(row[key] for key in _ROW)]


def _document(typed: Mapping[str, str], rows: list[dict[str, str]]) -> dict[str, Any]:
    """The terms document of what was typed. Raises `Refused` with the field that no number can be read from."""
    document: dict[str, Any] = {
        "kind": typed["kind"] or None,
        "source": typed["source"],
        "own_network": typed["own_network"] or None,
        "funds": typed["funds"] or None,
    }
    document |= {key: _read_fen(typed[key], key) for key in _AMOUNTS}
    document |= {key: _read_ppm(typed[key], key) for key in _PERCENTS}
    document |= {key: _read_count(typed[key], key) for key in _COUNTS}
    document["rates"] = [
        {
            "carrier": row["carrier"],
            "product": row["product"],
            "least_fen": _read_fen(row["least_fen"], f"rates[{place}].least_fen"),
            "most_fen": _read_fen(row["most_fen"], f"rates[{place}].most_fen"),
            "price_ppm": _read_ppm(row["price_ppm"], f"rates[{place}].price_ppm"),
        }
        for place, row in enumerate(rows, start=1)
    ]
    return document


def _read_fen(text: str, field: str) -> int | None:
    plain = text.replace(",", "").replace("，", "")
    if not plain:
        return None
    if plain in ("0", "0.00"):
        return 0
    try:
        return parse_yuan(plain)
    except MoneyError as error:
        raise Refused(error.code, field=field) from error


def _read_ppm(text: str, field: str) -> int | None:
    """A percentage with at most four decimals as ppm."""
    plain = text.removesuffix("%").strip()
    if not plain:
        return None
    whole, _, part = plain.partition(".")
    if not (whole.isascii() and whole.isdigit() and len(whole) <= 4 and len(part) <= 4):
        raise Refused("field_invalid", field=field)
    if part and not (part.isascii() and part.isdigit()):
        raise Refused("field_invalid", field=field)
    return int(whole) * 10_000 + int(part.ljust(4, "0") if part else "0")


def _read_count(text: str, field: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise Refused("field_invalid", field=field)
    return int(text)


# -- the book of bids


@get("/market/bids", name="console-bids")
async def bids_page(request: AnyRequest) -> Response[Any]:
    """The book of bids by carrier and price, and the last fills; it renews itself."""
    who = await visitor(request, needs=Permission.READ_OUTLETS)
    here = platform(request)
    async with here.pool.acquire() as conn:
        levels = await queries.depth(conn, book=here.book, now=here.now())
        fills = await queries.last_fills(conn, book=here.book, limit=_FILLS)
        asks = await offers.levels(conn, book=here.book, now=here.now())
        names = {one.outlet: one.name for one in await console.outlets(conn, book=here.book)}
        offered = {carrier: [one for one in asks if one.carrier == carrier] for carrier in CARRIERS}
        book = {carrier: [one for one in levels if one.carrier == carrier] for carrier in CARRIERS}
        return await show(
            request,
            who,
            "bids.html",
            section="bids",
            conn=conn,
            book={carrier: found for carrier, found in book.items() if found},
            offered={carrier: found for carrier, found in offered.items() if found},
            most=_LEVELS,
            fills=fills,
            names=names,
            option=_depth_option(book, language=language_of(request)),
        )


def _depth_option(book: Mapping[str, list[queries.Level]], *, language: str) -> dict[str, Any]:
    """A chart of how much is wanted at a price or better, a step line for each carrier."""
    series = []
    lowest_ppm = min((level.price_ppm for levels in book.values() for level in levels), default=0)
    for carrier, levels in book.items():
        wanted_fen = 0
        points: list[list[int]] = []
        for level in levels:
            if not points:
                points.append([level.price_ppm, 0])  # above the best price nobody wants any
            wanted_fen += level.open_fen
            points.append([level.price_ppm, wanted_fen])
        if points:
            if points[-1][0] > lowest_ppm:
                points.append([lowest_ppm, wanted_fen])
            name = CARRIERS[carrier].zh if language.startswith("zh") else CARRIERS[carrier].en
            series.append(
                {
                    "type": "line",
                    "name": name,
                    "step": "start",
                    "symbolSize": 5,
                    "data": points[::-1],
                }
            )
    return {
        "grid": {"left": 16, "right": 24, "top": 40, "bottom": 16, "containLabel": True},
        "legend": {"top": 0, "type": "scroll"},
        "tooltip": {"trigger": "item", "valueFormatter": "@yuan"},
        "xAxis": {
            "type": "value",
            "scale": True,
            "axisLabel": {"formatter": "@percent", "hideOverlap": True},
        },
        "yAxis": {"type": "value", "axisLabel": {"formatter": "@yuan"}},
        "series": series,
    }


# -- pauses


@get("/pauses", name="console-pauses")
async def pauses_page(request: AnyRequest) -> Response[Any]:
    """What is paused and why, the form to pause, and what was."""
    who = await visitor(request, needs=Permission.READ_OUTLETS)
    return await _pauses(request, who)


@post("/pauses", status_code=200)
async def pause_form(request: AnyRequest) -> Response[Any]:
    """Pause something at once. What was typed stays in the form when it is refused."""
    who = await visitor(request, needs=Permission.PROPOSE_PAUSE)
    here = platform(request)
    sent = await posted(request, who)
    typed = {key: sent.text(key) for key in ("subject", "region", "reason_zh", "reason_en", "until")}
    try:
        chosen, _, subject = typed["subject"].partition(":")
        if chosen == PauseKind.PROVINCE:
            subject = typed["region"]
        until = moment_of(typed["until"], field="until")
        async with here.pool.acquire() as conn:
            await engine.begin(
                conn,
                book=here.book,
                kind=chosen,
                subject=subject,
                reason_zh=typed["reason_zh"],
                reason_en=typed["reason_en"],
                until=until,
                rails=await _rails(request),
                by=who.name,
                roles=who.roles,
                now=here.now(),
                entropy=here.entropy,
            )
    except Refused as refused:
        return await _pauses(request, who, status=refused.refusal.status, refused=refused, typed=typed)
    return go(f"{HOME}/pauses?told=paused")


async def _pauses(
    request: AnyRequest,
    who: Visitor,
    *,
    status: int = 200,
    refused: Refused | None = None,
    typed: Mapping[str, str] | None = None,
) -> Response[Any]:
    here = platform(request)
    rails = await _rails(request)
    async with here.pool.acquire() as conn:
        standing = await pauses.standing(conn, book=here.book, now=here.now())
        rows = [
            row
            for pause in standing.every
            if (row := await pauses.get(conn, book=here.book, pause_id=pause.id)) is not None
        ]
        return await show(
            request,
            who,
            "pauses.html",
            section="pauses",
            status=status,
            conn=conn,
            standing=rows,
            past=await pauses.past(conn, book=here.book, now=here.now(), limit=_PAST),
            outlets=await console.outlets(conn, book=here.book),
            carriers=list(CARRIERS),
            rails=rails,
            values=dict(typed or {"subject": asked(request, "subject", most=80)}),
            refused=refused,
            told=asked(request, "told", most=20),
        )


async def _rails(request: AnyRequest) -> list[str]:
    """Ways of paying that may be paused: those of the rate card and those that are wired."""
    here = platform(request)
    try:
        card = await here.rate_card()
    except Refused:
        return sorted(here.rails)
    return sorted({*card.rails, *here.rails})
