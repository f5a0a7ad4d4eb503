"""`/healthz`: this process runs. `/readyz`: it can work, because its database answers."""

import asyncio
from datetime import datetime, timedelta
from typing import Any, Final

from litestar import Request, Response, get

from airback.api.answers import answer
from airback.api.documents import Health
from airback.api.gate import platform_of
from airback.queries.health import writer_seen
from airback.store.problems import TROUBLE

ANSWERS_WITHIN_S: Final = 2.0
WRITER_QUIET: Final = timedelta(seconds=15)


@get("/healthz")
async def healthz() -> Response[str]:
    """This process runs."""
    return Response(content="ok", media_type="text/plain", headers={"Cache-Control": "no-store"})


@get("/readyz")
async def readyz(request: Request[Any, Any, Any]) -> Response[bytes]:
    """The database answers and has the schema; whether a writer is at work is told beside it."""
    platform = platform_of(request)
    try:
        async with asyncio.timeout(ANSWERS_WITHIN_S), platform.pool.acquire() as conn:
            seen = await writer_seen(conn, book=platform.book)
    except TROUBLE:
        return answer(Health("unavailable", database=False), status=503)
    return answer(Health("ok", database=True, writer=_at_work(seen, platform.now())))


def _at_work(seen: datetime | None, now: datetime) -> bool:
    return seen is not None and now - seen < WRITER_QUIET


HANDLERS: Final = [healthz, readyz]
