"""The form of what a seller submits: pure checks, one order at a time, before anything is claimed or stored.

An order consists of a signed quote and what the quote must not hold: the proof that the number is the seller's, the
card's code, the account to pay. `draft` binds the two together or raises `Refused` with the field to correct. The
caller has checked the quote's signature and time; here it only counts what the quote says.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

import msgspec

from airback.domain.assets import BALANCE, CARD, CARRIERS
from airback.domain.numbers import parse_card_code, parse_mobile
from airback.domain.ports.carrier import HoldKind
from airback.domain.ports.keys import KeyProvider
from airback.domain.ports.rail import RailCapabilities
from airback.domain.refusals import Refused
from airback.orders.proofs import check_proof

#: Version of the seller's agreement in force; an order names the one that was accepted.
AGREEMENT: Final = "2026-11"
#: Versions that still stand for a seller who began before the present one was published.
AGREEMENTS: Final = frozenset({AGREEMENT})

PEOPLE: Final = 0
FILES: Final = 1

MOST_SELLER_REF: Final = 64
MOST_CLIENT_REF: Final = 64
MOST_ACCOUNT: Final = 100
MOST_NAME: Final = 60

_REF = re.compile(r"[^\s\x00-\x1f\x7f]+")
_EMAIL = re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,4}", re.ASCII)
_ALIPAY_ID = re.compile(r"2088[0-9]{12}", re.ASCII)


@dataclass(frozen=True, slots=True)
class OrderAsk:
    """What one order asks for. `quote` is the signed document as the seller sends it back.

    `lane` is `PEOPLE` (0) or `FILES` (1). `client_ref` is the client's own name for the order, unique per client.
    """

    quote: object
    seller_ref: str
    proof: str | None
    card_code: str | None = field(repr=False)
    payee_account: str = field(repr=False)
    payee_name: str = field(repr=False)
    client_ref: str | None
    notify_number: str | None
    language: str
    agreement: str
    lane: int = PEOPLE


class Terms(Protocol):
    """What a checked quote says, as far as an order is bound by it. Amounts in fen."""

    @property
    def id(self) -> str: ...
    @property
    def book(self) -> int: ...
    @property
    def product(self) -> str: ...
    @property
    def carrier(self) -> str: ...
    @property
    def number(self) -> str | None: ...
    @property
    def card_number(self) -> str | None: ...
    @property
    def seller(self) -> str: ...
    @property
    def face_fen(self) -> int: ...
    @property
    def net_fen(self) -> int: ...
    @property
    def rail(self) -> str: ...
    @property
    def text(self) -> str: ...


class Draft(msgspec.Struct, frozen=True, gc=False):
    """An ask whose form is right: every text in its plain form, ready to be claimed and stored."""

    terms: Terms
    seller_ref: str
    number: str | None
    card_number: str | None
    card_code: str | None
    payee_account: str
    payee_name: str
    client_ref: str | None
    notify_number: str | None
    language: str
    agreement: str
    lane: int
    hold_kind: HoldKind

    def __repr__(self) -> str:
        return f"<Draft of {self.terms.id}>"


def seller_of(*, client: str, seller_ref: str) -> str:
    """The seller as a quote names it: `client/ref`."""
    return f"{client}/{seller_ref}"


def draft(
    ask: OrderAsk,
    *,
    terms: Terms,
    book: int,
    client: str,
    rails: Mapping[str, RailCapabilities],
    hold_kinds: Mapping[str, HoldKind],
    keys: KeyProvider,
    now: datetime,
) -> Draft:
    """Bind an ask to its quote. Raises `Refused`; `field` names the input that is wrong.

    `hold_kinds` says, for each connected carrier, how a balance is held; cards are never held.
    """
    check_ref(ask.seller_ref, field="seller_ref", most=MOST_SELLER_REF)
    if ask.client_ref is not None:
        check_ref(ask.client_ref, field="client_ref", most=MOST_CLIENT_REF)
    if ask.language not in ("zh", "en"):
        raise Refused("field_invalid", field="language")
    if ask.lane not in (PEOPLE, FILES):
        raise Refused("field_invalid", field="lane")
    if terms.book != book or terms.seller != seller_of(client=client, seller_ref=ask.seller_ref):
        raise Refused("quote_mismatch", field="quote")
    if terms.carrier not in CARRIERS or terms.carrier not in hold_kinds:
        raise Refused("carrier_unknown", field="quote")
    if terms.product == BALANCE:
        number, card_number, card_code = _balance(ask, terms, keys=keys, now=now), None, None
        hold_kind = hold_kinds[terms.carrier]
    elif terms.product == CARD:
        number, hold_kind = None, HoldKind.NONE
        card_number, card_code = _card(ask, terms)
    else:
        raise Refused("quote_mismatch", field="quote")
    if ask.agreement not in AGREEMENTS:
        raise Refused("agreement_missing", field="agreement")
    account, name = payee(
        rail=terms.rail, account=ask.payee_account, name=ask.payee_name, net_fen=terms.net_fen, rails=rails
    )
    return Draft(
        terms=terms,
        seller_ref=ask.seller_ref,
        number=number,
        card_number=card_number,
        card_code=card_code,
        payee_account=account,
        payee_name=name,
        client_ref=ask.client_ref,
        notify_number=notify_number(ask.notify_number, number),
        language=ask.language,
        agreement=ask.agreement,
        lane=ask.lane,
        hold_kind=hold_kind,
    )


def payee(
    *, rail: str, account: str, name: str, net_fen: int, rails: Mapping[str, RailCapabilities]
) -> tuple[str, str]:
    """(account, name) in plain form. Raises `Refused`: unknown rail, amount outside its limits, wrong form.

    An Alipay account is a mainland mobile number, an e-mail address or a user id (16 digits from 2088); whether it
    exists and whose it is, only the rail knows.
    """
    capabilities = rails.get(rail)
    if capabilities is None:
        raise Refused("rail_unavailable", field="rail")
    if net_fen < capabilities.least_fen:
        raise Refused("amount_below_minimum", field="rail")
    if net_fen > capabilities.most_fen:
        raise Refused("amount_above_limit", field="rail")
    account, name = account.strip(), " ".join(name.split())
    if not 0 < len(account) <= MOST_ACCOUNT or not account.isprintable() or any(c.isspace() for c in account):
        raise Refused("payee_malformed", field="payee_account")
    if not 0 < len(name) <= MOST_NAME or not name.isprintable():
        raise Refused("payee_malformed", field="payee_name")
    if rail == "alipay":
        mobile = parse_mobile(account)
        if mobile is not None:
            account = mobile
        elif not _EMAIL.fullmatch(account) and not _ALIPAY_ID.fullmatch(account):
            raise Refused("payee_malformed", field="payee_account")
    return account, name


def check_ref(text: str, *, field: str, most: int) -> None:
    """A client's own name for something: 1 to `most` printable characters without spaces. Raises `Refused`."""
    if not 0 < len(text) <= most or _REF.fullmatch(text) is None or not text.isprintable():
        raise Refused("field_invalid", field=field)


def quote_fingerprint(quote_id: str) -> bytes:
    """What a quote is claimed under."""
    return quote_id.encode()


def card_fingerprints(*, card_code: str, keys: KeyProvider) -> list[bytes]:
    """What a card is claimed under: its code alone, so that the same code under another carrier or another printed
    number is seen too. Two indexes while the index key is being rotated; both must be claimed."""
    return keys.blind_index(purpose="card_index", value=card_code.encode())


def seller_id(*, client: str, seller_ref: str, keys: KeyProvider) -> int:
    """The 63-bit id a new seller gets; one who is known keeps the id on record."""
    index = keys.blind_index(purpose="seller_index", value=f"{client}|{seller_ref}".encode())[0]
    return int.from_bytes(index[:8], "big") >> 1


def _balance(ask: OrderAsk, terms: Terms, *, keys: KeyProvider, now: datetime) -> str:
    if terms.number is None or ask.card_code is not None:
        raise Refused("quote_mismatch", field="quote")
    number = parse_mobile(terms.number)
    if number is None:
        raise Refused("number_malformed", field="quote")
    if ask.proof is None:
        raise Refused("number_unproven", field="proof")
    check_proof(ask.proof, number=number, now=now, keys=keys)
    return number


def _card(ask: OrderAsk, terms: Terms) -> tuple[str, str]:
    if terms.card_number is None:
        raise Refused("quote_mismatch", field="quote")
    if ask.card_code is None:
        raise Refused("field_missing", field="card_code")
    code = parse_card_code(ask.card_code)
    if code is None:
        raise Refused("card_code_malformed", field="card_code")
    return terms.card_number, code


def notify_number(text: str | None, number: str | None) -> str | None:
    """Who is told, in plain form: a balance's own number if nobody is named. Raises `Refused` `number_malformed`."""
    if text is None:
        return number
    mobile = parse_mobile(text)
    if mobile is None:
        raise Refused("number_malformed", field="notify_number")
    return mobile
