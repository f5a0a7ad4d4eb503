"""Platform credit: the seller's stored balance. Paying is a posting in our own ledger, so no far side is spoken to.

The posting is made when the payment's result is recorded, which is why paying always succeeds here and asking
gives the same answer: there is nobody who could have lost it. A stored balance needs the licence its capability
names; without it the platform never chooses this rail.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from airback.domain.effects import Outcome, Resend, Result
from airback.domain.money import MAX_FEN
from airback.domain.ports.carrier import StatementLine
from airback.domain.ports.rail import Notification, PayRequest, RailCapabilities

CREDIT: Final = RailCapabilities(
    name="credit",
    resend=Resend.SAME_REFERENCE,
    least_fen=1,
    most_fen=MAX_FEN,
    name_checked=False,
    licence="stored_balance",
    counted_by_far_side=False,
    not_found_final_after_s=2,
    ask_every_s=1,
    ask_at_most_every_s=1,
    requests_per_s=10_000,
    concurrency=1_000,
    timeout_s=1,
)


class CreditRail:
    """Pays into the seller's stored balance."""

    def __init__(self, *, capabilities: RailCapabilities = CREDIT) -> None:
        self._capabilities = capabilities

    @property
    def capabilities(self) -> RailCapabilities:
        """What this rail can do."""
        return self._capabilities

    async def pay(self, request: PayRequest) -> Outcome:
        """Succeeds, with a reference of its own that follows from ours."""
        return Outcome(result=Result.SUCCEEDED, far_ref=_far_ref(request.ref), amount_fen=request.amount_fen)

    async def ask(self, *, ref: str) -> Outcome:
        """The answer that paying gave or would give; the amount is the journal's."""
        return Outcome(result=Result.SUCCEEDED, far_ref=_far_ref(ref))

    def read_notification(
        self, *, headers: dict[str, str], body: bytes, now: datetime
    ) -> Notification | None:
        """Nobody notifies."""
        return None

    async def statement(self, *, since: datetime, until: datetime) -> Sequence[StatementLine]:
        """Empty: our ledger is the only account of it."""
        return ()

    async def close(self) -> None:
        """Nothing is open."""


def _far_ref(ref: str) -> str:
    return f"credit-{ref}"
