"""The comparison matrix: what the articles state, what they do not, what staff add, and what is drawn."""

from datetime import UTC, datetime
from typing import Any

import pytest

from airback.domain.refusals import Refused
from airback.pricing.market_figures import TABLES
from airback.pricing.matrix import OWN, Cell, Recorded, build, check_cell, figure_text, unit_of

NOW = datetime(2026, 11, 20, 4, 0, tzinfo=UTC)


def recorded(**changes: Any) -> Recorded:
    values: dict[str, Any] = {
        "matrix": "platforms",
        "platform": "xianyu",
        "criterion": "complaints",
        "low": 700,
        "high": 700,
        "words": None,
        "source": "平台年报",
        "recorded_by": "chen",
        "recorded_at": NOW,
    }
    return Recorded(**(values | changes))


def test_cells_that_the_articles_leave_empty_stay_empty_and_every_other_names_its_source() -> None:
    types, routes, platforms = build([], own={})
    empty = {
        (column.key, criterion.key)
        for column in platforms.columns
        for criterion in platforms.criteria
        if column.key != OWN and platforms.cell(column.key, criterion.key) is None
    }
    assert empty == {
        ("xianyu", "complaints"),
        ("kaka", "complaints"),
        *(
            (platform, share)
            for platform in ("alipay", "xianyu", "kaka")
            for share in ("business", "technology")
        ),
    }
    assert {cell.source for table in (types, platforms) for cell in table.cells.values()} == {"S1"}
    assert {cell.source for cell in routes.cells.values()} == {"S2"}
    for table in (types, routes):
        assert all(
            table.cell(column.key, criterion.key) is not None
            for column in table.columns
            if column.key != OWN
            for criterion in table.criteria
        )


def test_the_figures_are_those_of_the_articles() -> None:
    types, routes, platforms = build([], own={})
    shown = {
        (table.key, *key): figure_text(cell, unit_of(table.key, key[1]) or "", language="en")
        for table in (types, routes, platforms)
        for key, cell in table.cells.items()
    }
    assert shown["types", "second_hand", "rate"] == "85 % – 92 %"
    assert shown["types", "payment", "limit"] == "≤ ¥1,000"
    assert shown["types", "vertical", "rate"] == "78 % – 88 %"
    assert shown["routes", "carrier", "fee"] == "5 % – 8 %"
    assert shown["routes", "third_party", "limit"] == "≤ ¥5,000"
    assert shown["routes", "social", "arrives"] == "0 h – 72 h"
    assert shown["platforms", "alipay", "complaints"] == "0.03 %"
    assert shown["platforms", "alipay", "users"] == "1,200,000,000+"
    assert shown["platforms", "kaka", "users"] == "85,000,000"
    assert shown["platforms", "xianyu", "volume"] == ""  # words alone


def test_what_staff_record_comes_before_the_print_and_an_empty_record_takes_it_back() -> None:
    *_, platforms = build([recorded(), recorded(platform="alipay", low=500, high=500)], own={})
    cell = platforms.cell("xianyu", "complaints")
    assert cell is not None and (cell.low, cell.source, cell.recorded_at) == (700, "平台年报", NOW)
    assert (platforms.cell("alipay", "complaints") or cell).low == 500
    *_, platforms = build([recorded(platform="alipay", low=None, high=None)], own={})
    assert (platforms.cell("alipay", "complaints") or cell).low == 300


def test_a_new_platform_is_a_column_of_its_own_before_ours() -> None:
    *_, platforms = build([recorded(platform="回呗")], own={})
    assert [column.key for column in platforms.columns] == ["alipay", "xianyu", "kaka", "回呗", OWN]
    *_, platforms = build([recorded(platform="回呗", low=None, high=None)], own={})
    assert [column.key for column in platforms.columns] == ["alipay", "xianyu", "kaka", OWN]


def test_a_radar_is_drawn_only_of_platforms_that_state_every_axis() -> None:
    types, routes, platforms = build([], own={})
    axes, whole, left = types.radar()
    assert [column.key for column in whole] == ["second_hand", "payment", "vertical"]
    assert [column.key for column in left] == [OWN]
    limit = next(axis for axis in axes if axis.criterion.key == "limit")
    assert limit.scores == {"second_hand": 20, "payment": 28, "vertical": 100}
    fee = next(axis for axis in routes.radar()[0] if (axis.criterion.key, axis.end) == ("fee", "low"))
    assert fee.scores == {"carrier": 100, "third_party": 20, "social": 52}
    assert platforms.radar()[0] == []  # only one of them states enough
    own = {
        ("types", criterion): Cell(OWN, criterion, low, high, None, None, OWN)
        for criterion, low, high in (("rate", 800_000, 880_000), ("limit", None, 500_000))
    }
    assert [column.key for column in build([], own=own)[0].radar()[1]][-1] == OWN


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"matrix": "moons"}, "not_found", "matrix"),
        ({"criterion": "colour"}, "not_found", "criterion"),
        ({"platform": OWN}, "matrix_cell_computed", "platform"),
        ({"platform": " "}, "field_invalid", "platform"),
        ({"platform": "x" * 41}, "field_invalid", "platform"),
        ({"words": "a\x07"}, "field_invalid", "words"),
        ({"source": ""}, "field_missing", "source"),
        ({"low": -1}, "field_invalid", "low"),
        ({"high": 1_000_001}, "rival_rate_above_face", "high"),
        ({"low": 800, "high": 700}, "field_invalid", "high"),
        ({"criterion": "volume", "low": 1, "high": None}, "field_invalid", "low"),
    ],
)
def test_a_wrong_cell_is_refused_by_name(changes: dict[str, Any], code: str, field: str) -> None:
    one = recorded(**{"words": "", **changes})
    values = {
        name: getattr(one, name)
        for name in ("matrix", "platform", "criterion", "low", "high", "words", "source")
    }
    with pytest.raises(Refused) as refused:
        check_cell(**values)
    assert (refused.value.code, refused.value.field) == (code, field)


def test_a_good_cell_is_taken() -> None:
    one = recorded(words="")
    check_cell(
        matrix=one.matrix,
        platform=one.platform,
        criterion=one.criterion,
        low=700,
        high=None,
        words="",
        source="x",
    )
    assert unit_of("platforms", "moons") is None
    assert len(TABLES) == 3
