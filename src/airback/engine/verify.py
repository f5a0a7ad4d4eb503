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
from airback.market.offers import LONGEST
from airback.orders.states import State

SUBSCRIBERS = "subscribers"
#: For an order that was an offer the carrier is asked about a changed SIM since the number was proved: as long as an offer
#: rests, and as long as an order then waits.
SINCE_PROOF_H = LONGEST // timedelta(hours=1) + 2


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
    hours = batch.policy.sim_swap_hours
    request = InspectRequest(ref, order.number, max(hours, SINCE_PROOF_H) if _offered(order) else hours)
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
    elif line.get("sim_swapped") is None and _offered(order):
        code = "number_unproven"  # of a proof of days ago only the carrier's word says that it still holds
    elif line["sellable_fen"] < order.face_fen:
        code = "balance_insufficient"
    if code is not None:
        release_fills(batch, order)
        batch.move(order, State.DECLINED, code=code)
    else:
        batch.move(order, State.VERIFIED, carrier=order.carrier)


def _offered(order: Order) -> bool:
    """Whether the order was an offer: its number was proved when that was made."""
    return order.quote.get("facts", {}).get("agreed_ppm") is not None
