"""Breaks: what differs from far sides' statements, whose work it is, and the clearing accounts they explain."""

from typing import Any

from litestar import Response, get

from airback.queries import daily_close
from airback.staff.roles import Permission
from airback.store import statements
from airback.web.console.desk import AnyRequest, asked, platform, show, visitor

MOST: int = 200


@get("/breaks", name="console-breaks")
async def breaks_page(request: AnyRequest) -> Response[Any]:
    """Open breaks, those due first at the top, or with `show=all` the closed ones after them."""
    who = await visitor(request, needs=Permission.READ_MONEY)
    here = platform(request)
    every = asked(request, "show", most=10) == "all"
    async with here.pool.acquire() as conn:
        return await show(
            request,
            who,
            "breaks.html",
            section="breaks",
            conn=conn,
            breaks=await statements.list_breaks(conn, book=here.book, open_only=not every, limit=MOST),
            accounts=await daily_close.clearing(conn, book=here.book),
            every=every,
        )
