"""Carrier: identifies a subscriber, reads, holds, moves, redeems and releases airtime.

Methods that change something take a `ref`, the client reference of a journalled effect. They never raise for
what a far side said or failed to say: a refusal is `failed` with a code, a lost answer is `unknown`, a request
that surely did not leave (connection refused) is `failed` with code `not_sent`. Methods that only read raise
`FarSideUnreachable`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from airback.domain.effects import Kind, Outcome, Resend


class HoldKind(StrEnum):
    """How a carrier's airtime is taken: its own reservation, our bucket, or (cards) not at all."""

    NATIVE = "native"
    CUSTODY = "custody"
    NONE = "none"


class FarSideUnreachable(Exception):
    """A far side could not be asked; nothing changed there. `far_side` names it, `reason` is safe to log."""

    def __init__(self, *, far_side: str, reason: str) -> None:
        super().__init__(f"{far_side}: {reason}")
        self.far_side = far_side
        self.reason = reason


class LineStatus(StrEnum):
    """A number's standing at its carrier."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class CarrierCapabilities:
    """What a connector can do and within which limits; the engine plans with it.

    `not_found_final_after_s`: how long after a request has left its reference may be unknown at the far side before
    "not found" means that it never arrived; longer than `timeout_s`, the most a request may take. `final_after_s`:
    how long after success a delivery can still be reversed. `ask_every_s`: the first interval between questions about
    one reference; it doubles up to `ask_at_most_every_s`.
    """

    carrier: str
    contract_id: str
    hold: HoldKind
    custody_given_back: bool
    resend: Resend
    not_found_final_after_s: int
    final_after_s: int
    ask_every_s: int
    ask_at_most_every_s: int
    requests_per_s: int
    concurrency: int
    timeout_s: int


@dataclass(frozen=True, slots=True)
class Line:
    """What a carrier says of a number. Amounts in fen; `carrier` is a code of `airback.domain.assets.CARRIERS`.

    `sellable_fen` = principal − reserved − charges due − the least that keeps the line alive, never below zero.
    """

    number: str
    carrier: str
    status: LineStatus
    principal_fen: int
    promotional_fen: int
    reserved_fen: int
    sellable_fen: int
    expires_at: datetime | None
    province: str | None


@dataclass(frozen=True, slots=True)
class HoldRequest:
    """Reserve `amount_fen` of `number`'s principal balance; the reservation lapses by itself at `valid_until`."""

    ref: str
    number: str
    amount_fen: int
    valid_until: datetime


@dataclass(frozen=True, slots=True)
class TransferRequest:
    """Deliver `amount_fen` to `to_number`, out of the hold that `hold_ref`/`hold_far_ref` names.

    `purpose` (a fill's public id) is told to the far side, so that both books can be laid beside each other.
    """

    ref: str
    from_number: str
    to_number: str
    amount_fen: int
    hold: HoldKind
    hold_ref: str
    hold_far_ref: str
    purpose: str


@dataclass(frozen=True, slots=True)
class RedeemRequest:
    """Redeem a card's code onto `to_number`. `face_fen` is what the seller said; the answer says what it was."""

    ref: str
    to_number: str
    card_number: str
    card_code: str = field(repr=False)
    face_fen: int
    purpose: str


@dataclass(frozen=True, slots=True)
class ReleaseRequest:
    """Give the hold back: whole (native), or `amount_fen` of what is left of it (custody)."""

    ref: str
    number: str
    amount_fen: int
    hold: HoldKind
    hold_ref: str
    hold_far_ref: str


@dataclass(frozen=True, slots=True)
class StatementLine:
    """One line of a far side's own account of what it executed: the effect's reference, kind, amount, time."""

    ref: str
    kind: Kind
    amount_fen: int
    far_ref: str
    at: datetime
    reversed: bool = False


class CodeCheck(StrEnum):
    """A carrier's word on a one-time code."""

    RIGHT = "right"
    WRONG = "wrong"
    EXPIRED = "expired"
    TOO_MANY = "too_many"


class Carrier(Protocol):
    """One carrier contract."""

    @property
    def capabilities(self) -> CarrierCapabilities:
        """What this connector can do."""

    async def hold(self, request: HoldRequest) -> Outcome:
        """Reserve. `far_ref` of the outcome names the reservation (or, custody, the transfer) at the carrier."""

    async def transfer(self, request: TransferRequest) -> Outcome:
        """Deliver. On success `detail` has `before_fen` and `after_fen` of the target where the carrier shows them."""

    async def redeem(self, request: RedeemRequest) -> Outcome:
        """Redeem a card. On success `amount_fen` is the card's true face value."""

    async def release(self, request: ReleaseRequest) -> Outcome:
        """Give a hold back."""

    async def ask(self, *, kind: Kind, ref: str, hold: HoldKind = HoldKind.NONE) -> Outcome:
        """What became of `ref`. A reference never seen is `failed` with code `not_found`, as the far side says it."""

    async def statement(self, *, since: datetime, until: datetime) -> Sequence[StatementLine]:
        """Everything this carrier executed for us in [since, until): deliveries, redemptions, custody holds and
        their releases. Raises FarSideUnreachable."""


class Subscribers(Protocol):
    """The directory every number is asked in, whichever its carrier, and proof that a seller holds a number."""

    async def inspect(self, number: str) -> Line | None:
        """What is known of the number, or None when no carrier knows it. Raises FarSideUnreachable."""

    async def send_code(self, *, number: str, text: str) -> str:
        """Have the carrier send a one-time code by SMS (`text` contains `{{code}}`); the authentication id.

        Raises FarSideUnreachable, or `CodeRefused` with a refusal's code."""

    async def check_code(self, *, authentication_id: str, code: str) -> CodeCheck:
        """Compare a code. Raises FarSideUnreachable."""

    async def holds_number(self, *, number: str, device_token: str) -> bool | None:
        """Whether the device behind the token carries the number; None when the network cannot tell."""

    async def sim_swapped(self, *, number: str, within_hours: int) -> bool | None:
        """Whether the number's SIM changed within so many hours (1–2400); None when the carrier cannot tell."""


class CodeRefused(Exception):
    """A carrier would not send a code; `code` names a refusal of `airback.domain.refusals`."""

    def __init__(self, *, code: str) -> None:
        super().__init__(code)
        self.code = code
