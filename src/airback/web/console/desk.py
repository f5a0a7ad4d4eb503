"""Who sits at the desk: the session behind a request, what they may do, the token their forms carry.

Each page begins with `visitor(...)`, which names the permission it needs; each form with `posted(...)`, which
refuses whatever did not come from one of our own pages in this very session. A page that asks for news by itself
does not keep a session alive: only a person does.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote, urlsplit

import asyncpg
from litestar import Request, Response
from litestar.datastructures import Cookie, UploadFile
from litestar.response import Redirect
from litestar.status_codes import HTTP_303_SEE_OTHER

from airback.domain import ids
from airback.domain.refusals import REFUSALS, Refused
from airback.engine import sign_in
from airback.queries import console
from airback.queries.platform import Platform
from airback.staff.roles import Permission, may, require
from airback.store import proposals
from airback.web.console.words import Words
from airback.web.layout import is_https, language_of, page

AnyRequest = Request[Any, Any, Any]

READER: Final = "console"
HOME: Final = "/console"
COOKIE: Final = "airback_console"
FORM_COOKIE: Final = "airback_console_form"
MOST_BODY: Final = 512 * 1024
MOST_TEXT: Final = 2000

GUARD: Final = sign_in.Guard()


class SignedOut(Exception):
    """Nobody is signed in, or the session ended."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """One member of staff at one of our pages."""

    name: str
    roles: tuple[str, ...]
    csrf: str = field(repr=False)
    token: str = field(repr=False)

    def may(self, permission: str) -> bool:
        """Whether the visitor may do that (`orders:read`)."""
        return may(roles=self.roles, permission=Permission(permission))


def platform(request: AnyRequest) -> Platform:
    """The running platform."""
    found: Platform = request.app.state.platform
    return found


def by_itself(request: AnyRequest) -> bool:
    """Whether the page asked, not the person."""
    return request.headers.get("hx-request") == "true"


async def visitor(request: AnyRequest, *, needs: Permission | None) -> Visitor:
    """Whoever asks, when they may. Raises `SignedOut`, or `Refused("role_missing")`."""
    token = request.cookies.get(COOKIE, "")
    here = platform(request)
    if not token:
        raise SignedOut
    async with here.pool.acquire() as conn:
        session = await sign_in.session(
            conn, book=here.book, token=token, now=here.now(), seen=not by_itself(request)
        )
    if session is None:
        raise SignedOut
    who = Visitor(name=session.name, roles=session.roles, csrf=session.csrf, token=token)
    request.scope["airback.visitor"] = who  # type: ignore[typeddict-unknown-key]
    if needs is not None:
        require(roles=who.roles, permission=needs)
    return who


class Form:
    """Texts of a posted form. Every value is text without control characters other than line breaks."""

    def __init__(self, values: Mapping[str, list[str]], files: Mapping[str, bytes]) -> None:
        self._values = values
        self._files = files

    def text(self, key: str, *, most: int = MOST_TEXT) -> str:
        """The first value under `key`, stripped; empty when there is none. Raises `Refused("field_invalid")`."""
        values = self._values.get(key)
        return plain(values[0] if values else "", field=key, most=most)

    def secret(self, key: str) -> str:
        """The first value under `key` exactly as typed: a password keeps its spaces."""
        values = self._values.get(key)
        return values[0][:MOST_TEXT] if values else ""

    def file(self, key: str) -> bytes:
        """The bytes of the file under `key`; none when no file was chosen."""
        return self._files.get(key, b"")

    def texts(self, key: str) -> list[str]:
        """Every value under `key`."""
        return [plain(value, field=key, most=MOST_TEXT) for value in self._values.get(key, [])]


def plain(text: str, *, field: str, most: int = MOST_TEXT) -> str:
    """Text as it may be stored. Raises `Refused("field_invalid")` for control characters or beyond `most`."""
    text = text.replace("\r\n", "\n").strip()
    if len(text) > most or any(ord(character) < 32 and character not in "\n\t" for character in text):
        raise Refused("field_invalid", field=field)
    return text


def asked(request: AnyRequest, key: str, *, most: int = 200) -> str:
    """A query parameter as text, empty when absent. Raises `Refused("field_invalid")`."""
    value = request.query_params.get(key, "")
    return plain(value, field=key, most=most)


async def read_form(request: AnyRequest) -> Form:
    """The posted form. A request that another site caused, as the browser says, is refused as `form_stale`."""
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise Refused("form_stale")
    values: dict[str, list[str]] = {}
    files: dict[str, bytes] = {}
    for key, value in (await request.form()).multi_items():
        if isinstance(value, str):
            values.setdefault(key, []).append(value)
        elif isinstance(value, UploadFile) and key not in files:
            files[key] = await value.read()
    return Form(values, files)


async def posted(request: AnyRequest, who: Visitor) -> Form:
    """The form that this visitor sent. Raises `Refused("form_stale")` unless it carries the session's token."""
    form = await read_form(request)
    if not hmac.compare_digest(form.text("csrf").encode(), who.csrf.encode()):
        raise Refused("form_stale")
    return form


async def show(
    request: AnyRequest,
    who: Visitor,
    template: str,
    *,
    section: str,
    status: int = 200,
    conn: asyncpg.Connection | None = None,
    **context: Any,
) -> Response[str]:
    """A page inside the shell. `section` is the entry of the menu that is marked as current."""
    here = platform(request)
    now = here.now()

    async def facts(connection: asyncpg.Connection) -> dict[str, Any]:
        return {
            "book_now": await console.book_now(connection, book=here.book),
            "waiting": {
                "approvals": await proposals.count_open(connection, book=here.book, now=now),
                "alarms": await console.count_open_alarms(connection, book=here.book),
                "corrections": await console.count_open_corrections(connection, book=here.book),
            },
        }

    if conn is not None:
        shell = await facts(conn)
    else:
        async with here.pool.acquire() as connection:
            shell = await facts(connection)
    return page(
        request,
        reader=READER,
        template=template,
        context={
            **frame(request, now=now),
            **shell,
            "who": who,
            "section": section,
            **context,
        },
        entropy=here.entropy,
        status=status,
    )


def frame(request: AnyRequest, *, now: datetime) -> dict[str, Any]:
    """What every template knows, signed in or not."""
    return {
        "w": Words(language_of(request)),
        "now": now,
        "public": ids.public,
        "path": request.url.path,
        "other_language": other_language(request),
        "told": None,
    }


def other_language(request: AnyRequest) -> str:
    """This page's address in the other language."""
    language = "en" if language_of(request).startswith("zh") else "zh"
    kept = [
        f"{quote(key, safe='')}={quote(str(value), safe='')}"
        for key, value in request.query_params.multi_items()
        if key != "lang"
    ]
    path = request.url.path if request.method == "GET" else HOME
    return f"{path}?{'&'.join([*kept, f'lang={language}'])}"


def go(where: str) -> Redirect:
    """On to another page, with GET."""
    return Redirect(path=where, status_code=HTTP_303_SEE_OTHER, headers={"cache-control": "no-store"})


def next_page(text: str) -> str:
    """Where to go after signing in: a path of the console, never another host."""
    parts = urlsplit(text)
    inside = parts.path == HOME or parts.path.startswith(f"{HOME}/")
    if parts.scheme or parts.netloc or not inside or "\\" in text or not text.isprintable():
        return HOME
    return f"{quote(parts.path)}?{quote(parts.query, safe='=&%')}" if parts.query else quote(parts.path)


def session_cookie(request: AnyRequest, token: str) -> Cookie:
    """The session's cookie: out of reach of scripts and of other sites; gone when the browser closes."""
    return Cookie(
        key=COOKIE, value=token, path=HOME, httponly=True, samesite="strict", secure=is_https(request)
    )


def form_cookie(request: AnyRequest, token: str) -> Cookie:
    """The token of the sign-in form, before there is a session to keep it."""
    return Cookie(
        key=FORM_COOKIE,
        value=token,
        path=f"{HOME}/sign-in",
        httponly=True,
        samesite="strict",
        secure=is_https(request),
        max_age=3600,
    )


def to_sign_in(request: AnyRequest, _: Exception) -> Response[Any]:
    """Nobody is signed in: a page goes to the door, news for a page that is open closes it."""
    here = platform(request)
    if by_itself(request):
        context = frame(request, now=here.now())
        return page(request, reader=READER, template="ended.html", context=context, entropy=here.entropy)
    if request.method != "GET":
        return go(f"{HOME}/sign-in")
    wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return go(f"{HOME}/sign-in?next={quote(wanted, safe='')}")


def refused_page(request: AnyRequest, error: Exception) -> Response[Any]:
    """A refusal as a page: what, why, what to do."""
    refused = error if isinstance(error, Refused) else Refused("unavailable")
    here = platform(request)
    language = language_of(request)
    refusal = REFUSALS[refused.code]
    return page(
        request,
        reader=READER,
        template="refused.html",
        context={
            **frame(request, now=here.now()),
            "refusal": refusal,
            "sentence": refusal.sentence(language),
            "remedy": refusal.remedy(language),
            "field": refused.field,
        },
        entropy=here.entropy,
        status=refusal.status,
    )


def unavailable_page(request: AnyRequest, _: Exception) -> Response[Any]:
    """The database cannot be reached: said as such, with nothing of the driver's text."""
    return refused_page(request, Refused("unavailable"))
