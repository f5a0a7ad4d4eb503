"""A page that says what went wrong and what to do, whatever went wrong."""

from typing import Any

import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException

from airback.domain.incidents import places
from airback.domain.refusal import Refusal
from airback.domain.refusals import REFUSALS, Refused
from airback.store.problems import away
from airback.web.seller.confirm import DraftGone
from airback.web.seller.visit import FormStale, open_visit

_log = structlog.get_logger("airback.web.seller")
_BY_STATUS = {400: "body_malformed", 404: "not_found", 413: "body_too_large", 429: "rate_limited"}


def on_refused(request: Request[Any, Any, Any], refused: Refused) -> Response[str]:
    """A refusal that belongs to no field."""
    return _page(request, refused.refusal)


def on_stale(request: Request[Any, Any, Any], _: FormStale) -> Response[str]:
    """A form that does not belong to this browser's session; nothing was done."""
    return _page(request, REFUSALS["form_stale"], stale=True)


def on_draft_gone(request: Request[Any, Any, Any], _: DraftGone) -> Response[str]:
    """A sale that was left for too long, or was sold already."""
    return _page(request, REFUSALS["draft_gone"])


def on_http(request: Request[Any, Any, Any], problem: HTTPException) -> Response[str]:
    """Litestar's own refusals: no such page, a body too large, a method that is not offered."""
    code = _BY_STATUS.get(problem.status_code, "not_found" if problem.status_code < 500 else "internal")
    return _page(request, REFUSALS[code], status=problem.status_code)


def on_error(request: Request[Any, Any, Any], error: Exception) -> Response[str]:
    """A bug, or a database that is away. The person learns that it is ours; the log gets the kind and the places, no values."""
    _log.error("page_failed", path=request.url.path, error=type(error).__name__, where=places(error))
    return _page(request, REFUSALS["unavailable" if away(error) else "internal"])


def _page(
    request: Request[Any, Any, Any], problem: Refusal, *, status: int | None = None, stale: bool = False
) -> Response[str]:
    visit = open_visit(request)
    context = {"problem": problem, "stale": stale}
    return visit.show("problem.html", context, status=status or problem.status)
