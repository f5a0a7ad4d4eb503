"""Refusals as RFC 9457 problem details, in the reader's language; nothing else ever leaves as an error.

`type` is `urn:airback:refusal:<code>`; `code` is the stable name, `title` the sentence, `remedy` what to do, `field`
and `row` where it is. A bug is `internal` with an incident's id; the log has the id, the exception's type and the
places in our code it passed, and none of its text, since that may quote what was sent.
"""

from typing import Any, Final

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException

from airback.domain.ids import new_reference
from airback.domain.incidents import places
from airback.domain.refusals import REFUSALS, Refused
from airback.store.problems import away

MEDIA_TYPE: Final = "application/problem+json"
_LOG: Final = structlog.get_logger("airback.api")

#: Seconds after which asking again makes sense, where a code alone tells.
_RETRY_AFTER_S: Final = {
    "code_too_soon": 60,
    "code_too_many": 600,
    "rate_limited": 60,
    "carrier_unreachable": 10,
    "busy": 1,
    "unavailable": 5,
    "routing_paused": 60,
}
_BY_STATUS: Final = {
    400: "body_malformed",
    401: "credentials_missing",
    404: "not_found",
    405: "method_not_allowed",
    413: "body_too_large",
    415: "content_type_unsupported",
    429: "rate_limited",
}
_MOST_LANGUAGES: Final = 10


class Limited(Refused):
    """Too many requests; another will be answered after `retry_after_s` seconds."""

    def __init__(self, *, retry_after_s: int) -> None:
        super().__init__("rate_limited")
        self.retry_after_s = retry_after_s


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was refused and what can be done (RFC 9457)."""

    type: str
    title: str
    status: int
    code: str
    remedy: str
    field: str | None = None
    row: int | None = None
    incident: str | None = None


def language_of(request: Request[Any, Any, Any]) -> str:
    """`zh` or `en`, whichever the request prefers."""
    return preferred(request.headers.get("accept-language", ""))


def preferred(accept_language: str) -> str:
    """`zh` or `en`, whichever the Accept-Language header prefers; `zh` when it says nothing."""
    best, best_weight = "zh", 0.0
    for part in accept_language.split(",")[:_MOST_LANGUAGES]:
        tag, _, parameter = part.partition(";")
        language = tag.strip().lower().split("-")[0]
        weight_text = parameter.strip().removeprefix("q=")
        try:
            weight = float(weight_text) if weight_text else 1.0
        except ValueError:
            continue
        if language in ("zh", "en") and best_weight < weight <= 1.0:
            best, best_weight = language, weight
    return best


def problem(refused: Refused, *, language: str, incident: str | None = None) -> Problem:
    """A refusal as a problem document."""
    refusal = refused.refusal
    return Problem(
        type=f"urn:airback:refusal:{refusal.code}",
        title=refusal.sentence(language),
        status=refusal.status,
        code=refusal.code,
        remedy=refusal.remedy(language),
        field=refused.field,
        row=refused.row,
        incident=incident,
    )


def answer(
    request: Request[Any, Any, Any], refused: Refused, *, incident: str | None = None
) -> Response[bytes]:
    """A refusal as an HTTP answer."""
    status, body, headers = written(refused, language=language_of(request), incident=incident)
    return Response(content=body, status_code=status, media_type=MEDIA_TYPE, headers=headers)


def written(
    refused: Refused, *, language: str, incident: str | None = None
) -> tuple[int, bytes, dict[str, str]]:
    """A refusal as status, body and headers (without the body's media type)."""
    document = problem(refused, language=language, incident=incident)
    headers = {"Content-Language": "zh-CN" if language == "zh" else "en", "Cache-Control": "no-store"}
    retry_after_s = refused.retry_after_s or _RETRY_AFTER_S.get(refused.code)
    if retry_after_s is not None:
        headers["Retry-After"] = str(retry_after_s)
    if document.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="airback"'
    return document.status, msgspec.json.encode(document), headers


def on_refused(request: Request[Any, Any, Any], refused: Refused) -> Response[bytes]:
    """Answer a refusal."""
    return answer(request, refused)


def on_http(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """Answer what the server itself refused: an unknown address, a wrong method, too large a body."""
    code = _BY_STATUS.get(error.status_code)
    if code is None:
        if error.status_code >= 500:
            return on_unknown(request, error)
        code = "body_malformed"
    return answer(request, Refused(code))


def on_unknown(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Answer a bug, or a database that is away, and log where it came from."""
    incident = new_reference(entropy=request.app.state.platform.entropy)[:12]
    _LOG.error(
        "request failed",
        incident=incident,
        method=request.method,
        path=_path_template(request),
        error=type(error).__name__,
        where=places(error),
    )
    return answer(request, Refused("unavailable" if away(error) else "internal"), incident=incident)


def _path_template(request: Request[Any, Any, Any]) -> str:
    """The route's own text; the address as it was sent may hold anything."""
    return str(request.scope.get("path_template", ""))


#: For the routers of `/v1`.
EXCEPTION_HANDLERS: Final[dict[Any, Any]] = {
    Refused: on_refused,
    HTTPException: on_http,
    Exception: on_unknown,
}

assert set(_RETRY_AFTER_S) | set(_BY_STATUS.values()) <= set(REFUSALS)
