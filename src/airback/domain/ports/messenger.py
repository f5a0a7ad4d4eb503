"""Messenger: tells people things. Nothing depends on a message having arrived."""

from dataclasses import dataclass, field
from typing import Protocol

from airback.domain.effects import Outcome


@dataclass(frozen=True, slots=True)
class Message:
    """A short text to a mainland mobile number. `ref` makes a repeat recognisable to the far side."""

    ref: str
    number: str = field(repr=False)
    text: str


class Messenger(Protocol):
    """One way of telling people."""

    async def send(self, message: Message) -> Outcome:
        """Send. Outcomes as for every effect."""
