"""Margin: what is left of a hundred yuan, by segment; what was booked by hand; agreements and what is owed by them."""

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlencode

from litestar import Response, get

from airback.domain.money import percent, yuan
from airback.ledger.margin import FACE_BANDS_FEN, LINES, Waterfall
from airback.queries import margin as reads
from airback.queries.margin import SEGMENTS, Margin, Period
from airback.queries.platform import Platform
from airback.staff.roles import Permission
from airback.web.console.desk import AnyRequest, asked, platform, show, visitor
from airback.web.console.words import Words
from airback.web.layout import language_of

DAYS: Final = 30
MOST_AGREEMENTS: Final = 20

#: Colours of the waterfall: what comes in, what goes out, what is left.
_IN, _OUT, _LEFT = "#2f9e6e", "#c2453b", "#206bc4"


@get("/margin", name="console-margin")
async def margin_page(request: AnyRequest) -> Response[Any]:
    """The waterfall of a period, its table, and the same by segment."""
    who = await visitor(request, needs=Permission.READ_MONEY)
    here = platform(request)
    during, by = _asked(request, here)
    language = language_of(request)
    async with here.pool.acquire() as conn:
        found = await reads.margin(conn, book=here.book, during=during, by=by)
        words = Words(language)
        return await show(
            request,
            who,
            "margin.html",
            section="margin",
            conn=conn,
            margin=found,
            lines=LINES,
            segments=SEGMENTS,
            name=lambda key: segment_name(by, key, words=words),
            chart=waterfall_chart(found.whole, language=language),
            expected_fen=found.whole.expected_bad_debt_fen(reads.bad_debt_ppm(here.settings)),
            bad_debt_ppm=reads.bad_debt_ppm(here.settings),
            csv_query=urlencode({"from": during.first, "to": during.last, "by": by}),
            bookings=await reads.bookings(conn, book=here.book, during=during),
            owed=await reads.owed_to_parties(conn, book=here.book),
            agreements=await reads.agreements(conn, book=here.book, limit=MOST_AGREEMENTS),
        )


@get("/margin.csv", name="console-margin-csv")
async def margin_file(request: AnyRequest) -> Response[bytes]:
    """The same figures as a file: one row for each segment, the whole last."""
    await visitor(request, needs=Permission.READ_MONEY)
    here = platform(request)
    during, by = _asked(request, here)
    async with here.pool.acquire() as conn:
        found = await reads.margin(conn, book=here.book, during=during, by=by)
    name = f"margin-{during.first}-{during.last}-{by}.csv"
    return Response(
        content=as_csv(found, language=language_of(request)),
        media_type="text/csv; charset=utf-8",
        headers={
            "content-disposition": f'attachment; filename="{name}"',
            "cache-control": "no-store",
            "x-content-type-options": "nosniff",
        },
    )


def _asked(request: AnyRequest, here: Platform) -> tuple[Period, str]:
    """The period and the segment that the address names. Raises `Refused`."""
    first, last = asked(request, "from", most=10), asked(request, "to", most=10)
    by = asked(request, "by", most=20) or "carrier"
    if not first:
        return reads.last_days(DAYS, now=here.now()), by
    return reads.period(first, last, now=here.now()), by


def segment_name(by: str, key: str | None, *, words: Words) -> str:
    """A segment as people read it; what belongs to none is said so."""
    if key is None:
        return "不归属" if words.language.startswith("zh") else "Of no segment"
    if by in ("carrier", "product"):
        return words.word(by, key)
    if by == "outlet":
        return words.word("outlet", key)
    return face_band(int(key)) if by == "face" else key


def face_band(place: int) -> str:
    """A band of face values: `≤ ¥50`, `¥50–100`, `> ¥300`."""
    ends = [end // 100 for end in FACE_BANDS_FEN]
    if place == 0:
        return f"≤ ¥{ends[0]}"
    if place == len(ends):
        return f"> ¥{ends[-1]}"
    return f"¥{ends[place - 1]}–{ends[place]}"


def waterfall_chart(whole: Waterfall, *, language: str) -> dict[str, Any] | None:
    """The waterfall per hundred yuan as an ECharts option; None without volume. Lines without data have no bar."""
    if whole.face_fen == 0:
        return None
    steps = [
        (line.name(language), whole.ppm(whole.lines[line.key]) or 0)
        for line in LINES
        if whole.lines[line.key] is not None
    ]
    left = ("毛利", "Margin")[0 if language.startswith("zh") else 1]
    total = whole.ppm(whole.total_fen) or 0
    # A bar from low to high: an unseen one up to where it begins, and the seen rest, above and below zero apart.
    unseen: list[int] = []
    above: list[dict[str, Any]] = []
    below: list[dict[str, Any]] = []
    for begins, amount, colour in _steps([amount for _, amount in steps], total):
        low, high = sorted((begins, begins + amount))
        unseen.append(max(low, 0) + min(high, 0))
        label = {
            "show": True,
            "formatter": f"{'+' if amount > 0 else '−' if amount < 0 else ''}{percent(abs(amount))}%",
        }
        up, down = max(high, 0) - max(low, 0), min(low, 0) - min(high, 0)
        style = {"itemStyle": {"color": colour}}
        above.append(
            {"value": up, **style, **({"label": {**label, "position": "right"}} if up or not down else {})}
        )
        below.append(
            {"value": down, **style, **({"label": {**label, "position": "left"}} if down and not up else {})}
        )
    return {
        "grid": {"left": 8, "right": 64, "top": 16, "bottom": 8, "containLabel": True},
        "tooltip": {"show": False},
        "xAxis": {"type": "value", "axisLabel": {"formatter": "@percent", "hideOverlap": True}},
        "yAxis": {
            "type": "category",
            "inverse": True,
            "data": [*(name for name, _ in steps), left],
            "axisLabel": {"width": 104, "overflow": "break"},
        },
        "series": [
            {"type": "bar", "stack": "all", "silent": True, "itemStyle": {"opacity": 0}, "data": unseen},
            {"type": "bar", "stack": "all", "data": above, "barMaxWidth": 22},
            {"type": "bar", "stack": "all", "data": below, "barMaxWidth": 22},
        ],
    }


def _steps(amounts: list[int], total: int) -> Iterator[tuple[int, int, str]]:
    """(where it begins, how far it goes, colour) of each bar, and of what is left, from zero on."""
    level = 0
    for amount in amounts:
        yield level, amount, _IN if amount >= 0 else _OUT
        level += amount
    yield 0, total, _LEFT


def as_csv(found: Margin, *, language: str) -> bytes:
    """Segments and the whole as CSV in UTF-8 with a mark, in yuan; a line that nothing was posted to is empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    words = Words(language)
    zh = language.startswith("zh")
    writer.writerow(
        [
            "分段" if zh else "Segment",
            "订单" if zh else "Orders",
            "送达面值(元)" if zh else "Face delivered (yuan)",
            "渠道支付(元)" if zh else "Outlets paid (yuan)",
            "卖家净得(元)" if zh else "Sellers net (yuan)",
            *(line.name(language) for line in LINES),
            "毛利(元)" if zh else "Margin (yuan)",
            "毛利(占面值%)" if zh else "Margin (% of face)",
        ]
    )
    named: list[tuple[str, Waterfall]] = [
        (segment_name(found.by, one.key, words=words), one) for one in found.segments
    ]
    for name, one in [*named, ("合计" if zh else "Total", found.whole)]:
        writer.writerow([plain_cell(name), *_row(one, one.lines)])
    return "\ufeff".encode() + out.getvalue().encode()


def plain_cell(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def _row(one: Waterfall, lines: Mapping[str, int | None]) -> list[str]:
    left = one.ppm(one.total_fen)
    return [
        str(one.orders),
        yuan(one.face_fen),
        yuan(one.proceeds_fen),
        yuan(one.net_fen),
        *("" if amount is None else yuan(amount) for amount in lines.values()),
        yuan(one.total_fen),
        "" if left is None else percent(left),
    ]
