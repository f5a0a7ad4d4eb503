"""`airback quote` and `airback quote verify`: a price from the published rate card, and its proof without a database."""

import base64
import binascii
import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec

from airback.adapters.keys.files import FileKeys
from airback.app.opening import open_installation
from airback.app.platform import database
from airback.app.settings import Settings
from airback.domain import ids
from airback.domain.refusals import Refused
from airback.pricing.breakdown import breakdown, faults
from airback.pricing.cards import card_in_force, parse_card
from airback.pricing.default_card import DEFAULT_CARD
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
) -> dict[str, Any]:
    """A signed quote's breakdown by a rate card's document. It names no number and no card: it is the price alone.

    Raises Refused as `pricing.quotes.make_quotes` answers it, and as `parse_card` refuses a faulty document.
    """
    card = parse_card(document)
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
    )
    quote_id = ids.new_reference(entropy=os.urandom)
    body = make_quote(book=settings.book, card=card, ask=ask, quote_id=quote_id, issued_at=now)
    return breakdown(sign_quote(body, keys=FileKeys(settings.keys_dir)), card)


def verify(settings: Settings, document: object, *, card: object | None, keys: object | None) -> list[str]:
    """What does not hold of a quote or its breakdown. Without `card` the one an installation starts with counts, without
    `keys` (key id → base64) those of the data directory. Raises Refused `public_key_missing` when there are none there, `document_unreadable`
    when those given are not of that form."""
    if keys is not None:
        publics = _read_keys(keys)
    elif (settings.keys_dir / f"{_PURPOSE}.key.json").exists():
        publics = FileKeys(settings.keys_dir).public_keys(purpose=_PURPOSE)
    else:
        raise Refused("public_key_missing", field="--key")
    return faults(document, card=parse_card(DEFAULT_CARD if card is None else card), keys=publics)


def public_keys(settings: Settings) -> dict[str, str]:
    """The public keys that check this installation's quotes: key id → base64."""
    publics = FileKeys(settings.keys_dir).public_keys(purpose=_PURPOSE)
    return {key_id: base64.b64encode(raw).decode() for key_id, raw in publics.items()}


def read_document(path: Path) -> object:
    """A JSON file. Raises Refused `document_unreadable` when it is none, or larger than four megabytes."""
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise Refused("document_unreadable", field=path.name)
        value: object = msgspec.json.decode(content)
    except (OSError, msgspec.DecodeError, RecursionError):
        raise Refused("document_unreadable", field=path.name) from None
    return value


def write_document(path: Path, value: Any) -> None:
    """Write a JSON file."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")


def _read_keys(document: object) -> dict[str, bytes]:
    try:
        publics = {str(k): base64.b64decode(v, validate=True) for k, v in dict(document).items()}  # type: ignore[call-overload]
    except (TypeError, ValueError, binascii.Error):
        raise Refused("document_unreadable", field="--key") from None
    if any(len(raw) != _KEY_BYTES for raw in publics.values()):
        raise Refused("document_unreadable", field="--key")
    return publics
