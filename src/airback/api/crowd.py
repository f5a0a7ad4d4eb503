"""So many requests at once and no more: who comes beyond is told at once when to come again, and nobody waits in a queue
that grows. Callers retry; what was asked with an idempotency key is done once however often it is asked."""

from typing import Any, Final

import msgspec

from airback.api.problems import MEDIA_TYPE, problem
from airback.domain.refusals import Refused

#: In one process. Each waits for one of about ten database connections, so that the last waits for some seconds at most.
MOST_AT_ONCE: Final = 200
RETRY_AFTER_S: Final = 1


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
    asked = dict(scope["headers"]).get(b"accept-language", b"").decode("latin-1").lower()
    language = "en" if asked.startswith("en") else "zh"
    body = msgspec.json.encode(problem(Refused("busy"), language=language))
    headers = [
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"content-language", b"en" if language == "en" else b"zh-CN"),
        (b"cache-control", b"no-store"),
        (b"retry-after", str(RETRY_AFTER_S).encode()),
    ]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": body})
