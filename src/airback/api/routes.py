"""All routes of the API, ready to be mounted: `Litestar(route_handlers=[*ROUTERS, …])`.

The application needs `state.platform` (an `airback.queries.platform.Platform`) and, for addresses that match no route
and methods that match none, `exception_handlers=APP_EXCEPTION_HANDLERS` or its own.
"""

from typing import Any, Final

from litestar import Request, Response, Router, route
from litestar.exceptions import HTTPException
from litestar.params import FromPath

from airback.api import (
    demands,
    health,
    margin,
    notifications,
    offers,
    openapi,
    orders,
    outlets,
    quotes,
    rate_index,
    rivals,
    standing_bids,
)
from airback.api.gate import gate
from airback.api.problems import EXCEPTION_HANDLERS, on_http
from airback.api.reading import MOST_BODY_BYTES
from airback.domain.refusals import Refused


@route("/{rest:path}", http_method=["GET", "POST", "PUT", "PATCH", "DELETE"], opt={"open": 120})
async def elsewhere(request: Request[Any, Any, Any], rest: FromPath[str]) -> Response[bytes]:
    """Whatever else is asked for under `/v1` is not there."""
    raise Refused("not_found")


def under_v1(request: Request[Any, Any, Any]) -> bool:
    """Whether a request is the API's to answer."""
    return request.url.path.startswith("/v1/") or request.url.path in ("/v1", "/healthz", "/readyz")


V1: Final = Router(
    path="/v1",
    route_handlers=[
        *quotes.HANDLERS,
        *orders.HANDLERS,
        *offers.HANDLERS,
        *demands.HANDLERS,
        *margin.HANDLERS,
        *rate_index.HANDLERS,
        *outlets.HANDLERS,
        *standing_bids.HANDLERS,
        *notifications.HANDLERS,
        *rivals.HANDLERS,
        *openapi.HANDLERS,
        elsewhere,
    ],
    before_request=gate,
    exception_handlers=EXCEPTION_HANDLERS,
    request_max_body_size=MOST_BODY_BYTES,
    include_in_schema=False,
)

HEALTH: Final = Router(
    path="/", route_handlers=health.HANDLERS, exception_handlers=EXCEPTION_HANDLERS, include_in_schema=False
)

ROUTERS: Final = [V1, HEALTH]

#: For an application of the API alone; one with pages asks `under_v1` first.
APP_EXCEPTION_HANDLERS: Final[dict[Any, Any]] = {HTTPException: on_http}
