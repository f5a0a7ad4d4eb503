"""The door: sign in, sign out, change one's own password."""

import hmac
from typing import Any
from urllib.parse import quote

from litestar import Response, get, post

from airback.domain.refusals import REFUSALS, Refused
from airback.engine import appoint, sign_in
from airback.web.console.desk import (
    COOKIE,
    FORM_COOKIE,
    GUARD,
    HOME,
    READER,
    AnyRequest,
    SignedOut,
    asked,
    form_cookie,
    frame,
    go,
    next_page,
    platform,
    posted,
    read_form,
    session_cookie,
    show,
    visitor,
)
from airback.web.layout import language_of, page


def _door(
    request: AnyRequest, *, to: str, name: str = "", refused: str | None = None, status: int = 200
) -> Response[Any]:
    here = platform(request)
    token = request.cookies.get(FORM_COOKIE) or sign_in.new_token(here.entropy)
    language = language_of(request)
    answer = page(
        request,
        reader=READER,
        template="sign_in.html",
        context={
            **frame(request, now=here.now()),
            "form_token": token,
            "to": to,
            "name": name,
            "refused": None if refused is None else REFUSALS[refused].sentence(language),
            "remedy": None if refused is None else REFUSALS[refused].remedy(language),
        },
        entropy=here.entropy,
        status=status,
    )
    answer.set_cookie(form_cookie(request, token))
    return answer


@get("/sign-in", name="console-sign-in")
async def sign_in_page(request: AnyRequest) -> Response[Any]:
    """The sign-in form; whoever is signed in goes on."""
    to = next_page(asked(request, "next", most=500))
    try:
        await visitor(request, needs=None)
    except SignedOut:
        return _door(request, to=to)
    return go(to)


@post("/sign-in", status_code=200)
async def sign_in_form(request: AnyRequest) -> Response[Any]:
    """Sign in. A wrong name, a wrong password and a pause get the same answer."""
    here = platform(request)
    form = await read_form(request)
    cookie = request.cookies.get(FORM_COOKIE, "")
    if not cookie or not hmac.compare_digest(cookie.encode(), form.text("csrf").encode()):
        return _door(request, to=HOME, refused="form_stale", status=403)
    to = next_page(form.text("next"))
    name = form.text("name", most=200)
    try:
        entered = await sign_in.sign_in(
            here.pool,
            book=here.book,
            name=name,
            password=form.secret("password"),
            former_token=request.cookies.get(COOKIE),
            guard=GUARD,
            now=here.now(),
            entropy=here.entropy,
        )
    except Refused as refused:
        return _door(request, to=to, name=name, refused=refused.code, status=refused.refusal.status)
    answer = go(to)
    answer.set_cookie(session_cookie(request, entered.token))
    answer.delete_cookie(FORM_COOKIE, path=f"{HOME}/sign-in")
    return answer


@post("/sign-out", status_code=200)
async def sign_out_form(request: AnyRequest) -> Response[Any]:
    """End the session here and in the database."""
    here = platform(request)
    who = await visitor(request, needs=None)
    await posted(request, who)
    async with here.pool.acquire() as conn:
        await sign_in.sign_out(conn, book=here.book, token=who.token)
    answer = go(f"{HOME}/sign-in")
    answer.delete_cookie(COOKIE, path=HOME)
    return answer


@get("/account", name="console-account")
async def account_page(request: AnyRequest) -> Response[Any]:
    """Own name, roles and password."""
    who = await visitor(request, needs=None)
    return await show(request, who, "account.html", section="account", told=asked(request, "told"))


@post("/account/password", status_code=200)
async def password_form(request: AnyRequest) -> Response[Any]:
    """Change one's own password; other sessions end."""
    here = platform(request)
    who = await visitor(request, needs=None)
    form = await posted(request, who)
    wanted = form.secret("wanted")
    try:
        if not hmac.compare_digest(wanted.encode(), form.secret("again").encode()):
            raise Refused("field_invalid", field="again")
        await appoint.change_password(
            here.pool,
            book=here.book,
            name=who.name,
            password=form.secret("password"),
            wanted=wanted,
            token=who.token,
            guard=GUARD,
            now=here.now(),
            entropy=here.entropy,
        )
    except Refused as refused:
        return await show(
            request, who, "account.html", section="account", status=refused.refusal.status, refused=refused
        )
    return go(f"{HOME}/account?told={quote('password')}")
