"""Corrections: what far sides took back after it was final, who bears it, and what of it is still to be made good."""

from typing import Any

from litestar import Response, get

from airback.queries import console
from airback.staff.roles import Permission
from airback.web.console.desk import AnyRequest, asked, platform, show, visitor

MOST: int = 200


@get("/corrections", name="console-corrections")
async def corrections_page(request: AnyRequest) -> Response[Any]:
    """Open corrections, the oldest at the top, or with `show=all` the settled ones after them."""
    who = await visitor(request, needs=Permission.READ_MONEY)
    here = platform(request)
    every = asked(request, "show", most=10) == "all"
    async with here.pool.acquire() as conn:
        return await show(
            request,
            who,
            "corrections.html",
            section="corrections",
            conn=conn,
            corrections=await console.corrections(conn, book=here.book, open_only=not every, limit=MOST),
            every=every,
        )
