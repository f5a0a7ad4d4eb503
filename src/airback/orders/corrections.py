"""What came back after it was final for us, until somebody has made it good: states, who bears it, what is left.

A reversed delivery is settled by two people, in as many parts as it takes: money that came back is `recovered`, what
nobody will pay any more is `written_off`. A returned payment is the seller's own money: it is `repaid`, by paying
their order anew, and nobody decides it.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from airback.domain.refusals import Refused


class Kind(StrEnum):
    """What a far side took back."""

    DELIVERY_REVERSED = "delivery_reversed"
    PAYMENT_RETURNED = "payment_returned"


class Bearer(StrEnum):
    """Who bears it."""

    SELLER = "seller"
    PLATFORM = "platform"


class Settlement(StrEnum):
    """How a part of it is made good."""

    RECOVERED = "recovered"  # its money came back
    WRITTEN_OFF = "written_off"  # the operator bears it for good
    REPAID = "repaid"  # the seller was paid again


class State(StrEnum):
    """Where a correction stands. It is open while anything of it is left."""

    OPEN = "open"
    SETTLED = "settled"


TRANSITIONS: Final = MappingProxyType(
    {
        State.OPEN: frozenset({State.SETTLED}),
        State.SETTLED: frozenset[State](),
    }
)


@dataclass(frozen=True, slots=True)
class Correction:
    """One correction. `bearer` bears `amount_fen`; `claim_fen` of a delivery's is claimed from the seller, and the rest
    is the operator's loss already. What was made good stands in `recovered_fen` and `written_off_fen`."""

    id: int
    order_id: int
    effect_id: int
    kind: Kind
    bearer: Bearer
    amount_fen: int
    claim_fen: int
    opened_at: datetime
    recovered_fen: int = 0
    written_off_fen: int = 0
    closed_at: datetime | None = None

    @property
    def state(self) -> State:
        """Where it stands."""
        return State.OPEN if self.closed_at is None else State.SETTLED

    @property
    def left_fen(self) -> int:
        """What is still to be made good: the seller's claim, or all of it where the operator bears it."""
        if self.closed_at is not None:
            return 0
        claimed = self.kind is Kind.DELIVERY_REVERSED and self.bearer is Bearer.SELLER
        return (self.claim_fen if claimed else self.amount_fen) - self.recovered_fen - self.written_off_fen

    def check(self, amount_fen: int) -> None:
        """Raise `Refused` (`correction_settled`, `correction_repays`, `correction_exceeded`) unless two people may make
        good so much of it."""
        if self.state is State.SETTLED:
            raise Refused("correction_settled", field="correction")
        if self.kind is Kind.PAYMENT_RETURNED:
            raise Refused("correction_repays", field="correction")
        if amount_fen > self.left_fen:
            raise Refused("correction_exceeded", field="amount_fen")

    def settled(self, settlement: Settlement, amount_fen: int, *, now: datetime) -> "Correction":
        """The correction after so much of it was made good; settled once nothing is left."""
        if settlement is Settlement.RECOVERED:
            after = replace(self, recovered_fen=self.recovered_fen + amount_fen)
        elif settlement is Settlement.WRITTEN_OFF:
            after = replace(self, written_off_fen=self.written_off_fen + amount_fen)
        else:
            return replace(self, closed_at=now)
        return after if after.left_fen > 0 else replace(after, closed_at=now)
