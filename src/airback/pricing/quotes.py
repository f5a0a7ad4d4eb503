"""Quotes: a price with its every line, signed, for one seller and one asset, until a stated time.

Making one needs a rate card and a key, checking one needs the key: no database. A quote is single-use; that it was
used is known only where orders are accepted. The body and its signature are described in docs/pricing.md.
"""

import base64
import binascii
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

import msgspec

from airback.domain.assets import BALANCE, CARD, CARRIERS, PRODUCTS
from airback.domain.canonical import canonical
from airback.domain.money import MAX_FEN, PPM
from airback.domain.numbers import parse_card_number, parse_mobile
from airback.domain.ports.keys import KeyProvider, Verifier
from airback.domain.refusals import Refused
from airback.pricing.cards import RateCard
from airback.pricing.facts import MOST_PROMOTION, NEUTRAL, Cap, Facts, FactsOf, neutral
from airback.pricing.formula import CHINA, Price, Terms, price, price_by_lines

VALID_FOR_S: Final = 600
_MOST_VALID_FOR_S: Final = 30 * 86_400
PURPOSE: Final = "quote"
#: The installation's key for what it hands out and wants to know again; the label keeps other uses of it apart.
_MARK_PURPOSE: Final = "session"
_MARK_LABEL: Final = b"airback quote\x00"
#: The field of the installation's own mark, which the signature does not cover.
MARK: Final = "mac"
#: Later moments have no day in China.
_LAST: Final = "9999-12-31T15:59:59Z"
_VERSION: Final = 2
#: Quotes from before facts stood on them; their factors read none.
_BEFORE_FACTS: Final = 1

_ID: Final = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}", re.ASCII)
_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z", re.ASCII)
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_RAIL: Final = re.compile(r"[a-z][a-z0-9_]{0,39}", re.ASCII)
_KEY_ID: Final = re.compile(r"[0-9A-Za-z._-]{1,64}", re.ASCII)
_MOST_PLACE: Final = 32
_MOST_SELLER: Final = 240
_MOST_TEXT: Final = 480
_MOST_LINES: Final = 64

_LINE_KEYS: Final = frozenset({"name", "zh", "en", "rate_ppm", "amount_fen", "source"})
_BODY_KEYS: Final = frozenset(
    {
        *(
            "v",
            "id",
            "book",
            "card_version",
            "replaces",
            "product",
            "carrier",
            "number",
            "card_number",
            "seller",
        ),
        *(
            "face_fen",
            "band_face_fen",
            "rail",
            "province",
            "expires_on",
            "components",
            "rate_ppm",
            "gross_fen",
            "fee_fen",
        ),
        *("rail_cost_fen", "net_fen", "priced_at", "issued_at", "valid_until"),
    }
)
_FACTS_KEYS: Final = frozenset({"seller_class", "demand_fen", "outlet_ppm", "cap"})
_AGREED: Final = "agreed_ppm"
_CAP_KEYS: Final = frozenset({"most_ppm", "promotion"})
#: What all outlets of a carrier may want together: far beyond one order, and still a whole number in JSON anywhere.
_MOST_DEMAND_FEN: Final = 2**53 - 1
_MOST_FIELDS: Final = len(_BODY_KEYS) + 4  # facts, key_id, signature and our mark
_SIGNED_KEYS: Final = frozenset({"key_id", "signature"})


@dataclass(frozen=True, slots=True)
class QuoteAsk:
    """What a seller asks a price for.

    `number` is a balance's phone number, `card_number` a card's printed number; None asks for the price alone.
    `province` is a place's code of GB/T 2260 (two to six digits), `seller` "client/ref". `facts` are those of the moment
    the quote is made.
    """

    product: str
    carrier: str
    face_fen: int
    number: str | None = field(repr=False)
    card_number: str | None = field(repr=False)
    expires_on: date | None
    province: str | None
    rail: str
    seller: str
    facts: Facts = NEUTRAL


class Quote(msgspec.Struct, frozen=True, gc=False):
    """A quote that was checked. `original` is the signed document, or its canonical JSON."""

    id: str
    book: int
    card_version: int
    replaces: str | None
    product: str
    carrier: str
    number: str | None
    card_number: str | None
    seller: str
    face_fen: int
    band_face_fen: int
    rail: str
    province: str | None
    expires_on: date | None
    components: tuple[dict[str, Any], ...]
    rate_ppm: int
    gross_fen: int
    fee_fen: int
    rail_cost_fen: int
    net_fen: int
    priced_at: datetime
    issued_at: datetime
    valid_until: datetime
    key_id: str
    v: int
    facts: Facts = NEUTRAL
    original: dict[str, Any] | bytes = b""

    @property
    def document(self) -> dict[str, Any]:
        """The signed document as it was made, without a mark of ours."""
        return self.original if isinstance(self.original, dict) else msgspec.json.decode(self.original)

    @property
    def text(self) -> str:
        """The document as canonical JSON, to be stored."""
        text = canonical(self.original) if isinstance(self.original, dict) else self.original
        return text.decode()

    def __repr__(self) -> str:
        return f"<Quote {self.id}>"


def make_quotes(
    *,
    book: int,
    card: RateCard,
    asks: Sequence[QuoteAsk],
    quote_ids: Sequence[str],
    issued_at: datetime,
    valid_for_s: int = VALID_FOR_S,
) -> list[dict[str, Any] | Refused]:
    """Unsigned quote bodies, one answer for each ask, in order: a body, or the Refused that it met first.

    Refusals in their order: `not_bought` (unknown product), `carrier_unknown`, `amount_not_a_number`,
    `amount_not_positive`, `amount_below_minimum`, `amount_above_limit`, `card_face_unknown`, `number_malformed`,
    `card_number_malformed`, `field_invalid` (seller, province, expires_on, a number of the other product),
    `card_expired`, then those of `pricing.formula.price`.
    """
    if len(quote_ids) != len(asks) or len(set(quote_ids)) != len(quote_ids):
        raise ValueError("each ask needs a quote id of its own")
    if not 1 <= valid_for_s <= _MOST_VALID_FOR_S:
        raise ValueError("valid_for_s out of range")
    issued_at = _whole_seconds(issued_at)
    priced: dict[Terms, Price] = {}
    answers: list[dict[str, Any] | Refused] = []
    for row, (ask, quote_id) in enumerate(zip(asks, quote_ids, strict=True), start=1):
        try:
            number, card_number = _checked(ask, card, issued_at)
            terms = Terms(
                product=ask.product,
                carrier=ask.carrier,
                face_fen=ask.face_fen,
                expires_on=ask.expires_on,
                province=ask.province,
                rail=ask.rail,
                at=issued_at,
                band_face_fen=ask.face_fen,
                facts=ask.facts,
            )
            found = priced.get(terms)
            if found is None:
                found = priced[terms] = price(card=card, terms=terms)
            answers.append(
                _body(
                    v=_VERSION,
                    book=book,
                    card_version=card.version,
                    quote_id=quote_id,
                    replaces=None,
                    terms=terms,
                    number=number,
                    card_number=card_number,
                    seller=ask.seller,
                    found=found,
                    issued_at=issued_at,
                    valid_for_s=valid_for_s,
                )
            )
        except Refused as refused:
            answers.append(Refused(refused.code, field=refused.field, row=row))
    return answers


def make_quote(
    *,
    book: int,
    card: RateCard,
    ask: QuoteAsk,
    quote_id: str,
    issued_at: datetime,
    valid_for_s: int = VALID_FOR_S,
) -> dict[str, Any]:
    """One unsigned quote body: a batch of one. Raises Refused as `make_quotes` answers it."""
    (answer,) = make_quotes(
        book=book, card=card, asks=[ask], quote_ids=[quote_id], issued_at=issued_at, valid_for_s=valid_for_s
    )
    if isinstance(answer, Refused):
        raise Refused(answer.code, field=answer.field)
    return answer


def requote(
    quote: Quote | dict[str, Any],
    *,
    card: RateCard,
    face_fen: int,
    quote_id: str,
    issued_at: datetime,
    valid_for_s: int = VALID_FOR_S,
) -> dict[str, Any]:
    """The unsigned body for the face value that was actually delivered, on the terms of `quote`.

    `quote` was checked before, or is the document that was stored when it was. `card` is the rate card of the quote's
    own `card_version`; when another is given, the rates on the signed quote itself are applied to the new face, since
    a price that was agreed does not change with the price list (fixed amounts are then not charged). Validity and
    dated factors are taken at the first quote's time and the facts are those on it, so a slow redemption costs the seller
    nothing. A card has the
    band of its true face; of a balance delivered in part the band of what was sold counts on. Limits and the list of
    faces do not count any more, and the net is at least one fen: the airtime is gone from the seller.

    Raises ValueError for a face outside 1..MAX_FEN and Refused `quote_invalid` for a document that is no quote.
    """
    if type(face_fen) is not int or not 1 <= face_fen <= MAX_FEN:
        raise ValueError("face_fen out of range")
    if not 1 <= valid_for_s <= _MOST_VALID_FOR_S:
        raise ValueError("valid_for_s out of range")
    if isinstance(quote, dict):
        quote = _read(quote)
    band_face_fen = quote.band_face_fen if quote.product == BALANCE else face_fen
    terms = replace(terms_of(quote), face_fen=face_fen, band_face_fen=band_face_fen)
    if card.version == quote.card_version:
        found = price(card=card, terms=terms, delivered=True)
    else:
        found = price_by_lines(quote.components, face_fen=face_fen)
    return _body(
        v=quote.v,
        book=quote.book,
        card_version=quote.card_version,
        quote_id=quote_id,
        replaces=quote.id,
        terms=terms,
        number=quote.number,
        card_number=quote.card_number,
        seller=quote.seller,
        found=found,
        issued_at=_whole_seconds(issued_at),
        valid_for_s=valid_for_s,
    )


def sign_quote(body: dict[str, Any], *, keys: KeyProvider) -> dict[str, Any]:
    """The body with `key_id` and `signature` (Ed25519 over its canonical JSON, base64)."""
    key_id, signature = keys.sign(purpose=PURPOSE, message=_encode(body))
    return {**body, "key_id": key_id, "signature": base64.b64encode(signature).decode()}


def mark_quote(document: dict[str, Any], *, keys: KeyProvider) -> dict[str, Any]:
    """The signed document with a mark by which this installation knows it again without checking the signature.

    The mark is an HMAC over the whole document, signature included. It says nothing to anybody else, is dropped when the
    quote comes back, and one without it is as good.
    """
    return {**document, MARK: marks(_encode(document), keys)[0]}


def check_quote(document: object, *, keys: KeyProvider, now: datetime, book: int | None = None) -> Quote:
    """Read a signed quote that came from outside.

    Raises Refused `quote_invalid` for anything that is not exactly a quote we signed (for `book`, when given) and
    `quote_expired` when it is one but its time is over; nothing else, whatever the document is.
    """
    quote = _marked(document, keys) or read_signed(document, keys)
    if book is not None and quote.book != book:
        raise Refused("quote_invalid")
    if now >= quote.valid_until:
        raise Refused("quote_expired")
    return quote


def read_quote(document: object) -> Quote:
    """Read a quote that is already ours (stored with its order): shape only. Raises Refused `quote_invalid`."""
    return _read(document)


def _marked(document: object, keys: KeyProvider) -> Quote | None:
    """The quote that bears our mark; None for any other document, of which its signature must tell."""
    if not isinstance(document, dict) or not len(_BODY_KEYS) <= len(document) <= _MOST_FIELDS:
        return None
    bare = dict(document)
    mark = bare.pop(MARK, None)
    if not isinstance(mark, str) or not mark.isascii():
        return None
    try:
        message = _encode(bare)
    except (TypeError, ValueError, RecursionError):
        return None
    right = [hmac.compare_digest(one, mark) for one in marks(message, keys)]
    if not any(right):
        return None
    # What was marked is read, not what was sent: a text that only looks like a number would be written the same.
    quote = _decode(message)
    msgspec.structs.force_setattr(quote, "original", message)
    return quote


def marks(message: bytes, keys: KeyProvider) -> list[str]:
    """The marks of a signed document's canonical JSON: under the current key, then under one that is being rotated out."""
    return [index.hex() for index in keys.blind_index(purpose=_MARK_PURPOSE, value=_MARK_LABEL + message)]


def read_signed(document: object, keys: Verifier) -> Quote:
    """The quote whose signature stands, whenever it is valid. Raises Refused `quote_invalid`."""
    document = _bare(document)
    quote = _read(document)
    body = {key: value for key, value in quote.document.items() if key not in ("key_id", "signature")}
    try:
        message = canonical(body)
        text = quote.document["signature"]
        signature = base64.b64decode(text, validate=True)
    except (ValueError, TypeError, binascii.Error):
        raise Refused("quote_invalid") from None
    if base64.b64encode(signature).decode() != text:  # one signature has one spelling
        raise Refused("quote_invalid")
    if not keys.verify(purpose=PURPOSE, key_id=quote.key_id, message=message, signature=signature):
        raise Refused("quote_invalid")
    return quote


def _bare(document: object) -> object:
    """A document without the installation's mark, which the signature does not cover."""
    if isinstance(document, dict) and MARK in document:
        return {key: value for key, value in document.items() if key != MARK}
    return document


def replay(document: object, card: RateCard) -> list[str]:
    """What differs between a quote and what `card` makes of the same ask; empty when nothing does.

    Needs no key: the signature is another question. Raises Refused `quote_invalid` when it has not the shape.
    """
    quote = _read(_bare(document), signed=False)
    differences = []
    if quote.card_version != card.version:
        differences.append(f"card_version: {quote.card_version} in the quote, {card.version} given")
    try:
        found = price(card=card, terms=terms_of(quote), delivered=quote.replaces is not None)
    except Refused as refused:
        return [*differences, f"price: the rate card refuses it ({refused.code})"]
    for name in ("rate_ppm", "gross_fen", "fee_fen", "rail_cost_fen", "net_fen"):
        stated, made = getattr(quote, name), getattr(found, name)
        if stated != made:
            differences.append(f"{name}: {stated} in the quote, {made} by the rate card")
    stated_lines = {line["name"]: line for line in quote.components}
    made_lines = {line["name"]: line for line in found.lines}
    for name in [*made_lines, *(name for name in stated_lines if name not in made_lines)]:
        if name not in stated_lines:
            differences.append(f"components.{name}: missing in the quote")
        elif name not in made_lines:
            differences.append(f"components.{name}: not made by the rate card")
        else:
            for key in ("rate_ppm", "amount_fen", "zh", "en", "source"):
                if stated_lines[name][key] != made_lines[name][key]:
                    differences.append(
                        f"components.{name}.{key}: {stated_lines[name][key]} in the quote, "
                        f"{made_lines[name][key]} by the rate card"
                    )
    if not differences and [*quote.components] != [*found.lines]:
        differences.append("components: in another order, or repeated")
    return differences


def public_rate_table(
    card: RateCard, *, at: datetime | None = None, facts: FactsOf = neutral
) -> list[dict[str, Any]]:
    """What anybody may read: net and gross rate of every asset by face value and rail.

    Rows `{carrier, product, face_fen, rail, net_fen, rate_ppm}`, where the term is full and no place is stated.
    `at` is the time that dated factors are taken at, the card's first moment when None; `facts` are those of the moment.
    """
    at = card.effective_from if at is None else at
    rows = []
    for product in PRODUCTS:
        limits = card.limits[product]
        faces = sorted(card.card_faces_fen) if product == CARD else sorted(card.table_faces_fen)
        for carrier in CARRIERS:
            for face_fen in faces:
                if not limits.least_fen <= face_fen <= limits.most_fen:
                    continue
                for rail in card.rails:
                    terms = Terms(
                        product, carrier, face_fen, None, None, rail, at, face_fen, facts(carrier, product)
                    )
                    try:
                        found = price(card=card, terms=terms)
                    except Refused:  # not bought, or not paid this way: no row
                        continue
                    rows.append(
                        {
                            "carrier": carrier,
                            "product": product,
                            "face_fen": face_fen,
                            "rail": rail,
                            "net_fen": found.net_fen,
                            "rate_ppm": found.rate_ppm,
                        }
                    )
    return rows


def _checked(ask: QuoteAsk, card: RateCard, issued_at: datetime) -> tuple[str | None, str | None]:
    """Refuse an ask that cannot be priced; its numbers in their plain form."""
    if ask.product not in PRODUCTS:
        raise Refused("not_bought", field="product")
    if ask.carrier not in CARRIERS:
        raise Refused("carrier_unknown", field="carrier")
    if type(ask.face_fen) is not int:
        raise Refused("amount_not_a_number", field="face_fen")
    if ask.face_fen <= 0:
        raise Refused("amount_not_positive", field="face_fen")
    limits = card.limits[ask.product]
    if ask.face_fen < limits.least_fen:
        raise Refused("amount_below_minimum", field="face_fen")
    if ask.face_fen > limits.most_fen:
        raise Refused("amount_above_limit", field="face_fen")
    if ask.product == CARD and ask.face_fen not in card.card_faces_fen:
        raise Refused("card_face_unknown", field="face_fen")
    number = card_number = None
    if ask.number is not None:
        number = parse_mobile(ask.number)
        if number is None:
            raise Refused("number_malformed", field="number")
    if ask.card_number is not None:
        card_number = parse_card_number(ask.card_number)
        if card_number is None:
            raise Refused("card_number_malformed", field="card_number")
    if ask.product == CARD and number is not None:
        raise Refused("field_invalid", field="number")
    if ask.product == BALANCE and card_number is not None:
        raise Refused("field_invalid", field="card_number")
    if not _seller(ask.seller):
        raise Refused("field_invalid", field="seller")
    if ask.province is not None and not _place(ask.province):
        raise Refused("field_invalid", field="province")
    if ask.expires_on is not None and ask.expires_on < issued_at.astimezone(CHINA).date():
        raise Refused("card_expired" if ask.product == CARD else "not_bought", field="expires_on")
    return number, card_number


def terms_of(quote: Quote) -> Terms:
    """What a quote's price depends on: the facts its factors read, as they are kept on it."""
    return Terms(
        product=quote.product,
        carrier=quote.carrier,
        face_fen=quote.face_fen,
        expires_on=quote.expires_on,
        province=quote.province,
        rail=quote.rail,
        at=quote.priced_at,
        band_face_fen=quote.band_face_fen,
        facts=quote.facts,
    )


def _body(
    *,
    v: int,
    book: int,
    card_version: int,
    quote_id: str,
    replaces: str | None,
    terms: Terms,
    number: str | None,
    card_number: str | None,
    seller: str,
    found: Price,
    issued_at: datetime,
    valid_for_s: int,
) -> dict[str, Any]:
    if not _ID.fullmatch(quote_id):
        raise ValueError("a quote's id is 26 characters of base32")
    facts = {} if v == _BEFORE_FACTS else {"facts": terms.facts.document()}
    return {
        "v": v,
        "id": quote_id,
        "book": book,
        "card_version": card_version,
        "replaces": replaces,
        "product": terms.product,
        "carrier": terms.carrier,
        "number": number,
        "card_number": card_number,
        "seller": seller,
        "face_fen": terms.face_fen,
        "band_face_fen": terms.band_face_fen,
        "rail": terms.rail,
        "province": terms.province,
        "expires_on": None if terms.expires_on is None else terms.expires_on.isoformat(),
        **facts,
        "components": [dict(line) for line in found.lines],
        "rate_ppm": found.rate_ppm,
        "gross_fen": found.gross_fen,
        "fee_fen": found.fee_fen,
        "rail_cost_fen": found.rail_cost_fen,
        "net_fen": found.net_fen,
        "priced_at": _time_text(terms.at),
        "issued_at": _time_text(issued_at),
        "valid_until": _time_text(issued_at + timedelta(seconds=valid_for_s)),
    }


def _read(document: object, *, signed: bool = True) -> Quote:
    """Check the shape of a document and its sums, strictly. Raises Refused `quote_invalid`."""
    if not isinstance(document, dict):
        raise Refused("quote_invalid")
    _want(_whole(document.get("v"), _BEFORE_FACTS, _VERSION))
    keys = _keys(document["v"], signed=signed or "signature" in document)
    # The count first: comparing sets of keys must not cost what a hostile document says.
    if len(document) != len(keys) or any(key not in document for key in keys):
        raise Refused("quote_invalid")
    lines = document["components"]
    if not isinstance(lines, list) or not 1 <= len(lines) <= _MOST_LINES:
        raise Refused("quote_invalid")
    total_fen = 0
    for line in lines:
        if (
            not isinstance(line, dict)
            or len(line) != len(_LINE_KEYS)
            or any(k not in line for k in _LINE_KEYS)
        ):
            raise Refused("quote_invalid")
        for key in ("name", "zh", "en", "source"):
            _want(_text(line[key], _MOST_TEXT))
        _want(_whole(line["rate_ppm"], -1_000 * PPM, 1_000 * PPM))
        _want(_whole(line["amount_fen"], -MAX_FEN, MAX_FEN))
        total_fen += line["amount_fen"]
    _want(_whole(document["book"], 1, 2**31 - 1))
    _want(_whole(document["card_version"], 1, 2**31 - 1))
    for key in ("face_fen", "band_face_fen", "gross_fen", "net_fen"):
        _want(_whole(document[key], 1, MAX_FEN))
    for key in ("fee_fen", "rail_cost_fen"):
        _want(_whole(document[key], 0, MAX_FEN))
    _want(_whole(document["rate_ppm"], 0, 1_000 * PPM))
    _want(document["gross_fen"] - document["fee_fen"] - document["rail_cost_fen"] == document["net_fen"])
    _want(total_fen == document["net_fen"])
    _want(_matches(_ID, document["id"]))
    _want(document["replaces"] is None or _matches(_ID, document["replaces"]))
    _want(isinstance(document["product"], str) and document["product"] in PRODUCTS)
    _want(isinstance(document["carrier"], str) and document["carrier"] in CARRIERS)
    _want(_matches(_RAIL, document["rail"]))
    number, card_number = document["number"], document["card_number"]
    _want(
        number is None or (isinstance(number, str) and len(number) == 11 and parse_mobile(number) == number)
    )
    _want(
        card_number is None
        or (
            isinstance(card_number, str)
            and len(card_number) <= 20
            and parse_card_number(card_number) == card_number
        )
    )
    _want(_seller(document["seller"]))
    _want(document["province"] is None or _place(document["province"]))
    if signed:
        _want(_matches(_KEY_ID, document["key_id"]))
        _want(isinstance(document["signature"], str) and len(document["signature"]) == 88)
    return Quote(
        id=document["id"],
        book=document["book"],
        card_version=document["card_version"],
        replaces=document["replaces"],
        product=document["product"],
        carrier=document["carrier"],
        number=number,
        card_number=card_number,
        seller=document["seller"],
        face_fen=document["face_fen"],
        band_face_fen=document["band_face_fen"],
        rail=document["rail"],
        province=document["province"],
        expires_on=_read_date(document["expires_on"]),
        components=tuple(lines),
        rate_ppm=document["rate_ppm"],
        gross_fen=document["gross_fen"],
        fee_fen=document["fee_fen"],
        rail_cost_fen=document["rail_cost_fen"],
        net_fen=document["net_fen"],
        priced_at=_read_time(document["priced_at"]),
        issued_at=_read_time(document["issued_at"]),
        valid_until=_read_time(document["valid_until"]),
        key_id=document["key_id"] if signed else "",
        v=document["v"],
        facts=_read_facts(document["facts"]) if "facts" in keys else NEUTRAL,
        original=document,
    )


_encode: Final = msgspec.json.Encoder(order="sorted").encode
_decode: Final = msgspec.json.Decoder(Quote).decode


@lru_cache
def _keys(v: int, *, signed: bool) -> frozenset[str]:
    keys = _BODY_KEYS if v == _BEFORE_FACTS else _BODY_KEYS | {"facts"}
    return keys | _SIGNED_KEYS if signed else keys


def _read_facts(facts: object) -> Facts:
    if not isinstance(facts, dict):
        raise Refused("quote_invalid")
    agreed_ppm = facts.get(_AGREED)
    _want(agreed_ppm is None or _whole(agreed_ppm, 0, PPM))
    if len(facts) != len(_FACTS_KEYS) + (agreed_ppm is not None) or any(k not in facts for k in _FACTS_KEYS):
        raise Refused("quote_invalid")
    name, cap = facts["seller_class"], facts["cap"]
    _want(name is None or _matches(_RAIL, name))
    for key, most in (("demand_fen", _MOST_DEMAND_FEN), ("outlet_ppm", PPM)):
        _want(facts[key] is None or _whole(facts[key], 0, most))
    if cap is not None:
        if not isinstance(cap, dict) or len(cap) != len(_CAP_KEYS) or any(k not in cap for k in _CAP_KEYS):
            raise Refused("quote_invalid")
        _want(_whole(cap["most_ppm"], 0, PPM))
        _want(_text(cap["promotion"], MOST_PROMOTION))
        cap = Cap(cap["most_ppm"], cap["promotion"])
    return Facts(name, facts["demand_fen"], facts["outlet_ppm"], cap, agreed_ppm)


def _want(right: bool) -> None:
    if not right:
        raise Refused("quote_invalid")


def _whole(value: object, least: int, most: int) -> bool:
    """An integer in bounds; True and 1.0 are none."""
    return type(value) is int and least <= value <= most


def _matches(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and len(value) <= 64 and pattern.fullmatch(value) is not None


def _text(value: object, most: int) -> bool:
    return isinstance(value, str) and 0 < len(value) <= most


def _seller(value: object) -> bool:
    """`client/ref`, both parts there, printable."""
    if not isinstance(value, str) or len(value) > _MOST_SELLER or not value.isprintable():
        return False
    client, slash, ref = value.partition("/")
    return bool(client and slash and ref)


def _place(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _MOST_PLACE and value.isprintable()


def _whole_seconds(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise ValueError("a time without a zone")
    return at.astimezone(UTC).replace(microsecond=0)


@lru_cache(maxsize=64)
def _time_text(at: datetime) -> str:
    return f"{at.astimezone(UTC).isoformat()[:19]}Z"


def _read_time(value: object) -> datetime:
    if isinstance(value, str) and len(value) == 20 and _TIME.fullmatch(value):
        try:
            if value > _LAST:
                raise ValueError(value)
            return datetime(
                int(value[0:4]), int(value[5:7]), int(value[8:10]), int(value[11:13]), int(value[14:16]),
                int(value[17:19]), tzinfo=UTC,
            )  # fmt: skip
        except ValueError:
            pass
    raise Refused("quote_invalid")


def _read_date(value: object) -> date | None:
    if value is None:
        return None
    if isinstance(value, str) and len(value) == 10 and _DATE.fullmatch(value):
        try:
            return date(int(value[0:4]), int(value[5:7]), int(value[8:10]))
        except ValueError:
            pass
    raise Refused("quote_invalid")
