"""What a writer remembers of its book between batches, so that it need not read what it wrote itself.

True only while its epoch stands: nobody but the book's writer changes orders, fills, payouts or accounts, every batch
commits under the fence, and after any failure the writer begins anew with an empty memory.
"""

from collections.abc import Iterable, MutableMapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Final
from weakref import WeakValueDictionary

from airback.engine.batch import Batch
from airback.engine.records import Order, Payout
from airback.ledger.postings import Standing
from airback.market.channels import Channel
from airback.market.health import Health
from airback.orders.states import FINAL

#: So many orders and accounts are remembered; the longest untouched are forgotten first.
MOST_ORDERS: Final = 10_000
MOST_ACCOUNTS: Final = 50_000
_ID: Final = attrgetter("id")


@dataclass(slots=True)
class Memory:
    """Orders under way with their fills and payouts, and accounts' standings, as the database has them.

    A payout that pays several orders is one object for all of them, and lives as long as one of them is remembered.
    Dictionaries keep the order of insertion, which is that of the last touch. `health` None: not read yet. `channels`: the
    outlets' terms with what is left of their limits, counted anew at each refresh and carried on from batch to batch.
    """

    orders: dict[int, Order] = field(default_factory=dict)
    payouts: MutableMapping[int, Payout] = field(default_factory=WeakValueDictionary)
    standings: dict[int, Standing] = field(default_factory=dict)
    health: dict[str, Health] | None = None
    channels: Sequence[Channel] = ()

    def recall(self, batch: Batch, order_ids: Iterable[int]) -> list[int]:
        """Put the remembered among these orders into a batch. Returns the others, ascending."""
        missing: list[int] = []
        for order_id in sorted(order_ids):
            order = self.orders.get(order_id)
            if order is None:
                missing.append(order_id)
                continue
            batch.orders[order_id] = order
            for payout in order.payouts:
                batch.payouts[payout.id] = payout
        return missing

    def keep(self, batch: Batch) -> None:
        """Remember what a committed batch leaves: orders that go on, and the accounts it read."""
        for order in batch.orders.values():
            self.orders.pop(order.id, None)
            order.changed = order.requoted = False
            for fill in order.fills:
                fill.new = fill.changed = False
                fill.routed = None
            for payout in order.payouts:
                payout.new = payout.changed = False
                self.payouts[payout.id] = payout
            if order.state not in FINAL:
                # As they would be read; a clock that was put back gives later ones smaller ids.
                order.fills.sort(key=_ID)
                order.payouts.sort(key=_ID)
                self.orders[order.id] = order
        _shorten(self.orders, MOST_ORDERS)
        for account_id in batch.balances.deltas.keys() - batch.balances.read:
            self.standings.pop(account_id, None)  # changed without being read: what it is now is not known
        for account_id in batch.balances.read:
            self.standings.pop(account_id, None)
            self.standings[account_id] = batch.balances.standings[account_id]
        _shorten(self.standings, MOST_ACCOUNTS)
        if self.health is not None and batch.health:
            self.health = batch.health
        if batch.demands.terms:
            self.channels = batch.demands.left()


def _shorten(memory: dict[int, Order] | dict[int, Standing], most: int) -> None:
    while len(memory) > most:
        del memory[next(iter(memory))]
