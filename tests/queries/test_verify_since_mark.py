"""`verify` since its last clean run: it finds what went wrong since, reads less, and trusts no mark of another past."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from airback.domain.effects import Kind
from airback.domain.ports.carrier import FarSideUnreachable, StatementLine
from airback.queries.verify import LATENESS, Verification, verify_since_mark
from airback.store.pool import connect
from tests.engine.conftest import street
from tests.engine.street import BOOK, Street

__all__ = ["street"]  # the fixture of the engine's tests

#: check → a fault in what came since the mark. `{balance}` and `{card}` are orders of then, `{seq}` is the mark's event.
SINCE = {
    "posting_joins_accounts_of_one_asset": "UPDATE transfers SET asset = 'cbn.card' WHERE kind = 'credit' AND order_id = {card}",
    "balance_is_the_sum_of_its_entries": "UPDATE accounts SET credits_posted = credits_posted + 1 WHERE code = 'fee'",
    "earmark_is_settled_once": "INSERT INTO transfers SELECT book, subject, kind, leg, 'void', asset, debit, credit, amount_fen, order_id, event_at, created_at FROM transfers WHERE kind = 'earmark' AND phase = 'post' AND order_id = {balance}",
    "bound_holds": "UPDATE accounts SET overdrawn_fen = 500 WHERE code = 'deposit:shop'",
    "clients_money_is_safeguarded": "UPDATE accounts SET credits_posted = credits_posted + 90000000, debits_posted = debits_posted + 1 WHERE code = 'cash:safeguarded'",
    "delivered_is_within_held": "UPDATE fills SET delivered_fen = delivered_fen + 1 WHERE order_id = {balance}",
    "delivered_is_what_far_sides_said": "UPDATE effect_results SET result = 'failed' WHERE effect_id IN (SELECT id FROM effects WHERE kind = 'transfer' AND order_id = {balance})",
    "paid_is_within_credited": "UPDATE orders SET paid_fen = paid_fen - 1 WHERE id = {card}",
    "payout_is_the_sum_of_its_shares": "UPDATE payout_orders SET amount_fen = amount_fen + 1 WHERE order_id = {card}",
    "recourse_is_what_corrections_say": "INSERT INTO corrections (book, id, order_id, effect_id, kind, bearer, amount_fen, claim_fen, opened_at) VALUES (1, 5, {card}, 6, 'delivery_reversed', 'seller', 100, 90, now())",
    "payable_is_what_orders_say": "UPDATE orders SET credited_fen = credited_fen + 5 WHERE id = {card}",
    "split_is_within_the_operators_part": "INSERT INTO transfers SELECT book, subject, 'split', 1, phase, asset, debit, credit, 1000000, order_id, event_at, now() FROM transfers WHERE kind = 'credit' AND leg = 1 AND order_id = {card}",
    "card_belongs_to_one_order": "DELETE FROM claims WHERE kind = 'card' AND order_id = {card}",
    "open_order_has_a_due_time": "DELETE FROM work WHERE order_id = {open}",
    "ended_order_has_no_work": "INSERT INTO work SELECT book, id, lane, seller, now() FROM orders WHERE id = {card}",
    "ended_order_holds_nothing": "UPDATE fills SET state = 'delivering' WHERE order_id = {balance}",
    "unresolved_payout_has_an_effect": "UPDATE payouts SET state = 'sent' WHERE id IN (SELECT payout_id FROM payout_orders WHERE order_id = {card})",
    "effect_is_final_or_asked_about": "DELETE FROM effect_results WHERE effect_id IN (SELECT id FROM effects WHERE kind = 'pay' AND order_id = {card})",
    "open_effect_exists": "INSERT INTO open_effects VALUES (1, 42, 'unknown', 1, 0, now())",
    "reference_was_used_once": "ALTER TABLE effects DROP CONSTRAINT effects_book_ref_key; UPDATE effects SET ref = (SELECT ref FROM effects WHERE kind = 'hold' AND order_id = {old}) WHERE kind = 'transfer' AND order_id = {balance}",
    "offer_became_one_order": "INSERT INTO offers (book, id, client, seller, seller_ref, carrier, number, face_fen, net_fen, net_ppm, rail, payee, language, agreement, proved_at, deadline_at, state, order_id, created_at, changed_at) SELECT book, 9, client, seller, 's', carrier, number, face_fen, net_fen + 1, 1, rail, payee, language, agreement, submitted_at, submitted_at, 'met', id, submitted_at, submitted_at FROM orders WHERE id = {balance}",
    "event_sequence_has_no_gap": "DELETE FROM events WHERE seq = {seq} + 2",
    "leaf_is_the_hash_of_its_body": "UPDATE events SET body = body || ' '::bytea WHERE seq = {seq} + 1",
    "seller_nets_the_quote": "UPDATE orders SET quote = jsonb_set(quote, '{{net_fen}}', to_jsonb((quote->>'net_fen')::bigint + 1)) WHERE id = {card}",
    "ledger_equals_statements": "UPDATE effect_results SET amount_fen = amount_fen + 1 WHERE effect_id IN (SELECT id FROM effects WHERE kind = 'pay' AND order_id = {card})",
}

#: What only a full run sees: rows from before the mark, changed by hand after it.
BEFORE = {
    "leaf_is_the_hash_of_its_body": "UPDATE events SET body = body || ' '::bytea WHERE seq = 4",
    "event_sequence_has_no_gap": "DELETE FROM events WHERE seq = 3",
    "delivered_is_within_held": "UPDATE fills SET delivered_fen = delivered_fen + 1 WHERE order_id = {old}",
    "paid_is_within_credited": "UPDATE orders SET paid_fen = paid_fen - 1 WHERE id = {old}",
    "posting_joins_accounts_of_one_asset": "UPDATE transfers SET asset = 'cbn.card' WHERE kind = 'credit' AND order_id = {old}",
    "effect_is_final_or_asked_about": "DELETE FROM effect_results WHERE effect_id IN (SELECT id FROM effects WHERE kind = 'hold' AND order_id = {old})",
}


class Only:
    """One connection as a pool, so that a fault can be undone after it was looked for."""

    def __init__(self, conn: Any) -> None:
        self._conn = conn

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Any]:
        yield self._conn


async def checked(street: Street, *, pool: Any = None, full: bool = False, **options: Any) -> Verification:
    values: dict[str, Any] = {"now": datetime.now(UTC), "overlap": timedelta(0), **options}
    return await verify_since_mark(
        pool or street.pool,
        book=BOOK,
        keys=street.keys,
        carriers=street.carriers,
        rails=street.rails,
        full=full,
        **values,
    )


def found(verification: Verification) -> dict[str, list[tuple[str, str]]]:
    return {name: finding.found for name, finding in verification.findings.items() if finding.violations}


async def clean(street: Street, **options: Any) -> Verification:
    verification = await checked(street, **options)
    assert found(verification) == {} and verification.marked is not None
    return verification


async def one_of_each(street: Street, n: int) -> tuple[int, int]:
    """A balance and a card, sold to the end."""
    orders = await street.sell(
        street.ask_balance(street.line(f"1380000000{n}"), 10_000),
        street.ask_card(street.card("ctcc", 10_000)),
    )
    assert set(await street.settle()) == {"closed"}
    return orders[0], orders[1]


@asynccontextmanager
async def undone(pool: asyncpg.Pool) -> AsyncIterator[Any]:
    """A connection whose changes are forgotten."""
    async with pool.acquire() as conn:
        transaction = conn.transaction(isolation="repeatable_read")
        await transaction.start()
        try:
            yield conn
        finally:
            await transaction.rollback()


async def test_every_check_finds_what_went_wrong_since_the_mark_and_only_a_full_run_what_was_changed_before(
    street: Street,
) -> None:
    old, _ = await one_of_each(street, 1)
    (waiting,) = await street.sell(street.ask_card(street.card("ctcc", 10_000)))
    first = await clean(street)
    assert (first.since, first.mistrusted) == (None, None)
    # What is under way at the mark may lose its work without an event: it is looked at because it was open then.
    async with undone(street.pool) as conn:
        await conn.execute(SINCE["open_order_has_a_due_time"].format(open=waiting))
        assert "open_order_has_a_due_time" in found(await checked(street, pool=Only(conn)))
    balance, card = await one_of_each(street, 2)
    (waiting,) = await street.sell(street.ask_card(street.card("ctcc", 10_000)))
    names = {"old": old, "balance": balance, "card": card, "open": waiting, "seq": first.marked}
    async with undone(street.pool) as conn:
        second = await checked(street, pool=Only(conn))
        assert found(second) == {}
        assert second.since is not None and second.since.seq == first.marked
        assert set(second.findings) == set(SINCE)
    for check, plant in SINCE.items():
        async with undone(street.pool) as conn:
            await conn.execute(plant.format(**names))
            verification = await checked(street, pool=Only(conn))
            assert verification.since is not None and verification.marked is None
            assert check in found(verification), check
    for check, plant in BEFORE.items():
        async with undone(street.pool) as conn:
            await conn.execute(plant.format(**names))
            full = await checked(street, pool=Only(conn), full=True)
            assert full.since is None and full.marked is None
            assert check in found(full), check
            assert check not in found(await checked(street, pool=Only(conn))), check
    # A run that finds something leaves the mark where it was.
    mark = await street.pool.fetchval("SELECT seq FROM verify_marks")
    assert mark == first.marked
    assert (await clean(street)).since is not None
    assert await street.pool.fetchval("SELECT seq FROM verify_marks") > mark


async def test_a_mark_of_another_past_is_not_trusted(street: Street) -> None:
    await one_of_each(street, 1)
    first = await clean(street)
    assert first.marked is not None
    # As after a restore: the same numbers stand for other events, each whole in itself.
    await street.pool.execute(
        "UPDATE events SET salt = $2, leaf = sha256('\\x0001'::bytea || sha256($2 || body)) WHERE seq = $1",
        first.marked,
        b"s" * 32,
    )
    second = await clean(street)
    assert second.since is None
    assert second.mistrusted is not None and f"event {first.marked}" in second.mistrusted
    assert second.as_json()["since"] is None and second.as_json()["mistrusted"] == second.mistrusted
    third = await clean(street)
    assert third.as_json()["since"] == second.as_json()["marked"] and third.mistrusted is None
    # And as after the restore of a shorter log, which a full run alone could not tell from a whole one.
    await street.pool.execute("DELETE FROM events WHERE seq = $1", first.marked)
    assert (await checked(street)).mistrusted is not None
    early = await checked(street, now=datetime.now(UTC) - timedelta(hours=1))
    assert early.since is None and early.mistrusted is not None


async def test_a_book_without_events_has_no_mark(pool: asyncpg.Pool, street: Street) -> None:
    verification = await checked(street)
    assert found(verification) == {} and verification.marked is None
    assert not await pool.fetchval("SELECT count(*) FROM verify_marks")


async def test_far_sides_are_asked_since_they_were_last_compared(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each far side has its own time: one that did not answer is asked for all of it the next time."""
    asked: dict[str, datetime] = {}
    away: set[str] = set()
    for name, far_side in (*street.carriers.items(), *street.rails.items()):

        async def statement(
            *, since: datetime, until: datetime, name: str = name, far_side: Any = far_side
        ) -> list[StatementLine]:
            asked[name] = since
            if name in away:
                raise FarSideUnreachable(far_side=name, reason="no answer")
            return [line for line in far_side.lines if since <= line.at < until]

        monkeypatch.setattr(far_side, "statement", statement)
    await one_of_each(street, 1)
    away.add("ctcc")
    began = asked_first = datetime.now(UTC)
    first = await clean(street)
    assert first.findings["ledger_equals_statements"].unchecked is not None
    assert max(asked.values()) < began - LATENESS
    away.clear()
    # What the rail did before, and what it cannot have done: seen only where it was not compared yet.
    street.carriers["ctcc"].lines.append(
        StatementLine("Y" * 26, Kind.REDEEM, 1_000, "far", began - timedelta(minutes=1))
    )
    second = await checked(street)
    assert asked["alipay"] >= asked_first - LATENESS > asked["ctcc"]
    assert [ref for ref, _ in found(second)["ledger_equals_statements"]] == ["Y" * 26]
    street.carriers["ctcc"].lines.pop()
    await clean(street)
    await one_of_each(street, 2)
    lost = street.carriers["ctcc"].lines.pop()
    street.rails["alipay"].lines.append(StatementLine("Z" * 26, Kind.PAY, 1_000, "far", datetime.now(UTC)))
    third = await checked(street)
    assert third.since is not None
    refs = {ref for ref, _ in found(third)["ledger_equals_statements"]}
    assert refs == {lost.ref, "Z" * 26}


async def test_what_was_done_after_the_statement_was_read_is_compared_by_the_next_run(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = datetime.now(UTC)
    await one_of_each(street, 1)
    lines = street.rails["alipay"].lines
    later = list(lines)
    lines.clear()
    # As if the rail had answered for its statement before it paid: `began` is before its answers.
    await clean(street, now=began)
    marked = await street.pool.fetchval("SELECT statements ->> 'rail:alipay' FROM verify_marks")
    paid = await street.pool.fetchval("SELECT min(at) FROM effects WHERE kind = 'pay'")
    assert datetime.fromisoformat(marked) <= paid
    assert "does not list it" in found(await checked(street))["ledger_equals_statements"][0][1]
    lines.extend(later)
    await clean(street)


async def test_the_second_run_of_a_book_with_a_past_reads_little_of_it(street: Street) -> None:
    for carrier in street.carriers:
        await street.demands(carrier, *[30_000] * 40)
    await street.sell(
        *(
            street.ask_card(street.card(carrier, 10_000), seller=f"s{n}")
            for n in range(20)
            for carrier in street.carriers
        )
    )
    assert await street.settle() == {"closed": 80}
    # A table of a few pages is read whole rather than looked up: not here, where a few pages stand for many.
    await street.pool.execute(
        "ALTER INDEX transfers_written SET (pages_per_range = 1); REINDEX INDEX transfers_written; ANALYZE"
    )
    pool = await connect(f"{street.url}?enable_seqscan=off", max_size=1)
    try:
        past = await clean(street, pool=pool)
        await street.sell(street.ask_card(street.card("ctcc", 10_000), seller="s1"))
        assert await street.settle() == {"closed": 81}
        since = await clean(street, pool=pool)
        full = await clean(street, pool=pool, full=True)
    finally:
        await pool.close()
    assert since.since is not None and (past.since, full.since) == (None, None)
    assert 0 < since.rows_read * 4 < past.rows_read < full.rows_read


async def test_two_runs_at_once_leave_one_whole_mark(street: Street) -> None:
    await one_of_each(street, 1)
    async with street.pool.acquire() as conn, conn.transaction(isolation="repeatable_read"):
        assert await conn.fetchval(
            "SELECT count(*) FROM events"
        )  # its snapshot is from before the other's mark
        other = await clean(street)
        ours = await checked(street, pool=Only(conn))
        assert found(ours) == {} and ours.marked is None
    assert await street.pool.fetchval("SELECT seq FROM verify_marks") == other.marked
    await one_of_each(street, 2)
    await clean(street)
