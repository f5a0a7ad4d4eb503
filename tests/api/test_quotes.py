"""`/v1/verifications`, `/v1/quotes`, `/v1/rates`."""

import copy
from typing import Any

import pytest

from airback.domain.ports.carrier import CodeCheck, LineStatus
from airback.orders.proofs import check_proof
from airback.pricing.breakdown import faults
from airback.pricing.cards import parse_card
from airback.pricing.exposure import Exposure, Limits
from airback.pricing.facts import Cap, Market
from airback.pricing.quotes import check_quote, replay
from tests.api.desk import ONE_TIME_CODE, SELLER, Api, Desk, code_of

CARD: dict[str, Any] = {
    "product": "card",
    "carrier": "cmcc",
    "face_fen": 10_000,
    "card_number": "20261102000017",
    "seller_ref": "user-1",
}


async def send(api: Api, number: str = SELLER) -> Any:
    return await api.post("/v1/verifications", {"number": number})


async def check(api: Api, verification: str, code: str = ONE_TIME_CODE) -> Any:
    return await api.post(f"/v1/verifications/{verification}/check", {"code": code})


async def test_a_code_proves_a_number_and_shows_what_can_be_sold(desk: Desk, api: Api) -> None:
    sent = await send(api, "+86 138-0013-8000")
    assert sent.status_code == 201, sent.text
    assert sent.json()["resend_at"] == "2026-11-02T04:01:00Z"
    assert code_of(await check(api, sent.json()["id"], "000000")) == "code_wrong"
    right = await check(api, sent.json()["id"])
    assert right.status_code == 200, right.text
    proof = right.json()
    assert proof["line"] == {"carrier": "cmcc", "province": "44", "sellable_fen": 20_000, "expires_at": None}
    assert check_proof(proof["proof"], SELLER, desk.now(), desk.keys) == desk.now()
    assert code_of(await check(api, sent.json()["id"])) == "code_expired"  # a code works once
    assert ONE_TIME_CODE not in str(await desk.pool.fetch("SELECT * FROM verifications"))
    order = desk.order(product="balance", proof=proof["proof"])
    assert (await api.post("/v1/orders", order)).status_code == 201


async def test_codes_are_refused_by_name(desk: Desk, api: Api) -> None:
    desk.subscribers.add("13100131000", status=LineStatus.DEAD)
    desk.subscribers.add("13200132000", status=LineStatus.SUSPENDED)
    assert code_of(await send(api, "10086")) == "number_malformed"
    assert code_of(await send(api, "13900139999")) == "number_dead"
    assert code_of(await send(api, "13100131000")) == "number_dead"
    assert code_of(await send(api, "13200132000")) == "number_suspended"
    desk.subscribers.reachable = False
    away = await send(api)
    assert (away.status_code, code_of(away)) == (503, "carrier_unreachable")
    assert away.headers["retry-after"]
    desk.subscribers.reachable = True
    desk.subscribers.refuses_code = "rate_limited"
    assert code_of(await send(api)) == "rate_limited"
    desk.subscribers.refuses_code = None
    sent = await send(api)  # what did not go out does not count
    assert sent.status_code == 201
    soon = await send(api)
    assert (soon.status_code, code_of(soon), soon.headers["retry-after"]) == (429, "code_too_soon", "60")
    assert code_of(await check(api, "ver_nonsense")) == "not_found"
    assert code_of(await check(api, "ver_0000000000001")) == "not_found"
    rival = Api(desk, key=await desk.client("rival"))
    assert code_of(await check(rival, sent.json()["id"])) == "not_found"
    await rival.http.aclose()
    desk.subscribers.reachable = False
    assert code_of(await check(api, sent.json()["id"])) == "carrier_unreachable"
    desk.subscribers.reachable = True
    for code in ("", "12 34", "x" * 50, "１２３４５６"):
        assert code_of(await check(api, sent.json()["id"], code)) == "code_wrong"
    for _ in range(5):
        assert code_of(await check(api, sent.json()["id"], "000000")) == "code_wrong"
    assert code_of(await check(api, sent.json()["id"])) == "code_too_many"
    desk.pass_time(minutes=11)
    sent = await send(api)
    desk.subscribers.checks = {f"authentication-{n}": CodeCheck.EXPIRED for n in range(9)}
    assert code_of(await check(api, sent.json()["id"])) == "code_expired"


async def test_a_number_gets_ten_codes_a_day(desk: Desk, api: Api) -> None:
    for _ in range(10):
        assert (await send(api)).status_code == 201
        desk.pass_time(seconds=61)
    assert code_of(await send(api)) == "rate_limited"
    desk.pass_time(days=1)
    assert (await send(api)).status_code == 201


async def test_one_ask_gets_one_signed_quote(desk: Desk, api: Api) -> None:
    answer = await api.post("/v1/quotes", CARD)
    assert answer.status_code == 200, answer.text
    quote = check_quote(answer.json()["quote"], keys=desk.keys, now=desk.now())
    assert quote.seller == "acme/user-1"
    assert sum(part["amount_fen"] for part in quote.components) == quote.net_fen
    order = desk.order(quote=answer.json()["quote"], agreement=answer.json()["agreement"])
    assert (await api.post("/v1/orders", order)).status_code == 201


async def test_a_balances_carrier_is_asked_when_it_is_not_named(desk: Desk, api: Api) -> None:
    desk.subscribers.add("13900139000", "cucc")  # ported: its prefix says otherwise
    ask = {"product": "balance", "number": "13900139000", "face_fen": 10_000, "seller_ref": "u"}
    answer = await api.post("/v1/quotes", {"asks": [ask, {**ask, "number": "13900139001"}, ask]})
    quotes = answer.json()["quotes"]
    assert [quote["status"] for quote in quotes] == [200, 422, 200]
    assert quotes[0]["quote"]["carrier"] == "cucc"
    assert quotes[1]["problem"]["code"] == "number_dead"
    assert desk.subscribers.asked["13900139000"] == 1  # once for both
    desk.subscribers.reachable = False
    assert code_of(await api.post("/v1/quotes", ask)) == "carrier_unreachable"


@pytest.mark.parametrize("single", [True, False])
async def test_each_wrong_ask_is_refused_by_name(desk: Desk, api: Api, single: bool) -> None:
    without_face = {key: value for key, value in CARD.items() if key != "face_fen"}
    table: list[tuple[Any, str, str | None]] = [
        ({**CARD, "face_fen": "100"}, "amount_not_a_number", "face_fen"),
        ({**CARD, "face_fen": True}, "amount_not_a_number", "face_fen"),
        ({**CARD, "face_fen": 100.5}, "amount_fraction_of_fen", "face_fen"),
        ({**CARD, "face_fen": 0}, "amount_not_positive", "face_fen"),
        ({**CARD, "face_fen": -1}, "amount_not_positive", "face_fen"),
        ({**CARD, "face_fen": 1}, "amount_below_minimum", "face_fen"),
        ({**CARD, "face_fen": 10**15}, "amount_above_limit", "face_fen"),
        ({**CARD, "face_fen": 10**30}, "amount_above_limit", "face_fen"),
        ({**CARD, "face_fen": 12_345}, "card_face_unknown", "face_fen"),
        ({**without_face, "face_yuan": "99.999"}, "amount_fraction_of_fen", "face_yuan"),
        ({**without_face, "face_yuan": "0"}, "amount_not_positive", "face_yuan"),
        ({**without_face, "face_yuan": "-5"}, "amount_not_positive", "face_yuan"),
        ({**without_face, "face_yuan": "=1+1"}, "amount_not_a_number", "face_yuan"),
        ({**CARD, "face_yuan": "100"}, "field_invalid", "face_fen"),
        (without_face, "field_missing", "face_fen"),
        ({**CARD, "product": "points"}, "not_bought", "product"),
        ({**CARD, "carrier": "vodafone"}, "carrier_unknown", "carrier"),
        ({**CARD, "carrier": None}, "field_missing", "carrier"),
        ({**CARD, "card_number": "12"}, "card_number_malformed", "card_number"),
        ({**CARD, "number": "10086"}, "number_malformed", "number"),
        ({**CARD, "expires_on": "2020-01-01"}, "card_expired", "expires_on"),
        ({**CARD, "expires_on": "soon"}, "field_invalid", "expires_on"),
        ({**CARD, "seller_ref": ""}, "field_invalid", "seller_ref"),
        ({**CARD, "seller_ref": "a b"}, "field_invalid", "seller_ref"),
        ({**CARD, "rail": "pigeon"}, "rail_unavailable", "rail"),
        ({key: value for key, value in CARD.items() if key != "product"}, "field_missing", "product"),
        ({**CARD, "face": 1}, "field_invalid", "face"),
    ]
    if single:
        for ask, code, field in table[::4]:
            answer = await api.post("/v1/quotes", ask)
            assert (code_of(answer), answer.json().get("field")) == (code, field), ask
        return
    answer = await api.post("/v1/quotes", {"asks": [ask for ask, _, _ in table] + [CARD]})
    quotes = answer.json()["quotes"]
    said = [(q["problem"]["code"], q["problem"].get("field")) for q in quotes[:-1]]
    assert said == [(code, field) for _, code, field in table]
    assert [q["problem"]["row"] for q in quotes[:-1]] == list(range(1, len(table) + 1))
    assert quotes[-1]["status"] == 200


async def test_a_thousand_quotes_are_made_and_one_more_is_refused(desk: Desk, api: Api) -> None:
    answer = await api.post("/v1/quotes", {"asks": [CARD] * 1000})
    quotes = answer.json()["quotes"]
    assert len({quote["quote"]["id"] for quote in quotes}) == 1000
    assert code_of(await api.post("/v1/quotes", {"asks": [CARD] * 1001})) == "body_too_large"
    assert code_of(await api.post("/v1/quotes", {"asks": []})) == "field_invalid"


async def test_carriers_are_known_by_their_chinese_names(desk: Desk, api: Api) -> None:
    answer = await api.post("/v1/quotes", {**CARD, "carrier": "中国电信"})
    assert answer.json()["quote"]["carrier"] == "ctcc"


async def test_rates_are_public(desk: Desk, api: Api) -> None:
    answer = await api.call("GET", "/v1/rates", key="")
    assert answer.status_code == 200
    rates = answer.json()
    assert rates["card_version"] == desk.card.version
    rate = next(r for r in rates["rates"] if r["product"] == "card" and r["face_fen"] == 10_000)
    quote = desk.quote(carrier=rate["carrier"], face_fen=10_000, rail=rate["rail"])
    assert rate["net_fen"] == quote["net_fen"]


async def test_a_quote_holds_the_facts_of_its_moment_and_the_sellers_class(desk: Desk, api: Api) -> None:
    plain = (await api.post("/v1/quotes", CARD)).json()["quote"]
    desk.pass_time(seconds=1)
    desk.market = Market(
        wanted={"cmcc": (50_000_000, 990_000)},
        caps={("cmcc", "card"): Cap(850_000, "双十一")},
        classes={"acme/user-1": "gold"},
        lowest="basic",
    )
    first, second, third = [
        (await api.post("/v1/quotes", {**CARD, "seller_ref": ref})).json()["quote"]
        for ref in ("user-1", "user-2", "user-1")
    ]
    assert plain["facts"] == {"seller_class": None, "demand_fen": None, "outlet_ppm": None, "cap": None}
    assert [one["facts"]["seller_class"] for one in (first, second, third)] == ["gold", "basic", "gold"]
    assert first["facts"]["cap"] == {"most_ppm": 850_000, "promotion": "双十一"}
    assert first["rate_ppm"] == second["rate_ppm"] == 850_000 < plain["rate_ppm"]
    desk.pass_time(seconds=1)
    desk.market = Market(classes={"acme/user-1": "gold"}, lowest="basic")
    better, usual = [
        (await api.post("/v1/quotes", {**CARD, "seller_ref": ref})).json()["quote"]
        for ref in ("user-1", "user-2")
    ]
    assert better["net_fen"] > usual["net_fen"] == plain["net_fen"]
    for quote in (first, better, usual):
        assert replay(check_quote(quote, keys=desk.keys, now=desk.now()).document, desk.card) == []


async def test_the_published_table_is_what_a_new_seller_is_offered(desk: Desk, api: Api) -> None:
    document = copy.deepcopy(dict(desk.card.document))
    for n, one in enumerate(document["factors"]["standing"]["classes"]):
        one["rate_ppm"] = 7_000 + 1_000 * n  # also who has sold nothing yet gets a share
    desk.card = parse_card(document)
    desk.market = Market(
        wanted={"cmcc": (50_000_000, 840_000), "ctcc": (50_000_000, 990_000)},
        caps={("cucc", "card"): Cap(820_000, "双十一")},
        lowest="basic",
    )
    rows = (await api.call("GET", "/v1/rates", key="")).json()["rates"]
    shown = {
        row["carrier"]: row["net_fen"]
        for row in rows
        if (row["product"], row["face_fen"], row["rail"]) == ("card", 10_000, "alipay")
    }
    assert len(shown) == 4
    for carrier, net_fen in shown.items():
        quote = (await api.post("/v1/quotes", {**CARD, "carrier": carrier})).json()["quote"]
        assert quote["net_fen"] == net_fen, carrier


async def test_one_second_offers_the_same_price_to_all_and_another_card_another(desk: Desk, api: Api) -> None:
    asks = [{**CARD, "seller_ref": f"user-{n}", "card_number": str(20_261_102_000_000 + n)} for n in range(3)]
    answers = [(await api.post("/v1/quotes", ask)).json()["quote"] for ask in asks]
    assert len({quote["id"] for quote in answers}) == 3
    assert [quote["card_number"] for quote in answers] == [ask["card_number"] for ask in asks]
    assert [quote["seller"] for quote in answers] == [f"acme/user-{n}" for n in range(3)]
    assert len({quote["net_fen"] for quote in answers}) == 1
    # What was offered before is still looked at: another product's number, a number of another form, a bad name.
    for change, code in (
        ({"number": "13800138000"}, "field_invalid"),
        ({"card_number": "12"}, "card_number_malformed"),
        ({"seller_ref": "a b"}, "field_invalid"),
    ):
        assert code_of(await api.post("/v1/quotes", {**CARD, **change})) == code
    document = copy.deepcopy(dict(desk.card.document)) | {"version": 2}
    document["factors"]["base"]["rates_ppm"]["cmcc.card"] = 800_000
    desk.card = parse_card(document)
    desk.pass_time(seconds=1)
    dearer = (await api.post("/v1/quotes", CARD)).json()["quote"]
    assert (dearer["card_version"], dearer["rate_ppm"]) == (2, 800_000)


async def test_published_cards_are_public_with_their_history(desk: Desk, api: Api) -> None:
    listed = await api.call("GET", "/v1/rate-cards", key="")
    assert listed.json() == {
        "rate_cards": [
            {"version": 1, "effective_from": "2026-01-01T00:00:00Z", "until": None, "in_force": True}
        ]
    }
    one = await api.call("GET", "/v1/rate-cards/1", key="")
    assert one.json() == desk.card.document
    quote = (await api.post("/v1/quotes", CARD)).json()["quote"]
    assert faults(quote, card=parse_card(one.json()), keys=desk.keys) == []
    for path in ("/v1/rate-cards/2", "/v1/rate-cards/x", "/v1/rate-cards/01"):
        assert code_of(await api.call("GET", path, key="")) == "not_found"


async def test_quotes_above_a_sellers_limit_are_refused_until_one_is_used_or_expires(
    desk: Desk, api: Api
) -> None:
    desk.exposure = Exposure(Limits(seller_fen=30_000))
    quotes = [(await api.post("/v1/quotes", CARD)).json()["quote"] for _ in range(3)]
    full = await api.post("/v1/quotes", CARD)
    assert (full.status_code, code_of(full), full.json()["field"]) == (429, "exposure_full", "seller_ref")
    assert 600 <= int(full.headers["retry-after"]) <= 630
    assert "300.00" in full.json()["remedy"]  # the limit is told
    assert (await api.post("/v1/quotes", {**CARD, "seller_ref": "user-2"})).status_code == 200
    many = (await api.post("/v1/quotes", {"asks": [CARD, {**CARD, "seller_ref": "user-3"}]})).json()["quotes"]
    assert [one["status"] for one in many] == [429, 200]
    assert many[0]["problem"]["remedy"] == full.json()["remedy"]
    order = desk.order(quote=quotes[0])
    assert (await api.post("/v1/orders", order, idempotency="once")).status_code == 201
    assert (await api.post("/v1/orders", order, idempotency="once")).status_code == 201  # counts once
    assert (await api.post("/v1/quotes", CARD)).status_code == 200
    assert code_of(await api.post("/v1/quotes", CARD)) == "exposure_full"
    desk.pass_time(seconds=631)
    assert (await api.post("/v1/quotes", CARD)).status_code == 200


async def test_a_carriers_room_is_refused_without_telling_what_outlets_want(desk: Desk, api: Api) -> None:
    desk.exposure = Exposure(Limits(carrier_least_fen=1))
    desk.exposure.learn(others={}, rooms={"": 0, "cmcc": 7_777})
    full = await api.post("/v1/quotes", {**CARD, "face_fen": 20_000})
    assert (code_of(full), full.json()["field"]) == ("exposure_full", "carrier")
    assert "77" not in full.json()["remedy"] + full.json()["title"]
    assert (await api.post("/v1/quotes", CARD)).status_code == 200
