"""What a batch holds in memory of the book: orders, fills, payouts and open effects, as the writer folds them."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from airback.domain.effects import Kind, Outcome, Result
from airback.domain.ports.carrier import HoldKind
from airback.market.pauses import Pause
from airback.orders.intake import PEOPLE
from airback.orders.states import FillState, State
from airback.payouts.states import State as PayoutState


@dataclass(slots=True)
class Fill:
    """The part of an order that goes to one demand; `demand_id` None is the house. `routed`, known of a new one only: why
    it went there, as `reserve` says."""

    id: int
    order_id: int
    demand_id: int | None
    outlet: str
    number: str
    face_fen: int
    price_ppm: int
    pays_fen: int
    state: FillState
    delivered_fen: int = 0
    routed: dict[str, Any] | None = None
    new: bool = False
    changed: bool = False


@dataclass(slots=True, weakref_slot=True)
class Payout:
    """One payment to a seller; `orders` maps each order it pays to its share."""

    id: int
    seller: int
    rail: str
    amount_fen: int
    payee: bytes = field(repr=False)
    state: PayoutState
    code: str | None
    far_ref: str | None
    created_at: datetime
    orders: dict[int, int]
    new: bool = False
    changed: bool = False


@dataclass(slots=True)
class Order:
    """An order as the database has it, changed in place by the verbs of one batch."""

    id: int
    client: str
    seller: int
    lane: int
    product: str
    carrier: str
    number: str | None
    card_number: str | None
    card_code: bytes | None = field(repr=False)
    face_fen: int
    net_fen: int
    quote: dict[str, Any]
    first_quote: dict[str, Any] | None
    rail: str
    payee: bytes = field(repr=False)
    notify_number: str | None
    language: str
    agreement: str
    state: State
    resume: str | None
    code: str | None
    hold_kind: HoldKind
    hold_ref: str | None
    hold_far_ref: str | None
    held_fen: int
    delivered_fen: int
    credited_fen: int
    paid_fen: int
    attempts: int
    cancel: str | None
    submitted_at: datetime
    delivered_at: datetime | None
    final_at: datetime | None
    closed_at: datetime | None
    fills: list[Fill] = field(default_factory=list)
    payouts: list[Payout] = field(default_factory=list)
    due_at: datetime | None = None
    changed: bool = False
    requoted: bool = False

    @property
    def owed_again(self) -> bool:
        """Whether it has ended and a payment of it came back: its seller is owed what was paid."""
        return self.state is State.CLOSED and self.paid_fen < self.credited_fen

    @property
    def live_fills(self) -> list[Fill]:
        """Fills that still count: reserved, delivering or delivered."""
        return [f for f in self.fills if f.state not in (FillState.RELEASED, FillState.FAILED)]


@dataclass(slots=True)
class OpenEffect:
    """An effect without a final result, as the writer and the senders know it.

    `epoch` is the one it was journalled or adopted in; a sender of another epoch never sends it. `n` counts the
    results recorded so far. `at` is when it was journalled, `left_at` the last moment at which its request can have
    left, from which grace periods are counted. `under_way`: this epoch's senders hold its request, queued or on its
    way, and nobody asks about it. `lane`: a person's, or of a file, which gives way to persons.
    """

    id: int
    kind: Kind
    far_side: str
    order_id: int | None
    fill_id: int | None
    payout_id: int | None
    ref: str
    amount_fen: int
    hold: HoldKind
    sealed: bytes = field(repr=False)
    send_by: datetime
    at: datetime
    left_at: datetime
    epoch: int
    result: Result = Result.JOURNALLED
    n: int = 0
    asks: int = 0
    ask_at: datetime | None = None
    asking: bool = False
    under_way: bool = False
    resent: bool = False
    lane: int = PEOPLE


@dataclass(frozen=True, slots=True)
class OpenBreak:
    """A difference from a far side's statement that nobody has resolved. `left_fen` stands on the clearing account,
    credit positive: so much more did we book as gone out than the far side moved."""

    id: int
    far_side: str
    kind: str | None
    explanation: str
    left_fen: int


@dataclass(slots=True)
class OutletDesk:
    """What decisions about outlets and pauses stand on, and what they come to.

    `versions`: the last version of an outlet's terms; `demanded_fen`: what its open demands would cost. `standing`: pauses
    by id. `terms` and `lifted` are decisions: rows to insert, and pauses with the proposal that lifts them.
    """

    versions: dict[str, int] = field(default_factory=dict)
    demanded_fen: dict[str, int] = field(default_factory=dict)
    standing: dict[int, Pause] = field(default_factory=dict)
    terms: list[dict[str, Any]] = field(default_factory=list)
    lifted: list[tuple[int, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Answer:
    """A far side's word on one effect, on its way to the writer. `asked`: it answers a question, not the sending."""

    effect: OpenEffect
    outcome: Outcome
    asked: bool


@dataclass(frozen=True, slots=True)
class Letter:
    """One inbox row: what somebody outside the writer wants folded in."""

    id: int
    kind: str
    order_id: int | None
    ref: str | None
    body: dict[str, Any]
    at: datetime
