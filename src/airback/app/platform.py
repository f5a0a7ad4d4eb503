"""One operator's platform in one process: database, keys, far sides and price list, opened together, closed together."""

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import asyncpg

from airback.adapters.keys.files import FileKeys
from airback.app import presence
from airback.app.far_sides import Connected, connect
from airback.app.settings import Settings
from airback.domain.ids import new_reference
from airback.domain.ports.carrier import Carrier, Subscribers
from airback.domain.ports.messenger import Messenger
from airback.domain.ports.rail import Rail
from airback.domain.refusals import Refused
from airback.market.pauses import Pauses
from airback.pricing.cards import RateCard, card_in_force, parse_card
from airback.pricing.exposure import Exposure
from airback.pricing.facts import Market
from airback.queries.price_facts import PriceFacts
from airback.queries.verify import Finding, Verification, verify, verify_since_mark
from airback.store import exposure as store_of_exposure
from airback.store import pauses as store_of_pauses
from airback.store import pool as pools
from airback.store.embedded import ensure_running
from airback.store.named_sql import load
from airback.store.problems import TROUBLE

_SQL = load("books.sql")
_CARDS_FRESH_S = 2.0
_FACTS_FRESH_S = 3.0
#: The first demands of a market that was empty bound prices sooner.
_EMPTY_FRESH_S = 0.5
#: A rotation of keys is seen so much later; each look costs a quote about a fortieth of its time.
_KEYS_TRUSTED_S = 0.05


class SandboxAway(Exception):
    """No sandbox runs on this data directory."""

    def __init__(self) -> None:
        super().__init__("the sandbox is not running here; start it with: airback sandbox")


@dataclass(slots=True)
class Platform:
    """What API, pages and commands need; see `airback.queries.platform`."""

    settings: Settings
    url: str
    pool: asyncpg.Pool
    keys: FileKeys
    connected: Connected
    _cards: dict[int, RateCard] = field(default_factory=dict)
    _licensed: frozenset[str] = frozenset()
    _pauses: Pauses = field(default_factory=Pauses)
    _read_at: float = -1e9
    _facts: PriceFacts | None = None
    _market: Market = field(default_factory=Market)
    _market_at: float = -1e9
    exposure: Exposure = field(init=False)
    _process: str = field(init=False)
    _sharing: bool = False

    def __post_init__(self) -> None:
        self.exposure = Exposure(self.settings.exposure, lock=threading.Lock())
        self._process = new_reference(entropy=self.entropy)

    @property
    def book(self) -> int:
        """The operator's book."""
        return self.settings.book

    @property
    def subscribers(self) -> Subscribers:
        """The directory every number is asked in."""
        return self.connected.far_sides.subscribers

    @property
    def carriers(self) -> Mapping[str, Carrier]:
        """Connected carriers by code."""
        return self.connected.far_sides.carriers

    @property
    def rails(self) -> Mapping[str, Rail]:
        """Ways of being paid that may be used now: those that need a licence only while it is on record."""
        rails = self.connected.far_sides.rails
        return {
            n: r
            for n, r in rails.items()
            if r.capabilities.licence is None or r.capabilities.licence in self._licensed
        }

    @property
    def messenger(self) -> Messenger:
        """Tells people things."""
        return self.connected.far_sides.messenger

    async def rate_card(self) -> RateCard:
        """The price list in force, at most a few seconds old. Raises Refused `not_bought` when there is none."""
        await self.refresh()
        return card_in_force(self._cards.values(), self.now())

    async def rate_cards(self) -> Sequence[RateCard]:
        """Every published price list, at most a few seconds old, oldest first."""
        await self.refresh()
        return [self._cards[version] for version in sorted(self._cards)]

    async def price_facts(self) -> Market:
        """What prices read of the market and of sellers' classes, at most a few seconds old. As often this process's live
        quotes are told to others."""
        fresh_s = _EMPTY_FRESH_S if self._market.empty else _FACTS_FRESH_S
        if time.monotonic() - self._market_at >= fresh_s:
            self._market_at = time.monotonic()  # others go on by what is known while this reads
            if self._facts is None:
                self._facts = PriceFacts(book=self.book)
            try:
                card = await self.rate_card()
            except Refused:
                card = None
            self._market = await self._facts.read(self.pool, card=card, now=self.now())
            await self._share()
        return self._market

    async def _share(self) -> None:
        """Tell the other processes what this one has counted, and hear of theirs; one at a time, so that nothing older is
        written over what is newer."""
        if self._sharing:
            return
        self._sharing = True
        try:
            await store_of_exposure.share(
                self.pool,
                self.exposure,
                book=self.book,
                process=self._process,
                wanted=self._market.wanted_fen(),
                now=self.now(),
            )
        finally:
            self._sharing = False

    async def pauses(self) -> Pauses:
        """What is paused, at most a few seconds old."""
        await self.refresh()
        return self._pauses

    async def refresh(self) -> None:
        """Read the published price lists, licences and pauses again when they are more than a few seconds old."""
        if time.monotonic() - self._read_at < _CARDS_FRESH_S:
            return
        for row in await self.pool.fetch(_SQL.rate_cards, self.book, max(self._cards, default=0)):
            self._cards[row["version"]] = parse_card(row["document"])
        rows = await self.pool.fetch(_SQL.licensed, self.book, self.now())
        self._licensed = frozenset(row["capability"] for row in rows)
        self._pauses = await store_of_pauses.standing(self.pool, book=self.book, now=self.now())
        self._read_at = time.monotonic()

    def now(self) -> datetime:
        """The time, UTC and aware."""
        return datetime.now(UTC)

    def entropy(self, count: int, /) -> bytes:
        """`count` random bytes."""
        return os.urandom(count)


async def verified(
    platform: Platform, *, progress: Callable[[str, int, int], None] = lambda name, done, of: None
) -> Mapping[str, Finding]:
    """Every check of `airback.queries.verify` on the platform's book, beside the far sides' own statements."""
    return await verify(
        platform.pool,
        book=platform.book,
        now=platform.now(),
        keys=platform.keys,
        carriers=platform.carriers,
        rails=platform.connected.far_sides.rails,
        progress=progress,
    )


async def verified_since_mark(
    platform: Platform,
    *,
    full: bool,
    progress: Callable[[str, int, int], None] = lambda name, done, of: None,
) -> Verification:
    """The same of what came since the last run that found nothing, or of everything; leaves a mark when it is clean."""
    return await verify_since_mark(
        platform.pool,
        book=platform.book,
        now=platform.now(),
        keys=platform.keys,
        carriers=platform.carriers,
        rails=platform.connected.far_sides.rails,
        full=full,
        progress=progress,
    )


@contextlib.asynccontextmanager
async def database(settings: Settings, *, progress: Any = None) -> AsyncIterator[str]:
    """The database's address: the one that is set, or the embedded one, which runs as long as somebody uses it."""
    if settings.database_url is not None:
        yield settings.database_url
        return
    with ensure_running(settings.data_dir, progress=progress) as server:
        yield server.url


@contextlib.asynccontextmanager
async def open_platform(
    settings: Settings, *, url: str, sandbox_url: str | None = None, connections: int = 10
) -> AsyncIterator[Platform]:
    """The platform over the database at `url`. Raises SandboxAway when no sandbox runs and none is named."""
    if sandbox_url is None:
        found = presence.find(settings.run_dir, "sandbox")
        if found is None or "url" not in found:
            raise SandboxAway
        sandbox_url = str(found["url"])
    async with contextlib.AsyncExitStack() as closing:
        connected = connect(settings, sandbox_url=sandbox_url, now=lambda: datetime.now(UTC), closing=closing)
        pool = await pools.connect(url, max_size=connections)
        closing.push_async_callback(_close, pool)
        keys = FileKeys(settings.keys_dir, trusted_s=_KEYS_TRUSTED_S)
        platform = Platform(settings, url, pool, keys, connected)
        await platform.refresh()
        await platform.price_facts()
        yield platform


async def _close(pool: asyncpg.Pool) -> None:
    try:
        await pool.close()
    except TROUBLE:
        pool.terminate()


async def wait_for_sandbox(settings: Settings, *, patience_s: float = 45) -> None:
    """Wait a little for a sandbox that is being started beside us. Raises SandboxAway."""
    for _ in range(max(1, int(patience_s * 10))):
        if presence.find(settings.run_dir, "sandbox"):
            return
        await asyncio.sleep(0.1)
    raise SandboxAway
