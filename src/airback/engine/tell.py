"""tell: an outlet that named an address hears of its fills and of new prices. Nothing depends on it.

A notice is journalled before it is sent, like everything that goes out, and sent again at growing intervals until the
outlet has taken it or a day is over. While too many wait for an outlet it is told nothing new, which is an alarm. A
notice tells an outlet nothing of the order, its seller or other outlets.
"""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import msgspec

from airback.domain import ids
from airback.domain.effects import Kind
from airback.domain.numbers import mask
from airback.domain.ports.outlet import Event, Notice
from airback.engine.batch import Batch
from airback.engine.records import Fill, OpenEffect, Order
from airback.store.outlets import Hook

#: For so long a notice is tried.
TRIED_FOR: Final = timedelta(hours=24)
#: So many notices may wait for one outlet. Of more it is not told: its fills stand in the API, and the writer looks at every
#: open effect, so an outlet that takes nothing must not slow down all the others.
MOST_WAITING: Final = 1000


def tell(batch: Batch, hook: Hook, event: Event, data: Mapping[str, Any]) -> None:
    """Journal a notice to one outlet."""
    ref = batch.new_ref()
    body = json.dumps(
        {"type": str(event), "timestamp": batch.now.isoformat(), "data": dict(data)}, ensure_ascii=False
    )
    _journal(batch, hook.outlet, Notice(ref, hook.url, _secret(batch, hook), body), ref=ref)


def tell_filled(batch: Batch, order: Order, fill: Fill) -> None:
    """Its own fill was delivered."""
    hook = batch.hooks.get(fill.outlet)
    if hook is None:
        return
    demand = {} if fill.demand_id is None else {"demand": ids.public("dem", fill.demand_id)}
    tell(
        batch,
        hook,
        Event.FILLED,
        {
            "fill": ids.public("fil", fill.id),
            **demand,
            "carrier": order.carrier,
            "number": mask(fill.number),
            "delivered_fen": fill.delivered_fen,
            "price_ppm": fill.price_ppm,
            "pays_fen": fill.pays_fen,
        },
    )


def tell_prices(batch: Batch, *, effective_at: str) -> None:
    """A rate card was published: whoever bids may want to bid otherwise."""
    for hook in batch.hooks.values():
        tell(batch, hook, Event.PRICES, {"effective_at": effective_at, "rates": "/v1/rates"})


def tell_again(batch: Batch, effect: OpenEffect) -> None:
    """A person wants a notice sent once more, to where the outlet is told now. It keeps its own `ref`."""
    outlet = effect.far_side.partition(":")[2]
    hook = batch.hooks.get(outlet)
    if effect.kind is not Kind.WEBHOOK or hook is None:
        return
    plain = batch.keys.unseal(
        purpose="effect", sealed=effect.sealed, where=f"effects/request/{effect.id}".encode()
    )
    told = msgspec.json.decode(plain, type=Notice)
    again = Notice(told.ref, hook.url, _secret(batch, hook), told.body)
    _journal(batch, outlet, again, ref=batch.new_ref())


def _journal(batch: Batch, outlet: str, notice: Notice, *, ref: str) -> None:
    far_side = f"outlet:{outlet}"
    batch.notices[far_side] += 1
    if batch.notices[far_side] > MOST_WAITING:
        if batch.notices[far_side] == MOST_WAITING + 1:
            batch.alarm("notices_not_made", far_side, waiting=MOST_WAITING)
        return
    batch.journal(Kind.WEBHOOK, far_side=far_side, request=notice, ref=ref, send_within=TRIED_FOR)


def _secret(batch: Batch, hook: Hook) -> str:
    return batch.keys.unseal(purpose="webhook", sealed=hook.secret, where=hook_place(hook.outlet)).decode()


def hook_place(outlet: str) -> bytes:
    """Where a sealed secret belongs."""
    return f"outlet_hooks/secret/{outlet}".encode()
