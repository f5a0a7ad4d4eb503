"""`verify` finds a fault when one is planted by hand in SQL: one plant for each check."""

from datetime import UTC, datetime

import pytest

from airback.domain.effects import Kind
from airback.domain.ports.carrier import StatementLine
from airback.queries.verify import Finding, verify
from tests.engine.conftest import street
from tests.engine.street import BOOK, Street

__all__ = ["street"]  # the fixture of the engine's tests


#: check → the fault, as somebody with a console on the database could make it.
PLANTS = {
    "posting_joins_accounts_of_one_asset": "UPDATE transfers SET asset = 'cbn.card' WHERE kind = 'credit' AND leg = 1",
    "balance_is_the_sum_of_its_entries": "UPDATE accounts SET credits_posted = credits_posted + 1 WHERE code = 'fee'",
    "earmark_is_settled_once": "INSERT INTO transfers SELECT book, subject, kind, leg, 'void', asset, debit, credit, amount_fen, order_id, event_at, created_at FROM transfers WHERE kind = 'earmark' AND phase = 'post' LIMIT 1",
    "bound_holds": "UPDATE accounts SET overdrawn_fen = 500 WHERE code = 'deposit:shop'",
    "clients_money_is_safeguarded": "UPDATE accounts SET credits_posted = credits_posted + 90000000, debits_posted = debits_posted + 1 WHERE code = 'cash:safeguarded'",
    "delivered_is_within_held": "UPDATE fills SET delivered_fen = delivered_fen + 1",
    "delivered_is_what_far_sides_said": "UPDATE effect_results SET result = 'failed' WHERE effect_id IN (SELECT id FROM effects WHERE kind = 'transfer')",
    "paid_is_within_credited": "UPDATE orders SET paid_fen = paid_fen - 1",
    "payout_is_the_sum_of_its_shares": "UPDATE payout_orders SET amount_fen = amount_fen + 1",
    "payable_is_what_orders_say": "UPDATE orders SET credited_fen = credited_fen + 5",
    "recourse_is_what_corrections_say": "INSERT INTO corrections (book, id, order_id, effect_id, kind, bearer, amount_fen, claim_fen, opened_at) SELECT book, 5, id, 6, 'delivery_reversed', 'seller', 100, 90, now() FROM orders LIMIT 1",
    "split_is_within_the_operators_part": "INSERT INTO transfers SELECT book, subject, 'split', 1, phase, asset, debit, credit, 1000000, order_id, event_at, created_at FROM transfers WHERE kind = 'credit' AND leg = 1 LIMIT 1",
    "card_belongs_to_one_order": "DELETE FROM claims WHERE kind = 'card'",
    "open_order_has_a_due_time": "UPDATE orders SET state = 'routed' WHERE product = 'balance'",
    "ended_order_has_no_work": "INSERT INTO work SELECT book, id, lane, seller, now() FROM orders LIMIT 1",
    "ended_order_holds_nothing": "UPDATE fills SET state = 'delivering'",
    "unresolved_payout_has_an_effect": "UPDATE payouts SET state = 'sent'",
    "effect_is_final_or_asked_about": "DELETE FROM effect_results WHERE effect_id IN (SELECT id FROM effects WHERE kind = 'pay')",
    "open_effect_exists": "INSERT INTO open_effects VALUES (1, 42, 'unknown', 1, 0, now())",
    "reference_was_used_once": "ALTER TABLE effects DROP CONSTRAINT effects_book_ref_key; UPDATE effects SET ref = 'AAAAAAAAAAAAAAAAAAAAAAAAAA' WHERE kind IN ('hold', 'transfer')",
    "offer_became_one_order": "INSERT INTO offers (book, id, client, seller, seller_ref, carrier, number, face_fen, net_fen, net_ppm, rail, payee, language, agreement, proved_at, deadline_at, state, order_id, created_at, changed_at) SELECT book, 9, client, seller, 's', carrier, number, face_fen, net_fen + 1, 1, rail, payee, language, agreement, submitted_at, submitted_at, 'met', id, submitted_at, submitted_at FROM orders WHERE product = 'balance'",
    "event_sequence_has_no_gap": "DELETE FROM events WHERE seq = 3",
    "leaf_is_the_hash_of_its_body": "UPDATE events SET body = body || ' '::bytea WHERE seq = 4",
    "seller_nets_the_quote": "UPDATE orders SET quote = jsonb_set(quote, '{net_fen}', to_jsonb((quote->>'net_fen')::bigint + 1))",
    "ledger_equals_statements": "UPDATE effect_results SET amount_fen = amount_fen + 1 WHERE effect_id IN (SELECT id FROM effects WHERE kind = 'pay')",
}


async def sold(street: Street) -> None:
    await street.sell(
        street.ask_balance(street.line("13800000001"), 10_000), street.ask_card(street.card("ctcc", 10_000))
    )
    assert await street.settle() == {"closed": 2}


async def found(street: Street) -> dict[str, Finding]:
    findings = await verify(
        street.pool,
        book=BOOK,
        now=datetime.now(UTC),
        keys=street.keys,
        carriers=street.carriers,
        rails=street.rails,
    )
    return {name: finding for name, finding in findings.items() if finding.violations}


async def test_every_check_has_a_plant(street: Street) -> None:
    await sold(street)
    assert await found(street) == {}
    every = await verify(
        street.pool,
        book=BOOK,
        now=datetime.now(UTC),
        keys=street.keys,
        carriers=street.carriers,
        rails=street.rails,
    )
    assert set(every) == set(PLANTS)


@pytest.mark.parametrize("check", PLANTS)
async def test_a_planted_fault_is_found_by_its_check(street: Street, check: str) -> None:
    await sold(street)
    await street.pool.execute(PLANTS[check])
    caught = await found(street)
    assert check in caught
    assert caught[check].found


async def test_a_payment_that_only_the_far_side_knows_is_found(street: Street) -> None:
    await sold(street)
    line = StatementLine("Z" * 26, Kind.PAY, 1_000, "far", datetime.now(UTC))
    street.rails["alipay"].lines.append(line)
    (finding,) = (await found(street)).values()
    assert finding.invariant == "8" and "never sent" in finding.found[0][1]


async def test_a_delivery_that_the_far_side_does_not_list_is_found(street: Street) -> None:
    await sold(street)
    street.carriers["ctcc"].lines.clear()
    (finding,) = (await found(street)).values()
    assert finding.invariant == "8" and "does not list it" in finding.found[0][1]
