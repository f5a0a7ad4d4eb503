"""How fast prices are made: a million at once on one core, and one signed quote at a time over HTTP.

Every factor is on and has its fact: the default card with promotion and competition switched on, sellers of several classes,
open demands, and in the large batch caps as well. Quotes over HTTP are set beside the same server's echo (`bench.http`).
"""

import copy
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np

from airback.app.bench import http
from airback.app.settings import Settings
from airback.domain.assets import CARRIERS
from airback.pricing.cards import RateCard, parse_card
from airback.pricing.default_card import DEFAULT_CARD
from airback.pricing.many import ASSETS, NOT_STATED, Asks, compile_card
from airback.store.named_sql import load
from airback.store.pool import connect_once

_SQL: Final = load("pricing.sql", package="airback.app.bench")
ROWS: Final = 1_000_000
_TIMES: Final = 5
_SEED: Final = 20_261_123
_CLIENT: Final = "bench"
_SELLERS: Final = 500
_FACES_YUAN: Final = (30, 50, 100)
_PLACES: Final = ("11", "44", "52")


def all_factors_on(version: int) -> dict[str, Any]:
    """The default card with every factor switched on."""
    document = copy.deepcopy(DEFAULT_CARD)
    document["version"] = version
    for factor in document["factors"].values():
        factor["on"] = True
    return document


def random_asks(card: RateCard, *, rows: int, seed: int) -> Asks:
    """Asks that the card prices, of every asset, face, term, tier, class and fact."""
    dice = np.random.default_rng(seed)
    asset = dice.integers(0, len(ASSETS), rows)
    is_card = np.array([product == "card" for product, _ in ASSETS])[asset]
    face_fen = np.where(
        is_card, dice.choice(sorted(card.card_faces_fen), rows), dice.integers(1_000, 500_001, rows)
    )
    days = dice.integers(0, 400, rows)
    return Asks(
        asset=asset,
        face_fen=face_fen,
        band_face_fen=face_fen.copy(),
        days_left=np.where(days > 380, NOT_STATED, days),
        tier=dice.integers(-1, len(card.region.tiers_ppm), rows),
        rail=np.full(rows, list(card.rails).index("alipay")),
        seller_class=dice.integers(-1, 3, rows),
        demand_fen=dice.integers(-1, 200_000_000, rows),
        outlet_ppm=dice.integers(800_000, 1_000_000, rows),
        cap_ppm=np.where(dice.integers(0, 4, rows) == 0, dice.integers(700_000, 900_000, rows), -1),
    )


def quotes_per_s(*, rows: int = ROWS, clock: Callable[[], float] = time.process_time) -> int:
    """Prices a second of this process's processor time, which is at least that of one core: the median of several runs."""
    card = parse_card(all_factors_on(1))
    compiled = compile_card(card, at=card.effective_from)
    asks = random_asks(card, rows=rows, seed=_SEED)
    took = []
    for _ in range(_TIMES):
        begun = clock()
        prices = compiled.price(asks)
        took.append(clock() - begun)
        if prices.status.any():
            raise http.BenchFailed("an ask of the bench was refused")
    return round(rows / sorted(took)[_TIMES // 2])


async def bench(
    settings: Settings, *, seconds: float, rounds: int, progress: http.Progress
) -> dict[str, Any]:
    """Measure. `settings.data_dir` is a directory for this alone. Raises `BenchFailed`."""

    async def furnish(url: str) -> None:
        now = datetime.now(UTC).replace(microsecond=0)
        conn = await connect_once(url)
        try:
            await conn.execute(_SQL.publish, settings.book, 2, all_factors_on(2), now)
            for n, carrier in enumerate(CARRIERS, start=1):
                until = now + timedelta(days=1)
                await conn.execute(
                    _SQL.want, settings.book, n, carrier, 900_000 + 10_000 * n, 60_000_000 * n, until
                )
            for n in range(0, _SELLERS, 2):
                name = "gold" if n % 4 else "silver"
                await conn.execute(_SQL["class"], settings.book, _CLIENT, f"user-{n}", n, name, now)
        finally:
            await conn.close()

    next_year = datetime.now(UTC).year + 1

    def ask(n: int) -> dict[str, Any]:
        carriers = sorted(CARRIERS)
        return {
            "product": "card",
            "carrier": carriers[n % len(carriers)],
            "face_yuan": str(_FACES_YUAN[n % len(_FACES_YUAN)]),
            "card_number": str(20_261_102_000_000 + n),
            "seller_ref": f"user-{n % _SELLERS}",
            "province": _PLACES[n // 3 % len(_PLACES)],
            "expires_on": f"{next_year}-0{1 + n % 2}-28",
        }

    progress("many", 0, 1)
    per_s = quotes_per_s()
    progress("many", 1, 1)
    over_http = await http.quotes(
        settings, seconds=seconds, rounds=rounds, ask=ask, furnish=furnish, progress=progress
    )
    return {"quotes_per_s": per_s, "rows": ROWS, **over_http}
