"""Registers: licences with what they allow."""

from typing import Any

from litestar import Response, get

from airback.compliance.licences import Capability, allowed, standing
from airback.staff.roles import Permission
from airback.store import licences
from airback.web.console.desk import AnyRequest, platform, show, visitor


@get("/licences", name="console-licences")
async def licences_page(request: AnyRequest) -> Response[Any]:
    """Recorded licences, and which capabilities they switch on."""
    who = await visitor(request, needs=Permission.READ_LICENCES)
    here = platform(request)
    now = here.now()
    async with here.pool.acquire() as conn:
        found = await licences.list_licences(conn, book=here.book)
        return await show(
            request,
            who,
            "licences.html",
            section="licences",
            conn=conn,
            licences=[(licence, standing(licence=licence, now=now)) for licence in found],
            capabilities=[str(one) for one in Capability],
            allowed=allowed(licences=found, now=now),
        )
