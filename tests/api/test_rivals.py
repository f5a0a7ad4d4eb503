"""`/v1/competitor-rates` and `/v1/market`."""

import secrets
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import jsonschema
import pytest

from airback.api.openapi import description
from airback.engine.watch_arbitrage import record_promotion
from airback.pricing.default_card import DEFAULT_CARD
from airback.store import books
from tests.api.desk import BOOK, NOW, Api, Desk, code_of
from tests.engine.test_watch_arbitrage import new

RATE: dict[str, Any] = {
    "competitor": "淘话费",
    "carrier": "cmcc",
    "product": "balance",
    "rate_ppm": 860_000,
    "seen_at": (NOW - timedelta(hours=1)).isoformat(),
    "source": "app, price page",
    "face_fen": 10_000,
}


@pytest.fixture
async def staff(desk: Desk) -> AsyncIterator[Api]:
    """The API with a key of the operator's own programs."""
    async with desk.pool.acquire() as conn:
        await books.create(conn, book=BOOK, name="x", now=NOW)
        await books.publish_first(conn, book=BOOK, document=DEFAULT_CARD, now=NOW)
    made = Api(desk, key=await desk.client("scout", kind="staff", scopes=["market:write", "market:read"]))
    async with made.http:
        yield made


def check(method: str, path: str, answer: Any) -> None:
    document = description()
    response = document["paths"][path][method]["responses"][str(answer.status_code)]
    schema = response["content"][answer.headers["content-type"].partition(";")[0]]["schema"]
    jsonschema.validate(answer.json(), {**schema, "components": document["components"]})


async def test_a_rate_is_recorded_once_however_often_it_is_sent(desk: Desk, staff: Api) -> None:
    first = await staff.post("/v1/competitor-rates", RATE, idempotency=None)
    again = await staff.post("/v1/competitor-rates", RATE, idempotency=None)
    assert (first.status_code, again.status_code) == (201, 201), first.text
    assert first.json()["id"] == again.json()["id"]
    assert "replayed" not in first.json() and again.json()["replayed"] is True
    row = await desk.pool.fetchrow("SELECT * FROM competitor_rates")
    assert (row["recorded_by"], row["face_fen"], row["face_upto_fen"]) == ("client:scout", 10_000, 10_000)
    assert await desk.pool.fetchval("SELECT count(*) FROM competitor_rates") == 1


async def test_in_a_batch_each_rate_has_its_own_answer_and_good_ones_are_kept(desk: Desk, staff: Api) -> None:
    wrong = [
        ({"rate_ppm": 0}, "rival_rate_not_positive", "rate_ppm"),
        ({"rate_ppm": 1_000_001}, "rival_rate_above_face", "rate_ppm"),
        ({"rate_ppm": "85%"}, "price_malformed", "rate_ppm"),
        ({"carrier": "mars"}, "carrier_unknown", "carrier"),
        ({"product": "data"}, "field_invalid", "product"),
        ({"seen_at": (NOW + timedelta(days=1)).isoformat()}, "seen_in_future", "seen_at"),
        ({"seen_at": "2026-11-01T00:00:00"}, "field_invalid", "seen_at"),
        ({"face_upto_fen": 5}, "face_band_reversed", "face_upto_fen"),
        ({"face_fen": None, "face_upto_fen": 5}, "field_missing", "face_fen"),
        ({"face_fen": 0}, "amount_not_positive", "face_fen"),
        ({"source": ""}, "field_missing", "source"),
        ({"colour": "red"}, "field_invalid", "colour"),
    ]
    rates = [RATE, *({**RATE, **change} for change, _, _ in wrong), {**RATE, "competitor": "回呗"}, RATE]
    answer = await staff.post("/v1/competitor-rates", {"rates": rates}, idempotency=None)
    assert answer.status_code == 207
    check("post", "/v1/competitor-rates", answer)
    found = answer.json()["rates"]
    assert [one["row"] for one in found] == list(range(1, len(rates) + 1))
    problems = [(one["problem"]["code"], one["problem"]["field"]) for one in found[1:-2]]
    assert problems == [(code, field) for _, code, field in wrong]
    assert found[-1]["id"] == found[0]["id"] and found[-1]["replayed"]
    assert await desk.pool.fetchval("SELECT count(*) FROM competitor_rates") == 2


async def test_one_wrong_rate_is_a_problem_of_its_own(staff: Api) -> None:
    answer = await staff.post("/v1/competitor-rates", {**RATE, "rate_ppm": 0}, idempotency=None)
    assert code_of(answer) == "rival_rate_not_positive"


async def test_a_record_is_taken_back_once_with_a_reason(desk: Desk, staff: Api) -> None:
    made = (await staff.post("/v1/competitor-rates", RATE, idempotency=None)).json()["id"]
    where = f"/v1/competitor-rates/{made}/retract"
    assert code_of(await staff.post(where, {"reason": " "})) == "reason_missing"
    answer = await staff.post(where, {"reason": "看错了"})
    assert answer.status_code == 200
    check("post", "/v1/competitor-rates/{rate}/retract", answer)
    assert code_of(await staff.post(where, {"reason": "看错了"})) == "already_retracted"
    assert code_of(await staff.post("/v1/competitor-rates/riv_0/retract", {"reason": "x"})) == "not_found"
    assert (await staff.get("/v1/competitor-rates")).json()["rates"] == []
    kept = await desk.pool.fetchrow("SELECT * FROM competitor_rate_retractions")
    assert (kept["reason"], kept["retracted_by"]) == ("看错了", "client:scout")


async def test_records_stand_beside_our_own_rate_with_the_level_and_the_suggestion(staff: Api) -> None:
    rates = [{**RATE, "competitor": f"c{n}", "rate_ppm": 840_000 + n * 10_000} for n in range(3)]
    rates.append({**RATE, "competitor": "old", "seen_at": (NOW - timedelta(days=20)).isoformat()})
    await staff.post("/v1/competitor-rates", {"rates": rates}, idempotency=None)
    answer = await staff.get("/v1/competitor-rates?carrier=cmcc&product=balance")
    check("get", "/v1/competitor-rates", answer)
    found = answer.json()
    assert [(one["competitor"], one["gap_ppm"], one["stale"]) for one in found["rates"]] == [
        ("c0", -10_000, False),
        ("c1", 0, False),
        ("c2", 10_000, False),
        ("old", 10_000, True),
    ]
    assert found["levels"] == [
        {"carrier": "cmcc", "product": "balance", "median_ppm": 850_000, "competitors": 3, "stale": 1}
    ]
    assert (found["suggestion"]["competitors"], found["suggestion"]["rate_ppm"]) == (3, 7_500)
    assert (await staff.get("/v1/competitor-rates?carrier=cucc")).json()["rates"] == []
    assert code_of(await staff.get("/v1/competitor-rates?carrier=mars")) == "carrier_unknown"
    assert code_of(await staff.get("/v1/competitor-rates?product=data")) == "field_invalid"


async def test_the_market_is_not_for_every_client(api: Api) -> None:
    assert code_of(await api.post("/v1/competitor-rates", RATE)) == "scope_missing"
    assert code_of(await api.get("/v1/competitor-rates")) == "scope_missing"
    assert code_of(await api.get("/v1/market/arbitrage")) == "scope_missing"


async def test_anybody_reads_the_matrix_without_our_volumes_and_empty_cells_are_absent(
    desk: Desk, api: Api
) -> None:
    await desk.pool.execute(
        "INSERT INTO parties (book, id, client, ref, created_at) VALUES (1, 7, 'x', 'y', $1)", NOW
    )
    answer = await api.call("GET", "/v1/market/matrix", key="")
    check("get", "/v1/market/matrix", answer)
    assert answer.headers["cache-control"] == "public, max-age=60"
    types, routes, platforms = answer.json()["tables"]
    cells = {(cell["platform"], cell["criterion"]): cell for cell in platforms["cells"]}
    assert cells["alipay", "complaints"]["low"] == 300
    assert ("xianyu", "complaints") not in cells
    assert not [one for one in cells if one[0] == "own"]
    own = {cell["criterion"]: cell for cell in routes["cells"] if cell["platform"] == "own"}
    assert (own["fee"]["low"], own["fee"]["source"]) == (30_000, "own")
    assert [column["key"] for column in types["platforms"]][-1] == "own"


async def test_the_watch_reports_the_trade_without_its_cap_and_with_it(desk: Desk, staff: Api) -> None:
    async with desk.pool.acquire() as conn:
        await record_promotion(
            conn,
            book=BOOK,
            promotion=new(product="balance"),
            by="chen",
            roles=["pricing"],
            now=NOW,
            entropy=secrets.token_bytes,
        )
    answer = await staff.get("/v1/market/arbitrage")
    check("get", "/v1/market/arbitrage", answer)
    (one,) = answer.json()["promotions"]
    assert (one["state"], one["cap"]["per_seller_fen_per_day"]) == ("live", 20_000)
    of_100 = next(trade for trade in one["trades"] if trade["face_fen"] == 10_000)
    assert (of_100["profit_fen"], of_100["profit_capped_fen"]) == (1_598, 120)
    assert one["cut_ppm"] >= 500_000
    assert (one["per_account_day_fen"], one["per_account_day_capped_fen"]) == (None, 240)
