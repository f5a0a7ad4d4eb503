"""Outlet: is told of its fills and of prices at the address it gave, and may give its own account of them there. Same
manners as a rail: refusals are outcomes.

A notice is told again, the same under the same `ref`, until it was taken or is too old; whoever receives it knows a
repeat by its `ref`. Nothing in the platform depends on a notice having arrived.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from airback.domain.effects import Outcome
from airback.domain.ports.carrier import StatementLine


class Event(StrEnum):
    """What outlets are told of."""

    FILLED = "fill.delivered"
    PRICES = "prices.published"
    STATEMENT = "statement.asked"


@dataclass(frozen=True, slots=True)
class Notice:
    """One notice: `body` is JSON text, `secret` what its signature is made with (`whsec_` and base64)."""

    ref: str
    url: str
    secret: str = field(repr=False)
    body: str


@dataclass(frozen=True, slots=True)
class StatementAsk:
    """Ask an outlet for its own account of [since, until), as a notice is sent."""

    ref: str
    url: str
    secret: str = field(repr=False)
    since: datetime
    until: datetime


class Outlet(Protocol):
    """One way of telling outlets, and of asking them."""

    async def tell(self, notice: Notice) -> Outcome:
        """Tell. `succeeded`: the outlet took it. `unknown`: to be told again, `code` says why: `hook_refused` (its
        answer was no), `answer_lost`, `not_sent`. `failed`: never again at this address: `hook_private` for one in a
        private network, `hook_refused` for one that says it is gone."""

    async def statement(self, ask: StatementAsk) -> Sequence[StatementLine]:
        """Every fill that the outlet says it received in [since, until): its public id as `ref`, and what the outlet pays
        for it as `amount_fen`. Raises FarSideUnreachable, also for one that keeps no account or answers unsigned."""
