"""verify: the carrier is asked who serves the number, whether it lives, what can be sold and if its SIM is fresh.

A card has no number of the seller's to ask about, and no carrier can check a card but by redeeming it.
"""

from dataclasses import dataclass
from datetime import timedelta

from airback.domain.effects import Kind, Outcome, Result
from airback.domain.ports.carrier import LineStatus
from airback.engine.batch import Batch
from airback.engine.records import Order
from airback.engine.reserve import release_fills
from airback.engine.screen import out_of_time
from airback.orders.states import State

SUBSCRIBERS = "subscribers"


@dataclass(frozen=True, slots=True)
class InspectRequest:
    """Read a line; `sim_swap_hours` > 0 asks as well whether its SIM changed within so many hours."""

    ref: str
    number: str
    sim_swap_hours: int


def verify(batch: Batch, order: Order) -> None:
    """screened → verified for a card; a balance waits for the carrier's word."""
    if order.number is None:
        batch.move(order, State.VERIFIED)
        return
    if batch.open_of(order, Kind.INSPECT):
        batch.wait(order, batch.policy.look_again)
        return
    if order.attempts > batch.policy.attempts:
        release_fills(batch, order)
        batch.move(order, State.DECLINED, code="carrier_unreachable")
        return
    if out_of_time(batch, order):
        release_fills(batch, order)
        batch.move(order, State.EXPIRED, code="order_expired")
        return
    if (SUBSCRIBERS, order.lane) in batch.full:
        batch.wait(order, batch.policy.full_look)
        return
    ref = batch.new_ref()
    request = InspectRequest(ref, order.number, batch.policy.sim_swap_hours)
    batch.journal(Kind.INSPECT, far_side=SUBSCRIBERS, request=request, ref=ref, order=order)
    batch.wait(order, batch.policy.look_again)


def inspected(batch: Batch, order: Order, outcome: Outcome) -> None:
    """Fold the carrier's word on the line: verified, declined by name, or asked again a little later."""
    if order.state is not State.SCREENED:
        return
    if outcome.result is not Result.SUCCEEDED:
        if not outcome.detail.get("taken_over"):
            order.attempts += 1
        batch.wait(order, min(batch.policy.retry_after * (1 << min(order.attempts, 6)), timedelta(minutes=1)))
        return
    line = outcome.detail
    code = None
    if not line.get("known") or line["status"] == LineStatus.DEAD:
        code = "number_dead"
    elif line["status"] == LineStatus.SUSPENDED:
        code = "number_suspended"
    elif line["carrier"] != order.carrier:
        code = "carrier_mismatch"
    elif line.get("sim_swapped"):
        code = "sim_swapped"
    elif line["sellable_fen"] < order.face_fen:
        code = "balance_insufficient"
    if code is not None:
        release_fills(batch, order)
        batch.move(order, State.DECLINED, code=code)
    else:
        batch.move(order, State.VERIFIED, carrier=order.carrier)
