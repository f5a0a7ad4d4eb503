"""`/v1/standing-bids`, `/v1/market/depth`, `/v1/webhook`, and what a pause says to sellers."""

from datetime import timedelta
from typing import Any

import pytest

from airback.domain.ids import parse_public
from airback.domain.ports.carrier import LineStatus
from airback.engine import stand
from airback.market.pauses import Pause, PauseKind
from airback.store import pauses
from tests.api.desk import BOOK, SELLER, Api, Desk, code_of
from tests.api.test_demands import DEMAND

NUMBERS = ["13500135001", "13500135002", "13500135003"]
BID: dict[str, Any] = {
    "carrier": "cmcc",
    "numbers": NUMBERS,
    "price_ppm": 950_000,
    "order_fen": 10_000,
    "daily_fen": 25_000,
    "client_ref": "bid-1",
}


@pytest.fixture
def numbers(desk: Desk) -> None:
    for number in NUMBERS:
        desk.subscribers.add(number)


async def open_demands(desk: Desk) -> list[tuple[str, int]]:
    rows = await desk.pool.fetch("SELECT number, open_fen FROM open_demands ORDER BY number")
    return [tuple(row) for row in rows]


async def refill(desk: Desk) -> None:
    async with desk.pool.acquire() as conn:
        await stand.refill(conn, book=BOOK, now=desk.now(), entropy=desk.entropy)


@pytest.mark.usefixtures("numbers")
async def test_a_standing_bid_keeps_a_demand_open_for_each_number_within_its_day(
    desk: Desk, outlet: Api
) -> None:
    placed = await outlet.post("/v1/standing-bids", BID)
    assert placed.status_code == 201, placed.text
    bid = placed.json()
    assert (bid["state"], bid["open_fen"], bid["numbers"][0]) == ("standing", 25_000, "135****5001")
    assert await open_demands(desk) == [(NUMBERS[0], 10_000), (NUMBERS[1], 10_000), (NUMBERS[2], 5_000)]
    # the first is used up: nothing is left of today, so nothing is made
    demand = await desk.pool.fetchval("SELECT id FROM open_demands WHERE number = $1", NUMBERS[0])
    await desk.pool.execute(
        "INSERT INTO fills (book, id, order_id, demand_id, outlet, number, face_fen, price_ppm, pays_fen, state, "
        "delivered_fen, created_at) VALUES ($1, $2, 1, $2, 'north', $3, 10000, 950000, 9500, 'delivered', 10000, $4)",
        BOOK, demand, NUMBERS[0], desk.now(),
    )  # fmt: skip
    await desk.pool.execute("DELETE FROM open_demands WHERE id = $1", demand)
    await refill(desk)
    assert len(await open_demands(desk)) == 2
    desk.pass_time(days=1)
    await desk.pool.execute("DELETE FROM open_demands")  # they expired; the writer takes them out
    await refill(desk)
    assert sum(fen for _, fen in await open_demands(desk)) == 25_000
    (read,) = (await outlet.get("/v1/standing-bids")).json()["bids"]
    assert (read["filled_fen"], read["open_fen"]) == (10_000, 25_000)


@pytest.mark.usefixtures("numbers")
async def test_a_bid_never_takes_more_than_its_whole(desk: Desk, outlet: Api) -> None:
    await outlet.post("/v1/standing-bids", {**BID, "total_fen": 12_000})
    assert await open_demands(desk) == [(NUMBERS[0], 10_000), (NUMBERS[1], 2_000)]
    await refill(desk)
    assert sum(fen for _, fen in await open_demands(desk)) == 12_000


@pytest.mark.usefixtures("numbers")
async def test_fast_and_slow_bids_differ_in_their_demands_deadline(desk: Desk, outlet: Api) -> None:
    for speed, span in (("fast", timedelta(minutes=30)), ("slow", timedelta(days=1))):
        await outlet.post("/v1/standing-bids", {**BID, "speed": speed, "client_ref": speed})
        assert await desk.pool.fetchval("SELECT max(deadline_at) FROM open_demands") == desk.now() + span


@pytest.mark.usefixtures("numbers")
async def test_a_withdrawn_bid_hands_its_open_demands_to_the_writer(desk: Desk, outlet: Api) -> None:
    bid = (await outlet.post("/v1/standing-bids", BID)).json()["id"]
    gone = await outlet.call("DELETE", f"/v1/standing-bids/{bid}")
    assert (gone.status_code, gone.json()["state"]) == (200, "withdrawn")
    assert await desk.pool.fetchval("SELECT count(*) FROM inbox WHERE kind = 'withdraw'") == 3
    assert code_of(await outlet.call("DELETE", f"/v1/standing-bids/{bid}")) == "not_found"
    await desk.pool.execute("DELETE FROM open_demands")
    await refill(desk)
    assert await open_demands(desk) == []
    assert parse_public("bid", bid) is not None


@pytest.mark.usefixtures("numbers")
async def test_each_wrong_bid_is_refused_by_name(desk: Desk, outlet: Api) -> None:
    desk.subscribers.add("13100131000", "cucc")
    desk.subscribers.add("13200132000", status=LineStatus.DEAD)
    table: list[tuple[dict[str, Any], str, str | None]] = [
        ({"carrier": "marsmobile"}, "carrier_unknown", "carrier"),
        ({"numbers": []}, "field_invalid", "numbers"),
        ({"numbers": ["12345"]}, "number_malformed", "numbers"),
        ({"numbers": [NUMBERS[0]] * 2}, "number_malformed", "numbers"),
        ({"numbers": [NUMBERS[0], "13100131000"]}, "bid_carriers_differ", "numbers"),
        ({"numbers": ["13200132000"]}, "number_dead", "number"),
        ({"order_fen": 99}, "amount_below_minimum", "order_fen"),
        ({"daily_fen": 10**13}, "amount_above_limit", "daily_fen"),
        ({"price_ppm": 0}, "price_malformed", "price_ppm"),
        ({"price_ppm": 1_000_001}, "price_malformed", "price_ppm"),
        ({"daily_fen": 9_999}, "bid_limits_contradict", "daily_fen"),
        ({"total_fen": 9_999}, "bid_limits_contradict", "total_fen"),
        ({"speed": "now"}, "field_invalid", "speed"),
        ({"order_fen": 400_000, "daily_fen": 2_000_000}, "bid_above_deposit", "order_fen"),
    ]
    for changes, code, field in table:
        answer = await outlet.post("/v1/standing-bids", {**BID, **changes})
        assert code_of(answer) == code, changes
        assert answer.json().get("field") == field, changes
    assert await open_demands(desk) == []
    await outlet.post("/v1/standing-bids", BID)
    assert code_of(await outlet.post("/v1/standing-bids", BID)) == "client_ref_used"


async def test_the_depth_names_no_outlet_and_shows_what_is_ones_own(desk: Desk, outlet: Api) -> None:
    south = Api(desk, key=await desk.client("south", kind="outlet", outlet="south"))
    await desk.deposit("south", 1_000_000)
    desk.subscribers.add(SELLER)
    for api, price in ((outlet, 950_000), (south, 950_000), (south, 970_000)):
        assert (await api.post("/v1/demands", {**DEMAND, "price_ppm": price})).status_code == 201
    answer = await outlet.get("/v1/market/depth")
    assert answer.json()["carriers"] == [
        {
            "carrier": "cmcc",
            "levels": [
                {"price_ppm": 970_000, "open_fen": 10_000, "bids": 1, "own_fen": 0},
                {"price_ppm": 950_000, "open_fen": 20_000, "bids": 2, "own_fen": 10_000},
            ],
        }
    ]
    assert "south" not in answer.text and SELLER not in answer.text
    await south.http.aclose()


async def test_an_outlet_says_where_it_is_told_and_sees_its_secret_once(desk: Desk, outlet: Api) -> None:
    assert code_of(await outlet.get("/v1/webhook")) == "not_found"
    made = await outlet.post("/v1/webhook", {"url": "https://shop.example/hook"})
    assert made.status_code == 201
    secret = made.json()["secret"]
    assert secret.startswith("whsec_")
    read = await outlet.get("/v1/webhook")
    assert (read.json()["url"], "secret" in read.json()) == ("https://shop.example/hook", False)
    assert secret.encode() not in await desk.pool.fetchval("SELECT secret FROM outlet_hooks")
    assert (await outlet.call("DELETE", "/v1/webhook")).status_code == 204
    assert code_of(await outlet.call("DELETE", "/v1/webhook")) == "not_found"


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://shop.example/hook", "hook_malformed"),
        ("ftp://shop.example/hook", "hook_malformed"),
        ("https://user:word@shop.example/", "hook_malformed"),
        ("https://shop.example/#part", "hook_malformed"),
        ("https://shop.example:99999/", "hook_malformed"),
        ("https:///hook", "hook_malformed"),
        ("https://shop.example/a b", "hook_malformed"),
        ("https://10.0.0.1\\x.shop.example/hook", "hook_malformed"),  # two hosts, by who reads it
        ("https://%31%30.0.0.1/hook", "hook_malformed"),
        ("https://localhost/hook", "hook_private"),
        ("https://127.0.0.1/hook", "hook_private"),
    ],
)
async def test_an_address_that_is_none_is_refused(outlet: Api, url: str, code: str) -> None:
    assert code_of(await outlet.post("/v1/webhook", {"url": url})) == code


async def paused(desk: Desk, kind: PauseKind, subject: str) -> None:
    pause = Pause(1, kind, subject, "线路检修", "The line is being repaired", desk.now())
    async with desk.pool.acquire() as conn:
        await pauses.insert(conn, book=BOOK, pause=pause, by="wang")


@pytest.mark.parametrize(
    ("kind", "subject", "field"),
    [
        (PauseKind.CARRIER, "cmcc", "carrier"),
        (PauseKind.PROVINCE, "44", "province"),
        (PauseKind.RAIL, "alipay", "rail"),
    ],
)
async def test_what_is_paused_is_neither_quoted_nor_bought_and_the_reason_is_told(
    desk: Desk, api: Api, kind: PauseKind, subject: str, field: str
) -> None:
    ask = {
        "product": "card", "carrier": "cmcc", "face_fen": 10_000, "card_number": "20261102000017",
        "seller_ref": "user-1", "province": "4401", "rail": "alipay",
    }  # fmt: skip
    quote = (await api.post("/v1/quotes", ask)).json()["quote"]
    await paused(desk, kind, subject)
    answer = await api.post("/v1/quotes", ask)
    assert (code_of(answer), answer.status_code, answer.json()["field"]) == ("paused", 503, field)
    assert answer.json()["title"] == "Buying is paused here: The line is being repaired"
    order = desk.order(quote=quote)
    refused = await api.post("/v1/orders", order)
    assert (code_of(refused), refused.json()["field"]) == ("paused", field)
    many = await api.post("/v1/orders", {"orders": [order, desk.order(carrier="ctcc", rail="alipay")]})
    titles = [one.get("problem", {}).get("title", "") for one in many.json()["orders"]]
    assert titles[0].endswith("The line is being repaired")
    if kind is PauseKind.CARRIER:
        assert many.json()["orders"][1]["status"] == 201  # its neighbour is not sunk


async def test_a_paused_outlet_is_nothing_of_the_sellers(desk: Desk, api: Api) -> None:
    await paused(desk, PauseKind.OUTLET, "north")
    assert (await api.post("/v1/orders", desk.order())).status_code == 201
