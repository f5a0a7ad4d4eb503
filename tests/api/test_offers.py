"""`/v1/offers`: a seller's own price, placed once however often it is sent, changed, withdrawn, and nobody else's."""

from datetime import timedelta
from typing import Any

import pytest

from airback.orders.intake import AGREEMENT
from tests.api.desk import SELLER, Api, Desk, code_of


def offer(desk: Desk, **changes: Any) -> dict[str, Any]:
    body: dict[str, Any] = {
        "number": SELLER,
        "proof": desk.proof(),
        "face_fen": 10_000,
        "net_fen": 9_000,
        "deadline_at": (desk.now() + timedelta(hours=24)).isoformat(),
        "payee_account": SELLER,
        "payee_name": "王小明",
        "seller_ref": "user-17",
        "agreement": AGREEMENT,
    }
    return {name: value for name, value in (body | changes).items() if value is not None}


async def test_an_offer_is_placed_once_read_changed_and_withdrawn(desk: Desk, api: Api) -> None:
    body = offer(desk)
    placed = await api.post("/v1/offers", body, idempotency="o-1")
    assert placed.status_code == 201, placed.text
    made = placed.json()
    assert (made["state"], made["net_fen"], made["net_ppm"], made["order"]) == (
        "resting",
        9_000,
        900_000,
        None,
    )
    assert (made["carrier"], made["number"]) == ("cmcc", "138****8000")
    again = await api.post("/v1/offers", body, idempotency="o-1")
    assert (again.status_code, again.json()["id"]) == (201, made["id"])
    assert code_of(await api.post("/v1/offers", offer(desk), idempotency="o-2")) == "offer_resting"
    assert code_of(await api.post("/v1/offers", offer(desk, net_fen=9_001), idempotency="o-1")) == (
        "idempotency_key_reused"
    )
    later = (desk.now() + timedelta(hours=40)).isoformat()
    changed = await api.call("PATCH", f"/v1/offers/{made['id']}", {"net_ppm": 895_000, "deadline_at": later})
    assert changed.status_code == 200, changed.text
    assert (changed.json()["net_fen"], changed.json()["deadline_at"][:13]) == (8_950, later[:13])
    assert (await api.get(f"/v1/offers/{made['id']}")).json() == changed.json()
    gone = await api.call("DELETE", f"/v1/offers/{made['id']}")
    assert gone.json()["state"] == "withdrawn"
    assert (await api.call("DELETE", f"/v1/offers/{made['id']}")).json()["state"] == "withdrawn"
    late = await api.call("PATCH", f"/v1/offers/{made['id']}", {"net_fen": 9_000})
    assert (late.status_code, code_of(late)) == (409, "offer_closed")


async def test_offers_are_listed_by_seller_and_state_page_by_page(desk: Desk, api: Api) -> None:
    numbers = ["13500135001", "13500135002", "13500135003"]
    for place, number in enumerate(numbers):
        desk.subscribers.add(number)
        body = offer(desk, number=number, proof=desk.proof(number), seller_ref=f"user-{place}")
        assert (await api.post("/v1/offers", body, idempotency=f"o-{place}")).status_code == 201
        desk.pass_time(seconds=1)
    first = (await api.get("/v1/offers?limit=2")).json()
    assert [one["seller_ref"] for one in first["offers"]] == ["user-2", "user-1"]
    rest = (await api.get(f"/v1/offers?limit=2&cursor={first['next']}")).json()
    assert [one["seller_ref"] for one in rest["offers"]] == ["user-0"] and rest["next"] is None
    assert len((await api.get("/v1/offers?seller_ref=user-1")).json()["offers"]) == 1
    desk.pass_time(days=2)  # their time is up, whether or not the writer has been there
    assert (await api.get("/v1/offers?state=resting")).json()["offers"] == []
    assert {one["state"] for one in (await api.get("/v1/offers?state=expired")).json()["offers"]} == {
        "expired"
    }


async def test_an_offer_is_nobody_elses(desk: Desk, api: Api) -> None:
    made = (await api.post("/v1/offers", offer(desk), idempotency="o-1")).json()["id"]
    other = Api(desk, key=await desk.client("other"))
    async with other.http:
        for method, body in ("GET", None), ("PATCH", {"net_fen": 8_900}), ("DELETE", None):
            assert code_of(await other.call(method, f"/v1/offers/{made}", body)) == "not_found"
        assert (await other.get("/v1/offers")).json()["offers"] == []
    assert (await api.get(f"/v1/offers/{made}")).json()["state"] == "resting"


async def test_account_and_name_stand_nowhere_in_plain(desk: Desk, api: Api) -> None:
    await api.post("/v1/offers", offer(desk, payee_name="欧阳小白"), idempotency="o-1")
    row = await desk.pool.fetchrow("SELECT payee, offers::text AS whole FROM offers")
    assert "欧阳小白".encode() not in row["payee"] and "欧阳小白" not in row["whole"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"net_fen": 5_000}, "offer_below_price"),
        ({"net_fen": 9_990}, "offer_above_bounds"),
        ({"net_fen": None}, "field_missing"),
        ({"net_ppm": 900_000}, "field_invalid"),
        ({"face_fen": 100_000}, "balance_insufficient"),
        ({"proof": "a.b.c"}, "proof_invalid"),
        ({"deadline_at": "2026-11-02T04:01:00Z"}, "offer_deadline_invalid"),
        ({"deadline_at": "2026-11-09T04:00:00Z"}, "offer_deadline_invalid"),
        ({"colour": "red"}, "field_invalid"),
    ],
)
async def test_a_wrong_offer_is_refused_by_name(
    desk: Desk, api: Api, changes: dict[str, Any], code: str
) -> None:
    body = offer(desk) | changes
    body = {name: value for name, value in body.items() if value is not None}
    answer = await api.post("/v1/offers", body, idempotency="o-1")
    assert code_of(answer) == code
    assert await desk.pool.fetchval("SELECT count(*) FROM offers") == 0
