"""So many requests at once and no more: who comes beyond is told at once when to come again, and nobody waits in a queue
that grows. Callers retry; what was asked with an idempotency key is done once however often it is asked."""

from typing import Any, Final

from airback.api.problems import MEDIA_TYPE, preferred, written
from airback.domain.refusals import Refused

#: In one process. Each waits for one of about ten database connections, so that the last waits for some seconds at most.
MOST_AT_ONCE: Final = 200


class Crowd:
    """An ASGI application before another: counts requests to `/v1` under way, and refuses those beyond `most` with
    `busy` (503, Retry-After). Pages that stay open for news are not counted."""

    def __init__(self, app: Any, *, most: int = MOST_AT_ONCE) -> None:
        self._app = app
        self._most = most
        self._inside = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one connection."""
        if scope["type"] != "http" or not scope["path"].startswith("/v1/"):
            await self._app(scope, receive, send)
            return
        if self._inside >= self._most:
            await _refuse(scope, send)
            return
        self._inside += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._inside -= 1


async def _refuse(scope: Any, send: Any) -> None:
    accept_language = dict(scope["headers"]).get(b"accept-language", b"").decode("latin-1")
    status, body, headers = written(Refused("busy"), language=preferred(accept_language))
    headers |= {"Content-Type": MEDIA_TYPE, "Content-Length": str(len(body))}
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
