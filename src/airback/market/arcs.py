"""What each order of a batch would be worth at each channel, and what the channels' limits are: exact, in integers.

Shapes: N orders by M channels. A channel without a price of its own (`price_ppm` None) takes nothing here: a batch is
allocated over prices that stand, not over single numbers' demands.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from airback.domain.money import PPM
from airback.market.channels import Channel, Valuation, cost_ppm

Whole = NDArray[np.int64]

#: The place of an order that no channel takes.
NOWHERE: Final = -1


@dataclass(frozen=True, slots=True)
class BulkOrder:
    """One order of a consented bulk sale: `least_ppm` of face must be sure to be left of what an outlet pays."""

    id: str
    carrier: str
    face_fen: int
    least_ppm: int


@dataclass(frozen=True, slots=True)
class Arcs:
    """`net_fen`, `pays_fen` (N × M): net value and payment; `fits` (N × M): whether the order may go there at all.

    Limits of each channel (M): `amount_fen` of face (what is left of day and month), `deposit_fen` of payments, `fills`.
    """

    orders: Sequence[BulkOrder]
    channels: Sequence[Channel]
    face_fen: Whole
    net_fen: Whole
    pays_fen: Whole
    fits: NDArray[np.bool_]
    amount_fen: Whole
    deposit_fen: Whole
    fills: Whole

    @classmethod
    def of(cls, orders: Sequence[BulkOrder], channels: Sequence[Channel], valuation: Valuation) -> "Arcs":
        """Value every order at every channel. Nobody looks on at a batch: waiting costs nothing beside the money's."""

        def each(name: str) -> Whole:
            return _whole([getattr(channel, name) for channel in channels])

        face = _whole([order.face_fen for order in orders])
        column = face[:, None]
        price = _whole([channel.price_ppm or 0 for channel in channels])
        cost = _whole([cost_ppm(channel, valuation, watched=False) for channel in channels])
        pays = column * price // PPM
        fees = -(-column * each("fee_ppm") // PPM) + each("fee_fen")
        net = pays + (-column * cost) // PPM - each("fee_fen")
        carriers = sorted({order.carrier for order in orders})
        takes = np.array([[c in channel.carriers for channel in channels] for c in carriers], bool)
        least = _whole([order.least_ppm for order in orders])[:, None]
        fits = (
            takes.reshape(len(carriers), len(channels))[
                _whole([carriers.index(order.carrier) for order in orders])
            ]
            & np.array([channel.price_ppm is not None and not channel.paused for channel in channels], bool)
            & (column >= each("least_fen"))
            & (column <= each("most_fen"))
            & ((pays - fees) * PPM >= column * least)
            & (net > 0)
        )
        amount = np.minimum(each("daily_left_fen"), each("monthly_left_fen"))
        return cls(orders, channels, face, net, pays, fits, amount, each("deposit_fen"), each("per_minute"))

    def worth_fen(self, places: Whole) -> int:
        """Net value of an allocation: `places` (N) holds the channel of each order, or `NOWHERE`."""
        at = np.flatnonzero(places != NOWHERE)
        return int(self.net_fen[at, places[at]].sum())

    def check(self, places: Whole) -> None:
        """Raise ValueError unless every order fits where it is and no limit is passed."""
        at = np.flatnonzero(places != NOWHERE)
        where = places[at]
        if not self.fits[at, where].all():
            raise ValueError("an order stands where it does not fit")
        for name, used, limit in (
            ("amount", _sums(where, self.face_fen[at], len(self.channels)), self.amount_fen),
            ("deposit", _sums(where, self.pays_fen[at, where], len(self.channels)), self.deposit_fen),
            ("fills", np.bincount(where, minlength=len(self.channels)), self.fills),
        ):
            if (used > limit).any():
                raise ValueError(f"{name}: a channel's limit is passed")


class Rooms:
    """What is left of the channels' limits while orders take their places, one by one; lists, since one at a time is
    quicker in them."""

    def __init__(self, arcs: Arcs) -> None:
        self.amount_fen: list[int] = arcs.amount_fen.tolist()
        self.deposit_fen: list[int] = arcs.deposit_fen.tolist()
        self.fills: list[int] = arcs.fills.tolist()
        self._face: list[int] = arcs.face_fen.tolist()
        self._pays: list[list[int]] = arcs.pays_fen.tolist()

    def take(self, order: int, channel: int) -> bool:
        """Put the order there if there is room for it."""
        face = self._face[order]
        if self.amount_fen[channel] < face or self.fills[channel] < 1:
            return False
        pays = self._pays[order][channel]
        if self.deposit_fen[channel] < pays:
            return False
        self.amount_fen[channel] -= face
        self.deposit_fen[channel] -= pays
        self.fills[channel] -= 1
        return True

    def give_back(self, order: int, channel: int) -> None:
        """The order leaves it."""
        self.amount_fen[channel] += self._face[order]
        self.deposit_fen[channel] += self._pays[order][channel]
        self.fills[channel] += 1


def by_value(arcs: Arcs) -> list[list[int]]:
    """For each order its channels, best net value first, ties by the channels' own order, without those it does not fit."""
    key = np.where(arcs.fits, -arcs.net_fen, np.iinfo(np.int64).max)
    ranked = np.argsort(key, axis=1, kind="stable")
    counts = arcs.fits.sum(axis=1)
    return [row[:count] for row, count in zip(ranked.tolist(), counts.tolist(), strict=True)]


def in_turn(arcs: Arcs, ranked: list[list[int]]) -> Whole:
    """The online way: each order in turn takes its best channel that has room yet."""
    rooms = Rooms(arcs)
    places: list[int] = []
    for order, channels in enumerate(ranked):
        for channel in channels:
            if rooms.take(order, channel):
                places.append(channel)
                break
        else:
            places.append(NOWHERE)
    return _whole(places)


def _whole(values: Any) -> Whole:
    return np.array(values, np.int64)


def _sums(where: Whole, amounts: Whole, count: int) -> Whole:
    """Exact sums by channel: `bincount` with weights would add floating."""
    sums = np.zeros(count, np.int64)
    np.add.at(sums, where, amounts)
    return sums
