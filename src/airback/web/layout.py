"""What every page carries besides its content: a strict content policy, a nonce, a language, no caching."""

import base64
from collections.abc import Callable, Mapping
from typing import Any, Final

from litestar import Request, Response
from litestar.datastructures import Cookie

from airback.web.templates import LANGUAGES, SOURCE_LANGUAGE, render

LANGUAGE_COOKIE: Final = "airback_lang"
_YEAR_S: Final = 365 * 24 * 3600


def new_nonce(entropy: Callable[[int], bytes]) -> str:
    """A fresh word for one answer's content policy."""
    return base64.b64encode(entropy(18)).decode()


def security_headers(nonce: str) -> dict[str, str]:
    """Headers of a page. Nothing is loaded from anywhere else, nothing inline runs without the nonce."""
    policy = (
        f"default-src 'none'; script-src 'self' 'nonce-{nonce}'; style-src 'self' 'nonce-{nonce}'; "
        "img-src 'self' data:; font-src 'self' data:; connect-src 'self'; manifest-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; object-src 'none'"
    )
    return {
        "content-security-policy": policy,
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "referrer-policy": "same-origin",
        "cross-origin-opener-policy": "same-origin",
        "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        "cache-control": "no-store",
    }


def language_of(request: Request[Any, Any, Any]) -> str:
    """`?lang=` if given, then the cookie, then Chinese."""
    for said in (request.query_params.get("lang"), request.cookies.get(LANGUAGE_COOKIE)):
        if said in LANGUAGES:
            return said
    return SOURCE_LANGUAGE


def is_https(request: Request[Any, Any, Any]) -> bool:
    """Whether cookies may be marked Secure: the connection, or the proxy in front, says https."""
    return request.url.scheme == "https" or request.headers.get("x-forwarded-proto", "") == "https"


def page(
    request: Request[Any, Any, Any],
    *,
    reader: str,
    template: str,
    context: Mapping[str, Any],
    entropy: Callable[[int], bytes],
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response[str]:
    """The rendered page with its headers; keeps the language when the address names one."""
    language = language_of(request)
    nonce = new_nonce(entropy)
    body = render(reader, template, language=language, nonce=nonce, context=context)
    answer = Response(
        content=body,
        status_code=status,
        media_type="text/html; charset=utf-8",
        headers={**security_headers(nonce), "content-language": language, **(headers or {})},
    )
    if request.query_params.get("lang") in LANGUAGES:
        answer.set_cookie(language_cookie(language, secure=is_https(request)))
    return answer


def language_cookie(language: str, *, secure: bool) -> Cookie:
    """The chosen language, for a year. Not a secret: pages' scripts may read it."""
    return Cookie(
        key=LANGUAGE_COOKIE, value=language, max_age=_YEAR_S, path="/", samesite="lax", secure=secure
    )
