"""What the seller's pages keep in one process: the limits on codes and the poller of live orders."""

from dataclasses import dataclass
from typing import Any, Final

from litestar import Litestar

from airback.queries.platform import Platform
from airback.web.seller.live import Live
from airback.web.seller.throttle import CodeThrottle

_KEPT_AS: Final = "seller_desk"


@dataclass(frozen=True, slots=True)
class Desk:
    """One process's desk."""

    throttle: CodeThrottle
    live: Live


def desk_of(app: Litestar) -> Desk:
    """The desk of this application, made at first use."""
    found: Any = app.state.get(_KEPT_AS)
    if found is None:
        platform: Platform = app.state.platform
        found = Desk(CodeThrottle(), Live(pool=platform.pool, book=platform.book))
        app.state[_KEPT_AS] = found
    assert isinstance(found, Desk)
    return found
