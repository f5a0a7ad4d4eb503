"""Offers: a seller's own price rests until a demand meets it, the lowest first, then the oldest, until time is up."""

import asyncio
import secrets
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from airback.domain.refusals import Refused
from airback.engine import offer
from airback.engine.offer import OfferAsk, Prices
from airback.market.offers import State
from airback.orders.intake import AGREEMENT
from airback.orders.proofs import make_proof
from airback.pricing.breakdown import breakdown, faults
from airback.pricing.quotes import check_quote, replay
from airback.queries.price_facts import PriceFacts
from airback.queries.verify import verify
from airback.store import offers
from airback.store.offers import StoredOffer
from tests.engine.street import BOOK, CARD, Street, open_street

#: What a hundred yuan nets by the price list of the tests is below this, and an outlet at 98 % can give it.
ASKED_FEN = 9_000


@pytest.fixture
async def quiet(database_url: str, pool: asyncpg.Pool, tmp_path: Path) -> Street:
    """A street on which nothing is wanted yet."""
    return await open_street(database_url, pool, tmp_path / "keys")


def number_of(place: int) -> str:
    return f"139{place:08d}"


async def prices(street: Street) -> Prices:
    now = datetime.now(UTC)
    return Prices(CARD, await PriceFacts(book=BOOK).read(street.pool, card=CARD, now=now))


async def rest(street: Street, place: int = 1, **changes: Any) -> int:
    """The id of an offer of a hundred yuan from number `place`."""
    now = datetime.now(UTC)
    number = number_of(place)
    if number not in street.subscribers.lines:
        street.line(number, "cmcc")
    values: dict[str, Any] = {
        "number": number,
        "proof": make_proof(number, now, street.keys),
        "face_fen": 10_000,
        "deadline_at": now + timedelta(hours=1),
        "rail": "alipay",
        "payee_account": f"s{place}@example.com",
        "payee_name": "张三",
        "seller_ref": f"s{place}",
        "language": "zh",
        "agreement": AGREEMENT,
        "net_fen": ASKED_FEN,
    }
    offer_id, _ = await offer.place(
        street.pool,
        book=BOOK,
        client="test",
        ask=OfferAsk(**(values | changes)),
        prices=await prices(street),
        carriers=street.carriers,
        rails={name: rail.capabilities for name, rail in street.rails.items()},
        subscribers=street.subscribers,
        keys=street.keys,
        now=now,
        entropy=secrets.token_bytes,
        idempotency=None,
    )
    return offer_id


async def read(street: Street, offer_id: int) -> StoredOffer:
    async with street.pool.acquire() as conn:
        found = await offers.get(
            conn, book=BOOK, client="test", offer_id=offer_id, now=datetime.now(UTC) - timedelta(days=9)
        )
    assert found is not None
    return found


async def until(street: Street, state: State, *offer_ids: int) -> None:
    async def there() -> bool:
        return all([(await read(street, one)).state is state for one in offer_ids])

    await street.run(there)


async def passes(street: Street, seconds: float = 2.6) -> None:
    """Run the writer for longer than it takes to look at offers."""
    end = asyncio.get_running_loop().time() + seconds

    async def over() -> bool:
        return asyncio.get_running_loop().time() > end

    await street.run(over)


async def broken(street: Street) -> list[str]:
    """Names of what does not hold."""
    found = await verify(
        street.pool, book=BOOK, keys=street.keys, carriers={}, rails={}, now=datetime.now(UTC)
    )
    return [name for name, finding in found.items() if finding.violations]


async def sound(street: Street) -> None:
    assert await broken(street) == []


async def test_a_demand_that_comes_later_meets_an_offer_at_its_sellers_price(quiet: Street) -> None:
    offer_id = await rest(quiet)
    await passes(quiet)
    assert (await read(quiet, offer_id)).state is State.RESTING
    assert quiet.subscribers.lines[number_of(1)].sellable_fen == 100_000  # nothing is frozen meanwhile
    await quiet.demands("cmcc", 10_000)
    await until(quiet, State.MET, offer_id)
    assert await quiet.settle() == {"closed": 1}
    met = await read(quiet, offer_id)
    assert met.order_id is not None
    order = await quiet.order(met.order_id)
    assert order["net_fen"] == order["paid_fen"] == ASKED_FEN
    quote = check_quote(order["quote"], keys=quiet.keys, now=order["submitted_at"], book=BOOK)
    assert quote.v == 2 and quote.facts.agreed_ppm is not None
    assert replay(order["quote"], CARD) == []
    assert faults(breakdown(order["quote"], CARD), card=CARD, keys=quiet.keys) == []
    line = next(one for one in quote.components if one["name"] == "agreed")
    assert line["amount_fen"] > 0
    await sound(quiet)


async def test_the_quote_of_an_offer_that_was_met_sells_nothing_else(quiet: Street) -> None:
    offer_id = await rest(quiet)
    await quiet.demands("cmcc", 10_000, 10_000)
    await until(quiet, State.MET, offer_id)
    order = await quiet.order((await read(quiet, offer_id)).order_id or 0)
    again = quiet.ask_balance(number_of(1), 10_000)
    object.__setattr__(again, "quote", order["quote"])
    (answer,) = await quiet.submit(again)
    assert isinstance(answer, Refused) and answer.code == "quote_used"


async def test_the_lowest_price_is_met_first_then_the_oldest(quiet: Street) -> None:
    dear = await rest(quiet, 1, net_fen=9_100)
    old = await rest(quiet, 2, net_fen=9_000)
    young = await rest(quiet, 3, net_fen=9_000)
    low = await rest(quiet, 4, net_fen=8_900)
    for left, first in ([dear, old, young], low), ([dear, young], old), ([dear], young):
        await quiet.demands("cmcc", 10_000)
        await until(quiet, State.MET, first)
        assert {(await read(quiet, one)).state for one in left} == {State.RESTING}


async def test_two_offers_do_not_count_on_the_same_demand(quiet: Street) -> None:
    pair = [await rest(quiet, 1), await rest(quiet, 2)]
    await quiet.demands("cmcc", 10_000)
    await until(quiet, State.MET, pair[0])
    await passes(quiet)
    assert (await read(quiet, pair[1])).state is State.RESTING
    assert await quiet.settle() == {"closed": 1}


async def test_no_offer_is_met_out_of_the_operators_own_pocket(quiet: Street) -> None:
    """What the outlet gives must cover the seller's net, the fees and the margin."""
    offer_id = await rest(quiet, net_fen=9_150)
    await quiet.demands("cmcc", 10_000, price_ppm=940_000)
    await passes(quiet)
    assert (await read(quiet, offer_id)).state is State.RESTING
    await quiet.demands("cmcc", 10_000, price_ppm=1_000_000)
    await until(quiet, State.MET, offer_id)
    await quiet.settle()
    assert await quiet.balance("spread") >= 0


async def test_a_demand_without_the_money_meets_nothing(quiet: Street) -> None:
    offer_id = await rest(quiet)
    await quiet.demands("cmcc", 10_000, outlet="shop2")
    await passes(quiet)
    assert (await read(quiet, offer_id)).state is State.RESTING
    await quiet.deposit(1_000_000, outlet="shop2")
    await until(quiet, State.MET, offer_id)


async def test_an_offer_ends_at_its_deadline(quiet: Street) -> None:
    offer_id = await rest(quiet)
    await quiet.pool.execute("UPDATE offers SET deadline_at = now() + interval '1 second'")
    await until(quiet, State.EXPIRED, offer_id)
    await quiet.demands("cmcc", 10_000)
    await passes(quiet)
    assert (await read(quiet, offer_id)).state is State.EXPIRED
    assert await quiet.states() == {}


async def test_who_withdraws_while_it_is_being_met_gets_one_of_the_two(quiet: Street) -> None:
    """Never both: an order whose offer was withdrawn, or an offer that says it was met without an order."""
    count = 12
    ids = [await rest(quiet, place) for place in range(1, count + 1)]
    await quiet.demands("cmcc", *[10_000] * count)
    said: dict[int, bool] = {}

    async def withdraw(offer_id: int) -> None:
        await asyncio.sleep(secrets.randbelow(60) / 1000)
        async with quiet.pool.acquire() as conn:
            try:
                await offer.withdraw(conn, book=BOOK, client="test", offer_id=offer_id, now=datetime.now(UTC))
                said[offer_id] = True
            except Refused as refused:
                assert refused.code == "offer_closed"
                said[offer_id] = False

    async def all_done() -> bool:
        return len(said) == count

    sellers = asyncio.gather(*(withdraw(one) for one in ids))
    await quiet.run(all_done)
    await sellers
    await passes(quiet)
    for offer_id in ids:
        found = await read(quiet, offer_id)
        assert found.state is (State.WITHDRAWN if said[offer_id] else State.MET)
    orders = await quiet.pool.fetchval("SELECT count(*) FROM orders")
    assert orders == sum(not taken_back for taken_back in said.values())
    await quiet.settle()
    await sound(quiet)


async def test_an_offer_that_is_locked_by_its_seller_waits_and_the_others_are_met(quiet: Street) -> None:
    held, free = await rest(quiet, 1, net_fen=8_900), await rest(quiet, 2)
    async with quiet.pool.acquire() as conn, conn.transaction():
        await conn.execute("UPDATE offers SET changed_at = changed_at WHERE id = $1", held)
        await quiet.demands("cmcc", 10_000)
        await until(quiet, State.MET, free)
    assert (await read(quiet, held)).state is State.RESTING


async def test_a_published_price_that_rose_above_the_sellers_is_what_is_paid(quiet: Street) -> None:
    offer_id = await rest(quiet)
    document = CARD.document | {}
    factors = document["factors"]
    rates = dict.fromkeys(factors["base"]["rates_ppm"], 985_000)
    bounds = factors["bounds"] | {"most_ppm": 1_000_000}
    card = document | {
        "version": 2,
        "effective_from": "2026-06-01T00:00:00Z",
        "factors": factors
        | {
            "base": factors["base"] | {"rates_ppm": rates},
            "bounds": bounds,
            "validity": factors["validity"] | {"on": False},
        },
    }
    await quiet.pool.execute(
        "INSERT INTO rate_cards (book,version,document,effective_at,proposed_by,approved_by,created_at)"
        " VALUES ($1,2,$2,now() - interval '1 hour','a','b',now())",
        BOOK,
        card,
    )
    await quiet.demands("cmcc", 10_000, price_ppm=1_000_000)
    await until(quiet, State.MET, offer_id)
    order = await quiet.order((await read(quiet, offer_id)).order_id or 0)
    assert order["net_fen"] > ASKED_FEN
    line = next(one for one in order["quote"]["components"] if one["name"] == "agreed")
    assert line["amount_fen"] == 0 and "published price" in line["en"]


async def test_a_changed_sim_ends_the_order_and_gives_the_demand_back(quiet: Street) -> None:
    offer_id = await rest(quiet)
    quiet.subscribers.swapped.add(number_of(1))
    await quiet.demands("cmcc", 10_000)
    await until(quiet, State.MET, offer_id)
    assert await quiet.settle() == {"declined:sim_swapped": 1}
    assert await quiet.pool.fetchval("SELECT sum(open_fen) FROM open_demands") == 10_000
    assert await quiet.pool.fetchval("SELECT sum(debits_pending) FROM accounts") == 0
    await sound(quiet)


async def test_the_carrier_is_asked_about_the_sim_since_the_proof_whatever_the_policy(
    quiet: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    cannot_tell = False

    async def sim_swapped(*, number: str, within_hours: int) -> bool | None:
        asked.append(within_hours)
        return None if cannot_tell else False

    monkeypatch.setattr(quiet.subscribers, "sim_swapped", sim_swapped)
    quiet.policy = replace(quiet.policy, sim_swap_hours=1)
    first, second = await rest(quiet, 1), await rest(quiet, 2)
    await quiet.demands("cmcc", 10_000)
    await until(quiet, State.MET, first)
    assert await quiet.settle() == {"closed": 1}
    assert min(asked) >= 72
    cannot_tell = True
    await quiet.demands("cmcc", 10_000)
    await until(quiet, State.MET, second)
    assert await quiet.settle() == {"closed": 1, "declined:number_unproven": 1}
    with pytest.raises(Refused) as caught:
        await rest(quiet, 3)
    assert caught.value.code == "offer_unwatched"
    await sound(quiet)


async def test_a_new_price_takes_its_place_and_an_ended_offer_takes_none(quiet: Street) -> None:
    offer_id, other = await rest(quiet, 1, net_fen=9_100), await rest(quiet, 2)

    async def revise(**changes: Any) -> None:
        async with quiet.pool.acquire() as conn:
            values: dict[str, Any] = {"net_fen": None, "net_ppm": None, "deadline_at": None} | changes
            await offer.revise(
                conn,
                book=BOOK,
                client="test",
                offer_id=offer_id,
                prices=await prices(quiet),
                now=datetime.now(UTC),
                **values,
            )

    await revise(net_ppm=895_000)
    assert (await read(quiet, offer_id)).net_fen == 8_950
    await quiet.demands("cmcc", 10_000)
    await until(quiet, State.MET, offer_id)
    assert (await read(quiet, other)).state is State.RESTING
    with pytest.raises(Refused) as caught:
        await revise(net_fen=9_000)
    assert caught.value.code == "offer_closed"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"net_fen": 100}, "offer_below_price"),
        ({"net_fen": 9_999}, "offer_above_bounds"),
        ({"net_fen": 10_001}, "offer_above_bounds"),
        ({"net_fen": 0}, "amount_not_positive"),
        ({"net_ppm": 900_000}, "field_invalid"),
        ({"net_fen": None}, "field_missing"),
        ({"face_fen": 200_000}, "balance_insufficient"),
        ({"proof": "x.y.z"}, "proof_invalid"),
        ({"number": "12"}, "number_malformed"),
        ({"agreement": "1999"}, "agreement_missing"),
        ({"deadline_at": datetime(2020, 1, 1, tzinfo=UTC)}, "offer_deadline_invalid"),
        ({"deadline_at": datetime(2100, 1, 1, tzinfo=UTC)}, "offer_deadline_invalid"),
        ({"rail": "cheque"}, "rail_unavailable"),
        ({"payee_account": "nobody"}, "payee_malformed"),
    ],
)
async def test_what_is_wrong_with_an_offer_is_refused_by_name(
    quiet: Street, changes: dict[str, Any], code: str
) -> None:
    with pytest.raises(Refused) as caught:
        await rest(quiet, **changes)
    assert caught.value.code == code
    assert await quiet.pool.fetchval("SELECT count(*) FROM offers") == 0


async def test_a_number_has_one_resting_offer(quiet: Street) -> None:
    first = await rest(quiet)
    with pytest.raises(Refused) as caught:
        await rest(quiet)
    assert caught.value.code == "offer_resting"
    async with quiet.pool.acquire() as conn:
        await offer.withdraw(conn, book=BOOK, client="test", offer_id=first, now=datetime.now(UTC))
        await offer.withdraw(conn, book=BOOK, client="test", offer_id=first, now=datetime.now(UTC))
    assert await rest(quiet) > first


async def test_verify_finds_an_offer_without_its_order_and_one_that_was_paid_less(quiet: Street) -> None:
    offer_id = await rest(quiet)
    await quiet.demands("cmcc", 10_000)
    await until(quiet, State.MET, offer_id)
    await quiet.settle()
    for planted in ("net_fen = net_fen + 1", "order_id = 7"):
        await quiet.pool.execute(f"UPDATE offers SET {planted}")
        assert await broken(quiet) == ["offer_became_one_order"]


async def test_an_offer_that_cannot_be_folded_stops_nobody_else(quiet: Street) -> None:
    offer_id = await rest(quiet)
    await quiet.pool.execute("UPDATE offers SET payee = 'not sealed'")
    await quiet.demands("cmcc", 10_000, 10_000)

    async def alarmed() -> bool:
        return bool(await quiet.pool.fetchval("SELECT count(*) FROM alarms WHERE kind = 'offers_set_aside'"))

    await quiet.run(alarmed)
    quiet.line("13700000001", "cmcc")
    await quiet.sell(quiet.ask_balance("13700000001", 10_000))
    assert await quiet.settle() == {"closed": 1}
    assert (await read(quiet, offer_id)).state is State.RESTING
    await sound(quiet)
