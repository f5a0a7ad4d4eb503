"""Quotes: every refusal in its order, what a signature covers, and what hostile documents come to."""

import base64
import copy
import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airback.adapters.keys.files import FileKeys
from airback.domain.canonical import canonical
from airback.domain.refusals import Refused
from airback.pricing.quotes import (
    Quote,
    QuoteAsk,
    check_quote,
    make_quote,
    make_quotes,
    mark_quote,
    public_rate_table,
    replay,
    requote,
    sign_quote,
)
from tests.pricing.desk import BALANCE, CARD, NOW, OTHER_ID, QUOTE_ID, card

RATE_CARD = card()


def made(ask: QuoteAsk = BALANCE, **changes: Any) -> dict[str, Any]:
    return make_quote(book=1, card=RATE_CARD, ask=replace(ask, **changes), quote_id=QUOTE_ID, issued_at=NOW)


@pytest.fixture
def document(keys: FileKeys) -> dict[str, Any]:
    return sign_quote(made(), keys=keys)


def refusal_of(document: object, keys: FileKeys, now: datetime = NOW, book: int | None = None) -> str | None:
    try:
        check_quote(document, keys=keys, now=now, book=book)
    except Refused as refused:
        return refused.code
    return None


# -- refusals of an ask, in their order: each row is faulty in its own way and in every later one

REFUSALS: list[tuple[str, str | None, dict[str, Any]]] = [
    ("not_bought", "product", {"product": "voucher"}),
    ("carrier_unknown", "carrier", {"carrier": "vodafone"}),
    ("amount_not_a_number", "face_fen", {"face_fen": "10000"}),
    ("amount_not_a_number", "face_fen", {"face_fen": 10_000.0}),
    ("amount_not_a_number", "face_fen", {"face_fen": True}),
    ("amount_not_positive", "face_fen", {"face_fen": 0}),
    ("amount_not_positive", "face_fen", {"face_fen": -10_000}),
    ("amount_below_minimum", "face_fen", {"face_fen": 999}),
    ("amount_above_limit", "face_fen", {"face_fen": 50_001}),
    ("amount_above_limit", "face_fen", {"face_fen": 10**100}),
    ("card_face_unknown", "face_fen", {"face_fen": 1_001}),
    ("number_malformed", "number", {"number": "12345"}),
    ("card_number_malformed", "card_number", {"card_number": "=1+1"}),
    ("field_invalid", "number", {"number": "13800138000"}),
    ("field_invalid", "seller", {"seller": "street"}),
    ("field_invalid", "province", {"province": ""}),
    ("card_expired", "expires_on", {"expires_on": date(2026, 11, 20)}),
    ("rail_unavailable", "rail", {"rail": "cheque"}),
]


@pytest.mark.parametrize("place", range(len(REFUSALS)))
def test_the_first_fault_of_an_ask_names_its_refusal(place: int) -> None:
    code, field, _ = REFUSALS[place]
    faults: dict[str, Any] = {}
    for _, _, fault in reversed(REFUSALS[place:]):
        faults |= fault
    with pytest.raises(Refused) as caught:
        made(CARD, **faults)
    assert (caught.value.code, caught.value.field) == (code, field)


@pytest.mark.parametrize(
    ("ask", "code", "field"),
    [
        ({"card_number": "12345678901234567"}, "field_invalid", "card_number"),
        ({"expires_on": date(2026, 11, 20)}, "not_bought", "expires_on"),
        ({"face_fen": 500_001}, "amount_above_limit", "face_fen"),
        ({"seller": "street/"}, "field_invalid", "seller"),
        ({"seller": "/x"}, "field_invalid", "seller"),
        ({"seller": "street/a\nb"}, "field_invalid", "seller"),
        ({"seller": "s/" + "x" * 240}, "field_invalid", "seller"),
        ({"province": "x" * 33}, "field_invalid", "province"),
        ({"province": "44\x00"}, "field_invalid", "province"),
    ],
)
def test_a_balance_that_cannot_be_priced_is_refused(ask: dict[str, Any], code: str, field: str) -> None:
    with pytest.raises(Refused) as caught:
        made(**ask)
    assert (caught.value.code, caught.value.field, caught.value.row) == (code, field, None)


def test_an_expiry_today_still_counts_and_today_is_chinas() -> None:
    assert made(CARD, expires_on=date(2026, 11, 21))["expires_on"] == "2026-11-21"
    with pytest.raises(Refused, match="card_expired"):
        make_quote(
            book=1,
            card=RATE_CARD,
            ask=replace(CARD, expires_on=date(2026, 11, 21)),
            quote_id=QUOTE_ID,
            issued_at=NOW.replace(hour=16),  # midnight of the 22nd in China
        )


def test_numbers_are_written_plainly() -> None:
    assert made(number="+86 138-0013-8000")["number"] == "13800138000"
    assert made(CARD, card_number="1234 5678 9012 34567")["card_number"] == "12345678901234567"
    assert made(number=None)["number"] is None


# -- batches


def test_a_bad_ask_does_not_sink_its_neighbours() -> None:
    asks = [BALANCE, replace(BALANCE, face_fen=0), CARD]
    good, bad, other = make_quotes(
        book=1, card=RATE_CARD, asks=asks, quote_ids=[QUOTE_ID, OTHER_ID, "Z" * 26], issued_at=NOW
    )
    assert isinstance(good, dict)
    assert isinstance(other, dict)
    assert isinstance(bad, Refused)
    assert (bad.code, bad.field, bad.row) == ("amount_not_positive", "face_fen", 2)
    assert (good["id"], other["id"]) == (QUOTE_ID, "Z" * 26)


any_ask = st.builds(
    QuoteAsk,
    product=st.sampled_from(["balance", "card", "voucher"]),
    carrier=st.sampled_from(["cmcc", "ctcc", "cucc", "cbn", "mars"]),
    face_fen=st.integers(-5, 600_000) | st.sampled_from([1_000, 5_000, 10_000, 50_000]),
    number=st.none() | st.sampled_from(["13800138000", "1"]),
    card_number=st.none() | st.sampled_from(["12345678901234567", "x"]),
    expires_on=st.none() | st.dates(date(2026, 11, 1), date(2027, 12, 31)),
    province=st.none() | st.text(max_size=5),
    rail=st.sampled_from(["alipay", "credit", "bank", ""]),
    seller=st.text(max_size=8).map(lambda ref: f"street/{ref}"),
)


@given(st.lists(any_ask, max_size=12))
def test_a_batch_answers_as_its_asks_do_one_by_one(asks: list[QuoteAsk]) -> None:
    ids = [f"{n:026d}" for n in range(len(asks))]
    batch = make_quotes(book=1, card=RATE_CARD, asks=asks, quote_ids=ids, issued_at=NOW)
    assert len(batch) == len(asks)
    for ask, quote_id, answer in zip(asks, ids, batch, strict=True):
        try:
            alone = make_quote(book=1, card=RATE_CARD, ask=ask, quote_id=quote_id, issued_at=NOW)
        except Refused as refused:
            assert isinstance(answer, Refused)
            assert (answer.code, answer.field) == (refused.code, refused.field)
        else:
            assert answer == alone
            assert isinstance(answer, dict)
            assert sum(line["amount_fen"] for line in answer["components"]) == answer["net_fen"]
            assert replay(answer, RATE_CARD) == []


def test_quotes_of_a_batch_share_nothing_that_can_be_changed() -> None:
    first, second = make_quotes(
        book=1, card=RATE_CARD, asks=[BALANCE, BALANCE], quote_ids=[QUOTE_ID, OTHER_ID], issued_at=NOW
    )
    assert isinstance(first, dict)
    assert isinstance(second, dict)
    first["components"][0]["amount_fen"] = 1
    assert second["components"][0]["amount_fen"] == 9_000


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"quote_ids": []}, "quote id of its own"),
        ({"quote_ids": ["short"]}, "26 characters"),
        ({"valid_for_s": 0}, "valid_for_s"),
        ({"issued_at": datetime(2026, 11, 21)}, "without a zone"),  # noqa: DTZ001 - that is the fault
    ],
)
def test_a_mistake_of_the_program_is_no_refusal(changes: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {
        "book": 1,
        "card": RATE_CARD,
        "asks": [BALANCE],
        "quote_ids": [QUOTE_ID],
        "issued_at": NOW,
    } | changes
    with pytest.raises(ValueError, match=message):
        make_quotes(**arguments)


# -- signing and checking


def test_a_signed_quote_is_read_back_as_it_was_made(keys: FileKeys, document: dict[str, Any]) -> None:
    sent = json.loads(json.dumps(document))
    quote = check_quote(sent, keys=keys, now=NOW, book=1)
    assert quote.document == document
    assert (quote.id, quote.number, quote.net_fen, quote.face_fen) == (QUOTE_ID, "13800138000", 7_945, 10_000)
    assert quote.expires_on == date(2027, 1, 10)
    assert quote.valid_until == NOW + timedelta(seconds=600)
    assert quote.seller == "street/s-1"


def test_the_order_of_fields_does_not_matter(keys: FileKeys, document: dict[str, Any]) -> None:
    assert refusal_of(dict(reversed(document.items())), keys) is None


def test_a_quote_says_nothing_private_when_printed(keys: FileKeys, document: dict[str, Any]) -> None:
    assert "13800138000" not in repr(check_quote(document, keys=keys, now=NOW))
    assert "13800138000" not in repr(BALANCE)


def test_a_quote_ends_at_its_last_second(keys: FileKeys, document: dict[str, Any]) -> None:
    end = NOW + timedelta(seconds=600)
    assert refusal_of(document, keys, end - timedelta(microseconds=1)) is None
    assert refusal_of(document, keys, end) == "quote_expired"


def test_times_are_whole_seconds_of_utc() -> None:
    china = timezone(timedelta(hours=8))
    body = make_quote(
        book=1,
        card=RATE_CARD,
        ask=BALANCE,
        quote_id=QUOTE_ID,
        issued_at=datetime(2026, 11, 21, 20, 0, 0, 999_999, tzinfo=china),
    )
    assert (body["issued_at"], body["valid_until"]) == ("2026-11-21T12:00:00Z", "2026-11-21T12:10:00Z")


def test_an_expired_quote_that_was_altered_is_called_invalid(
    keys: FileKeys, document: dict[str, Any]
) -> None:
    document["net_fen"] += 1
    assert refusal_of(document, keys, NOW + timedelta(days=1)) == "quote_invalid"


def test_another_books_quote_is_refused(keys: FileKeys, document: dict[str, Any]) -> None:
    assert refusal_of(document, keys, book=2) == "quote_invalid"
    assert refusal_of(document, keys, book=1) is None


def test_another_operators_quote_is_refused(tmp_path: Path, document: dict[str, Any]) -> None:
    assert refusal_of(document, FileKeys(tmp_path / "keys")) == "quote_invalid"


def test_a_quote_signed_before_a_rotation_still_stands(tmp_path: Path) -> None:
    keys = FileKeys(tmp_path / "keys")
    document = sign_quote(made(), keys=keys)
    keys.rotate(purpose="quote")
    assert refusal_of(document, keys) is None


def test_a_signature_of_another_purpose_is_refused(keys: FileKeys, document: dict[str, Any]) -> None:
    body = {key: value for key, value in document.items() if key not in ("key_id", "signature")}
    key_id, signature = keys.sign(purpose="receipt", message=canonical(body))
    forged = {**body, "key_id": key_id, "signature": base64.b64encode(signature).decode()}
    assert refusal_of(forged, keys) == "quote_invalid"


def places(value: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every single value in a document."""
    if isinstance(value, dict):
        return [place for key, item in value.items() for place in places(item, (*way, key))]
    if isinstance(value, list):
        return [place for n, item in enumerate(value) for place in places(item, (*way, n))]
    return [way]


def changed(document: dict[str, Any], way: tuple[Any, ...], value: Any) -> dict[str, Any]:
    copied = copy.deepcopy(document)
    place: Any = copied
    for step in way[:-1]:
        place = place[step]
    place[way[-1]] = value
    return copied


def value_at(document: dict[str, Any], way: tuple[Any, ...]) -> Any:
    place: Any = document
    for step in way:
        place = place[step]
    return place


HOSTILE: list[Any] = [
    None, True, False, 0, -1, 1.0, 1e999, float("nan"), 2**63, 10**4_000, "", "x", "\x00", "\ud800", "é" * 100_000,
    "2026-02-30T00:00:00Z", "2026-11-21T12:00:00Z\n", "１３８００１３８０００", [], {}, [[]], {"a": {}}, b"bytes", {1: 2}, object(),
]  # fmt: skip


def test_every_field_replaced_by_anything_hostile_is_refused(
    keys: FileKeys, document: dict[str, Any]
) -> None:
    tried = 0
    for way in [*places(document), ("components",), ("components", 0)]:
        for value in HOSTILE:
            if type(value) is type(value_at(document, way)) and value == value_at(document, way):
                continue
            assert refusal_of(changed(document, way, value), keys) == "quote_invalid", (way, value)
            tried += 1
    assert tried > 1_000


def test_every_amount_altered_by_one_fen_is_refused(keys: FileKeys, document: dict[str, Any]) -> None:
    for way in places(document):
        value = value_at(document, way)
        if type(value) is int:
            for step in (-1, 1):
                assert refusal_of(changed(document, way, value + step), keys) == "quote_invalid", way


def test_sums_that_fit_each_other_are_no_signature(keys: FileKeys, document: dict[str, Any]) -> None:
    document["net_fen"] += 1
    document["gross_fen"] += 1
    document["components"][0]["amount_fen"] += 1
    assert refusal_of(document, keys) == "quote_invalid"


def test_every_character_of_key_id_and_signature_counts(keys: FileKeys, document: dict[str, Any]) -> None:
    for field in ("key_id", "signature"):
        text = document[field]
        for n, character in enumerate(text):
            other = "A" if character != "A" else "B"
            altered = text[:n] + other + text[n + 1 :]
            assert refusal_of({**document, field: altered}, keys) == "quote_invalid"


def test_one_signature_has_one_spelling(keys: FileKeys, document: dict[str, Any]) -> None:
    text = document["signature"]
    assert text.endswith("==")
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".index(text[-3])
    respelt = text[:-3] + "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[last ^ 1] + "=="
    assert base64.b64decode(respelt) == base64.b64decode(text)
    assert refusal_of({**document, "signature": respelt}, keys) == "quote_invalid"


@pytest.mark.parametrize("nothing", [None, 5, "quote", [], {}, b"", [{}], {"v": 1}])
def test_what_is_no_quote_at_all_is_refused(keys: FileKeys, nothing: object) -> None:
    assert refusal_of(nothing, keys) == "quote_invalid"


def test_fields_too_many_or_too_few_are_refused(keys: FileKeys, document: dict[str, Any]) -> None:
    assert refusal_of({**document, "extra": 1}, keys) == "quote_invalid"
    assert refusal_of({**document, **{str(n): n for n in range(10_000)}}, keys) == "quote_invalid"
    for key in document:
        less = {name: value for name, value in document.items() if name != key}
        assert refusal_of(less, keys) == "quote_invalid"
        assert refusal_of({**less, "extra": 1}, keys) == "quote_invalid"
    assert refusal_of(changed(document, ("components", 0, "extra"), 1), keys) == "quote_invalid"


def test_deep_nesting_is_refused_without_going_down(keys: FileKeys, document: dict[str, Any]) -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    for way in (("province",), ("components",), ("components", 0), ("components", 0, "zh"), ("seller",)):
        assert refusal_of(changed(document, way, deep), keys) == "quote_invalid"
    while deep:  # taken apart by hand: the collector's own recursion is not what is tested
        deep = deep[0]


def test_a_signed_document_of_another_shape_is_refused(keys: FileKeys) -> None:
    body = made()
    changes: list[dict[str, Any]] = [
        {"v": 3},
        {"v": 1},
        {"facts": None},
        {"facts": {}},
        {"face_fen": 0},
        {"net_fen": 7_946},
        {"components": []},
        {"rail": "a" * 41},
    ]
    for change in changes:
        assert refusal_of(sign_quote(body | change, keys=keys), keys) == "quote_invalid"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    )
)
def test_any_json_is_refused_by_name(keys: FileKeys, value: object) -> None:
    assert refusal_of(value, keys) == "quote_invalid"


# -- requoting


def read(document: dict[str, Any], keys: FileKeys, now: datetime = NOW) -> Quote:
    return check_quote(document, keys=keys, now=now)


def test_a_marked_quote_is_known_again_without_its_signature_and_reads_the_same(
    keys: FileKeys, document: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    signed = check_quote(document, keys=keys, now=NOW)
    marked = mark_quote(document, keys=keys)
    assert check_quote({**marked, "mac": "0" * 64}, keys=keys, now=NOW).document == document
    monkeypatch.setattr(FileKeys, "verify", None)
    known = check_quote(dict(reversed(marked.items())), keys=keys, now=NOW, book=1)
    assert known.document == signed.document == document
    assert known.text == signed.text == canonical(document).decode()
    for name in Quote.__struct_fields__:
        if name != "original":
            assert getattr(known, name) == getattr(signed, name), name
    assert "13800138000" not in repr(known)
    assert replay(marked, RATE_CARD) == []
    assert refusal_of(marked, keys, book=2) == "quote_invalid"
    assert refusal_of(marked, keys, now=NOW + timedelta(seconds=600)) == "quote_expired"


def test_every_change_of_a_marked_quote_is_refused(keys: FileKeys, document: dict[str, Any]) -> None:
    marked = mark_quote(document, keys=keys)
    for key, value in document.items():
        for other in (
            None if value is not None else "x",
            value + 1 if type(value) is int else 1,
            float(value) if type(value) is int and key != "face_fen" else 0.5,
            True,
            [value],
            f"{value} ",
        ):
            assert refusal_of({**marked, key: other}, keys) == "quote_invalid", (key, other)
        assert refusal_of({k: v for k, v in marked.items() if k != key}, keys) == "quote_invalid"
    assert refusal_of({**marked, "more": 1}, keys) == "quote_invalid"
    line = {**document["components"][0], "amount_fen": 1}
    assert refusal_of({**marked, "components": [line, *document["components"][1:]]}, keys) == "quote_invalid"


def test_what_only_looks_like_a_marked_quote_is_read_as_what_was_marked(
    keys: FileKeys, document: dict[str, Any]
) -> None:
    assert document["province"] == "4401"
    alike = {**mark_quote(document, keys=keys), "province": Decimal("4401")}  # written, it is the same text
    assert check_quote(alike, keys=keys, now=NOW).document == document


@pytest.mark.parametrize("mark", ["", "0" * 64, "é" * 64, "x" * 100_000, None, 7, ["0" * 64], {"a": 1}])
def test_beside_a_mark_that_is_not_ours_the_signature_decides(
    keys: FileKeys, document: dict[str, Any], mark: object
) -> None:
    assert refusal_of({**document, "mac": mark}, keys) is None
    assert refusal_of({**document, "mac": mark, "net_fen": 1}, keys) == "quote_invalid"


def test_a_mark_is_worth_nothing_elsewhere_and_nothing_without_its_quote(
    keys: FileKeys, tmp_path: Path, document: dict[str, Any]
) -> None:
    other = FileKeys(tmp_path / "other")
    forged = sign_quote(made(face_fen=20_000), keys=other)
    assert refusal_of(mark_quote(forged, keys=other), keys) == "quote_invalid"
    borrowed = mark_quote(document, keys=keys)["mac"]
    assert refusal_of({**forged, "mac": borrowed}, keys) == "quote_invalid"
    # the mark covers the signature too: what is stored with an order proves itself to others
    spoilt = {**mark_quote(document, keys=keys), "signature": forged["signature"]}
    assert refusal_of(spoilt, keys) == "quote_invalid"


def test_a_mark_outlives_one_rotation_and_the_signature_outlives_the_mark(tmp_path: Path) -> None:
    keys = FileKeys(tmp_path / "keys")
    marked = mark_quote(sign_quote(made(), keys=keys), keys=keys)
    keys.rotate(purpose="session")
    keys.rotate(purpose="quote")
    assert refusal_of(marked, keys) is None
    keys.finish_rotation(purpose="session")
    assert refusal_of(marked, keys) is None


def test_a_card_of_another_face_is_requoted_on_the_same_terms(keys: FileKeys) -> None:
    first = read(sign_quote(made(CARD), keys=keys), keys)
    later = NOW + timedelta(days=40)
    again = requote(first, card=RATE_CARD, face_fen=5_000, quote_id=OTHER_ID, issued_at=later)
    assert again["net_fen"] == made(CARD, face_fen=5_000)["net_fen"]  # validity as it was when first quoted
    assert (again["replaces"], again["id"], again["seller"]) == (QUOTE_ID, OTHER_ID, "street/s-1")
    assert (again["priced_at"], again["issued_at"]) == ("2026-11-21T12:00:00Z", "2026-12-31T12:00:00Z")
    assert replay(again, RATE_CARD) == []
    assert read(sign_quote(again, keys=keys), keys, later).replaces == QUOTE_ID


def test_a_stored_document_is_requoted_like_the_quote_it_holds(keys: FileKeys) -> None:
    document = sign_quote(made(CARD), keys=keys)
    arguments: dict[str, Any] = {"card": RATE_CARD, "face_fen": 3_000, "quote_id": OTHER_ID, "issued_at": NOW}
    assert requote(document, **arguments) == requote(read(document, keys), **arguments)
    with pytest.raises(Refused, match="quote_invalid"):
        requote({"v": 1}, **arguments)


def test_the_same_face_requoted_nets_the_same(keys: FileKeys) -> None:
    for ask in (BALANCE, CARD):
        body = sign_quote(made(ask), keys=keys)
        again = requote(body, card=RATE_CARD, face_fen=10_000, quote_id=OTHER_ID, issued_at=NOW)
        assert again["components"] == body["components"]


def test_a_balance_delivered_in_part_keeps_the_band_of_what_was_sold(keys: FileKeys) -> None:
    again = requote(
        sign_quote(made(), keys=keys), card=RATE_CARD, face_fen=3_000, quote_id=OTHER_ID, issued_at=NOW
    )
    assert again["rate_ppm"] == 828_000
    assert again["band_face_fen"] == 10_000
    assert replay(again, RATE_CARD) == []
    twice = requote(
        sign_quote(again, keys=keys), card=RATE_CARD, face_fen=2_000, quote_id="Z" * 26, issued_at=NOW
    )
    assert twice["rate_ppm"] == 828_000


def test_faces_nobody_buys_and_below_the_least_are_requoted_all_the_same(keys: FileKeys) -> None:
    document = sign_quote(made(CARD), keys=keys)
    for face_fen in (1, 2, 99, 12_345, 1_000_000):
        again = requote(document, card=RATE_CARD, face_fen=face_fen, quote_id=OTHER_ID, issued_at=NOW)
        assert again["net_fen"] >= 1
        assert refusal_of(sign_quote(again, keys=keys), keys) is None
        assert replay(again, RATE_CARD) == []


@pytest.mark.parametrize("face_fen", [0, -1, 10**11, True, "5"])
def test_a_face_that_cannot_be_is_a_mistake_of_the_program(keys: FileKeys, face_fen: Any) -> None:
    with pytest.raises(ValueError, match="face_fen"):
        requote(
            sign_quote(made(CARD), keys=keys),
            card=RATE_CARD,
            face_fen=face_fen,
            quote_id=OTHER_ID,
            issued_at=NOW,
        )


def test_a_new_price_list_does_not_change_an_agreed_price(keys: FileKeys) -> None:
    dearer = card(version=2, factors__base__rates_ppm={"ctcc.card": 1}, rails={}, fee__rate_ppm=900_000)
    document = sign_quote(made(CARD), keys=keys)
    for face_fen in (1, 3_333, 10_000, 30_000):
        again = requote(document, card=dearer, face_fen=face_fen, quote_id=OTHER_ID, issued_at=NOW)
        assert again["rate_ppm"] == document["rate_ppm"]
        assert again["card_version"] == 1
        assert again["net_fen"] == max(1, again["gross_fen"] - again["fee_fen"] - again["rail_cost_fen"])
        assert refusal_of(sign_quote(again, keys=keys), keys) is None
    same = requote(document, card=dearer, face_fen=10_000, quote_id=OTHER_ID, issued_at=NOW)
    assert same["components"] == document["components"]


# -- replaying


def test_a_quote_replays_from_its_rate_card(document: dict[str, Any]) -> None:
    assert replay(document, RATE_CARD) == []
    assert replay(made(), RATE_CARD) == []


def test_a_replay_says_what_differs(document: dict[str, Any]) -> None:
    other = card(version=2, fee__rate_ppm=40_000, fee__zh="服务费", charges=[])
    differences = replay(document, other)
    assert "card_version: 1 in the quote, 2 given" in differences
    assert "fee_fen: 300 in the quote, 400 by the rate card" in differences
    assert "components.fee.rate_ppm: -30000 in the quote, -40000 by the rate card" in differences
    assert any(difference.startswith("components.fee.zh") for difference in differences)


def test_a_replay_notices_lines_that_are_missing_added_or_moved(document: dict[str, Any]) -> None:
    assert "components.validity: not made by the rate card" in replay(
        document, card(factors__validity__on=False)
    )
    assert "components.competition: missing in the quote" in replay(
        document, card(factors__competition__on=True)
    )
    document["components"].reverse()
    assert replay(document, RATE_CARD) == ["components: in another order, or repeated"]


def test_a_replay_by_a_card_that_refuses_says_so(document: dict[str, Any]) -> None:
    assert replay(document, card(rails={})) == ["price: the rate card refuses it (rail_unavailable)"]


def test_only_a_quote_can_be_replayed() -> None:
    with pytest.raises(Refused, match="quote_invalid"):
        replay({"v": 1}, RATE_CARD)


# -- the public table


def test_the_public_table_has_a_row_for_everything_that_is_bought() -> None:
    rows = public_rate_table(RATE_CARD)
    assert {row["carrier"] for row in rows} == {"cmcc", "ctcc", "cucc", "cbn"}
    assert {row["rail"] for row in rows} == {"alipay", "credit"}
    assert {row["face_fen"] for row in rows if row["product"] == "card"} == set(RATE_CARD.card_faces_fen)
    assert all(set(row) == {"carrier", "product", "face_fen", "rail", "net_fen", "rate_ppm"} for row in rows)
    assert len({(r["carrier"], r["product"], r["face_fen"], r["rail"]) for r in rows}) == len(rows)


def test_the_public_table_says_what_a_quote_says() -> None:
    for row in public_rate_table(RATE_CARD):
        body = made(
            product=row["product"], carrier=row["carrier"], face_fen=row["face_fen"], rail=row["rail"],
            number=None, expires_on=None, province=None,
        )  # fmt: skip
        assert (body["net_fen"], body["rate_ppm"]) == (row["net_fen"], row["rate_ppm"])


def test_the_public_table_leaves_out_what_is_not_bought_and_knows_promotions() -> None:
    few = card(
        factors__base__rates_ppm={"cmcc.card": 900_000},
        factors__promotion__on=True,
        factors__promotion__from="2026-11-11T00:00:00Z",
    )
    before = {row["face_fen"]: row["rate_ppm"] for row in public_rate_table(few)}
    during = {
        row["face_fen"]: row["rate_ppm"]
        for row in public_rate_table(few, at=datetime(2026, 11, 12, tzinfo=UTC))
    }
    assert set(before) == set(RATE_CARD.card_faces_fen)
    assert (before[10_000], during[10_000]) == (900_000, 810_000)
