"""watch: an outlet that refuses what is sent to it leaves the pool, and comes back by probes. See `market.health`."""

from airback.engine.batch import Batch
from airback.engine.records import Fill
from airback.market import health as outlets
from airback.market.health import Health, State

#: What the outlet's own number said. Everything else is a carrier's, a seller's or our own doing.
THEIR_REFUSAL = "target_refused"


def probed(batch: Batch, fill: Fill) -> None:
    """The fill goes to an outlet that is not well, to see."""
    batch.set_health(outlets.probed(_health(batch, fill), fill.id, now=batch.now))


def took(batch: Batch, fill: Fill) -> None:
    """The outlet's number took the fill."""
    before = _health(batch, fill)
    after = outlets.took(before, fill.id, batch.policy.watch, now=batch.now)
    if after is before:
        return
    blameless = after.refused == 0 and after.refused_before == 0
    if before.state is State.WELL and blameless and after.window_at == before.window_at:
        # Counted in memory and written once a window: what a crash forgets of it decides nothing.
        batch.health[fill.outlet] = after
        return
    batch.set_health(after)
    if before.state is not State.WELL and after.state is State.WELL:
        batch.record("engine:outlet:well", outlet=fill.outlet)
        batch.close_alarm("outlet_resting", fill.outlet)


def ended(batch: Batch, fill: Fill, code: str | None) -> None:
    """The fill came to nothing: refused by the outlet's number, or broken by somebody else."""
    before = _health(batch, fill)
    if code == THEIR_REFUSAL:
        after = outlets.refused(before, fill.id, batch.policy.watch, now=batch.now)
    else:
        after = outlets.forgotten(before, fill.id, now=batch.now)
    if after is before:
        return
    batch.set_health(after)
    if before.state is not State.RESTING and after.state is State.RESTING:
        until = after.until.isoformat() if after.until else None
        batch.record("engine:outlet:resting", outlet=fill.outlet, until=until)
        batch.alarm("outlet_resting", fill.outlet, until=until)


def _health(batch: Batch, fill: Fill) -> Health:
    return batch.health.get(fill.outlet) or outlets.fresh(fill.outlet, now=batch.now)
