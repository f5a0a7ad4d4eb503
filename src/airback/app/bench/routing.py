"""`airback bench routing`: orders to outlets, one after another and as a whole batch.

Everything is drawn from a seed: 50 outlets with prices, fees, limits and quality of their own, and orders of which no two
have the same face. The batch's value is held against the linear programme of all its arcs, which is solved untimed.
"""

import gc
import platform
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final

from airback import __version__
from airback.domain.assets import CARRIERS
from airback.domain.money import MAX_FEN, PPM
from airback.market.allocation import allocate
from airback.market.arcs import NOWHERE, BulkOrder
from airback.market.channels import Channel, Valuation
from airback.market.matching import Demand, DemandBook

ORDERS: Final = 10_000
OUTLETS: Final = 50
_BATCH: Final = 1000
_ROUNDS: Final = 5
_NOW: Final = datetime(2026, 11, 20, tzinfo=UTC)
_KINDS: Final = ("second_hand", "payment", "vertical", "carrier_own", "third_party", "social")

Report = Callable[[str, int, int], None]


def bench(*, seed: int, progress: Report) -> dict[str, Any]:
    """Measure: medians of rounds."""
    chance = Random(seed)
    orders = bulk(ORDERS, chance)
    channels = outlets(OUTLETS, sum(order.face_fen for order in orders), chance)
    online: list[float] = []
    routed = 0
    for done in range(_ROUNDS):
        progress("online", done, _ROUNDS)
        seconds, routed = in_turn(orders, channels)
        online.append(len(orders) / seconds)
    progress("online", _ROUNDS, _ROUNDS)
    spent: list[float] = []
    for done in range(_ROUNDS):
        progress("allocation", done, _ROUNDS)
        gc.collect()
        begun = time.perf_counter()
        allocation = allocate(orders, channels)
        spent.append(time.perf_counter() - begun)
    progress("allocation", _ROUNDS, _ROUNDS)
    progress("bound", 0, 1)
    begun = time.perf_counter()
    bound = allocation.bound_fen()
    bound_s = time.perf_counter() - begun
    progress("bound", 1, 1)
    placed = int((allocation.places != NOWHERE).sum())
    return {
        "allocation_s": round(statistics.median(spent), 3),
        "allocation_gap_ppm": None if bound is None else -(-(bound - allocation.worth_fen) * PPM // bound),
        "online_per_s": round(statistics.median(online)),
        "online_gap_ppm": None if bound is None else -(-(bound - allocation.online_fen) * PPM // bound),
        "allocation": {
            "method": allocation.method,
            "worth_fen": allocation.worth_fen,
            "online_fen": allocation.online_fen,
            "bound_fen": bound,
            "bound_s": round(bound_s, 3),
            "placed": placed,
            "placed_fen": sum(
                order.face_fen for order, at in zip(orders, allocation.places, strict=True) if at != NOWHERE
            ),
            "face_fen": sum(order.face_fen for order in orders),
            "seconds": [round(s, 3) for s in spent],
        },
        "online": {"batch": _BATCH, "routed": routed, "per_s": [round(rate) for rate in online]},
        "orders": len(orders),
        "outlets": len(channels),
        "seed": seed,
        "machine": {"processor": platform.processor() or platform.machine(), "system": platform.platform()},
        "versions": {"airback": __version__, "python": platform.python_version()},
    }


def bulk(count: int, chance: Random) -> list[BulkOrder]:
    """Orders of different faces from 10 to 5 000 yuan, more small ones than large; what each must bring lies between 82 and
    95 % (DOMAIN.md §4)."""
    carriers = sorted(CARRIERS)
    faces: dict[int, None] = {}
    while len(faces) < count:
        faces[1_000 + chance.randrange(500) * chance.randrange(1_000)] = None
    return [
        BulkOrder(f"o{n}", chance.choice(carriers), face, chance.randint(820_000, 950_000))
        for n, face in enumerate(faces)
    ]


def outlets(count: int, volume_fen: int, chance: Random) -> list[Channel]:
    """Outlets that together take half more than `volume_fen`, each with limits that bind some orders."""
    weights = [chance.randint(1, 100) for _ in range(count)]
    made: list[Channel] = []
    for n, weight in enumerate(weights):
        share = volume_fen * 3 * weight // (2 * sum(weights))
        own = chance.random() < 0.2
        carriers = chance.sample(sorted(CARRIERS), 1 if own else chance.randint(2, len(CARRIERS)))
        made.append(
            Channel(
                outlet=f"outlet-{n}",
                kind=chance.choice(_KINDS),
                carriers=frozenset(carriers),
                price_ppm=chance.randint(960_000, 998_000),
                fee_ppm=chance.randint(0, 10_000),
                fee_fen=chance.choice([0, 0, 5, 20]),
                least_fen=chance.choice([1, 1_000, 5_000]),
                most_fen=chance.choice([50_000, 200_000, 500_000, 500_000]),
                daily_left_fen=share if n % 3 else 2 * share,
                monthly_left_fen=2 * share,
                own_network_only=own,
                delay_s=chance.choice([0, 3_600, 86_400]),
                per_minute=chance.randint(150, 500),
                success_ppm=chance.randint(950_000, PPM),
                reversal_ppm=chance.randint(0, 500),
                speed_s=chance.choice([5, 30, 120]),
                deposit_fen=2 * share if n % 3 else share,
            )
        )
    return made


def in_turn(orders: list[BulkOrder], channels: list[Channel]) -> tuple[float, int]:
    """Seconds of routing the orders one after another in batches, as the engine does, and how many found an outlet."""
    seconds, routed = 0.0, 0
    for begin in range(0, len(orders), _BATCH):
        batch = orders[begin : begin + _BATCH]
        demands = _standing(channels)
        gc.collect()
        begun = time.perf_counter()
        book = DemandBook()
        book.know(channels, Valuation(), {})
        book.load(demands)
        money = {channel.outlet: channel.deposit_fen for channel in channels}
        for order in batch:
            choice = book.match(
                carrier=order.carrier,
                face_fen=order.face_fen,
                whole=True,
                least_ppm=order.least_ppm,
                seller_number=None,
                not_before=_NOW,
                room_fen=money.__getitem__,
            )
            for match in choice.matches:
                book.reserve(match)
                money[match.demand.outlet] -= match.pays_fen
                routed += 1
        seconds += time.perf_counter() - begun
    return seconds, routed


def _standing(channels: list[Channel]) -> list[Demand]:
    """One demand for each outlet and carrier, as a standing bid keeps one open; best price first."""
    demands: list[Demand] = []
    for n, channel in enumerate(sorted(channels, key=lambda one: -(one.price_ppm or 0))):
        for carrier in sorted(channel.carriers):
            number = f"199{n:08d}"
            deadline = _NOW + timedelta(hours=1)
            one = Demand(
                len(demands) + 1, channel.outlet, carrier, number, channel.price_ppm or 0, MAX_FEN, deadline
            )
            demands.append(one)
    return demands
