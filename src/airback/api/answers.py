"""Answers: documents as JSON, with the headers every answer under `/v1` bears."""

from collections.abc import Sequence

import msgspec
from litestar import Response

_JSON = "application/json"


def answer(document: msgspec.Struct, *, status: int = 200, cached_s: int = 0) -> Response[bytes]:
    """A document. `cached_s` > 0 lets anybody keep it for so long; otherwise nobody may."""
    cache = f"public, max-age={cached_s}" if cached_s else "no-store"
    return Response(
        content=msgspec.json.encode(document),
        status_code=status,
        media_type=_JSON,
        headers={"Cache-Control": cache, "X-Content-Type-Options": "nosniff"},
    )


def batch_status(statuses: Sequence[int]) -> int:
    """201 when every item was accepted, else 207: look at each."""
    return 201 if all(status == 201 for status in statuses) else 207
