"""Staff accounts: who there is, a new one, one that may not sign in any more."""

from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath

from airback.domain.refusals import Refused
from airback.engine import appoint
from airback.staff.roles import GRANTS, Permission, Role
from airback.store import staff as store
from airback.web.console.desk import (
    GUARD,
    HOME,
    AnyRequest,
    Visitor,
    asked,
    go,
    platform,
    posted,
    show,
    visitor,
)


async def _people(
    request: AnyRequest, who: Visitor, *, status: int = 200, refused: Refused | None = None, **context: Any
) -> Response[Any]:
    here = platform(request)
    async with here.pool.acquire() as conn:
        return await show(
            request,
            who,
            "people.html",
            section="people",
            status=status,
            conn=conn,
            members=await store.list_staff(conn, book=here.book),
            roles=list(Role),
            grants={str(role): sorted(GRANTS[role]) for role in Role},
            refused=refused,
            **{"name": "", "chosen": [], "disable": None, **context},
        )


@get("/staff", name="console-staff")
async def people_page(request: AnyRequest) -> Response[Any]:
    """Everybody with an account."""
    who = await visitor(request, needs=Permission.READ_STAFF)
    return await _people(request, who, told=asked(request, "told", most=60))


@post("/staff", status_code=200)
async def create_form(request: AnyRequest) -> Response[Any]:
    """A new account. Its first password is typed here and told to the person by another way than this system."""
    who = await visitor(request, needs=Permission.MANAGE_STAFF)
    here = platform(request)
    form = await posted(request, who)
    name, chosen = form.text("name", most=100), form.texts("roles")
    try:
        async with here.pool.acquire() as conn:
            created = await appoint.create_staff(
                conn,
                book=here.book,
                name=name,
                password=form.secret("password"),
                roles=chosen,
                by=who.name,
                now=here.now(),
                entropy=here.entropy,
                guard=GUARD,
            )
    except Refused as refused:
        return await _people(
            request, who, status=refused.refusal.status, refused=refused, name=name, chosen=chosen
        )
    return go(f"{HOME}/staff?told={created}")


@post("/staff/{name:str}/disable", status_code=200)
async def disable_form(request: AnyRequest, name: FromPath[str]) -> Response[Any]:
    """Disable an account and end its sessions."""
    who = await visitor(request, needs=Permission.MANAGE_STAFF)
    here = platform(request)
    form = await posted(request, who)
    try:
        async with here.pool.acquire() as conn:
            await appoint.disable_staff(
                conn,
                book=here.book,
                name=name,
                reason=form.text("reason", most=1000),
                by=who.name,
                roles=who.roles,
                now=here.now(),
            )
    except Refused as refused:
        return await _people(request, who, status=refused.refusal.status, refused=refused, disable=name)
    return go(f"{HOME}/staff")
