"""What goes over the wire under `/v1`: the shapes of requests and answers. The API description is made from these.

Amounts are integer fen, rates integer ppm, times RFC 3339 in UTC. A request with a field that is not here is refused.
"""

from datetime import date, datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from airback.api.problems import Problem
from airback.domain.ids import public
from airback.domain.numbers import mask
from airback.engine.demand import DemandAsk
from airback.engine.stand import BidAsk
from airback.engine.submit import OrderAsk
from airback.queries.demands import DemandView
from airback.queries.orders import OrderView, PayoutView
from airback.store.standing_bids import StandingBid

Fen = Annotated[int, Meta(description="Amount in fen, a hundredth of a yuan.", examples=[10000])]
Ppm = Annotated[int, Meta(description="Parts per million: 900000 is 90 %.", examples=[900000])]
Number = Annotated[str, Meta(description="Mainland mobile number.", examples=["13800138000"])]
MaskedNumber = Annotated[str, Meta(description="Number with its middle hidden.", examples=["138****8000"])]
OrderId = Annotated[str, Meta(description="An order's id.", examples=["ord_2QV4W5J0M0001"])]
SellerRef = Annotated[
    str,
    Meta(description="Your own name for the seller, 1–64 characters without spaces.", examples=["user-17"]),
]
ClientRef = Annotated[
    str,
    Meta(
        description="Your own reference, unique among what you sent; find the order by it later.",
        examples=["2026-000123"],
    ),
]


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What clients send; its text holds codes and accounts, so it is never printed."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


class VerificationRequest(Request, frozen=True, forbid_unknown_fields=True):
    """Have a one-time code sent to a number."""

    number: Number
    language: Literal["zh", "en"] = "zh"


class CodeRequest(Request, frozen=True, forbid_unknown_fields=True):
    """The code that arrived."""

    code: Annotated[str, Meta(examples=["204816"])]


class QuoteRequest(Request, frozen=True, forbid_unknown_fields=True):
    """What is sold, by whom, and how it is to be paid. Face value in fen, or as a decimal text in yuan."""

    product: Annotated[str, Meta(description="`balance` or `card`.", examples=["card"])]
    seller_ref: SellerRef
    carrier: Annotated[
        str | None,
        Meta(
            description="`cmcc`, `ctcc`, `cucc`, `cbn`, or a carrier's name. A balance's carrier may be left out "
            "when the number is given: it is asked.",
            examples=["cmcc"],
        ),
    ] = None
    face_fen: Fen | None = None
    face_yuan: Annotated[str | None, Meta(examples=["99.50"])] = None
    number: Annotated[str | None, Meta(description="A balance's number; an order needs it.")] = None
    card_number: Annotated[
        str | None,
        Meta(description="A card's printed number; an order needs it.", examples=["20261102000017"]),
    ] = None
    expires_on: date | None = None
    province: Annotated[
        str | None, Meta(description="GB/T 2260 code of two to six digits, or `tier3`.", examples=["44"])
    ] = None
    rail: Annotated[str, Meta(description="How to be paid.", examples=["alipay"])] = "alipay"


class OrderRequest(Request, frozen=True, forbid_unknown_fields=True):
    """One order: the signed quote as it was received, and what a quote must not hold."""

    quote: Annotated[dict[str, Any], Meta(description="The whole quote, unchanged.")]
    seller_ref: SellerRef
    payee_account: Annotated[str, Meta(examples=["13800138000"])]
    payee_name: Annotated[str, Meta(description="Name of the account's holder.", examples=["王小明"])]
    agreement: Annotated[
        str, Meta(description="Version of the agreement that the seller accepted.", examples=["2026-11"])
    ] = ""
    proof: Annotated[
        str | None, Meta(description="For a balance: the proof that the number is the seller's.")
    ] = None
    card_code: Annotated[str | None, Meta(description="For a card: its secret code.")] = None
    client_ref: ClientRef | None = None
    notify_number: Annotated[
        str | None, Meta(description="Who is told; a balance's own number if left out.")
    ] = None
    language: Literal["zh", "en"] = "zh"
    lane: Annotated[
        Literal["people", "files"] | None,
        Meta(
            description="People come before files; a batch of more than 20 is a file unless it says otherwise."
        ),
    ] = None

    def ask(self, *, lane: int) -> OrderAsk:
        """As the engine takes it."""
        return OrderAsk(
            quote=self.quote,
            seller_ref=self.seller_ref,
            proof=self.proof,
            card_code=self.card_code,
            payee_account=self.payee_account,
            payee_name=self.payee_name,
            client_ref=self.client_ref,
            notify_number=self.notify_number,
            language=self.language,
            agreement=self.agreement,
            lane=lane,
        )


class PayeeRequest(Request, frozen=True, forbid_unknown_fields=True):
    """Another account to pay, after the rail refused the first."""

    payee_account: Annotated[str, Meta(examples=["13800138000"])]
    payee_name: Annotated[str, Meta(examples=["王小明"])]


class DemandRequest(Request, frozen=True, forbid_unknown_fields=True):
    """One number that an outlet wants topped up."""

    number: Number
    amount_fen: Fen
    price_ppm: Annotated[int, Meta(description="The most you pay, in ppm of face value.", examples=[950000])]
    deadline_at: datetime
    client_ref: ClientRef | None = None

    def ask(self) -> DemandAsk:
        """As the engine takes it. A deadline without a zone is refused while reading."""
        return DemandAsk(self.number, self.amount_fen, self.price_ppm, self.deadline_at, self.client_ref)


class BidRequest(Request, frozen=True, forbid_unknown_fields=True):
    """A price that stands for any number of orders, until you withdraw it."""

    carrier: Annotated[str, Meta(examples=["cmcc"])]
    numbers: Annotated[
        list[Number], Meta(min_length=1, max_length=50, description="Numbers topped up in turn.")
    ]
    price_ppm: Annotated[int, Meta(description="The most you pay, in ppm of face value.", examples=[950000])]
    order_fen: Annotated[int, Meta(description="What each number takes at a time, in fen of face.")]
    daily_fen: Annotated[int, Meta(description="What all of them take in a day in Beijing.")]
    client_ref: ClientRef
    total_fen: Annotated[int | None, Meta(description="What all of them take in all.")] = None
    speed: Annotated[
        Literal["fast", "slow"],
        Meta(description="`fast`: within half an hour; `slow`: within a day, for those who pay less."),
    ] = "slow"

    def ask(self) -> BidAsk:
        """As the engine takes it."""
        return BidAsk(
            self.carrier,
            self.numbers,
            self.price_ppm,
            self.order_fen,
            self.daily_fen,
            self.total_fen,
            self.speed,
            self.client_ref,
        )


class WebhookRequest(Request, frozen=True, forbid_unknown_fields=True):
    """Where an outlet wants to be told of its fills and of prices."""

    url: Annotated[
        str,
        Meta(
            max_length=500,
            description="https, without user or fragment.",
            examples=["https://example.com/hook"],
        ),
    ]


# -- answers


class Verification(msgspec.Struct, frozen=True):
    """A code is on its way."""

    id: Annotated[str, Meta(examples=["ver_2QV4W5J0M0001"])]
    resend_at: datetime
    expires_at: datetime


class LineDocument(msgspec.Struct, frozen=True):
    """What the carrier says of the number."""

    carrier: str
    province: str | None
    sellable_fen: Fen
    expires_at: datetime | None


class Proof(msgspec.Struct, frozen=True):
    """The number is the seller's."""

    proof: Annotated[str, Meta(description="Goes into the order; treat it like a password.")]
    expires_at: datetime
    line: LineDocument


class QuoteAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """A signed quote, or why there is none."""

    status: Annotated[int, Meta(examples=[200])]
    row: int | None = None
    quote: dict[str, Any] | None = None
    problem: Problem | None = None


class QuoteAnswers(msgspec.Struct, frozen=True):
    """One answer for each ask, in order. `agreement` is the version that an order must name."""

    quotes: list[QuoteAnswer]
    agreement: str


class OneQuote(msgspec.Struct, frozen=True):
    """One signed quote. `agreement` is the version that an order must name."""

    quote: dict[str, Any]
    agreement: str


class Rate(msgspec.Struct, frozen=True):
    """What a face value of an asset brings."""

    carrier: str
    product: str
    face_fen: Fen
    rail: str
    net_fen: Fen
    rate_ppm: Ppm


class PublishedCard(msgspec.Struct, frozen=True):
    """A rate card that was published. `until` is when it ends for good: at its own end, or when another list without
    an end takes over."""

    version: Annotated[int, Meta(examples=[1])]
    effective_from: datetime
    until: datetime | None
    in_force: bool


class PublishedCards(msgspec.Struct, frozen=True):
    """Every published rate card, newest first."""

    rate_cards: list[PublishedCard]


class Rates(msgspec.Struct, frozen=True):
    """The published rates, before region and remaining validity."""

    card_version: int
    effective_from: datetime
    agreement: str
    rates: list[Rate]


class OrderAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one order of a request. `replayed`: it was accepted before, under the same key."""

    status: Annotated[int, Meta(examples=[201])]
    row: int | None = None
    id: OrderId | None = None
    state: str | None = None
    client_ref: str | None = None
    replayed: bool = False
    problem: Problem | None = None


class OrderAnswers(msgspec.Struct, frozen=True):
    """One answer for each order, in order."""

    orders: list[OrderAnswer]


class PayoutDocument(msgspec.Struct, frozen=True):
    """A payment that pays an order, alone or with others."""

    id: Annotated[str, Meta(examples=["pay_2QV4W5J0M0001"])]
    rail: str
    share_fen: Fen
    state: str
    code: str | None
    far_ref: str | None
    updated_at: datetime


class Order(msgspec.Struct, frozen=True):
    """An order. `waiting_for` names what it needs from the seller: `payee`, or nothing."""

    id: OrderId
    client_ref: str | None
    seller_ref: str | None
    product: str
    carrier: str
    number: MaskedNumber | None
    card_number: str | None
    face_fen: Fen
    net_fen: Fen
    rate_ppm: Ppm
    rail: str
    state: str
    code: str | None
    waiting_for: str | None
    cancel: str | None
    final: bool
    held_fen: Fen
    delivered_fen: Fen
    credited_fen: Fen
    paid_fen: Fen
    quote_id: str
    components: list[dict[str, Any]]
    language: str
    agreement: str
    submitted_at: datetime
    updated_at: datetime
    delivered_at: datetime | None
    closed_at: datetime | None
    payouts: list[PayoutDocument] = []


class Orders(msgspec.Struct, frozen=True):
    """A page of orders, newest first. `next` is the cursor of the next page, null on the last."""

    orders: list[Order]
    next: str | None


class CancelAnswer(msgspec.Struct, frozen=True):
    """`cancelled`: done. `accepted`: the engine knows and is at it; look at the order again."""

    answer: Literal["cancelled", "accepted"]
    order: Order


class Event(msgspec.Struct, frozen=True):
    """Something that happened to an order. `facts` is the event's body in the log."""

    seq: int
    action: Annotated[str, Meta(examples=["engine:order:delivered"])]
    order: OrderId
    at: datetime
    facts: dict[str, Any]


class Events(msgspec.Struct, frozen=True):
    """Events in the log's order. Go on from `next`; `more` tells whether there is something to read already."""

    events: list[Event]
    next: str
    more: bool


class Demand(msgspec.Struct, frozen=True):
    """A demand: of `amount_fen`, `open_fen` is still wanted, `reserved_fen` on its way, `delivered_fen` there."""

    id: Annotated[str, Meta(examples=["dem_2QV4W5J0M0001"])]
    client_ref: str | None
    carrier: str
    number: MaskedNumber
    amount_fen: Fen
    price_ppm: Ppm
    deadline_at: datetime
    state: str
    open_fen: Fen
    reserved_fen: Fen
    delivered_fen: Fen
    created_at: datetime


class Demands(msgspec.Struct, frozen=True):
    """A page of demands, newest first."""

    demands: list[Demand]
    next: str | None


class DemandAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one demand of a request."""

    status: Annotated[int, Meta(examples=[201])]
    row: int | None = None
    id: str | None = None
    carrier: str | None = None
    client_ref: str | None = None
    replayed: bool = False
    problem: Problem | None = None


class DemandAnswers(msgspec.Struct, frozen=True):
    """One answer for each demand, in order."""

    demands: list[DemandAnswer]


class WithdrawAnswer(msgspec.Struct, frozen=True):
    """`withdrawn`: nothing is open any more. `accepted`: the engine knows and is at it. Fills under way stand."""

    answer: Literal["withdrawn", "accepted"]
    demand: Demand


class Bid(msgspec.Struct, frozen=True):
    """A standing bid: `open_fen` of it is wanted now, `filled_fen` was taken or is under way. Numbers are masked."""

    id: str
    client_ref: str | None
    carrier: str
    numbers: list[str]
    price_ppm: int
    order_fen: Fen
    daily_fen: Fen
    total_fen: int | None
    speed: Literal["fast", "slow"]
    state: Literal["standing", "withdrawn"]
    open_fen: Fen
    filled_fen: Fen
    created_at: datetime


class Bids(msgspec.Struct, frozen=True):
    """Your standing bids, newest first."""

    bids: list[Bid]


def bid_document(bid: StandingBid) -> Bid:
    """A standing bid as its outlet reads it."""
    return Bid(
        public("bid", bid.id),
        bid.client_ref,
        bid.carrier,
        [mask(number) for number in bid.numbers],
        bid.price_ppm,
        bid.order_fen,
        bid.daily_fen,
        bid.total_fen,
        "fast" if bid.speed == "fast" else "slow",
        "standing" if bid.withdrawn_at is None else "withdrawn",
        bid.open_fen,
        bid.filled_fen,
        bid.created_at,
    )


class PriceLevel(msgspec.Struct, frozen=True):
    """How much is wanted at one price, by everybody together, and what of it is yours."""

    price_ppm: int
    open_fen: Fen
    bids: int
    own_fen: Fen


class CarrierDepth(msgspec.Struct, frozen=True):
    """One carrier's book, the best price first."""

    carrier: str
    levels: list[PriceLevel]


class Depth(msgspec.Struct, frozen=True):
    """The book of open demands at one moment. It names no outlet."""

    at: datetime
    carriers: list[CarrierDepth]


class Webhook(msgspec.Struct, frozen=True):
    """Where you are told, since when."""

    url: str
    since: datetime


class WebhookSecret(msgspec.Struct, frozen=True):
    """Where you are told from now on. `secret` signs each notice (Standard Webhooks); it is shown this once."""

    url: str
    secret: Annotated[str, Meta(examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])]


class OutletBalance(msgspec.Struct, frozen=True):
    """An outlet's deposit: `free_fen` = deposit − earmarked for fills − what its open demands would cost."""

    outlet: str
    deposit_fen: Fen
    earmarked_fen: Fen
    demanded_fen: Fen
    free_fen: Fen


class SellersBalance(msgspec.Struct, frozen=True):
    """What is owed to your sellers, what of it is being paid, and what is kept for them as platform credit."""

    payable_fen: Fen
    under_way_fen: Fen
    stored_fen: Fen


class Balances(msgspec.Struct, frozen=True, omit_defaults=True):
    """Balances, as far as they concern the client."""

    outlet: OutletBalance | None = None
    sellers: SellersBalance | None = None


class Health(msgspec.Struct, frozen=True):
    """Whether this process can work."""

    status: Literal["ok", "unavailable"]
    database: bool
    writer: Annotated[bool | None, Meta(description="Whether the book has a writer at work.")] = None


def order_document(view: OrderView, payouts: list[PayoutView] | None = None) -> Order:
    """An order for its own client: numbers masked, sealed parts absent."""
    view = view.masked()
    paying = any(payout.under_way for payout in payouts or ())
    waits = (view.state == "awaiting_seller" and view.code is not None) or (view.owed_again and not paying)
    return Order(
        id=view.public_id,
        client_ref=view.client_ref,
        seller_ref=view.seller_ref,
        product=view.product,
        carrier=view.carrier,
        number=view.number,
        card_number=view.card_number,
        face_fen=view.face_fen,
        net_fen=view.net_fen,
        rate_ppm=view.quote["rate_ppm"],
        rail=view.rail,
        state=view.state,
        code=view.code,
        waiting_for="payee" if waits else None,
        cancel=view.cancel,
        final=view.final,
        held_fen=view.held_fen,
        delivered_fen=view.delivered_fen,
        credited_fen=view.credited_fen,
        paid_fen=view.paid_fen,
        quote_id=view.quote["id"],
        components=view.quote["components"],
        language=view.language,
        agreement=view.agreement,
        submitted_at=view.submitted_at,
        updated_at=view.updated_at,
        delivered_at=view.delivered_at,
        closed_at=view.closed_at,
        payouts=[
            PayoutDocument(public("pay", p.id), p.rail, p.share_fen, p.state, p.code, p.far_ref, p.updated_at)
            for p in payouts or ()
        ],
    )


def demand_document(view: DemandView, *, now: datetime) -> Demand:
    """A demand for its own outlet."""
    masked = f"{view.number[:3]}****{view.number[-4:]}"
    return Demand(
        id=view.public_id,
        client_ref=view.client_ref,
        carrier=view.carrier,
        number=masked,
        amount_fen=view.amount_fen,
        price_ppm=view.price_ppm,
        deadline_at=view.deadline_at,
        state=view.state(now),
        open_fen=view.open_fen,
        reserved_fen=view.reserved_fen,
        delivered_fen=view.delivered_fen,
        created_at=view.created_at,
    )
