"""Receipts: the signed proof of a closed order, which anybody checks with a public key and a pocket calculator.

A receipt is shown to people and kept by them, so it holds figures and masked references only: no full number, no
name, no code, and of a delivery the change it made but never the other side's balance. See docs/receipts.md.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from airback.domain.assets import CARRIERS, PRODUCTS
from airback.domain.canonical import canonical
from airback.domain.money import MAX_FEN
from airback.domain.numbers import mask
from airback.domain.ports.keys import KeyProvider

PURPOSE: Final = "receipt"
KIND: Final = "airback.receipt"
_VERSION: Final = 1

_TIMES: Final = ("submitted", "held", "delivered", "credited", "paid", "closed")
_QUOTE_KEYS: Final = (
    "id",
    "card_version",
    "face_fen",
    "net_fen",
    "issued_at",
    "valid_until",
    "digest",
    "signature",
)
_PRICE_KEYS: Final = ("components", "rate_ppm", "gross_fen", "fee_fen", "rail_cost_fen", "net_fen")
_LINE_KEYS: Final = ("name", "zh", "en", "rate_ppm", "amount_fen", "source")
_DELIVERY_KEYS: Final = ("fill", "amount_fen", "carrier_ref", "target", "change_fen", "at")
_DEDUCTION_KEYS: Final = ("name", "zh", "en", "amount_fen")
_BODY_KEYS: Final = (
    *(
        "v",
        "kind",
        "book",
        "order",
        "operator",
        "language",
        "agreement",
        "product",
        "carrier",
        "number",
        "face_fen",
    ),
    *("delivered_fen", "quotes", "price", "deductions", "payment", "deliveries", "times", "events"),
)
_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z", re.ASCII)
_LEAF: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_MASKED: Final = re.compile(r"[0-9]{3}\*{4}[0-9]{4}|\*{1,7}", re.ASCII)
_MOST_TEXT: Final = 480
_MOST_ITEMS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Delivery:
    """One successful delivery. `target` is masked when written; `before_fen`/`after_fen` give the change only."""

    fill: str
    amount_fen: int
    carrier_ref: str | None
    target: str = field(repr=False)
    before_fen: int | None = None
    after_fen: int | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Deduction:
    """Something kept from the seller's net beside the quote's own lines, named in both languages."""

    name: str
    zh: str
    en: str
    amount_fen: int


@dataclass(frozen=True, slots=True)
class ReceiptFacts:
    """What a receipt is made from.

    `order` is a public id, `number` a phone or card number (masked when written), `payee` already masked (see
    `mask_payee`). `quote` is the signed quote in force, `first_quote` the one the seller accepted when it was another.
    `rail_refs` are the rail's references of the payouts that paid it; `events` are (sequence, leaf) of the order's
    events in the book's log.
    """

    book: int
    order: str
    operator: str
    product: str
    carrier: str
    number: str = field(repr=False)
    face_fen: int
    delivered_fen: int
    quote: Mapping[str, Any] = field(repr=False)
    paid_fen: int
    payee: str = field(repr=False)
    rail: str
    rail_refs: Sequence[str]
    deliveries: Sequence[Delivery]
    submitted_at: datetime
    closed_at: datetime
    agreement: str
    language: str
    events: Sequence[tuple[int, bytes]]
    first_quote: Mapping[str, Any] | None = field(default=None, repr=False)
    held_at: datetime | None = None
    delivered_at: datetime | None = None
    credited_at: datetime | None = None
    paid_at: datetime | None = None
    deductions: Sequence[Deduction] = ()


def make_receipt(facts: ReceiptFacts) -> dict[str, Any]:
    """The unsigned receipt: JSON values only. It states the facts; whether they agree, `check_receipt` says."""
    quote = facts.quote
    quotes = [quote] if facts.first_quote in (None, quote) else [facts.first_quote, quote]
    return {
        "v": _VERSION,
        "kind": KIND,
        "book": facts.book,
        "order": facts.order,
        "operator": facts.operator,
        "language": facts.language,
        "agreement": facts.agreement,
        "product": facts.product,
        "carrier": facts.carrier,
        "number": mask(facts.number),
        "face_fen": facts.face_fen,
        "delivered_fen": facts.delivered_fen,
        "quotes": [_quoted(one) for one in quotes if one is not None],
        "price": {
            "components": [{key: line[key] for key in _LINE_KEYS} for line in quote["components"]],
            **{key: quote[key] for key in _PRICE_KEYS if key != "components"},
        },
        "deductions": [
            {"name": one.name, "zh": one.zh, "en": one.en, "amount_fen": one.amount_fen}
            for one in facts.deductions
        ],
        "payment": {
            "paid_fen": facts.paid_fen,
            "rail": facts.rail,
            "rail_refs": list(facts.rail_refs),
            "payee": facts.payee,
        },
        "deliveries": [_delivered(one) for one in facts.deliveries],
        "times": {
            name: None if (at := getattr(facts, f"{name}_at")) is None else _time_text(at) for name in _TIMES
        },
        "events": [{"seq": seq, "leaf": leaf.hex()} for seq, leaf in facts.events],
    }


def sign_receipt(document: Mapping[str, Any], *, keys: KeyProvider) -> dict[str, Any]:
    """The receipt with `key_id` and `signature` (Ed25519 over its canonical JSON, base64)."""
    key_id, signature = keys.sign(purpose=PURPOSE, message=canonical(document))
    return {**document, "key_id": key_id, "signature": base64.b64encode(signature).decode()}


def digest(document: Mapping[str, Any]) -> str:
    """SHA-256 of what the signature covers, in hexadecimal: the receipt's short name on paper."""
    return hashlib.sha256(canonical(_body(document))).hexdigest()


def check_receipt(document: object, keys: KeyProvider | Mapping[str, bytes]) -> list[str]:
    """What is wrong with a receipt, in words; empty when nothing is. Never raises, whatever the document is.

    `keys` is the key provider, or raw Ed25519 public keys by key id. Sums are made anew: components → net, gross −
    fee − rail cost → net, Σ deliveries → delivered, net → paid + deductions; the quote in force must be for the
    amount delivered; times and sequence numbers must run forwards.
    """
    fault = _shape(document)
    if fault is not None or not isinstance(document, dict):
        return [fault or "shape: no object"]
    faults = []
    price, payment = document["price"], document["payment"]
    lines_fen = sum(line["amount_fen"] for line in price["components"])
    if lines_fen != price["net_fen"]:
        faults.append(f"components: sum to {lines_fen}, the net is {price['net_fen']}")
    if price["gross_fen"] - price["fee_fen"] - price["rail_cost_fen"] != price["net_fen"]:
        faults.append("net: is not gross less fee and rail cost")
    delivered_fen = sum(one["amount_fen"] for one in document["deliveries"])
    if delivered_fen != document["delivered_fen"]:
        faults.append(f"deliveries: sum to {delivered_fen}, {document['delivered_fen']} delivered")
    if document["delivered_fen"] > document["face_fen"] and document["product"] != "card":
        faults.append("delivered: more than was sold")
    in_force = document["quotes"][-1]
    if in_force["face_fen"] != document["delivered_fen"]:
        faults.append("quote: the one in force is not for the amount delivered")
    if in_force["net_fen"] != price["net_fen"]:
        faults.append("quote: the one in force has another net")
    kept_fen = sum(one["amount_fen"] for one in document["deductions"])
    if payment["paid_fen"] + kept_fen != price["net_fen"]:
        faults.append(
            f"paid: {payment['paid_fen']} and deductions of {kept_fen} are not the net {price['net_fen']}"
        )
    times = [text for name in _TIMES if (text := document["times"][name]) is not None]
    if times != sorted(times):
        faults.append("times: run backwards")
    numbers = [event["seq"] for event in document["events"]]
    if any(later <= earlier for earlier, later in pairwise(numbers)):
        faults.append("events: sequence numbers do not rise")
    if not _signed(document, keys):
        faults.append("signature: does not stand")
    return faults


def mask_payee(*, account: str, name: str) -> str:
    """A payee as a receipt shows it: the account's middle and all but the name's first character hidden."""
    local, at, domain = account.partition("@")
    shown = f"{local[:1]}***@{domain}" if at else mask(account)
    name = name.strip()
    return f"{shown} {name[:1]}{'*' * min(len(name) - 1, 3)}".strip()


def _quoted(quote: Mapping[str, Any]) -> dict[str, Any]:
    """A quote's identity without the number in it: who holds the quote itself can lay it beside this digest."""
    return {
        "id": quote["id"],
        "card_version": quote["card_version"],
        "face_fen": quote["face_fen"],
        "net_fen": quote["net_fen"],
        "issued_at": quote["issued_at"],
        "valid_until": quote["valid_until"],
        "digest": digest(quote),
        "signature": quote["signature"],
    }


def _delivered(one: Delivery) -> dict[str, Any]:
    change_fen = None
    if one.before_fen is not None and one.after_fen is not None:
        change_fen = one.after_fen - one.before_fen
    return {
        "fill": one.fill,
        "amount_fen": one.amount_fen,
        "carrier_ref": one.carrier_ref,
        "target": mask(one.target),
        "change_fen": change_fen,
        "at": None if one.at is None else _time_text(one.at),
    }


def _body(document: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key not in ("key_id", "signature")}


def _signed(document: Mapping[str, Any], keys: KeyProvider | Mapping[str, bytes]) -> bool:
    try:
        signature = base64.b64decode(document["signature"], validate=True)
        message = canonical(_body(document))
    except (binascii.Error, ValueError, TypeError):
        return False
    if not isinstance(keys, Mapping):
        return keys.verify(purpose=PURPOSE, key_id=document["key_id"], message=message, signature=signature)
    raw = keys.get(document["key_id"])
    if raw is None:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(raw).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _shape(document: object) -> str | None:
    """The first thing about the document's shape that is wrong, or None."""
    try:
        _has(document, (*_BODY_KEYS, "key_id", "signature"), "receipt")
        assert isinstance(document, dict)  # `_has` saw to it
        for key in ("order", "operator", "language", "agreement", "key_id", "signature"):
            _text(document, key)
        _fen(document, "v", least=_VERSION, most=_VERSION)
        _fen(document, "book", least=1, most=2**31 - 1)
        if document["kind"] != KIND:
            raise _Wrong("kind")
        if document["product"] not in PRODUCTS or not isinstance(document["carrier"], str):
            raise _Wrong("product")
        if document["carrier"] not in CARRIERS:
            raise _Wrong("carrier")
        _masked(document, "number")
        _fen(document, "face_fen", least=1)
        _fen(document, "delivered_fen", least=1)
        _price(document["price"])
        quotes = _list(document, "quotes")
        if len(quotes) not in (1, 2):
            raise _Wrong("quotes")
        for one in quotes:
            _has(one, _QUOTE_KEYS, "quotes")
            for key in ("id", "digest", "signature"):
                _text(one, key)
            _fen(one, "card_version", least=1)
            _fen(one, "face_fen", least=1)
            _fen(one, "net_fen", least=1)
            _time(one, "issued_at")
            _time(one, "valid_until")
        for one in _list(document, "deductions"):
            _has(one, _DEDUCTION_KEYS, "deductions")
            for key in ("name", "zh", "en"):
                _text(one, key)
            _fen(one, "amount_fen", least=1)
        payment = document["payment"]
        _has(payment, ("paid_fen", "rail", "rail_refs", "payee"), "payment")
        _fen(payment, "paid_fen")
        _text(payment, "rail")
        _text(payment, "payee")
        if not all(isinstance(ref, str) and len(ref) <= _MOST_TEXT for ref in _list(payment, "rail_refs")):
            raise _Wrong("rail_refs")
        for one in _list(document, "deliveries"):
            _has(one, _DELIVERY_KEYS, "deliveries")
            _text(one, "fill")
            _fen(one, "amount_fen", least=1)
            if one["carrier_ref"] is not None:
                _text(one, "carrier_ref")
            _masked(one, "target")
            if one["change_fen"] is not None:
                _fen(one, "change_fen", least=-MAX_FEN)
            if one["at"] is not None:
                _time(one, "at")
        _has(document["times"], _TIMES, "times")
        for name in _TIMES:
            if document["times"][name] is not None or name in ("submitted", "closed"):
                _time(document["times"], name)
        for one in _list(document, "events"):
            _has(one, ("seq", "leaf"), "events")
            _fen(one, "seq", least=1, most=2**63 - 1)
            if not isinstance(one["leaf"], str) or not _LEAF.fullmatch(one["leaf"]):
                raise _Wrong("leaf")
    except _Wrong as wrong:
        return f"shape: {wrong}"
    return None


def _price(price: object) -> None:
    _has(price, _PRICE_KEYS, "price")
    assert isinstance(price, dict)  # `_has` saw to it
    for line in _list(price, "components"):
        _has(line, _LINE_KEYS, "components")
        for key in ("name", "zh", "en", "source"):
            _text(line, key)
        _fen(line, "rate_ppm", least=-MAX_FEN)
        _fen(line, "amount_fen", least=-MAX_FEN)
    _fen(price, "rate_ppm")
    for key in ("gross_fen", "net_fen"):
        _fen(price, key, least=1)
    for key in ("fee_fen", "rail_cost_fen"):
        _fen(price, key)


class _Wrong(Exception):
    """Names the field that has not the right shape."""


def _has(value: object, keys: Sequence[str], name: str) -> None:
    if not isinstance(value, dict) or len(value) != len(keys) or any(key not in value for key in keys):
        raise _Wrong(name)


def _list(holder: dict[str, Any], key: str) -> list[Any]:
    value = holder[key]
    if not isinstance(value, list) or len(value) > _MOST_ITEMS:
        raise _Wrong(key)
    return value


def _text(holder: dict[str, Any], key: str) -> None:
    if not isinstance(holder[key], str) or not 0 < len(holder[key]) <= _MOST_TEXT:
        raise _Wrong(key)


def _masked(holder: dict[str, Any], key: str) -> None:
    if not isinstance(holder[key], str) or len(holder[key]) > 16 or not _MASKED.fullmatch(holder[key]):
        raise _Wrong(key)


def _fen(holder: dict[str, Any], key: str, *, least: int = 0, most: int = MAX_FEN) -> None:
    if type(holder[key]) is not int or not least <= holder[key] <= most:
        raise _Wrong(key)


def _time(holder: dict[str, Any], key: str) -> None:
    if not isinstance(holder[key], str) or len(holder[key]) != 20 or not _TIME.fullmatch(holder[key]):
        raise _Wrong(key)


def _time_text(at: datetime) -> str:
    if at.tzinfo is None:
        raise ValueError("a time without a zone")
    return f"{at.astimezone(UTC).isoformat()[:19]}Z"
