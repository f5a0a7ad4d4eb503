"""What pages and API need of the running platform. `airback.app` builds it and puts it into `app.state.platform`."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

import asyncpg

from airback.domain.ports.carrier import Carrier, Subscribers
from airback.domain.ports.keys import KeyProvider
from airback.domain.ports.messenger import Messenger
from airback.domain.ports.rail import Rail
from airback.market.pauses import Pauses
from airback.pricing.cards import RateCard
from airback.pricing.exposure import Exposure
from airback.pricing.facts import Market


class Platform(Protocol):
    """One operator's platform in one process."""

    @property
    def pool(self) -> asyncpg.Pool:
        """Connections set up by `airback.store.pool.connect`."""

    @property
    def book(self) -> int:
        """The operator's book."""

    @property
    def keys(self) -> KeyProvider:
        """Signs, seals and indexes."""

    @property
    def settings(self) -> Any:
        """The operator's settings, of `airback.app`."""

    @property
    def subscribers(self) -> Subscribers:
        """The directory every number is asked in."""

    @property
    def carriers(self) -> Mapping[str, Carrier]:
        """Connected carriers by code."""

    @property
    def rails(self) -> Mapping[str, Rail]:
        """Ways of being paid that may be used now, by name."""

    @property
    def messenger(self) -> Messenger:
        """Tells people things."""

    @property
    def exposure(self) -> Exposure:
        """Live quotes, counted."""

    async def rate_card(self) -> RateCard:
        """The published rate card in force, at most a few seconds old. Raises `Refused` `not_bought` when none is."""

    async def rate_cards(self) -> Sequence[RateCard]:
        """Every published rate card, at most a few seconds old, oldest first."""

    async def price_facts(self) -> Market:
        """What prices read of the market and of sellers' classes, at most a few seconds old."""

    async def pauses(self) -> Pauses:
        """What is paused, at most a few seconds old."""

    def now(self) -> datetime:
        """The time, UTC and aware."""

    def entropy(self, count: int, /) -> bytes:
        """`count` random bytes."""
