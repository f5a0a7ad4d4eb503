"""The open rate index: what sellers were paid in a week that is over, for anybody to read."""

from datetime import date, timedelta
from typing import Any, Final

from litestar import Request, Response, get

from airback.domain.assets import CARRIERS
from airback.domain.money import percent
from airback.domain.refusals import Refused
from airback.engine.publish_index import publish_due
from airback.queries import rate_index as reads
from airback.queries.rate_index import CellView
from airback.web.seller.visit import open_visit

#: Cells that fit a chart; the table has all of them.
_CHARTED: Final = 12
_AXIS_STEP_PPM: Final = 50_000

#: GB/T 2260, first two digits: (zh-CN, English).
PROVINCES: Final = {
    "11": ("北京", "Beijing"), "12": ("天津", "Tianjin"), "13": ("河北", "Hebei"), "14": ("山西", "Shanxi"),
    "15": ("内蒙古", "Inner Mongolia"), "21": ("辽宁", "Liaoning"), "22": ("吉林", "Jilin"), "23": ("黑龙江", "Heilongjiang"),
    "31": ("上海", "Shanghai"), "32": ("江苏", "Jiangsu"), "33": ("浙江", "Zhejiang"), "34": ("安徽", "Anhui"),
    "35": ("福建", "Fujian"), "36": ("江西", "Jiangxi"), "37": ("山东", "Shandong"), "41": ("河南", "Henan"),
    "42": ("湖北", "Hubei"), "43": ("湖南", "Hunan"), "44": ("广东", "Guangdong"), "45": ("广西", "Guangxi"),
    "46": ("海南", "Hainan"), "50": ("重庆", "Chongqing"), "51": ("四川", "Sichuan"), "52": ("贵州", "Guizhou"),
    "53": ("云南", "Yunnan"), "54": ("西藏", "Tibet"), "61": ("陕西", "Shaanxi"), "62": ("甘肃", "Gansu"),
    "63": ("青海", "Qinghai"), "64": ("宁夏", "Ningxia"), "65": ("新疆", "Xinjiang"),
}  # fmt: skip


@get("/market", include_in_schema=False)
async def market(request: Request[Any, Any, Any]) -> Response[str]:
    """The index of one week and one carrier."""
    visit = open_visit(request)
    week = _week(request.query_params.get("week", ""))
    here, language = visit.platform, visit.language
    async with here.pool.acquire() as conn:
        await publish_due(conn, book=here.book, now=visit.now, privacy=reads.privacy_of(here.settings))
        found = await reads.index_of(conn, book=here.book, week=week)
        weeks = await reads.weeks(conn, book=here.book)
    if found is None and week is not None:
        raise Refused("index_not_published", field="week")
    carriers = [] if found is None else sorted({cell.carrier for cell in found.cells})
    asked = request.query_params.get("carrier", "")
    carrier = asked if asked in carriers else (carriers[0] if carriers else "")
    cells = [] if found is None else [cell for cell in found.cells if cell.carrier == carrier]
    rows = [(name(cell, language), cell) for cell in cells]
    return visit.show(
        "market.html",
        {
            "index": found,
            "until": None if found is None else found.week + timedelta(days=6),
            "weeks": weeks,
            "carriers": [
                (code, CARRIERS[code].zh if language == "zh" else CARRIERS[code].en)
                for code in carriers
                if code in CARRIERS
            ],
            "carrier": carrier,
            "rows": rows,
            "chart": chart(rows) if rows else None,
        },
    )


def _week(text: str) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Refused("field_invalid", field="week") from None


def name(cell: CellView, language: str) -> tuple[str, str, str]:
    """(face value, province, validity left) of a cell in the reader's language."""
    zh = language == "zh"
    others, unstated = ("其余", "未说明") if zh else ("Others", "Not stated")
    above_fen, to_fen = reads.face_bounds(cell)
    face = others if cell.face is None else _span(above_fen, to_fen, 100, "元" if zh else " yuan", zh=zh)
    above, to = reads.expiry_bounds(cell)
    days = _span(above, to, 1, "天" if zh else " days", zh=zh)
    expiry = others if cell.expiry is None else days if cell.expiry else unstated
    names = PROVINCES.get(cell.province or "")
    province = names[0 if zh else 1] if names else cell.province
    return face, others if cell.province is None else province or unstated, expiry


def _span(above: int | None, to: int | None, unit: int, word: str, *, zh: bool) -> str:
    if to is None:
        return f"{(above or 0) // unit}{word}以上" if zh else f"above {(above or 0) // unit}{word}"
    if not above:
        return f"{to // unit}{word}以内" if zh else f"up to {to // unit}{word}"
    return f"{above // unit}–{to // unit}{word}"


def chart(rows: list[tuple[tuple[str, str, str], CellView]]) -> dict[str, Any]:
    """The cells with most orders as an ECharts option: a bar from quartile to quartile, a dot at the median."""
    shown = sorted(rows, key=lambda row: -row[1].orders)[:_CHARTED]
    least = min(cell.lower_ppm for _, cell in shown)
    return {
        "grid": {"left": 8, "right": 24, "top": 8, "bottom": 8, "containLabel": True},
        "tooltip": {"show": False},
        "xAxis": {
            "type": "value",
            "min": max(0, least - least % _AXIS_STEP_PPM - _AXIS_STEP_PPM),
            "axisLabel": {"formatter": "@percent", "hideOverlap": True},
        },
        "yAxis": {
            "type": "category",
            "inverse": True,
            "data": [f"{face}\n{province} · {days}" for (face, province, days), _ in shown],
        },
        "series": [
            {
                "type": "bar",
                "stack": "range",
                "silent": True,
                "itemStyle": {"opacity": 0},
                "data": [cell.lower_ppm for _, cell in shown],
            },
            {
                "type": "bar",
                "stack": "range",
                "barMaxWidth": 14,
                "itemStyle": {"color": "#8fc7b3"},
                "data": [cell.upper_ppm - cell.lower_ppm for _, cell in shown],
            },
            {
                "type": "scatter",
                "symbolSize": 10,
                "itemStyle": {"color": "#0b6b4f"},
                "data": [
                    {
                        "value": [cell.median_ppm, place],
                        "label": {
                            "show": True,
                            "position": "top",
                            "distance": 4,
                            "formatter": f"{percent(cell.median_ppm)}%",
                        },
                    }
                    for place, (_, cell) in enumerate(shown)
                ],
            },
        ],
    }
