"""Accepting orders: what is refused, in the order of the table; batches; idempotency."""

import contextlib
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from airback.domain.refusals import Refused
from airback.engine.submit import MOST_ASKS, Accepted, OrderAsk, submit
from airback.orders.intake import card_fingerprints
from airback.store.intake import give_back_cards
from tests.api.desk import BOOK, HOLDS, NOW, SELLER, Desk, digest, open_desk, rail_capabilities


@pytest.fixture
def desk(pool: asyncpg.Pool, tmp_path: Path) -> Desk:
    return open_desk(pool, tmp_path / "keys")


async def place(desk: Desk, *asks: OrderAsk, **options: Any) -> list[Accepted | Refused]:
    values: dict[str, Any] = {
        "book": BOOK,
        "client": "acme",
        "asks": asks,
        "now": desk.now(),
        "entropy": desk.entropy,
        "keys": desk.keys,
        "idempotency": None,
        "rails": desk.rail_capabilities,
        "hold_kinds": HOLDS,
    }
    return await submit(options.pop("pool", desk.pool), **(values | options))


class Statements:
    """A pool that keeps the text of every statement sent through it."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self.pool = pool
        self.texts: list[str] = []

    @contextlib.asynccontextmanager
    async def acquire(self) -> AsyncIterator[asyncpg.Connection]:
        def note(query: Any) -> None:
            self.texts.append(query.query)

        async with self.pool.acquire() as conn:
            conn.add_query_logger(note)
            yield conn
            conn.remove_query_logger(note)


def codes(answers: list[Accepted | Refused]) -> list[str]:
    return ["accepted" if isinstance(a, Accepted) else a.code for a in answers]


async def orders(desk: Desk) -> list[asyncpg.Record]:
    return list(await desk.pool.fetch("SELECT * FROM orders ORDER BY id"))


async def test_a_card_is_accepted_with_its_code_sealed(desk: Desk) -> None:
    ask = desk.ask(client_ref="ref-1")
    (answer,) = await place(desk, ask)
    assert isinstance(answer, Accepted)
    (order,) = await orders(desk)
    assert order["id"] == answer.order_id
    assert order["state"] == "submitted"
    assert order["hold_kind"] == "none"
    assert order["card_number"] == "20261102000017"
    assert order["quote"] == ask.quote
    assert order["client_ref"] == "ref-1"
    assert ask.card_code is not None
    assert ask.card_code.encode() not in order["card_code"]
    where = f"orders/card_code/{order['id']}".encode()
    assert (
        desk.keys.unseal(purpose="card_code", sealed=order["card_code"], where=where)
        == ask.card_code.encode()
    )
    where = f"orders/payee/{order['id']}".encode()
    payee = desk.keys.unseal(purpose="payee", sealed=order["payee"], where=where)
    assert payee.decode() == '{"account":"13900139000","name":"王小明"}'
    work = await desk.pool.fetchrow("SELECT * FROM work")
    assert (work["order_id"], work["seller"], work["due_at"]) == (order["id"], order["seller"], NOW)


async def test_a_balance_is_accepted_and_held_as_its_carrier_holds(desk: Desk) -> None:
    answers = await place(
        desk,
        desk.ask(product="balance", carrier="cmcc"),
        desk.ask(product="balance", carrier="cucc", number="13100131000", notify_number="+86 138 0013 8000"),
    )
    assert codes(answers) == ["accepted", "accepted"]
    native, custody = await orders(desk)
    assert (native["hold_kind"], native["number"], native["notify_number"]) == ("native", SELLER, SELLER)
    assert (custody["hold_kind"], custody["notify_number"]) == ("custody", "13800138000")


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"seller_ref": "with space"}, "field_invalid", "seller_ref"),
        ({"client_ref": "x" * 65}, "field_invalid", "client_ref"),
        ({"language": "fr"}, "field_invalid", "language"),
        ({"lane": 2}, "field_invalid", "lane"),
        ({"notify_number": "10086"}, "number_malformed", "notify_number"),
        ({"product": "balance", "proof": None}, "number_unproven", "proof"),
        ({"product": "balance", "proof": "e30.e30.e30"}, "proof_invalid", "proof"),
        ({"card_code": None}, "field_missing", "card_code"),
        ({"card_code": "12AB"}, "card_code_malformed", "card_code"),
        ({"quote": {"v": 1}}, "quote_invalid", "quote"),
        ({"quote": "text"}, "quote_invalid", "quote"),
        ({"client": "other"}, "quote_mismatch", "quote"),
        ({"book": 2}, "quote_invalid", "quote"),
        ({"product": "balance", "card_code": "123456789012"}, "quote_mismatch", "quote"),
        ({"agreement": ""}, "agreement_missing", "agreement"),
        ({"agreement": "1999-01"}, "agreement_missing", "agreement"),
        ({"payee_account": "not an account"}, "payee_malformed", "payee_account"),
        ({"payee_account": "王@例.中国"}, "payee_malformed", "payee_account"),
        ({"payee_name": " "}, "payee_malformed", "payee_name"),
        ({"payee_name": "a\u202eb"}, "payee_malformed", "payee_name"),
    ],
)
async def test_each_wrong_form_is_refused_by_name_and_field(
    desk: Desk, changes: dict[str, Any], code: str, field: str
) -> None:
    (refused,) = await place(desk, desk.ask(**changes))
    assert isinstance(refused, Refused)
    assert (refused.code, refused.field, refused.row) == (code, field, 1)
    assert await orders(desk) == []
    assert await desk.pool.fetchval("SELECT count(*) FROM claims") == 0


async def test_amounts_outside_the_rails_limits_are_refused(desk: Desk) -> None:
    small, large = (
        {"alipay": rail_capabilities(most_fen=100)},
        {"alipay": rail_capabilities(least_fen=100_000)},
    )
    assert codes(await place(desk, desk.ask(), rails=large)) == ["amount_below_minimum"]
    assert codes(await place(desk, desk.ask(), rails=small)) == ["amount_above_limit"]
    assert codes(await place(desk, desk.ask(), rails={})) == ["rail_unavailable"]


async def test_a_carrier_without_a_connector_is_refused(desk: Desk) -> None:
    assert codes(await place(desk, desk.ask(), hold_kinds={"ctcc": HOLDS["ctcc"]})) == ["carrier_unknown"]


async def test_a_quote_for_the_price_alone_sells_nothing(desk: Desk) -> None:
    quote = desk.quote(product="card")
    quote_alone = {**quote, "card_number": None}
    (refused,) = await place(desk, desk.ask(quote=quote_alone))
    assert isinstance(refused, Refused)
    assert refused.code == "quote_invalid"  # it was signed with a card number


async def test_a_proof_is_for_its_number_and_its_time(desk: Desk) -> None:
    other = desk.ask(product="balance", proof=desk.proof("13900139000"))
    assert codes(await place(desk, other)) == ["proof_invalid"]
    old = desk.proof()
    desk.pass_time(minutes=15)
    assert codes(await place(desk, desk.ask(product="balance", proof=old))) == ["proof_invalid"]
    tampered = desk.proof()
    body, key_id, signature = tampered.split(".")
    assert codes(await place(desk, desk.ask(product="balance", proof=f"{body}x.{key_id}.{signature}"))) == [
        "proof_invalid"
    ]
    for garbage in ("", "a.b", "é.é.é", "." * 3, "x" * 5000):
        assert codes(await place(desk, desk.ask(product="balance", proof=garbage))) == ["proof_invalid"]


async def test_a_quote_expires_and_is_refused_when_tampered_with(desk: Desk) -> None:
    ask = desk.ask()
    assert isinstance(ask.quote, dict)
    tampered = dataclasses.replace(ask, quote={**ask.quote, "net_fen": ask.quote["net_fen"] + 1})
    assert codes(await place(desk, tampered)) == ["quote_invalid"]
    desk.pass_time(minutes=11)
    assert codes(await place(desk, ask)) == ["quote_expired"]


async def test_a_quote_is_used_once(desk: Desk) -> None:
    ask = desk.ask()
    assert codes(await place(desk, ask)) == ["accepted"]
    again = dataclasses.replace(ask, card_code=desk.new_code())
    assert codes(await place(desk, again)) == ["quote_used"]
    assert len(await orders(desk)) == 1
    # what the second try claimed is free again
    assert codes(await place(desk, desk.ask(card_code=again.card_code))) == ["accepted"]


async def test_within_a_batch_the_first_of_two_equal_things_stands(desk: Desk) -> None:
    code = desk.new_code()
    quote = desk.quote()
    answers = await place(
        desk,
        desk.ask(card_code=code, client_ref="a"),
        desk.ask(card_code=code),
        desk.ask(quote=quote),
        desk.ask(quote=quote),
        desk.ask(client_ref="a"),
        desk.ask(payee_account="?"),
        desk.ask(client_ref="b"),
    )
    assert codes(answers) == [
        "accepted", "card_duplicate", "accepted", "quote_used", "client_ref_used", "payee_malformed", "accepted",
    ]  # fmt: skip
    assert [a.row for a in answers if isinstance(a, Refused)] == [2, 4, 5, 6]
    assert len(await orders(desk)) == 3


async def test_a_card_is_refused_across_clients_carriers_and_printed_numbers(desk: Desk) -> None:
    code = desk.new_code()
    assert codes(await place(desk, desk.ask(card_code=code))) == ["accepted"]
    other = desk.ask(client="rival", card_code=code, carrier="cucc", card_number="99999999999999")
    assert codes(await place(desk, other, client="rival")) == ["card_duplicate"]
    spaced = desk.ask(card_code=f"{code[:6]} {code[6:]}")
    assert codes(await place(desk, spaced)) == ["card_duplicate"]


async def test_a_refused_card_leaves_its_quote_free(desk: Desk) -> None:
    code = desk.new_code()
    await place(desk, desk.ask(card_code=code))
    ask = desk.ask(card_code=code)
    assert codes(await place(desk, ask)) == ["card_duplicate"]
    right = dataclasses.replace(ask, card_code=desk.new_code())
    assert codes(await place(desk, right)) == ["accepted"]


async def test_a_card_given_back_by_the_engine_may_be_sold_again(desk: Desk) -> None:
    code = desk.new_code()
    (first,) = await place(desk, desk.ask(card_code=code))
    assert isinstance(first, Accepted)
    desk.pass_time(days=400)  # an order's card is its own for ever, unless the engine gives it back
    assert codes(await place(desk, desk.ask(card_code=code))) == ["card_duplicate"]
    async with desk.pool.acquire() as conn:
        await give_back_cards(conn, book=BOOK, cards=[(first.order_id, code)], keys=desk.keys)
    assert codes(await place(desk, desk.ask(card_code=code))) == ["accepted"]


async def test_a_client_reference_names_one_order(desk: Desk) -> None:
    assert codes(await place(desk, desk.ask(client_ref="r"))) == ["accepted"]
    assert codes(await place(desk, desk.ask(client_ref="r"))) == ["client_ref_used"]
    assert codes(await place(desk, desk.ask(client="rival", client_ref="r"), client="rival")) == ["accepted"]


async def test_a_seller_keeps_one_id_and_clients_do_not_share_sellers(desk: Desk) -> None:
    await place(desk, desk.ask(), desk.ask(), desk.ask(seller_ref="user-2"))
    for client in ("acme", "rival"):
        desk.pass_time(seconds=1)  # ids follow the clock
        await place(desk, desk.ask(client=client), client=client)
    one, two, other, again, rival = [order["seller"] for order in await orders(desk)]
    assert one == two == again
    assert len({one, other, rival}) == 3
    assert all(seller > 0 for seller in (one, other, rival))


async def test_while_the_index_key_is_rotated_a_card_is_claimed_under_both(desk: Desk) -> None:
    code = desk.new_code()
    await place(desk, desk.ask(card_code=code))
    desk.keys.rotate(purpose="card_index")
    assert len(card_fingerprints(card_code=code, keys=desk.keys)) == 2
    assert codes(await place(desk, desk.ask(card_code=code))) == ["card_duplicate"]
    fresh = desk.new_code()
    (accepted,) = await place(desk, desk.ask(card_code=fresh))
    assert isinstance(accepted, Accepted)
    assert codes(await place(desk, desk.ask(card_code=fresh))) == ["card_duplicate"]
    claims = await desk.pool.fetch(
        "SELECT * FROM claims WHERE kind = 'card' AND order_id = $1", accepted.order_id
    )
    assert len(claims) == 2
    desk.keys.rotate(purpose="seller_index")
    await place(desk, desk.ask())
    assert len({order["seller"] for order in await orders(desk)}) == 1


async def test_the_same_key_gets_the_same_answer_for_ever(desk: Desk) -> None:
    asks = [desk.ask(), desk.ask(payee_name=""), desk.ask()]
    first = await place(desk, *asks, idempotency=("k", digest("body")))
    assert codes(first) == ["accepted", "payee_malformed", "accepted"]
    desk.pass_time(days=30)  # the quotes have long expired
    again = await place(desk, *asks, idempotency=("k", digest("body")))
    assert codes(again) == codes(first)
    assert [a.order_id for a in again if isinstance(a, Accepted)] == [
        a.order_id for a in first if isinstance(a, Accepted)
    ]
    assert [a.replayed for a in again if isinstance(a, Accepted)] == [True, True]
    assert [(a.field, a.row) for a in again if isinstance(a, Refused)] == [("payee_name", 2)]
    with pytest.raises(Refused, match="idempotency_key_reused"):
        await place(desk, *asks, idempotency=("k", digest("another body")))
    assert len(await orders(desk)) == 2


async def test_a_refused_request_does_not_burn_its_key(desk: Desk) -> None:
    assert codes(await place(desk, desk.ask(payee_name=""), idempotency=("k", digest("1")))) == [
        "payee_malformed"
    ]
    assert codes(await place(desk, desk.ask(), idempotency=("k", digest("2")))) == ["accepted"]


async def test_keys_of_different_clients_are_different_keys(desk: Desk) -> None:
    assert codes(await place(desk, desk.ask(), idempotency=("k", digest("1")))) == ["accepted"]
    rival = desk.ask(client="rival")
    assert codes(await place(desk, rival, client="rival", idempotency=("k", digest("2")))) == ["accepted"]


async def test_a_large_batch_takes_no_more_statements_than_a_small_one(desk: Desk) -> None:
    few, many = Statements(desk.pool), Statements(desk.pool)
    await place(desk, desk.ask(client_ref="first"), pool=few)
    asks = [desk.ask(seller_ref=f"user-{n % 50}", client_ref=f"r-{n}") for n in range(300)]
    answers = await place(desk, *asks, pool=many)
    assert len(many.texts) <= len(few.texts)
    assert codes(answers) == ["accepted"] * 300
    assert len({a.order_id for a in answers if isinstance(a, Accepted)}) == 300
    assert await desk.pool.fetchval("SELECT count(*) FROM work") == 301
    assert await desk.pool.fetchval("SELECT count(*) FROM claims WHERE expires_at IS NULL") == 602


async def test_more_than_a_batch_may_hold_is_refused_whole(desk: Desk) -> None:
    ask = desk.ask()
    with pytest.raises(Refused, match="body_too_large"):
        await place(desk, *[ask] * (MOST_ASKS + 1))


async def test_nothing_secret_is_in_the_text_of_an_ask(desk: Desk) -> None:
    ask = desk.ask()
    assert ask.card_code is not None
    assert ask.card_code not in repr(ask)
    assert ask.payee_account not in repr(ask)
