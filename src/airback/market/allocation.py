"""Allocation of a batch: every order of a consented bulk sale to the channel where all of them together are worth most.

Orders that may go to the same channels and have about the same face are one group; the groups' linear programme says how
much of each goes where and what each limit is worth (its dual price). Orders then take their places by that plan, what is
left over takes the best room that is left, and moves and exchanges follow while they gain. All of that is checked in
integers; where it is not better than the online way (each in turn, its best channel with room), the online way stands.

Only consented bulk sales are allocated so: an order never waits for others to come.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from airback.domain.money import PPM
from airback.market.arcs import NOWHERE, Arcs, BulkOrder, Rooms, Whole, by_value, in_turn
from airback.market.channels import Channel, Valuation
from airback.market.optimum import Plan, bound_fen, solve

#: Arcs of groups that the linear programme takes at most: more gain less than they cost.
MOST_ARCS: Final = 50_000
#: So few orders are solved exactly: no order is cut by the plan.
MOST_EXACT: Final = 300
_PASSES: Final = 4
#: Exchanges at one channel in one pass, and orders that each of them looks at.
_EXCHANGES: Final = 4
_LOOKED_AT: Final = 500


@dataclass(frozen=True, slots=True)
class LimitPrice:
    """What one more unit of a channel's limits would be worth: `face_ppm` for each fen of face, `fill_fen` for each fill."""

    face_ppm: int
    fill_fen: int


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an order goes where it goes. `worth_fen`: its net value there. `best`, `best_fen`: the channel where it alone would
    be worth most; where that is another, `price_fen` is what the limits it would use there are worth to the others."""

    order: str
    outlet: str | None
    worth_fen: int
    best: str | None
    best_fen: int
    price_fen: int


@dataclass(frozen=True, slots=True)
class Allocation:
    """`places` (N): the channel of each order, `NOWHERE` where none takes it. `worth_fen`, `online_fen`: net value of it and
    of the online way. `method`: `plan` or `online`, whichever was worth more. `prices` by outlet; those without are 0."""

    arcs: Arcs
    places: Whole
    worth_fen: int
    online_fen: int
    method: str
    prices: dict[str, LimitPrice]

    def bound_fen(self) -> int | None:
        """What no allocation of these orders can be worth more than: the linear programme's optimum over all arcs. It is solved
        anew, for seconds; None without the solver."""
        plan = solve(
            self.arcs, groups(self.arcs, MOST_ARCS // max(1, len(self.arcs.channels))), patience_s=None
        )
        return None if plan is None else bound_fen(self.arcs, plan)

    def reasons(self) -> list[Reason]:
        """One for each order, in order."""
        arcs, names = self.arcs, [channel.outlet for channel in self.arcs.channels]
        net = np.where(arcs.fits, arcs.net_fen, 0)
        best = net.argmax(axis=1) if names else self.places
        found: list[Reason] = []
        for order, place in enumerate(self.places.tolist()):
            top = int(best[order]) if names and arcs.fits[order].any() else NOWHERE
            price = self.prices.get(names[top]) if top not in (NOWHERE, place) else None
            found.append(
                Reason(
                    arcs.orders[order].id,
                    None if place == NOWHERE else names[place],
                    0 if place == NOWHERE else int(arcs.net_fen[order, place]),
                    None if top == NOWHERE else names[top],
                    0 if top == NOWHERE else int(net[order, top]),
                    0
                    if price is None
                    else int(arcs.face_fen[order]) * price.face_ppm // PPM + price.fill_fen,
                )
            )
        return found


def allocate(
    orders: Sequence[BulkOrder], channels: Sequence[Channel], valuation: Valuation | None = None
) -> Allocation:
    """The best allocation found; never worth less than the online way. Every order goes whole to one channel or nowhere."""
    return best(Arcs.of(orders, channels, valuation or Valuation()))


def best(arcs: Arcs) -> Allocation:
    """`allocate` for arcs that were valued elsewhere."""
    if not arcs.fits.any():
        nowhere = np.full(len(arcs.orders), NOWHERE, np.int64)
        return Allocation(arcs, nowhere, 0, 0, "online", {})
    ranked = by_value(arcs)
    online = in_turn(arcs, ranked)
    online_fen = arcs.worth_fen(online)
    members = groups(arcs, MOST_ARCS // len(arcs.channels))
    plan = solve(arcs, members)
    chosen, prices = online, dict[str, LimitPrice]()  # no plan: the limits have no prices
    if plan is not None:
        shares = solve(arcs, members, whole=True) if len(arcs.orders) <= MOST_EXACT else None
        planned = _improved(arcs, _rounded(arcs, members, shares or plan, ranked), ranked)
        if arcs.worth_fen(planned) > online_fen:
            chosen = planned
        prices = {
            channel.outlet: LimitPrice(face, fill)
            for channel, face, fill in zip(arcs.channels, plan.face_ppm, plan.fill_fen, strict=True)
            if face or fill
        }
    arcs.check(chosen)
    method = "online" if chosen is online else "plan"
    return Allocation(arcs, chosen, arcs.worth_fen(chosen), online_fen, method, prices)


def groups(arcs: Arcs, most: int) -> list[Whole]:
    """Each order by itself where there are at most `most`. Otherwise orders that fit the same channels and whose faces lie
    near each other, so finely that there are at most `most` groups. Where what they fit differs too much for that, orders of one carrier and about one face stay together, and a
    group fits where all of it does."""
    if len(arcs.orders) <= most:
        return [np.array([order], np.int64) for order in range(len(arcs.orders))]
    _, masks = np.unique(np.packbits(arcs.fits, axis=1), axis=0, return_inverse=True)
    carriers = sorted({order.carrier for order in arcs.orders})
    kinds = np.array([carriers.index(order.carrier) for order in arcs.orders], np.int64)
    floors = np.array([order.least_ppm for order in arcs.orders], np.int64) * 50 // PPM
    size = np.log2(arcs.face_fen.astype(np.float64))
    for kind, steps in (
        (masks.reshape(-1).astype(np.int64), (64, 32, 24, 16, 12, 8, 6, 4)),
        (kinds * 51 + floors, (16, 8, 4, 2, 1)),
        (kinds, (1,)),
    ):
        for step in steps:
            sizes = np.floor(size * step).astype(np.int64)
            _, group = np.unique(kind * 65_536 + sizes, return_inverse=True)
            group = group.reshape(-1)
            if int(group.max()) < most:
                break
        else:
            continue
        break
    by_group = np.argsort(group, kind="stable")
    ends = np.cumsum(np.bincount(group))[:-1]
    return list(np.split(by_group, ends))


def _rounded(arcs: Arcs, members: list[Whole], plan: Plan, ranked: list[list[int]]) -> Whole:
    """Whole orders in place of the plan's shares: in each group the largest first, to the channel that has most of its
    share left; who finds no room takes the best that is left."""
    rooms = Rooms(arcs)
    places = np.full(len(arcs.orders), NOWHERE, np.int64)
    shares: dict[int, list[list[int]]] = defaultdict(list)
    for group, channel, quota in zip(plan.groups, plan.channels, plan.quota_fen, strict=True):
        shares[group].append([quota, channel])
    left_over: list[int] = []
    # groups that go to one channel first: of them no share is cut
    for group in sorted(shares, key=lambda group: len(shares[group])):
        quotas = shares[group]
        orders = members[group]
        for order in orders[np.argsort(-arcs.face_fen[orders], kind="stable")].tolist():
            face = int(arcs.face_fen[order])
            most = max(quotas)
            if most[0] * 2 >= face and rooms.take(order, most[1]):
                most[0] -= face
                places[order] = most[1]
            else:
                left_over.append(order)
    seen = {order for group in shares for order in members[group].tolist()}
    left_over += [order for order in range(len(arcs.orders)) if order not in seen]
    left_over.sort(key=lambda order: -int(arcs.face_fen[order]))
    prices, fills = np.array(plan.face_ppm, np.int64), np.array(plan.fill_fen, np.int64)
    for order in left_over:
        # room that others would pay more for is taken last
        gain = arcs.net_fen[order] - arcs.face_fen[order] * prices // PPM - fills
        for channel in sorted(ranked[order], key=lambda channel: -int(gain[channel])):
            if rooms.take(order, channel):
                places[order] = channel
                break
    return places


def _improved(arcs: Arcs, places: Whole, ranked: list[list[int]]) -> Whole:
    """Move orders to better channels with room while that gains, those first that gain most."""
    rooms = Rooms(arcs)
    at: list[int] = places.tolist()
    for order, channel in enumerate(at):
        if channel != NOWHERE:
            rooms.take(order, channel)
    net: list[list[int]] = arcs.net_fen.tolist()
    best = np.where(arcs.fits, arcs.net_fen, 0).max(axis=1)
    for _ in range(_PASSES):
        moved = 0
        now = np.array([0 if p == NOWHERE else net[o][p] for o, p in enumerate(at)], np.int64)
        for order in np.argsort(now - best, kind="stable").tolist():
            here = at[order]
            worth = 0 if here == NOWHERE else net[order][here]
            for channel in ranked[order]:
                if net[order][channel] <= worth:
                    break
                if rooms.take(order, channel):
                    if here != NOWHERE:
                        rooms.give_back(order, here)
                    at[order] = channel
                    moved += 1
                    break
        if moved + _exchanged(arcs, at, rooms) == 0:
            break
    return np.array(at, np.int64)


def _exchanged(arcs: Arcs, at: list[int], rooms: Rooms) -> int:
    """Orders that go nowhere take the place of others, which go where there is room yet, or nowhere: where the room that is
    left makes up the difference and all of it gains. Returns how many did."""
    exchanges = 0
    for channel in range(len(arcs.channels)):
        for _ in range(_EXCHANGES):
            places = np.array(at, np.int64)
            outside = np.flatnonzero((places == NOWHERE) & arcs.fits[:, channel])[:_LOOKED_AT]
            inside = np.flatnonzero(places == channel)[:_LOOKED_AT]
            if not len(outside) or not len(inside):
                break
            face, pays, net = arcs.face_fen, arcs.pays_fen[:, channel], arcs.net_fen[:, channel]
            more = face[outside][:, None] - face[inside] <= rooms.amount_fen[channel]
            more &= pays[outside][:, None] - pays[inside] <= rooms.deposit_fen[channel]
            room = arcs.fits[inside] & (face[inside][:, None] <= np.array(rooms.amount_fen))
            room &= (arcs.pays_fen[inside] <= np.array(rooms.deposit_fen)) & (np.array(rooms.fills) > 0)
            room[:, channel] = False
            elsewhere = np.where(room, arcs.net_fen[inside], 0)
            gain = np.where(more, net[outside][:, None] - net[inside] + elsewhere.max(axis=1), 0)
            best = int(gain.argmax())
            if gain.flat[best] <= 0:
                break
            coming, going = int(outside[best // len(inside)]), int(inside[best % len(inside)])
            rooms.give_back(going, channel)
            at[going] = NOWHERE
            rooms.take(coming, channel)
            at[coming] = channel
            other = int(elsewhere[best % len(inside)].argmax())
            if room[best % len(inside), other] and rooms.take(going, other):
                at[going] = other
            exchanges += 1
    return exchanges
