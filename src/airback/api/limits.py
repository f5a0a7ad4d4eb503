"""Rate limits: a token bucket per client, and per network address for those who are nobody yet. In this process."""

import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from airback.api.problems import Limited

MOST_KEPT: Final = 50_000
#: A bucket holds so many seconds' worth, so that a burst passes.
BURST_S: Final = 10
LEAST_BURST: Final = 5


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at_s: float


class Buckets:
    """Token buckets by name; the one unused for longest is forgotten first."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def take(self, name: str, *, per_minute: int, now_s: float, cost: int = 1) -> None:
        """Take `cost` tokens. Raises `Limited` when there are not so many."""
        room = float(max(LEAST_BURST, per_minute * BURST_S // 60))
        bucket = self._buckets.get(name)
        if bucket is None:
            bucket = self._buckets[name] = _Bucket(room, now_s)
            if len(self._buckets) > MOST_KEPT:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(name)
            bucket.tokens = min(room, bucket.tokens + max(0.0, now_s - bucket.at_s) * per_minute / 60)
            bucket.at_s = now_s
        if bucket.tokens < cost:
            raise Limited(retry_after_s=max(1, math.ceil((cost - bucket.tokens) * 60 / per_minute)))
        bucket.tokens -= cost
