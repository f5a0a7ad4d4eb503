"""An outlet's health: a failing one leaves the pool by itself, and returns by itself after a few small probes.

    well → resting      too many of its last fills failed
    resting → probing   its rest is over and one small fill is sent there to see
    probing → well      enough probes in a row were taken
    probing → resting   one was refused: it rests twice as long

Only what the outlet's own number refused counts against it; what a carrier, a seller or we ourselves broke does not.
Results are counted in a window and the one before it, so that old failures are forgotten without a list of them.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from airback.domain.money import MAX_FEN, PPM


class State(StrEnum):
    """Whether orders may go to the outlet."""

    WELL = "well"
    RESTING = "resting"
    PROBING = "probing"


S = State

TRANSITIONS: Final = MappingProxyType(
    {
        S.WELL: frozenset({S.RESTING}),
        S.RESTING: frozenset({S.PROBING}),
        S.PROBING: frozenset({S.WELL, S.RESTING}),
    }
)


@dataclass(frozen=True, slots=True)
class Watch:
    """When an outlet leaves and how it returns: the operator's settings.

    It leaves when of at least `least` results in the last one to two windows `worst_ppm` or more failed. A rest doubles
    from `rest` to `longest_rest`. A probe is an order of at most `probe_most_fen`; when none so small came for
    `lonely` after the rest, any may be one. `probe_silent`: a probe without a word for so long is forgotten.
    """

    window: timedelta = timedelta(minutes=10)
    least: int = 5
    worst_ppm: int = 500_000
    rest: timedelta = timedelta(minutes=1)
    longest_rest: timedelta = timedelta(hours=1)
    probes: int = 3
    probe_most_fen: int = 10_000
    lonely: timedelta = timedelta(minutes=10)
    probe_silent: timedelta = timedelta(hours=2)


@dataclass(frozen=True, slots=True)
class Health:
    """One outlet's. `probe`: the fill that is under way as a probe. `taken` and `refused` count this window,
    `taken_before` and `refused_before` the one before. `rests`: how often it rested without getting well between."""

    outlet: str
    state: State
    since: datetime
    until: datetime | None = None
    rests: int = 0
    probe: int | None = None
    probes_taken: int = 0
    window_at: datetime | None = None
    taken: int = 0
    refused: int = 0
    taken_before: int = 0
    refused_before: int = 0

    @property
    def success_ppm(self) -> int | None:
        """Share of its latest fills that it took; None without any."""
        results = self.taken + self.refused + self.taken_before + self.refused_before
        return (self.taken + self.taken_before) * PPM // results if results else None


class IllegalTransition(Exception):
    """A step that the table does not allow: a bug."""


def fresh(outlet: str, *, now: datetime) -> Health:
    """An outlet of which nothing is known is well."""
    return Health(outlet, S.WELL, now, window_at=now)


def most_fen(health: Health, watch: Watch, *, now: datetime) -> int:
    """The largest face of an order that may go there now: all, a probe's, or 0."""
    if health.state is S.WELL:
        return MAX_FEN
    if health.probe is not None and now < health.since + watch.probe_silent:
        return 0
    if health.until is not None and now < health.until:
        return 0
    free_since = health.until or health.since
    return MAX_FEN if now >= free_since + watch.lonely else watch.probe_most_fen


def probed(health: Health, fill: int, *, now: datetime) -> Health:
    """A fill goes there as a probe. Raises IllegalTransition for an outlet that needs none."""
    if health.state is not S.PROBING:
        return replace(_moved(health, S.PROBING, now), probe=fill, until=None, probes_taken=0)
    return replace(health, probe=fill, since=now)


def forgotten(health: Health, fill: int, *, now: datetime) -> Health:
    """A fill ended without the outlet's word: given back, or broken by somebody else. The next probe may go at once."""
    return replace(health, probe=None, since=now) if health.probe == fill else health


def took(health: Health, fill: int, watch: Watch, *, now: datetime) -> Health:
    """The outlet took a fill."""
    if health.state is S.WELL:
        turned = _turned(health, watch, now)
        return replace(turned, taken=turned.taken + 1)
    if health.probe != fill:
        return health  # sent before it fell ill
    taken = health.probes_taken + 1
    if taken < watch.probes:
        return replace(health, probe=None, probes_taken=taken, since=now)
    return replace(fresh(health.outlet, now=now), since=_moved(health, S.WELL, now).since)


def refused(health: Health, fill: int, watch: Watch, *, now: datetime) -> Health:
    """The outlet's own number refused a fill."""
    if health.state is S.WELL:
        turned = _turned(health, watch, now)
        counted = replace(turned, refused=turned.refused + 1)
        failed = counted.refused + counted.refused_before
        results = failed + counted.taken + counted.taken_before
        if results < watch.least or failed * PPM < watch.worst_ppm * results:
            return counted
        return _rest(counted, watch, now)
    if health.probe != fill:
        return health
    return _rest(health, watch, now)


def _rest(health: Health, watch: Watch, now: datetime) -> Health:
    length = min(watch.rest * (1 << min(health.rests, 16)), watch.longest_rest)
    return replace(
        _moved(health, S.RESTING, now), until=now + length, rests=health.rests + 1, probe=None, probes_taken=0
    )


def _turned(health: Health, watch: Watch, now: datetime) -> Health:
    """The window that `now` lies in: counts grow old once, then they are forgotten."""
    begun = health.window_at
    if begun is not None and now < begun + watch.window:
        return health
    old = begun is None or now >= begun + 2 * watch.window
    return replace(
        health,
        window_at=now,
        taken=0,
        refused=0,
        taken_before=0 if old else health.taken,
        refused_before=0 if old else health.refused,
    )


def _moved(health: Health, to: State, now: datetime) -> Health:
    if to not in TRANSITIONS[health.state]:
        raise IllegalTransition(f"outlet {health.state} → {to}")
    return replace(health, state=to, since=now)
