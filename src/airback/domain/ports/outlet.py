"""Outlet: is told of its fills and of prices at the address it gave. Same manners as a rail: refusals are outcomes.

A notice is told again, the same under the same `ref`, until it was taken or is too old; whoever receives it knows a
repeat by its `ref`. Nothing in the platform depends on a notice having arrived.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from airback.domain.effects import Outcome


class Event(StrEnum):
    """What outlets are told of."""

    FILLED = "fill.delivered"
    PRICES = "prices.published"


@dataclass(frozen=True, slots=True)
class Notice:
    """One notice: `body` is JSON text, `secret` what its signature is made with (`whsec_` and base64)."""

    ref: str
    url: str
    secret: str = field(repr=False)
    body: str


class Outlet(Protocol):
    """One way of telling outlets."""

    async def tell(self, notice: Notice) -> Outcome:
        """Tell. `succeeded`: the outlet took it. `unknown`: to be told again, `code` says why: `hook_refused` (its
        answer was no), `answer_lost`, `not_sent`. `failed`: never again at this address: `hook_private` for one in a
        private network, `hook_refused` for one that says it is gone."""
