"""screen: may this order go on at all? Nothing outside is asked; a pause makes it wait, time ends it."""

from datetime import timedelta

from airback.engine.batch import Batch
from airback.engine.records import Order
from airback.engine.reserve import release_fills
from airback.market.pauses import PauseKind
from airback.orders.states import State

_PAUSED_LOOK: timedelta = timedelta(seconds=2)


def screen(batch: Batch, order: Order) -> None:
    """submitted → screened, or expired when its patience is over."""
    if out_of_time(batch, order):
        release_fills(batch, order)
        batch.move(order, State.EXPIRED, code="order_expired")
        return
    if not batch.routing or _paused(batch, order):
        batch.wait(order, _PAUSED_LOOK)
        return
    if order.product == "card":
        batch.claims_kept.append(order.id)
    batch.move(order, State.SCREENED)


def _paused(batch: Batch, order: Order) -> bool:
    """Whether its carrier or its place is paused. How it is paid is looked at when it is paid."""
    province = order.quote.get("province")
    return any(
        batch.pauses.standing(kind, subject, at=batch.now) is not None
        for kind, subject in ((PauseKind.CARRIER, order.carrier), (PauseKind.PROVINCE, province))
    )


def out_of_time(batch: Batch, order: Order) -> bool:
    """Whether an order that has touched nothing yet has waited longer than the operator's patience."""
    return batch.now > order.submitted_at + batch.policy.order_patience
