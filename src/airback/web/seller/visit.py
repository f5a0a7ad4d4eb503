"""One request of a seller's browser: who asks, in which language, and how to answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from litestar import Request, Response
from litestar.datastructures import Cookie

from airback.domain.refusals import Refused
from airback.queries.platform import Platform
from airback.web.layout import is_https, language_of, page
from airback.web.seller.session import Session, read_session, session_cookie

READER: Final = "seller"
MOST_FORM_BYTES: Final = 32 * 1024
_MOST_FIELDS: Final = 40
CSRF_FIELD: Final = "csrf"


class FormStale(Exception):
    """A form came without this session's token: cookies are off, or the page is older than the session."""


@dataclass(slots=True)
class Visit:
    """A request with its session. Change the session by assigning a new one; the answer then carries it."""

    request: Request[Any, Any, Any]
    platform: Platform
    now: datetime
    language: str
    session: Session
    _arrived: Session

    @property
    def secure(self) -> bool:
        """Whether cookies are for https only."""
        return is_https(self.request)

    @property
    def number(self) -> str | None:
        """The number this browser proved, while that counts."""
        return self.session.number_at(self.now)

    @property
    def address(self) -> str:
        """The network address the request came from."""
        client = self.request.client
        return client.host if client else "unknown"

    async def form(self) -> dict[str, str]:
        """The fields of a posted form, the last of each name. Raises `FormStale`, or `Refused` `body_malformed`,
        `content_type_unsupported`."""
        media_type = self.request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != "application/x-www-form-urlencoded":
            raise Refused("content_type_unsupported")
        body = await self.request.body()
        try:
            pairs = parse_qsl(
                body.decode("ascii"),
                keep_blank_values=True,
                encoding="utf-8",
                errors="strict",
                max_num_fields=_MOST_FIELDS,
            )
        except ValueError:
            raise Refused("body_malformed") from None
        fields = {name: value.replace("\x00", "") for name, value in pairs}
        if self.session.fresh or not self.session.matches(fields.get(CSRF_FIELD, "")):
            raise FormStale
        return fields

    def show(
        self,
        template: str,
        context: Mapping[str, Any] | None = None,
        *,
        status: int = 200,
        cookies: tuple[Cookie, ...] = (),
    ) -> Response[str]:
        """A page."""
        answer = page(
            self.request,
            reader=READER,
            template=template,
            context={
                "csrf": self.session.csrf,
                "here": self.request.url.path,
                "other_language_url": self._other_language(),
                "number": self.number,
                **(context or {}),
            },
            entropy=self.platform.entropy,
            status=status,
        )
        self._keep(answer, cookies)
        return answer

    def go(self, path: str, *, cookies: tuple[Cookie, ...] = ()) -> Response[None]:
        """On to another page of ours, by GET."""
        answer: Response[None] = Response(
            content=None, status_code=303, headers={"location": path, "cache-control": "no-store"}
        )
        self._keep(answer, cookies)
        return answer

    def _keep(self, answer: Response[Any], cookies: tuple[Cookie, ...]) -> None:
        if self.session.fresh or self.session != self._arrived:
            kept = session_cookie(self.session, keys=self.platform.keys, now=self.now, secure=self.secure)
            answer.set_cookie(kept)
        for cookie in cookies:
            answer.set_cookie(cookie)

    def _other_language(self) -> str:
        # a page that only answers a POST has no address of its own to come back to in another language
        other = "en" if self.language == "zh" else "zh"
        kept = [(name, value) for name, value in self.request.query_params.multi_items() if name != "lang"]
        return f"{self.request.url.path}?{urlencode([*kept, ('lang', other)])}"


def open_visit(request: Request[Any, Any, Any]) -> Visit:
    """The visit of a request."""
    platform: Platform = request.app.state.platform
    now = platform.now()
    session = read_session(request.cookies, keys=platform.keys, now=now, entropy=platform.entropy)
    return Visit(request, platform, now, language_of(request), session, session)
