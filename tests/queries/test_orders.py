"""Reading orders for screens: finding, masking, and the timeline."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from airback.domain.canonical import canonical
from airback.domain.ids import public
from airback.engine.submit import Accepted, submit
from airback.queries import orders
from tests.api.desk import BOOK, HOLDS, NOW, SELLER, Desk, open_desk


@pytest.fixture
def desk(pool: asyncpg.Pool, tmp_path: Path) -> Desk:
    return open_desk(pool, tmp_path / "keys")


async def sell(desk: Desk, *, client: str = "acme", **changes: Any) -> int:
    desk.pass_time(seconds=1)
    (answer,) = await submit(
        desk.pool,
        book=BOOK,
        client=client,
        asks=[desk.ask(client=client, **changes)],
        now=desk.now(),
        entropy=desk.entropy,
        keys=desk.keys,
        idempotency=None,
        rails=desk.rail_capabilities,
        hold_kinds=HOLDS,
    )
    assert isinstance(answer, Accepted)
    return answer.order_id


async def test_orders_are_found_by_whatever_a_person_has_in_hand(desk: Desk) -> None:
    for client in ("acme", "rival"):
        await desk.client(client)
    balance = await sell(desk, product="balance", client_ref="2026-1", seller_ref="zhang")
    card = await sell(desk, card_number="20261102000999", client_ref="2026-2", seller_ref="li")
    theirs = await sell(desk, client="rival", client_ref="2026-1")
    async with desk.pool.acquire() as conn:

        async def found(search: str | None = None, **more: Any) -> list[int]:
            page = await orders.list_orders(conn, book=BOOK, search=search, **more)
            return [view.id for view in page.items]

        assert await found() == [theirs, card, balance]
        assert await found(" ") == [theirs, card, balance]
        assert await found(public("ord", card)) == [card]
        assert await found(public("ord", card).lower(), client="rival") == []
        assert await found("+86 138 0013 8000") == [balance]
        assert await found("20261102000999") == [card]
        assert await found("2026-1") == [theirs, balance]
        assert await found("2026-1", client="acme") == [balance]
        assert await found("zhang") == [balance]
        assert await found("nobody") == []
        assert await found("2026-1", state="closed") == []
        assert await found(state="submitted", client="acme") == [card, balance]
        assert await found(state="submitted", after=theirs, limit=1) == [card]
        assert await found(client="acme", seller_ref="li") == [card]
        page = await orders.list_orders(conn, book=BOOK, limit=2)
        assert (len(page.items), page.next) == (2, card)
        assert await orders.get_order(conn, book=BOOK + 1, order_id=card) is None
        assert set(await orders.get_orders(conn, book=BOOK, order_ids=[card, 1])) == {card}


async def test_a_view_hides_numbers_from_other_readers_and_from_its_own_text(desk: Desk) -> None:
    order = await sell(desk, product="balance")
    async with desk.pool.acquire() as conn:
        view = await orders.get_order(conn, book=BOOK, order_id=order)
    assert view is not None
    assert (view.number, view.notify_number) == (SELLER, SELLER)
    masked = view.masked()
    assert (masked.number, masked.quote["number"]) == ("138****8000", "138****8000")
    assert SELLER not in repr(view)
    assert SELLER not in str(masked)


async def test_a_timeline_tells_events_questions_and_answers_in_order_of_time(desk: Desk) -> None:
    order = await sell(desk, product="balance")

    def at(seconds: int) -> Any:
        return NOW + timedelta(seconds=seconds)

    for seq, (action, seconds) in enumerate(
        (("engine:order:screened", 1), ("engine:order:held", 5)), start=1
    ):
        body = canonical({"action": action, "seq": seq, "code": None})
        await desk.pool.execute(
            "INSERT INTO events VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            BOOK, seq, action, order, at(seconds), b"s", body, b"l" * 32,
        )  # fmt: skip
    exchange = {"method": "POST", "path": "/x", "request": "{}", "status": 201, "response": "{}"}
    for effect, kind, order_id, payout, seconds in ((11, "hold", order, None, 1), (12, "pay", None, 77, 6)):
        await desk.pool.execute(
            "INSERT INTO effects (book, id, kind, far_side, order_id, payout_id, ref, amount_fen, request, send_by, "
            "epoch, at) VALUES ($1, $2, $3, 'carrier:cmcc', $4, $5, $6, 10000, $7, $8, 1, $8)",
            BOOK, effect, kind, order_id, payout, f"{effect:026d}", b"sealed", at(seconds),
        )  # fmt: skip
        await desk.pool.execute(
            "INSERT INTO effect_results (book, effect_id, n, result, applied, code, exchanges, at) "
            "VALUES ($1, $2, 0, 'succeeded', true, NULL, $3, $4)",
            BOOK, effect, [exchange], at(seconds + 4),
        )  # fmt: skip
    await desk.pool.execute(
        "INSERT INTO payouts (book, id, seller, rail, amount_fen, payee, state, created_at, updated_at) "
        "VALUES ($1, 77, 1, 'alipay', 10000, $2, 'paid', $3, $3)",
        BOOK, b"sealed", at(6),
    )  # fmt: skip
    await desk.pool.execute("INSERT INTO payout_orders VALUES ($1, 77, $2, 9000)", BOOK, order)
    async with desk.pool.acquire() as conn:
        timeline = await orders.timeline(conn, book=BOOK, order_id=order)
        (payout,) = await orders.payouts(conn, book=BOOK, order_id=order)
        assert await orders.timeline(conn, book=BOOK, order_id=1) == []
    assert [(entry.kind, entry.action) for entry in timeline] == [
        ("event", "engine:order:screened"),
        ("effect", "hold"),
        ("result", "succeeded"),  # the answer stands before what was decided on it
        ("event", "engine:order:held"),
        ("effect", "pay"),
        ("result", "succeeded"),
    ]
    assert timeline[2].exchanges == [exchange]
    assert timeline[5].ref == timeline[4].ref
    assert (payout.share_fen, payout.amount_fen) == (9_000, 10_000)
