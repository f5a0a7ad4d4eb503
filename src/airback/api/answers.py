"""Answers: documents as JSON, with the headers every answer under `/v1` bears."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from litestar import Response

_JSON = "application/json"
_WRITTEN_HEADERS: Final = (
    (b"content-type", _JSON.encode()),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
)


def answer(
    document: msgspec.Struct | Mapping[str, Any], *, status: int = 200, cached_s: int = 0
) -> Response[bytes]:
    """A document. `cached_s` > 0 lets anybody keep it for so long; otherwise nobody may."""
    cache = f"public, max-age={cached_s}" if cached_s else "no-store"
    return Response(
        content=msgspec.json.encode(document),
        status_code=status,
        media_type=_JSON,
        headers={"Cache-Control": cache, "X-Content-Type-Options": "nosniff"},
    )


class Written:
    """An answer that is bytes already, sent as it is: what `answer` says of headers holds, without Litestar's work on them."""

    __slots__ = ("_body",)

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer with 200."""
        headers = [*_WRITTEN_HEADERS, (b"content-length", b"%d" % len(self._body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": self._body, "more_body": False})


def batch_status(statuses: Sequence[int]) -> int:
    """201 when every item was accepted, else 207: look at each."""
    return 201 if all(status == 201 for status in statuses) else 207
