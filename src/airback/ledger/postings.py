"""Postings: transfers between two accounts of one asset, so each balances by its form.

A transfer is `posted` at once, or `pending` (an earmark that counts against bounds) and later `post`ed, perhaps for
another amount, or `void`ed. `(subject, kind, leg, phase)` names a transfer for ever, so posting it again changes
nothing. `Balances` folds transfers in order and answers whether an earmark fits.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from airback.ledger.accounts import CREDIT, Account


class Phase(StrEnum):
    """What a transfer row does."""

    POSTED = "posted"
    PENDING = "pending"
    POST = "post"
    VOID = "void"


@dataclass(frozen=True, slots=True)
class Transfer:
    """`amount_fen` from `credit` to `debit`. `settles_fen` (post, void): the pending amount that goes away."""

    subject: int
    kind: str
    leg: int
    phase: Phase
    debit: Account
    credit: Account
    amount_fen: int
    order_id: int | None = None
    settles_fen: int = 0

    def __post_init__(self) -> None:
        if self.amount_fen <= 0:
            raise ValueError("a transfer moves more than zero")
        if self.debit.asset != self.credit.asset or self.debit.id == self.credit.id:
            raise ValueError("a transfer joins two accounts of one asset")


@dataclass(slots=True)
class Delta:
    """What a batch of transfers does to one account, in fen; `overdrawn_fen` falls when a shortfall is made good."""

    account: Account
    debits_posted: int = 0
    credits_posted: int = 0
    debits_pending: int = 0
    credits_pending: int = 0
    overdrawn_fen: int = 0


@dataclass(slots=True)
class Standing:
    """An account's four sums and shortfall as the database has them."""

    debits_posted: int = 0
    credits_posted: int = 0
    debits_pending: int = 0
    credits_pending: int = 0
    overdrawn_fen: int = 0

    def room_fen(self, side: str) -> int:
        """What may still be taken from a bounded account, pending included."""
        if side == CREDIT:
            return self.credits_posted + self.overdrawn_fen - self.debits_posted - self.debits_pending
        return self.debits_posted + self.overdrawn_fen - self.credits_posted - self.credits_pending


@dataclass(slots=True)
class Balances:
    """Standings of the accounts a batch may touch, folded forward with the batch's own transfers.

    `read`: accounts whose standing is the database's; of others only what this batch did to them is known.
    """

    standings: dict[int, Standing] = field(default_factory=dict)
    read: set[int] = field(default_factory=set)
    deltas: dict[int, Delta] = field(default_factory=dict)

    def room_fen(self, account: Account) -> int:
        """What an earmark may take from this account now, in fen."""
        standing = self.standings.get(account.id)
        return standing.room_fen(account.side) if standing else 0

    def fold(self, transfers: Iterable[Transfer]) -> list[Account]:
        """Apply transfers in order. Returns bounded accounts that facts overdrew (the shortfall is recorded)."""
        short: list[Account] = []
        for transfer in transfers:
            amount, settles = transfer.amount_fen, transfer.settles_fen
            posted = amount if transfer.phase in (Phase.POSTED, Phase.POST) else 0
            pending = amount if transfer.phase is Phase.PENDING else -settles
            if transfer.phase is Phase.POSTED:
                pending = 0
            for account, is_debit in ((transfer.debit, True), (transfer.credit, False)):
                delta = self.deltas.get(account.id)
                if delta is None:
                    delta = self.deltas[account.id] = Delta(account)
                standing = self.standings.get(account.id)
                if standing is None:
                    standing = self.standings[account.id] = Standing()
                for row in (delta, standing):
                    if is_debit:
                        row.debits_posted += posted
                        row.debits_pending += pending
                    else:
                        row.credits_posted += posted
                        row.credits_pending += pending
                if account.bounded:
                    room = standing.room_fen(account.side)
                    if room < 0:
                        short.append(account)
                    # What comes in makes a shortfall good before there is room for anything else.
                    change = -room if room < 0 else -min(standing.overdrawn_fen, room)
                    delta.overdrawn_fen += change
                    standing.overdrawn_fen += change
        return short
