"""`airback quote` and `airback quote verify`: a price from the published rate card, and its proof without a database."""

import base64
import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec

from airback.adapters.keys.files import FileKeys
from airback.adapters.keys.public import PublicKeys
from airback.app.opening import open_installation
from airback.app.platform import database
from airback.app.settings import Settings
from airback.domain import ids
from airback.domain.canonical import read_single
from airback.domain.money import PPM
from airback.domain.ports.keys import Verifier
from airback.domain.refusals import Refused
from airback.pricing.breakdown import OF_THE_CARD, breakdown, faults
from airback.pricing.cards import RateCard, card_in_force, parse_card
from airback.pricing.default_card import DEFAULT_CARD
from airback.pricing.facts import MOST_PROMOTION, NEUTRAL, Facts
from airback.pricing.formula import CHINA
from airback.pricing.quotes import QuoteAsk, make_quote, sign_quote
from airback.store.named_sql import load
from airback.store.pool import connect_once

_SQL: Final = load("books.sql")
_PURPOSE: Final = "quote"
_MOST_BYTES: Final = 4 << 20
_KEY_BYTES: Final = 32


async def published_card(settings: Settings, *, now: datetime) -> dict[str, Any]:
    """The document of the rate card in force; a fresh installation is opened first. Raises Refused `not_bought`."""
    async with database(settings) as url:
        await open_installation(settings, url=url, now=now)
        conn = await connect_once(url)
        try:
            rows = await conn.fetch(_SQL.rate_cards, settings.book, 0)
        finally:
            await conn.close()
    documents: dict[int, dict[str, Any]] = {row["version"]: row["document"] for row in rows}
    # Published is published: kept beside the keys, they check quotes without the database.
    _cards_dir(settings).mkdir(parents=True, exist_ok=True)
    for version, document in documents.items():
        write_document(_cards_dir(settings) / f"{version}.json", document)
    return documents[card_in_force([parse_card(one) for one in documents.values()], now).version]


def quote(
    settings: Settings,
    document: object,
    *,
    product: str,
    carrier: str,
    face_fen: int,
    validity_days: int | None,
    place: str | None,
    rail: str,
    now: datetime,
    facts: Facts = NEUTRAL,
) -> dict[str, Any]:
    """A signed quote's breakdown by a rate card's document. It names no number and no card: it is the price alone.
    `facts` are taken as they are given: what is not known is neutral.

    Raises Refused as `pricing.quotes.make_quotes` answers it, as `parse_card` refuses a faulty document, `not_bought` for
    one that is not in force, and `field_invalid` for a place or tier that it does not name.
    """
    card = card_in_force([parse_card(document)], now)
    if place is not None and card.region.tier(place) is None:
        raise Refused("field_invalid", field="--city-tier" if place.startswith("tier") else "--place")
    _check_facts(facts, card)
    expires_on = (
        None if validity_days is None else now.astimezone(CHINA).date() + timedelta(days=validity_days)
    )
    ask = QuoteAsk(
        product=product,
        carrier=carrier,
        face_fen=face_fen,
        number=None,
        card_number=None,
        expires_on=expires_on,
        province=place,
        rail=rail,
        seller="desk/price",
        facts=facts,
    )
    quote_id = ids.new_reference(entropy=os.urandom)
    body = make_quote(book=settings.book, card=card, ask=ask, quote_id=quote_id, issued_at=now)
    return breakdown(sign_quote(body, keys=FileKeys(settings.keys_dir)), card)


def _check_facts(facts: Facts, card: RateCard) -> None:
    """Raise Refused `field_invalid` for facts that no quote could hold, or a class that the card does not name."""
    if facts.seller_class is not None and (
        card.standing is None or card.standing.place(facts.seller_class) is None
    ):
        raise Refused("field_invalid", field="--seller-class")
    if facts.outlet_ppm is not None and not 0 <= facts.outlet_ppm <= PPM:
        raise Refused("field_invalid", field="--outlet-ppm")
    if facts.cap is not None:
        if not 0 <= facts.cap.most_ppm <= PPM:
            raise Refused("field_invalid", field="--cap-ppm")
        if not 0 < len(facts.cap.promotion) <= MOST_PROMOTION or not facts.cap.promotion.isprintable():
            raise Refused("field_invalid", field="--cap-promotion")


def verify(settings: Settings, document: object, *, card: object | None, keys: object | None) -> list[str]:
    """What does not hold of a quote or its breakdown.

    Without `card` the one of its version that was published here counts, or that an installation starts with; without
    `keys` (key id → base64) those of the data directory. Raises Refused `public_key_missing` when there are none there,
    `document_unreadable` when those given are not of that form.
    """
    known: Verifier
    if keys is not None:
        known = PublicKeys(_read_keys(keys))
    elif (settings.keys_dir / f"{_PURPOSE}.key.json").exists():
        known = FileKeys(settings.keys_dir)
    else:
        raise Refused("public_key_missing", field="--key")
    if card is not None:
        return faults(document, card=parse_card(card), keys=known)
    found = faults(document, card=parse_card(_published_here(settings, document)), keys=known)
    if any(fault.startswith(OF_THE_CARD) for fault in found):
        found.append("name the rate card that the quote was made by with --card")
    return found


def _published_here(settings: Settings, document: object) -> object:
    quote = document.get("quote", document) if isinstance(document, dict) else None
    version = quote.get("card_version") if isinstance(quote, dict) else None
    path = _cards_dir(settings) / f"{version}.json"
    return read_document(path) if type(version) is int and path.exists() else DEFAULT_CARD


def _cards_dir(settings: Settings) -> Path:
    return settings.data_dir / "rate-cards"


def public_keys(settings: Settings) -> dict[str, str]:
    """The public keys that check this installation's quotes: key id → base64."""
    publics = FileKeys(settings.keys_dir).public_keys(purpose=_PURPOSE)
    return {key_id: base64.b64encode(raw).decode() for key_id, raw in publics.items()}


def read_document(path: Path) -> object:
    """A JSON file. Raises Refused `document_unreadable` when it is none, names a field twice, or has over four megabytes."""
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
        if len(content) <= _MOST_BYTES:
            return read_single(content.decode())
    except (OSError, ValueError, RecursionError):
        pass
    raise Refused("document_unreadable", field=path.name)


def write_document(path: Path, value: Any) -> None:
    """Write a JSON file."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")


def _read_keys(document: object) -> dict[str, bytes]:
    try:
        if not isinstance(document, dict):
            raise TypeError("an object is needed")
        publics = {key_id: base64.b64decode(text, validate=True) for key_id, text in document.items()}
    except (TypeError, ValueError):  # binascii's error is a ValueError
        raise Refused("document_unreadable", field="--key") from None
    if any(len(raw) != _KEY_BYTES for raw in publics.values()):
        raise Refused("document_unreadable", field="--key")
    return publics
