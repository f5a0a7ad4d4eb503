"""The gate before every handler: who asks, may they, and not too often. A handler names its scope in `opt`.

`opt={"scope": "orders:read"}` needs a key with that scope; `opt={"open": n}` is for everybody, n requests a minute
from one network address.
"""

from dataclasses import dataclass, field
from typing import Any, Final

from litestar import Request
from litestar.connection import ASGIConnection

from airback.api.credentials import Client, Clients
from airback.api.limits import Buckets
from airback.api.offering import Offering
from airback.api.reading import header
from airback.domain.refusals import Refused
from airback.engine.submit import SharedIntake
from airback.queries.platform import Platform

#: Requests a minute from one address that come without a good key.
_STRANGERS_PER_MINUTE: Final = 60
_STATE: Final = "airback_api"


@dataclass(slots=True)
class Entrance:
    """What the gate remembers in this process."""

    clients: Clients
    intake: SharedIntake
    buckets: Buckets = field(default_factory=Buckets)
    offering: Offering | None = None


async def gate(request: Request[Any, Any, Any]) -> None:
    """Let a request in, or raise `Refused`: `credentials_missing`, `credentials_wrong`, `scope_missing`,
    `rate_limited`. It stands before each handler as `before_request`: for a guard, Litestar copies the handler."""
    platform = platform_of(request)
    entrance = _entrance(request, platform)
    handler = request.route_handler
    now = platform.now()
    now_s = now.timestamp()
    scope = handler.opt.get("scope")
    if scope is None:
        entrance.buckets.take(
            f"open {handler.handler_name} {_address(request)}",
            per_minute=handler.opt.get("open", 60),
            now_s=now_s,
        )
        return
    key = _key(request)
    try:
        if key is None:
            raise Refused("credentials_missing")
        client = await entrance.clients.whose(key, pool=platform.pool, now=now)
    except Refused:
        entrance.buckets.take(f"stranger {_address(request)}", per_minute=_STRANGERS_PER_MINUTE, now_s=now_s)
        raise
    entrance.buckets.take(f"client {client.client}", per_minute=client.requests_per_minute, now_s=now_s)
    if scope not in client.scopes:
        raise Refused("scope_missing")
    state = request.scope.setdefault("state", {})
    state["api_client"], state["api_platform"], state["api_entrance"] = client, platform, entrance


def platform_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Platform:
    """The running platform."""
    platform: Platform | None = connection.scope.get("state", {}).get("api_platform")
    return connection.app.state.platform if platform is None else platform


def client_of(request: Request[Any, Any, Any]) -> Client:
    """The client whom the gate let in."""
    client: Client = request.scope["state"]["api_client"]
    return client


def entrance_of(request: Request[Any, Any, Any]) -> Entrance:
    """What this process remembers of those who came in."""
    entrance: Entrance | None = request.scope.get("state", {}).get("api_entrance")
    return _entrance(request, platform_of(request)) if entrance is None else entrance


def _address(connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    return connection.client.host if connection.client else "unknown"


def _entrance(connection: ASGIConnection[Any, Any, Any, Any], platform: Platform) -> Entrance:
    state = connection.app.state
    entrance: Entrance | None = state.get(_STATE)
    if entrance is None:
        entrance = Entrance(
            Clients(book=platform.book, keys=platform.keys),
            SharedIntake(platform.pool, book=platform.book, keys=platform.keys, entropy=platform.entropy),
        )
        state[_STATE] = entrance
    return entrance


def _key(connection: ASGIConnection[Any, Any, Any, Any]) -> str | None:
    scheme, _, key = (header(connection, b"authorization") or "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" and key.strip() else None
