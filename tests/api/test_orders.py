"""`/v1/orders`: placing, finding, cancelling, another payee, events, receipts."""

import asyncio
import itertools
from typing import Any

import pytest

from airback.api import orders as module
from airback.domain.canonical import canonical
from airback.domain.ids import parse_public
from tests.api.desk import BOOK, Api, Desk, code_of


async def test_a_single_order_is_placed_and_read_back_masked(desk: Desk, api: Api) -> None:
    order = desk.order(product="balance", client_ref="r-1")
    answer = await api.post("/v1/orders", order)
    assert answer.status_code == 201, answer.text
    placed = answer.json()
    assert placed["state"] == "submitted"
    assert "replayed" not in placed
    read = (await api.get(f"/v1/orders/{placed['id']}")).json()
    assert read["number"] == "138****8000"
    assert read["client_ref"] == "r-1"
    assert read["seller_ref"] == "user-1"
    assert read["net_fen"] == order["quote"]["net_fen"]
    assert read["components"] == order["quote"]["components"]
    assert "13800138000" not in str(read)
    assert "13900139000" not in str(read)  # the payee


async def test_a_batch_gets_one_status_per_order(desk: Desk, api: Api) -> None:
    code = desk.new_code()
    orders = [
        desk.order(card_code=code, client_ref="a"),
        desk.order(card_code=code, client_ref="b"),
        {**desk.order(), "colour": "red"},
        {key: value for key, value in desk.order().items() if key != "payee_name"},
        "not an object",
        {**desk.order(), "quote": {"v": 1.5}},
        desk.order(product="balance", proof=None),
        desk.order(agreement=""),
        desk.order(client_ref="c"),
    ]
    answer = await api.post("/v1/orders", {"orders": orders})
    assert answer.status_code == 207
    statuses = answer.json()["orders"]
    assert [(s["row"], s["status"], s.get("problem", {}).get("code")) for s in statuses] == [
        (1, 201, None),
        (2, 422, "card_duplicate"),
        (3, 422, "field_invalid"),
        (4, 422, "field_missing"),
        (5, 422, "field_invalid"),
        (6, 422, "quote_invalid"),
        (7, 422, "number_unproven"),
        (8, 422, "agreement_missing"),
        (9, 201, None),
    ]
    assert statuses[2]["problem"]["field"] == "colour"
    assert statuses[3]["problem"]["field"] == "payee_name"
    assert [s["problem"]["row"] for s in statuses if "problem" in s] == [2, 3, 4, 5, 6, 7, 8]
    assert await desk.pool.fetchval("SELECT count(*) FROM orders") == 2
    all_good = await api.post("/v1/orders", {"orders": [desk.order(), desk.order()]})
    assert all_good.status_code == 201


async def test_people_come_before_files(desk: Desk, api: Api) -> None:
    await api.post("/v1/orders", {"orders": [desk.order(client_ref="one")]})
    await api.post("/v1/orders", {"orders": [{**desk.order(client_ref="two"), "lane": "files"}]})
    await api.post("/v1/orders", {"orders": [desk.order(client_ref=f"f{n}") for n in range(21)]})
    rows = await desk.pool.fetch("SELECT client_ref, lane FROM orders")
    lanes = {row["client_ref"]: row["lane"] for row in rows}
    assert (lanes["one"], lanes["two"], lanes["f0"]) == (0, 1, 1)


async def test_one_key_gives_one_answer_and_another_body_is_refused(desk: Desk, api: Api) -> None:
    order = desk.order()
    assert code_of(await api.post("/v1/orders", order, idempotency=None)) == "idempotency_key_missing"
    assert code_of(await api.post("/v1/orders", order, idempotency="a b")) == "field_invalid"
    bad = {**order, "payee_name": "\t"}
    assert code_of(await api.post("/v1/orders", bad, idempotency="k")) == "payee_malformed"
    first = await api.post("/v1/orders", order, idempotency="k")
    assert first.status_code == 201
    again = await api.post("/v1/orders", order, idempotency="k")
    assert (again.status_code, again.json()["id"]) == (201, first.json()["id"])
    assert again.json()["replayed"]
    assert code_of(await api.post("/v1/orders", desk.order(), idempotency="k")) == "idempotency_key_reused"
    assert await desk.pool.fetchval("SELECT count(*) FROM orders") == 1


async def test_fifty_identical_requests_over_http_make_one_order(desk: Desk, api: Api) -> None:
    order = desk.order()
    answers = await asyncio.gather(*(api.post("/v1/orders", order, idempotency="k") for _ in range(50)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert await desk.pool.fetchval("SELECT count(*) FROM orders") == 1


async def test_orders_are_listed_by_cursor_and_found_by_reference(desk: Desk, api: Api) -> None:
    placed: list[str] = []
    for n in range(5):
        desk.pass_time(seconds=1)
        order = desk.order(client_ref=f"r{n}", seller_ref=f"user-{n % 2}")
        placed.append((await api.post("/v1/orders", order)).json()["id"])
    rival = Api(desk, key=await desk.client("rival"))
    desk.pass_time(seconds=1)
    other = (await rival.post("/v1/orders", desk.order(client="rival", client_ref="r0"))).json()["id"]

    seen: list[str] = []
    cursor = ""
    for _ in itertools.count():
        page = (await api.get(f"/v1/orders?limit=2{cursor}")).json()
        seen += [order["id"] for order in page["orders"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert seen == placed[::-1]

    async def found(query: str, who: Api = api) -> list[str]:
        return [order["id"] for order in (await who.get(f"/v1/orders?{query}")).json()["orders"]]

    assert await found("client_ref=r3") == [placed[3]]
    assert await found("client_ref=r0", rival) == [other]
    assert await found("client_ref=nothing") == []
    assert await found("seller_ref=user-1") == [placed[3], placed[1]]
    assert await found("seller_ref=user-1&state=closed") == []
    assert await found("state=submitted&limit=1") == [placed[4]]
    assert await found("state=closed") == []
    await desk.pool.execute("UPDATE orders SET state = 'closed' WHERE client_ref = 'r2'")
    await desk.pool.execute("DELETE FROM work WHERE order_id = $1", parse_public("ord", placed[2]))
    assert await found("state=closed") == [placed[2]]
    for query, field in (
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=1e3", "limit"),
        ("cursor=ord_1", "cursor"),
        ("state=sold", "state"),
        ("colour=red", "colour"),
        ("limit=1&limit=2", "limit"),
    ):
        answer = await api.get(f"/v1/orders?{query}")
        assert (code_of(answer), answer.json()["field"]) == ("field_invalid", field)
    # another's order does not exist, however it is asked for
    for path in ("", "/events", "/receipt"):
        assert code_of(await api.get(f"/v1/orders/{other}{path}")) == "not_found"
    for path in ("/cancel",):
        assert code_of(await api.post(f"/v1/orders/{other}{path}")) == "not_found"
    payee = {"payee_account": "13900139000", "payee_name": "王"}
    assert code_of(await api.post(f"/v1/orders/{other}/payee", payee)) == "not_found"
    assert code_of(await api.get("/v1/orders/ord_nonsense")) == "not_found"
    await rival.http.aclose()


async def test_cancelling_waits_for_the_writers_word(
    desk: Desk, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAITS_S", 60)
    ids = [(await api.post("/v1/orders", desk.order(client_ref=f"r{n}"))).json()["id"] for n in range(4)]

    async def write(order: str, sql: str) -> None:
        """The writer, as soon as it finds the letter."""
        number = parse_public("ord", order)
        letter = "SELECT EXISTS (SELECT FROM inbox WHERE order_id = $1)"
        for _ in range(5000):
            if await desk.pool.fetchval(letter, number):
                break
            await asyncio.sleep(0.01)
        await desk.pool.execute(f"UPDATE orders SET {sql} WHERE id = $1", number)

    async def cancel(order: str, sql: str | None) -> Any:
        calls: list[Any] = [api.post(f"/v1/orders/{order}/cancel")]
        if sql is not None:
            calls.append(write(order, sql))
        return (await asyncio.gather(*calls))[0]

    done = await cancel(ids[0], "state = 'cancelled', code = 'cancelled', cancel = 'done'")
    assert (done.status_code, done.json()["answer"]) == (200, "cancelled")
    assert done.json()["order"]["state"] == "cancelled"
    late = await cancel(ids[1], "state = 'routed', cancel = 'too_late'")
    assert (late.status_code, code_of(late)) == (409, "too_late")
    monkeypatch.setattr(module, "WAITS_S", 0.1)
    slow = await cancel(ids[2], None)
    assert (slow.status_code, slow.json()["answer"]) == (202, "accepted")
    await desk.pool.execute("UPDATE orders SET state = 'closed' WHERE id = $1", parse_public("ord", ids[3]))
    assert code_of(await api.post(f"/v1/orders/{ids[3]}/cancel")) == "too_late"
    again = await api.post(f"/v1/orders/{ids[0]}/cancel")
    assert (again.status_code, again.json()["answer"]) == (200, "cancelled")
    letters = await desk.pool.fetch("SELECT kind, order_id, body FROM inbox ORDER BY id")
    assert [(row["kind"], row["order_id"]) for row in letters] == [
        ("cancel", parse_public("ord", order)) for order in ids[:3]
    ]


async def test_another_payee_is_taken_only_when_the_order_waits_for_one(desk: Desk, api: Api) -> None:
    order = (await api.post("/v1/orders", desk.order())).json()["id"]
    payee = {"payee_account": " 139 0013 9001 ", "payee_name": "王 小明"}
    assert code_of(await api.post(f"/v1/orders/{order}/payee", payee)) == "order_not_waiting"
    number = parse_public("ord", order)
    await desk.pool.execute(
        "UPDATE orders SET state = 'awaiting_seller', code = 'payee_name_mismatch' WHERE id = $1", number
    )
    assert (await api.get(f"/v1/orders/{order}")).json()["waiting_for"] == "payee"
    wrong = await api.post(f"/v1/orders/{order}/payee", {**payee, "payee_account": "nobody"})
    assert code_of(wrong) == "payee_malformed"
    given = await api.post(f"/v1/orders/{order}/payee", {**payee, "payee_account": "13900139001"})
    assert given.status_code == 202
    letter = await desk.pool.fetchrow("SELECT * FROM inbox")
    assert (letter["kind"], letter["order_id"]) == ("payee", number)
    assert "13900139001" not in str(letter["body"])


async def test_a_closed_order_takes_a_payee_only_while_its_payment_came_back_and_none_is_under_way(
    desk: Desk, api: Api
) -> None:
    order = (await api.post("/v1/orders", desk.order())).json()["id"]
    payee, number = {"payee_account": "13900139001", "payee_name": "王小明"}, parse_public("ord", order)
    standing = "UPDATE orders SET state = 'closed', credited_fen = 900, paid_fen = $2 WHERE id = $1"
    await desk.pool.execute(standing, number, 900)
    assert code_of(await api.post(f"/v1/orders/{order}/payee", payee)) == "order_not_waiting"
    assert (await api.get(f"/v1/orders/{order}")).json().get("waiting_for") is None
    await desk.pool.execute(standing, number, 0)
    assert (await api.get(f"/v1/orders/{order}")).json()["waiting_for"] == "payee"
    assert (await api.post(f"/v1/orders/{order}/payee", payee)).status_code == 202
    await desk.pool.execute(
        "INSERT INTO payouts (book, id, seller, rail, amount_fen, payee, state, created_at, updated_at)"
        " SELECT book, 7, seller, rail, 900, ''::bytea, 'sent', now(), now() FROM orders WHERE id = $1",
        number,
    )
    await desk.pool.execute("INSERT INTO payout_orders VALUES ($1, 7, $2, 900)", BOOK, number)
    assert (await api.get(f"/v1/orders/{order}")).json().get("waiting_for") is None
    assert code_of(await api.post(f"/v1/orders/{order}/payee", payee)) == "order_not_waiting"


async def test_events_are_read_by_order_and_from_a_cursor_on(desk: Desk, api: Api) -> None:
    ours = parse_public("ord", (await api.post("/v1/orders", desk.order())).json()["id"])
    rival = Api(desk, key=await desk.client("rival"))
    placed = await rival.post("/v1/orders", desk.order(client="rival"))
    theirs = parse_public("ord", placed.json()["id"])
    await rival.http.aclose()
    for seq in range(1, 8):
        owner = theirs if seq % 3 == 0 else ours
        body = canonical({"action": "engine:order:screened", "seq": seq, "book": BOOK})
        await desk.pool.execute(
            "INSERT INTO events (book, seq, action, order_id, at, salt, body, leaf) VALUES ($1,$2,$3,$4,$5,$6,$7,$8)",
            BOOK, seq, "engine:order:screened", owner, desk.now(), b"s" * 32, body, b"l" * 32,
        )  # fmt: skip
    page = (await api.get("/v1/events?limit=3")).json()
    assert [event["seq"] for event in page["events"]] == [1, 2, 4]
    assert (page["next"], page["more"]) == ("4", True)
    page = (await api.get("/v1/events?cursor=4")).json()
    assert [event["seq"] for event in page["events"]] == [5, 7]
    assert (page["next"], page["more"]) == ("7", False)
    assert (await api.get("/v1/events?cursor=7")).json() == {"events": [], "next": "7", "more": False}
    assert (await api.get("/v1/events?cursor=end")).json() == {"events": [], "next": "7", "more": False}
    own = (await api.get(f"/v1/orders/{page['events'][0]['order']}/events?limit=2&cursor=1")).json()
    assert [event["seq"] for event in own["events"]] == [2, 4]
    assert own["more"]
    await desk.pool.execute("UPDATE events SET salt = NULL, body = NULL WHERE seq = 1")  # erased
    page = (await api.get("/v1/events?limit=1")).json()
    assert page["events"][0]["facts"] == {}
    assert code_of(await api.get("/v1/events?cursor=x")) == "field_invalid"


async def test_a_receipt_is_json_or_paper(desk: Desk, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    order = (await api.post("/v1/orders", desk.order())).json()["id"]
    assert code_of(await api.get(f"/v1/orders/{order}/receipt")) == "not_found"
    await desk.pool.execute(
        "INSERT INTO receipts (book, order_id, document, at) VALUES ($1, $2, $3, $4)",
        BOOK, parse_public("ord", order), {"kind": "airback.receipt", "order": order}, desk.now(),
    )  # fmt: skip
    read = await api.get(f"/v1/orders/{order}/receipt")
    assert read.json() == {"kind": "airback.receipt", "order": order}
    asked: list[Any] = []

    def render(document: Any, **options: Any) -> bytes:
        asked.append((document["order"], options["language"], options["fonts"].name))
        return b"%PDF-1.7"

    monkeypatch.setattr(module.receipt_pdf, "render", render)
    for path, headers in (
        ("/receipt.pdf?language=zh", {}),
        ("/receipt", {"accept": "application/pdf"}),
    ):
        paper = await api.get(f"/v1/orders/{order}{path}", headers=headers)
        assert paper.headers["content-type"] == "application/pdf"
        assert paper.content == b"%PDF-1.7"
    assert asked == [(order, "zh", "fonts"), (order, "en", "fonts")]
    assert code_of(await api.get(f"/v1/orders/{order}/receipt.pdf?language=fr")) == "field_invalid"
