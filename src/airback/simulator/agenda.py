"""Simulated time and what is to happen in it.

Two clocks: one that only runs (`monotonic`), and one on the wall that people set, so that it jumps. The wall clock
moves a little each time somebody looks at it, as it does in reality: two looks never see the same millisecond.
"""

import heapq
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

START: Final = datetime(2026, 11, 1, 8, 0, tzinfo=UTC)
_GLANCE_US: Final = 1_000

Act = Callable[[], None]


class Agenda:
    """What happens when. Acts at the same moment run in the order they were put down."""

    def __init__(self) -> None:
        self._now_us = 0
        self._jumped_us = 0
        self._looks = 0
        self._entries: list[tuple[int, int, Act]] = []
        self._count = 0

    def monotonic(self) -> float:
        """Seconds since the simulation began."""
        return self._now_us / 1_000_000

    def wall(self) -> datetime:
        """What the clock on the wall shows."""
        self._looks += 1
        return START + timedelta(microseconds=self._now_us + self._jumped_us + self._looks * _GLANCE_US)

    def jump(self, span: timedelta) -> None:
        """Somebody sets the clock on the wall."""
        self._jumped_us += span // timedelta(microseconds=1)

    def after(self, seconds: float, act: Act) -> None:
        """Put an act down for so many seconds from now."""
        self._count += 1
        heapq.heappush(self._entries, (self._now_us + round(seconds * 1_000_000), self._count, act))

    def run_due(self) -> int:
        """Run everything whose moment has come; how many acts that were."""
        ran = 0
        while self._entries and self._entries[0][0] <= self._now_us:
            _, _, act = heapq.heappop(self._entries)
            act()
            ran += 1
        return ran

    def next_s(self) -> float | None:
        """Seconds until the next act; None when nothing is left."""
        return (self._entries[0][0] - self._now_us) / 1_000_000 if self._entries else None

    def until_wall(self, when: datetime) -> float:
        """Seconds until the clock on the wall shows `when`, unless it is set meanwhile."""
        shown = START + timedelta(microseconds=self._now_us + self._jumped_us + self._looks * _GLANCE_US)
        return (when - shown).total_seconds()

    def pass_time(self, seconds: float) -> None:
        """Let time run."""
        self._now_us += round(seconds * 1_000_000)
