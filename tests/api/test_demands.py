"""`/v1/demands` and `/v1/balances`."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from airback.api import demands as module
from airback.domain.ids import parse_public
from airback.domain.ports.carrier import LineStatus
from airback.ledger.accounts import payable
from tests.api.desk import BOOK, NOW, SELLER, Api, Desk, code_of

DEMAND: dict[str, Any] = {
    "number": SELLER,
    "amount_fen": 10_000,
    "price_ppm": 950_000,
    "deadline_at": (NOW + timedelta(hours=1)).isoformat(),
}


async def test_a_demand_is_placed_with_the_carrier_that_serves_the_number(desk: Desk, outlet: Api) -> None:
    desk.subscribers.add(SELLER, "cbn")  # ported
    placed = await outlet.post("/v1/demands", {**DEMAND, "client_ref": "d-1"})
    assert placed.status_code == 201, placed.text
    assert placed.json()["carrier"] == "cbn"
    read = (await outlet.get(f"/v1/demands/{placed.json()['id']}")).json()
    assert (read["number"], read["state"], read["open_fen"]) == ("138****8000", "open", 10_000)
    row = await desk.pool.fetchrow("SELECT * FROM open_demands")
    assert (row["id"], row["carrier"], row["open_fen"]) == (
        parse_public("dem", placed.json()["id"]), "cbn", 10_000,
    )  # fmt: skip
    balance = (await outlet.get("/v1/balances")).json()
    assert balance == {
        "outlet": {
            "outlet": "north",
            "deposit_fen": 1_000_000,
            "earmarked_fen": 0,
            "demanded_fen": 9_500,
            "free_fen": 990_500,
        }
    }


async def test_each_wrong_demand_is_refused_by_name_and_the_rest_goes_on(desk: Desk, outlet: Api) -> None:
    desk.subscribers.add("13100131000", status=LineStatus.DEAD)
    desk.subscribers.add("13200132000", status=LineStatus.SUSPENDED)
    desk.subscribers.add("13300133000", "marsmobile")
    table: list[tuple[dict[str, Any], str, str]] = [
        ({"number": "12345"}, "number_malformed", "number"),
        ({"number": "13900139099"}, "number_dead", "number"),
        ({"number": "13100131000"}, "number_dead", "number"),
        ({"number": "13200132000"}, "number_suspended", "number"),
        ({"number": "13300133000"}, "carrier_unknown", "number"),
        ({"amount_fen": "5"}, "amount_not_a_number", "amount_fen"),
        ({"amount_fen": 0}, "amount_not_positive", "amount_fen"),
        ({"amount_fen": 0.5}, "amount_fraction_of_fen", "amount_fen"),
        ({"amount_fen": 10**14}, "amount_above_limit", "amount_fen"),
        ({"price_ppm": 0}, "price_malformed", "price_ppm"),
        ({"price_ppm": 1_000_001}, "price_malformed", "price_ppm"),
        ({"price_ppm": 0.95}, "price_malformed", "price_ppm"),
        ({"amount_fen": 99}, "amount_below_minimum", "amount_fen"),
        ({"amount_fen": 100, "price_ppm": 1}, "price_malformed", "price_ppm"),
        ({"deadline_at": NOW.isoformat()}, "deadline_past", "deadline_at"),
        ({"deadline_at": "2026-11-02T05:00:00"}, "field_invalid", "deadline_at"),
        ({"deadline_at": "2036-11-02T05:00:00Z"}, "field_invalid", "deadline_at"),
        ({"amount_fen": 1_200_000}, "deposit_insufficient", "amount_fen"),
        ({"client_ref": "two words"}, "field_invalid", "client_ref"),
        ({"client_ref": "twice"}, "client_ref_used", "client_ref"),
        ({"colour": "red"}, "field_invalid", "colour"),
    ]
    asks = [{**DEMAND, "client_ref": "twice"}] + [{**DEMAND, **wrong} for wrong, _, _ in table] + [DEMAND]
    answer = await outlet.post("/v1/demands", {"demands": asks})
    assert answer.status_code == 207
    first, *said, last = answer.json()["demands"]
    assert (first["status"], last["status"]) == (201, 201)
    assert [(d["problem"]["code"], d["problem"]["field"]) for d in said] == [(c, f) for _, c, f in table]
    assert await desk.pool.fetchval("SELECT count(*) FROM demands") == 2
    assert code_of(await outlet.post("/v1/demands", {**DEMAND, "client_ref": "twice"})) == "client_ref_used"
    desk.subscribers.reachable = False
    assert code_of(await outlet.post("/v1/demands", DEMAND)) == "carrier_unreachable"


async def test_the_deposit_covers_all_open_demands_even_when_placed_at_once(desk: Desk, outlet: Api) -> None:
    big = {**DEMAND, "amount_fen": 400_000, "price_ppm": 1_000_000}
    answers = await asyncio.gather(*(outlet.post("/v1/demands", big) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [201, 201, 402, 402, 402]
    batch = (await outlet.post("/v1/demands", {"demands": [{**big, "amount_fen": 150_000}] * 2})).json()
    assert [demand["status"] for demand in batch["demands"]] == [201, 402]


async def test_one_key_places_once(desk: Desk, outlet: Api) -> None:
    assert code_of(await outlet.post("/v1/demands", DEMAND, idempotency=None)) == "idempotency_key_missing"
    bad = {**DEMAND, "price_ppm": 0}
    assert code_of(await outlet.post("/v1/demands", bad, idempotency="k")) == "price_malformed"
    answers = await asyncio.gather(*(outlet.post("/v1/demands", DEMAND, idempotency="k") for _ in range(10)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert await desk.pool.fetchval("SELECT count(*) FROM open_demands") == 1
    other = {**DEMAND, "amount_fen": 5_000}
    assert code_of(await outlet.post("/v1/demands", other, idempotency="k")) == "idempotency_key_reused"


async def test_demands_are_listed_and_told_where_they_stand(desk: Desk, outlet: Api) -> None:
    ids = []
    for n in range(4):
        desk.pass_time(seconds=1)
        ids.append((await outlet.post("/v1/demands", {**DEMAND, "client_ref": f"d{n}"})).json()["id"])
    page = (await outlet.get("/v1/demands?limit=3")).json()
    assert [demand["id"] for demand in page["demands"]] == ids[:0:-1]
    rest = (await outlet.get(f"/v1/demands?cursor={page['next']}")).json()
    assert ([demand["id"] for demand in rest["demands"]], rest["next"]) == ([ids[0]], None)
    (found,) = (await outlet.get("/v1/demands?client_ref=d2")).json()["demands"]
    assert found["id"] == ids[2]

    filled, reserved, withdrawn, expired = (parse_public("dem", demand) for demand in ids)
    for demand, state, delivered in ((filled, "delivered", 10_000), (reserved, "reserved", 0)):
        await desk.pool.execute(
            "INSERT INTO fills (book, id, order_id, demand_id, outlet, number, face_fen, price_ppm, pays_fen, state, "
            "delivered_fen, created_at) VALUES ($1, $2, 1, $2, 'north', $3, $4, 950000, 1, $5, $6, $7)",
            BOOK, demand, SELLER, 10_000 if delivered else 4_000, state, delivered, NOW,
        )  # fmt: skip
    await desk.pool.execute("DELETE FROM open_demands WHERE id = ANY ($1::bigint[])", [filled, withdrawn])
    await desk.pool.execute("UPDATE open_demands SET open_fen = 6000 WHERE id = $1", reserved)
    await desk.pool.execute("UPDATE demands SET deadline_at = $2 WHERE id = $1", expired, NOW)
    seen = {d["id"]: d for d in (await outlet.get("/v1/demands")).json()["demands"]}
    assert [seen[demand]["state"] for demand in ids] == ["filled", "open", "withdrawn", "expired"]
    assert (seen[ids[1]]["open_fen"], seen[ids[1]]["reserved_fen"]) == (6_000, 4_000)
    assert seen[ids[0]]["delivered_fen"] == 10_000


async def test_withdrawing_is_a_letter_to_the_writer(
    desk: Desk, outlet: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAITS_S", 0.3)
    demand = (await outlet.post("/v1/demands", DEMAND)).json()["id"]
    number = parse_public("dem", demand)
    slow = await outlet.call("DELETE", f"/v1/demands/{demand}")
    assert (slow.status_code, slow.json()["answer"]) == (202, "accepted")
    letter = await desk.pool.fetchrow("SELECT * FROM inbox")
    assert (letter["kind"], letter["ref"], letter["body"]) == ("withdraw", str(number), {"outlet": "north"})
    # the writer's doing
    await desk.pool.execute("DELETE FROM open_demands WHERE id = $1", number)
    await desk.pool.execute("UPDATE demands SET withdrawn_at = created_at WHERE id = $1", number)
    done = await outlet.call("DELETE", f"/v1/demands/{demand}")
    assert (done.status_code, done.json()["answer"]) == (200, "withdrawn")
    assert done.json()["demand"]["state"] == "withdrawn"
    assert await desk.pool.fetchval("SELECT count(*) FROM inbox") == 1
    south = Api(desk, key=await desk.client("south", kind="outlet", outlet="south"))
    for method in ("GET", "DELETE"):
        assert code_of(await south.call(method, f"/v1/demands/{demand}")) == "not_found"
    await south.http.aclose()
    assert code_of(await outlet.get("/v1/demands/dem_x")) == "not_found"


async def test_who_is_no_outlet_places_no_demand(desk: Desk, api: Api) -> None:
    odd = Api(desk, key=await desk.client("odd", scopes=["demands:write", "demands:read"]))
    assert code_of(await odd.post("/v1/demands", DEMAND)) == "scope_missing"
    assert code_of(await odd.get("/v1/demands")) == "scope_missing"
    await odd.http.aclose()


async def test_a_client_sees_what_is_owed_to_its_sellers(desk: Desk, api: Api) -> None:
    for ref in ("user-1", "user-2"):
        await api.post("/v1/orders", desk.order(seller_ref=ref))
    sellers = await desk.pool.fetch("SELECT id FROM parties ORDER BY ref")
    for fen, seller in zip((500, 700), sellers, strict=True):
        account = payable(seller["id"])
        await desk.pool.execute(
            "INSERT INTO accounts (book, id, code, asset, side, bounded, credits_posted, debits_pending) "
            "VALUES ($1, $2, $3, 'CNY', 'credit', true, $4, 100)",
            BOOK, account.id, account.code, fen,
        )  # fmt: skip
    everything = (await api.get("/v1/balances")).json()
    assert everything == {"sellers": {"payable_fen": 1200, "under_way_fen": 200, "stored_fen": 0}}
    one = (await api.get("/v1/balances?seller_ref=user-2")).json()
    assert one["sellers"]["payable_fen"] == 700
