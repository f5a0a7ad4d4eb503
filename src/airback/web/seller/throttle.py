"""How often codes may be sent: a message costs money and can annoy a stranger.

Counts live in this process and are bounded; with several `serve` processes each has its own, and the carrier's own
limits stand behind them.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass
from datetime import datetime
from typing import Final

RESEND_AFTER_S: Final = 60
_HOUR_S: Final = 3600
MOST_PER_NUMBER: Final = 5
MOST_PER_ADDRESS: Final = 30
_MOST_KEYS: Final = 50_000


@dataclass(frozen=True, slots=True)
class Wait:
    """Seconds until a code may be sent again; `code` names the refusal."""

    code: str
    seconds: int


class CodeThrottle:
    """Sixty seconds between two codes to a number, five an hour; thirty an hour from one address."""

    def __init__(self) -> None:
        self._sent: OrderedDict[str, deque[float]] = OrderedDict()

    def wait(self, *, number: str, address: str, now: datetime) -> Wait | None:
        """Why and how long to wait before sending to `number` for somebody at `address`, or None."""
        at = now.timestamp()
        to_number = self._recent(f"n/{number}", at)
        if to_number and at - to_number[-1] < RESEND_AFTER_S:
            return Wait("code_too_soon", int(RESEND_AFTER_S - (at - to_number[-1])) + 1)
        for times, most in (
            (to_number, MOST_PER_NUMBER),
            (self._recent(f"a/{address}", at), MOST_PER_ADDRESS),
        ):
            if len(times) >= most:
                return Wait("rate_limited", int(_HOUR_S - (at - times[0])) + 1)
        return None

    def sent(self, *, number: str, address: str, now: datetime) -> None:
        """A code is being sent."""
        for key in (f"n/{number}", f"a/{address}"):
            self._recent(key, now.timestamp()).append(now.timestamp())
            self._sent.move_to_end(key)
        while len(self._sent) > _MOST_KEYS:
            self._sent.popitem(last=False)

    def _recent(self, key: str, at: float) -> deque[float]:
        times = self._sent.setdefault(key, deque())
        while times and at - times[0] >= _HOUR_S:
            times.popleft()
        return times
