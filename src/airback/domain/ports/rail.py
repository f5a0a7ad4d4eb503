"""Rail: pays sellers. Same manners as a carrier: refusals and lost answers are outcomes, never exceptions."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from airback.domain.effects import Outcome, Resend
from airback.domain.ports.carrier import StatementLine


@dataclass(frozen=True, slots=True)
class RailCapabilities:
    """What a rail can do, with limits as a carrier's. `licence` names the capability that must be licensed before it may be used, or None.

    `counted_by_far_side` is False for a rail that lives inside the ledger (platform credit).
    """

    name: str
    resend: Resend
    least_fen: int
    most_fen: int
    name_checked: bool
    licence: str | None
    counted_by_far_side: bool
    not_found_final_after_s: int
    ask_every_s: int
    ask_at_most_every_s: int
    requests_per_s: int
    concurrency: int
    timeout_s: int


@dataclass(frozen=True, slots=True)
class PayRequest:
    """Pay `amount_fen` to an account whose holder must bear `payee_name`. `purpose` is the payout's public id."""

    ref: str
    amount_fen: int
    payee_account: str = field(repr=False)
    payee_name: str = field(repr=False)
    purpose: str
    title: str


@dataclass(frozen=True, slots=True)
class Notification:
    """A rail's signed word that reached us unasked: a hint; the query is the truth."""

    ref: str
    outcome: Outcome


class Rail(Protocol):
    """One way of paying out."""

    @property
    def capabilities(self) -> RailCapabilities:
        """What this rail can do."""

    async def pay(self, request: PayRequest) -> Outcome:
        """Pay. A wrong payee name is `failed` with code `payee_name_mismatch`."""

    async def ask(self, *, ref: str) -> Outcome:
        """What became of `ref`; never seen is `failed` with code `not_found`."""

    def read_notification(
        self, *, headers: dict[str, str], body: bytes, now: datetime
    ) -> Notification | None:
        """Verify and read a notification; None when it is not genuine or not about a payment."""

    async def statement(self, *, since: datetime, until: datetime) -> Sequence[StatementLine]:
        """Every payment executed for us in [since, until). Raises FarSideUnreachable."""
