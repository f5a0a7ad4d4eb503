"""The gate before every handler: who asks, may they, and not too often. A handler names its scope in `opt`.

`opt={"scope": "orders:read"}` needs a key with that scope; `opt={"open": n}` is for everybody, n requests a minute
from one network address.
"""

from dataclasses import dataclass, field
from typing import Any, Final

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from airback.api.credentials import Client, Clients
from airback.api.limits import Buckets
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


async def gate(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Let a request in, or raise `Refused`: `credentials_missing`, `credentials_wrong`, `scope_missing`,
    `rate_limited`."""
    platform = platform_of(connection)
    entrance = _entrance(connection, platform)
    now = platform.now()
    now_s = now.timestamp()
    scope = handler.opt.get("scope")
    if scope is None:
        entrance.buckets.take(
            f"open {handler.handler_name} {_address(connection)}",
            per_minute=handler.opt.get("open", 60),
            now_s=now_s,
        )
        return
    key = _key(connection)
    try:
        if key is None:
            raise Refused("credentials_missing")
        client = await entrance.clients.whose(key, pool=platform.pool, now=now)
    except Refused:
        entrance.buckets.take(
            f"stranger {_address(connection)}", per_minute=_STRANGERS_PER_MINUTE, now_s=now_s
        )
        raise
    entrance.buckets.take(f"client {client.client}", per_minute=client.requests_per_minute, now_s=now_s)
    if scope not in client.scopes:
        raise Refused("scope_missing")
    connection.scope.setdefault("state", {})["api_client"] = client


def platform_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Platform:
    """The running platform."""
    platform: Platform = connection.app.state.platform
    return platform


def client_of(request: Request[Any, Any, Any]) -> Client:
    """The client whom the gate let in."""
    client: Client = request.scope["state"]["api_client"]
    return client


def intake_of(request: Request[Any, Any, Any]) -> SharedIntake:
    """Where this process's orders come in."""
    return _entrance(request, platform_of(request)).intake


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
    scheme, _, key = connection.headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" and key.strip() else None
