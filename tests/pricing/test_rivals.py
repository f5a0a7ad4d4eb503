"""Competitors' rates: how they are read, what is refused by name, and what they say of the market together."""

import io
import zipfile
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airback.domain.money import PPM
from airback.domain.refusals import Refused
from airback.pricing.cards import DEFAULT_CARD, outside_sources, parse_card
from airback.pricing.rivals import (
    FRESH_FOR,
    MOST_ROWS,
    BadRow,
    NewRate,
    RivalRate,
    check_rate,
    compare,
    current,
    latest,
    level,
    median,
    our_rate_ppm,
    read_file,
    read_rate,
    read_share,
    read_time,
    suggest_competition,
    with_competition,
)
from airback.pricing.spreadsheet import read_sheet

NOW = datetime(2026, 11, 20, 4, 0, tzinfo=UTC)
CARD = parse_card(DEFAULT_CARD)
TEXTS = {
    "competitor": "淘话费",
    "carrier": "中国移动",
    "product": "余额",
    "face_yuan": "50-100",
    "place": "4401",
    "rate": "86.5%",
    "seen_at": "2026-11-20 08:00",
    "source": "App 报价页",
}


def rate(**changes: Any) -> RivalRate:
    values: dict[str, Any] = {
        "id": 1,
        "competitor": "a",
        "carrier": "cmcc",
        "product": "balance",
        "face_fen": None,
        "face_upto_fen": None,
        "place": None,
        "rate_ppm": 860_000,
        "seen_at": NOW - timedelta(days=1),
        "source": "seen",
        "recorded_by": "chen",
        "recorded_at": NOW,
    }
    return RivalRate(**(values | changes))


def code_of(function: Any, *arguments: Any, **options: Any) -> tuple[str, str | None]:
    with pytest.raises(Refused) as refused:
        function(*arguments, **options)
    return refused.value.code, refused.value.field


def xlsx(*rows: list[str], shared: bool = False, formula: str | None = None) -> bytes:
    """A workbook with one sheet; a cell that begins with `#` is a number."""
    strings: list[str] = []

    def cell(text: str) -> str:
        if text.startswith("#"):
            return f"<c><v>{text[1:]}</v></c>"
        if text == "=":
            return f"<c><f>{formula}</f><v>1</v></c>"
        if shared:
            strings.append(text)
            return f'<c t="s"><v>{len(strings) - 1}</v></c>'
        return f'<c t="inlineStr"><is><t>{text}</t></is></c>'

    main = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    sheet = "".join(f"<row>{''.join(map(cell, row))}</row>" for row in rows)
    linked = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr(
            "xl/workbook.xml",
            f'<workbook {main} xmlns:r="{linked}"><sheets><sheet name="a" sheetId="1" r:id="r1"/></sheets></workbook>',
        )
        packed.writestr(
            "xl/_rels/workbook.xml.rels",
            '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
            '<Relationship Id="r1" Target="worksheets/one.xml"/></Relationships>',
        )
        packed.writestr(
            "xl/worksheets/one.xml", f"<worksheet {main}><sheetData>{sheet}</sheetData></worksheet>"
        )
        if shared:
            items = "".join(f"<si><t>{text}</t></si>" for text in strings)
            packed.writestr("xl/sharedStrings.xml", f"<sst {main}>{items}</sst>")
    return made.getvalue()


@pytest.mark.parametrize(
    ("text", "ppm"),
    [
        ("85%", 850_000),
        ("85.5 %", 855_000),
        ("85", 850_000),
        ("0.85", 850_000),
        ("1", PPM),
        ("100%", PPM),
        ("8.5折", 850_000),
        ("85折", 850_000),
    ],
)
def test_a_rate_is_read_as_people_write_it(text: str, ppm: int) -> None:
    assert read_share(text, field="rate") == ppm


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("0", "rival_rate_not_positive"),
        ("0%", "rival_rate_not_positive"),
        ("-5%", "rival_rate_not_positive"),
        ("101%", "rival_rate_above_face"),
        ("120", "rival_rate_above_face"),
        ("1.05", "rival_rate_malformed"),  # 1.05 % or 105 %?
        ("8.5", "rival_rate_malformed"),
        ("abc", "rival_rate_malformed"),
        ("85.12345678%", "rival_rate_malformed"),
        ("1e6", "rival_rate_malformed"),
        ("", "rival_rate_malformed"),
    ],
)
def test_a_rate_that_is_none_or_could_be_two_is_refused_by_name(text: str, code: str) -> None:
    assert code_of(read_share, text, field="rate") == (code, "rate")


@given(st.integers(1, PPM))
def test_every_rate_is_read_back_to_the_millionth(ppm: int) -> None:
    whole, part = divmod(ppm, 10_000)
    assert read_share(f"{whole}.{part:04d}%", field="rate") == ppm


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-11-20 08:00", datetime(2026, 11, 20, 0, 0, tzinfo=UTC)),
        ("2026/11/20 8:00:30", datetime(2026, 11, 20, 0, 0, 30, tzinfo=UTC)),
        ("2026年11月20日", datetime(2026, 11, 19, 16, 0, tzinfo=UTC)),
        ("2026-11-20T08:00:00Z", datetime(2026, 11, 20, 8, 0, tzinfo=UTC)),
        ("2026-11-20T08:00:00+02:00", datetime(2026, 11, 20, 6, 0, tzinfo=UTC)),
        ("46346.5", datetime(2026, 11, 20, 4, 0, tzinfo=UTC)),  # a spreadsheet's noon
    ],
)
def test_a_time_without_an_offset_is_chinas(text: str, at: datetime) -> None:
    assert read_time(text, field="seen_at") == at


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01", "2026-11-20 25:00", "20261120", ""])
def test_what_is_no_time_is_refused(text: str) -> None:
    assert code_of(read_time, text, field="seen_at") == ("time_malformed", "seen_at")


def test_a_record_is_read_whole() -> None:
    found = read_rate(TEXTS, now=NOW)
    assert found == NewRate(
        "淘话费",
        "cmcc",
        "balance",
        5_000,
        10_000,
        "4401",
        865_000,
        datetime(2026, 11, 20, 0, 0, tzinfo=UTC),
        "App 报价页",
    )
    assert read_rate({**TEXTS, "face_yuan": "", "place": ""}, now=NOW).face_fen is None


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"competitor": ""}, "field_missing", "competitor"),
        ({"competitor": "x" * 61}, "field_invalid", "competitor"),
        ({"competitor": "=HYPERLINK(1)"}, "formula_cell", "competitor"),
        ({"carrier": "火星移动"}, "carrier_unknown", "carrier"),
        ({"product": "流量"}, "field_invalid", "product"),
        ({"face_yuan": "100-50"}, "face_band_reversed", "face_yuan"),
        ({"face_yuan": "-5"}, "amount_not_positive", "face_yuan"),
        ({"face_yuan": "0"}, "amount_not_positive", "face_yuan"),
        ({"face_yuan": "ten"}, "amount_not_a_number", "face_yuan"),
        ({"face_yuan": "1.005"}, "amount_fraction_of_fen", "face_yuan"),
        ({"face_yuan": "999999999"}, "amount_above_limit", "face_upto_fen"),
        ({"place": "广州"}, "field_invalid", "place"),
        ({"rate": "0"}, "rival_rate_not_positive", "rate"),
        ({"rate": "110%"}, "rival_rate_above_face", "rate"),
        ({"rate": ""}, "field_missing", "rate"),
        ({"seen_at": "2026-11-21 12:00"}, "seen_in_future", "seen_at"),
        ({"seen_at": "soon"}, "time_malformed", "seen_at"),
        ({"source": ""}, "field_missing", "source"),
    ],
)
def test_a_wrong_record_is_refused_by_name(changes: dict[str, str], code: str, field: str) -> None:
    assert code_of(read_rate, {**TEXTS, **changes}, now=NOW) == (code, field)


def test_figures_are_checked_however_they_came() -> None:
    good = read_rate(TEXTS, now=NOW)
    for change, code, field in (
        ({"rate_ppm": 0}, "rival_rate_not_positive", "rate"),
        ({"rate_ppm": PPM + 1}, "rival_rate_above_face", "rate"),
        ({"face_fen": None}, "field_missing", "face_fen"),
        ({"face_upto_fen": None}, "field_missing", "face_upto_fen"),
        ({"face_upto_fen": 1}, "face_band_reversed", "face_upto_fen"),
        ({"product": "data"}, "field_invalid", "product"),
        ({"carrier": "移动"}, "carrier_unknown", "carrier"),
        ({"competitor": "a\nb"}, "field_invalid", "competitor"),
    ):
        values = {name: getattr(good, name) for name in NewRate.__dataclass_fields__} | change
        assert code_of(check_rate, NewRate(**values), now=NOW) == (code, field)


# -- files

HEADER = ["竞争对手", "运营商", "品类", "面值（元）", "折扣率", "所见时间", "来源"]
GOOD = ["淘话费", "移动", "充值卡", "100", "86%", "2026-11-19", "官网"]


def csv_of(*rows: list[str]) -> str:
    return "\n".join(",".join(row) for row in rows) + "\n"


@pytest.mark.parametrize(
    "content",
    [
        csv_of(HEADER, GOOD).encode(),
        csv_of(HEADER, GOOD).encode("utf-8-sig"),
        csv_of(HEADER, GOOD).encode("gb18030"),
        csv_of(HEADER, GOOD).replace(",", "\t").encode(),
        xlsx(HEADER, GOOD),
        xlsx(HEADER, GOOD, shared=True),
        xlsx(HEADER, ["淘话费", "移动", "充值卡", "#100", "#0.85999999999999999", "#46345", "官网"]),
    ],
    ids=["utf-8", "with a mark", "gb18030", "tabs", "xlsx", "xlsx shared", "xlsx numbers"],
)
def test_a_file_says_the_same_in_every_form(content: bytes) -> None:
    (found,) = read_file(content, now=NOW)
    assert isinstance(found, NewRate)
    assert (found.competitor, found.carrier, found.product) == ("淘话费", "cmcc", "card")
    assert (found.face_fen, found.face_upto_fen, found.rate_ppm) == (10_000, 10_000, 860_000)
    assert found.seen_at == datetime(2026, 11, 18, 16, 0, tzinfo=UTC)


def test_each_bad_row_is_named_with_what_stood_there_and_the_good_ones_are_kept() -> None:
    bad = [[*GOOD[:4], rate, *GOOD[5:]] for rate in ("120%", "x", "0")]
    rows = read_file(csv_of(HEADER, GOOD, bad[0], [], bad[1], GOOD[:2], bad[2]).encode(), now=NOW)
    assert isinstance(rows[0], NewRate)
    found = [(row.row, row.refused.code, row.refused.field) for row in rows if isinstance(row, BadRow)]
    assert found == [
        (2, "rival_rate_above_face", "rate"),
        (3, "rival_rate_malformed", "rate"),
        (4, "field_missing", "product"),
        (5, "rival_rate_not_positive", "rate"),
    ]
    assert isinstance(rows[1], BadRow) and rows[1].cells == tuple(bad[0])
    assert rows[1].refused.row == 2


def test_a_formula_in_a_workbook_is_refused_and_not_taken_at_its_last_value() -> None:
    (row,) = read_file(xlsx(HEADER, [*GOOD[:4], "=", *GOOD[5:]], formula="A1*2"), now=NOW)
    assert isinstance(row, BadRow)
    assert (row.refused.code, row.refused.field) == ("formula_cell", "rate")


def test_a_file_as_a_whole_is_refused_by_name() -> None:
    assert code_of(read_file, csv_of(HEADER[:-1], GOOD[:-1]).encode(), now=NOW) == (
        "columns_missing",
        "source",
    )
    assert code_of(read_file, b"", now=NOW) == ("columns_missing", "competitor")
    assert code_of(read_file, b"\x00\x01\x02", now=NOW)[0] == "text_not_decodable"
    assert code_of(read_file, b"\xff\xff\xff,\xff", now=NOW)[0] == "text_not_decodable"
    assert code_of(read_file, b"PK\x03\x04 no zip", now=NOW)[0] == "text_not_decodable"
    many = csv_of(HEADER, *[GOOD] * (MOST_ROWS + 1)).encode()
    assert code_of(read_file, many, now=NOW)[0] == "body_too_large"


def test_a_workbook_that_unpacks_to_too_much_or_declares_entities_is_refused() -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("xl/workbook.xml", b"\x20" * (40 << 20))
    assert code_of(read_sheet, made.getvalue())[0] == "body_too_large"
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as packed:
        packed.writestr("xl/workbook.xml", '<!DOCTYPE a [<!ENTITY e "x">]><a>&e;</a>')
    assert code_of(read_sheet, made.getvalue())[0] == "text_not_decodable"


# -- the market


def test_of_each_competitor_the_last_record_counts() -> None:
    old, new = rate(id=1, rate_ppm=800_000, seen_at=NOW - timedelta(days=3)), rate(id=2)
    other = rate(id=3, competitor="b", place="44")
    later = rate(id=4, seen_at=NOW + timedelta(days=1))
    assert [one.id for one in latest([later, old, other, new], at=NOW)] == [2, 3]


def test_the_level_is_the_median_of_fresh_competitors_each_counted_once() -> None:
    records = [
        rate(id=1, competitor="a", rate_ppm=800_000),
        rate(id=2, competitor="b", rate_ppm=860_000),
        rate(id=3, competitor="c", rate_ppm=900_001),
        rate(id=4, competitor="d", rate_ppm=990_000, seen_at=NOW - FRESH_FOR - timedelta(seconds=1)),
        rate(id=5, competitor="c", rate_ppm=900_000, face_fen=5_000, face_upto_fen=5_000),
        rate(id=6, competitor="c", rate_ppm=900_000, face_fen=6_000, face_upto_fen=6_000),
    ]
    found = level(records, at=NOW)
    assert (found.median_ppm, found.competitors, found.stale) == (860_000, 3, 1)
    assert level(records, at=NOW, face_fen=5_000).median_ppm == 860_000
    assert level([], at=NOW).median_ppm is None
    two = level(records[:2], at=NOW)
    assert two.median_ppm == 830_000


def test_a_record_of_a_province_holds_in_its_cities_and_of_a_band_within_it() -> None:
    one = rate(place="44", face_fen=5_000, face_upto_fen=10_000)
    assert one.holds_for(face_fen=5_000, place="4401")
    assert one.holds_for(face_fen=None, place=None)
    assert not one.holds_for(face_fen=4_999, place="4401")
    assert not one.holds_for(face_fen=5_000, place="11")


@given(st.lists(st.integers(1, PPM), min_size=1, max_size=30))
def test_the_median_lies_between_and_does_not_mind_the_order(values: list[int]) -> None:
    found = median(values)
    assert min(values) <= found <= max(values)
    assert found == median(sorted(values, reverse=True))
    assert sum(value < found for value in values) <= len(values) / 2


@given(now=st.integers(0, 40), before=st.integers(0, 40), stands=st.integers(0, 30_000))
def test_the_suggestion_is_the_documented_arithmetic_within_the_factors_range(
    now: int, before: int, stands: int
) -> None:
    document = with_competition(DEFAULT_CARD, rate_ppm=stands)
    records = [rate(id=n, competitor=f"n{n}") for n in range(now)]
    records += [rate(id=100 + n, competitor=f"b{n}", seen_at=NOW - timedelta(days=31)) for n in range(before)]
    found = suggest_competition(records, card=parse_card(document), at=NOW)
    assert (found.competitors, found.before, found.stands_ppm) == (now, before, stands)
    assert found.unbounded_ppm == stands + (now - before) * 25_000 // 10
    assert 0 <= found.rate_ppm <= 30_000
    assert found.rate_ppm == min(max(found.unbounded_ppm, 0), 30_000)


def test_ten_more_competitors_suggest_two_and_a_half_per_cent() -> None:
    records = [rate(id=n, competitor=f"n{n}") for n in range(10)]
    found = suggest_competition(records, card=CARD, at=NOW)
    assert (found.stands_ppm, found.rate_ppm) == (0, 25_000)


def test_a_suggested_card_is_a_card_with_that_factor_on() -> None:
    card = parse_card(with_competition(DEFAULT_CARD, rate_ppm=25_000))
    assert (card.competition.rate_ppm, card.competition.factor.on) == (25_000, True)
    assert "factors.competition" not in outside_sources(card)


def test_our_own_rate_is_what_a_seller_got_by_the_card_of_that_moment() -> None:
    later = parse_card(
        {
            **with_competition(DEFAULT_CARD, rate_ppm=20_000),
            "effective_from": "2026-11-19T00:00:00Z",
        }
    )
    terms = {"carrier": "cmcc", "product": "balance", "face_fen": 10_000, "place": None}
    before = our_rate_ppm([CARD, later], at=NOW - timedelta(days=2), **terms)  # type: ignore[arg-type]
    after = our_rate_ppm([CARD, later], at=NOW, **terms)  # type: ignore[arg-type]
    assert (before, after) == (850_000, 867_600)
    assert our_rate_ppm([CARD], at=datetime(2025, 1, 1, tzinfo=UTC), **terms) is None  # type: ignore[arg-type]


def test_a_record_stands_beside_our_rate_of_when_it_was_seen() -> None:
    (one,) = compare([rate(rate_ppm=880_000)], cards=[CARD], at=NOW)
    assert (one.ours_ppm, one.gap_ppm, one.stale) == (850_000, 30_000, False)
    (none,) = compare([rate()], cards=[], at=NOW)
    assert (none.ours_ppm, none.gap_ppm) == (None, None)


def test_for_one_face_value_a_competitors_newest_price_replaces_the_older_ones() -> None:
    records = [
        rate(id=1, rate_ppm=800_000, seen_at=NOW - timedelta(days=3)),
        rate(id=2, rate_ppm=900_000, face_fen=5_000, face_upto_fen=20_000),
    ]
    assert [one.id for one in current(records, at=NOW, face_fen=10_000, place=None)] == [2]
    assert [one.id for one in current(records, at=NOW, face_fen=30_000, place=None)] == [1]
    assert level(records, at=NOW, face_fen=10_000).median_ppm == 900_000
    assert level(records, at=NOW).median_ppm == 850_000
