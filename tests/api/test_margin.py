"""`/v1/margin` for the operator's own programs, `/v1/market/index` for everybody."""

from datetime import UTC, date, datetime, timedelta

import pytest

from tests.api.desk import BOOK, NOW, Api, Desk
from tests.web.console.earnings import earn
from tests.web.console.world import START, furnish


async def test_only_the_operators_own_programs_read_the_margin(desk: Desk, api: Api) -> None:
    answer = await api.get("/v1/margin")
    assert answer.status_code == 403 and answer.json()["code"] == "scope_missing"
    nosy = Api(desk, key=await desk.client("nosy", scopes=("margin:read",)))
    async with nosy.http:
        answer = await nosy.get("/v1/margin")
        assert answer.status_code == 403 and answer.json()["code"] == "scope_missing"


async def test_the_margin_is_the_pages(desk: Desk) -> None:
    made = await furnish(desk.pool)
    await earn(desk.pool, made)
    desk.clock = START
    own = Api(desk, key=await desk.client("desk", kind="staff", scopes=("margin:read",)))
    async with own.http:
        answer = await own.get("/v1/margin?from=2026-11-01&to=2026-11-20&by=product")
        assert answer.status_code == 200, answer.text
        found = answer.json()
        assert (found["first"], found["last"], found["by"]) == ("2026-11-01", "2026-11-20", "product")
        assert found["whole"]["margin_fen"] == 2_538 == sum(one["margin_fen"] for one in found["segments"])
        assert found["whole"]["margin_of_face_ppm"] == 63_450
        assert found["whole"]["expected_bad_debt_fen"] == 1_000
        lines = {line["line"]: line["amount_fen"] for line in found["whole"]["lines"]}
        assert lines["fee"] == 2_100 and lines["tax"] is None and lines["parties"] == -328
        for query, code in (
            ("by=moon", "field_invalid"),
            ("from=2026-11-21", "period_invalid"),
            ("days=3", "field_invalid"),
        ):
            answer = await own.get(f"/v1/margin?{query}")
            assert (answer.status_code, answer.json()["code"]) == (422, code), query


DOCUMENT = {
    "least_sellers": 10,
    "most_share_ppm": 250_000,
    "cells": [
        {"carrier": "cmcc", "face": "1", "province": "44", "expiry": "0", "orders": 120}
        | {"lower_ppm": 861_000, "median_ppm": 872_000, "upper_ppm": 880_000},
        {"carrier": "cmcc", "face": "3", "province": None, "expiry": None, "orders": 40}
        | {"lower_ppm": 851_000, "median_ppm": 866_000, "upper_ppm": 871_000},
    ],
}


async def test_the_index_is_read_without_a_key(desk: Desk, api: Api) -> None:
    api.key = None
    answer = await api.http.get("/v1/market/index")
    assert answer.status_code == 404 and answer.json()["code"] == "index_not_published"
    await desk.pool.execute(
        "INSERT INTO rate_index VALUES ($1, $2, $3, $4)", BOOK, date(2026, 10, 26), DOCUMENT, NOW
    )
    answer = await api.http.get("/v1/market/index")
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found["week"] == "2026-10-26" and found["least_sellers"] == 10
    one, rest = found["cells"]
    assert (one["face_above_fen"], one["face_to_fen"], one["days_above"], one["days_to"]) == (
        5_000,
        10_000,
        0,
        30,
    )
    assert one["several"] == [] and one["province"] == "44" and one["median_ppm"] == 872_000
    assert rest["several"] == ["province", "expiry"] and rest["face_above_fen"] == 30_000
    assert rest["face_to_fen"] is None and rest["days_to"] is None
    assert (await api.http.get("/v1/market/index?week=2026-10-26")).json() == found
    assert (await api.http.get("/v1/market/index?week=2026-10-19")).status_code == 404
    assert (await api.http.get("/v1/market/index?week=monday")).status_code == 422


@pytest.mark.parametrize("hours", [0, 1])
async def test_reading_publishes_a_week_that_is_over_and_no_other(desk: Desk, api: Api, hours: int) -> None:
    began = datetime(2026, 10, 20, tzinfo=UTC)
    await desk.pool.execute("INSERT INTO books (book, name, created_at) VALUES ($1, 'x', $2)", BOOK, began)
    monday = datetime(2026, 10, 25, 16, tzinfo=UTC)  # midnight in China
    desk.clock = monday + timedelta(hours=hours)
    answer = await api.get("/v1/market/index")
    assert answer.status_code == (200 if hours else 404)
    if hours:
        assert answer.json()["week"] == "2026-10-19" and answer.json()["cells"] == []
