"""Facts that receipt tests start from: a balance sold in two parts, a card of another face."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from airback.domain.ports.keys import KeyProvider
from airback.evidence.receipts import Delivery, ReceiptFacts, make_receipt, mask_payee, sign_receipt
from airback.pricing.quotes import QuoteAsk, make_quote, requote, sign_quote
from tests.pricing.desk import card

NOW: Final = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
RATE_CARD: Final = card()


def after(seconds: int) -> datetime:
    return NOW + timedelta(seconds=seconds)


def balance_facts(keys: KeyProvider, **changes: Any) -> ReceiptFacts:
    """1 000 yuan of a China Mobile balance, delivered in two parts, paid through Alipay."""
    ask = QuoteAsk(
        product="balance",
        carrier="cmcc",
        face_fen=100_000,
        number="13800138000",
        card_number=None,
        expires_on=date(2027, 1, 10),
        province="4401",
        rail="alipay",
        seller="street/s-1",
    )
    quote = sign_quote(
        make_quote(book=1, card=RATE_CARD, ask=ask, quote_id="7H3K9QW2MZ4XV6T8RBN5CPYD0E", issued_at=NOW),
        keys=keys,
    )
    facts = ReceiptFacts(
        book=1,
        order="ord_08M2K4T9QZ5XW",
        operator="示范话费回收有限公司",
        product="balance",
        carrier="cmcc",
        number="13800138000",
        face_fen=100_000,
        delivered_fen=100_000,
        quote=quote,
        paid_fen=quote["net_fen"],
        payee=mask_payee(account="13800138000", name="欧阳小三"),
        rail="alipay",
        rail_refs=["2026112122001418331428736501"],
        deliveries=[
            Delivery("fil_0000000000001", 60_000, "CMCC-TB-918273", "13911112222", 100, 60_100, after(70)),
            Delivery("fil_0000000000002", 40_000, "CMCC-TB-918274", "13933334444", at=after(72)),
        ],
        submitted_at=NOW,
        held_at=after(8),
        delivered_at=after(72),
        credited_at=after(73),
        paid_at=after(80),
        closed_at=after(700),
        agreement="2026-11",
        language="zh",
        events=[(4_711 + n, bytes([n]) * 32) for n in range(9)],
    )
    return replace(facts, **changes)


def card_facts(keys: KeyProvider, **changes: Any) -> ReceiptFacts:
    """A card sold as 100 yuan that turned out to be one of 50."""
    ask = QuoteAsk(
        product="card",
        carrier="ctcc",
        face_fen=10_000,
        number=None,
        card_number="12345678901234567",
        expires_on=None,
        province=None,
        rail="credit",
        seller="street/s-1",
    )
    first = sign_quote(
        make_quote(book=1, card=RATE_CARD, ask=ask, quote_id="0" * 26, issued_at=NOW), keys=keys
    )
    second = sign_quote(
        requote(first, card=RATE_CARD, face_fen=5_000, quote_id="1" * 26, issued_at=after(60)), keys=keys
    )
    facts = balance_facts(
        keys,
        product="card",
        carrier="ctcc",
        number="12345678901234567",
        face_fen=10_000,
        delivered_fen=5_000,
        quote=second,
        first_quote=first,
        paid_fen=second["net_fen"],
        rail="credit",
        rail_refs=[],
        held_at=None,
        deliveries=[Delivery("fil_0000000000003", 5_000, None, "13911112222")],
    )
    return replace(facts, **changes)


def signed(facts: ReceiptFacts, keys: KeyProvider) -> dict[str, Any]:
    return sign_receipt(make_receipt(facts), keys=keys)
