"""Who a browser is: one sealed cookie, nothing kept on the server.

The cookie is encrypted and authenticated under the keys' purpose `cookie`, so its holder can neither read nor make
one; HttpOnly, SameSite=Lax, Secure behind https. It lists the orders this browser placed (an order's id alone
opens nothing), the number it proved and when, the code it waits for, and the token its forms must carry.

A cookie that is no longer wanted cannot be called back before it lapses; what it opens is therefore small: looking
at own orders, cancelling while that is free, correcting a payee that a rail refused. Selling a balance takes a
proof of the number that is at most fifteen minutes old, which is checked apart from the cookie.
"""

import base64
import binascii
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from litestar.datastructures import Cookie

from airback.domain import ids
from airback.domain.ports.keys import KeyProvider, Unsealable

COOKIE: Final = "airback_seller"
LASTS: Final = timedelta(days=30)
NUMBER_LASTS: Final = timedelta(hours=12)
"""How long a proved number shows its orders without proving it again."""
MOST_OWN: Final = 40
_MOST_COOKIE_CHARACTERS: Final = 3800
_WHERE: Final = b"web/seller/session"


@dataclass(frozen=True, slots=True)
class CodeAsked:
    """A one-time code that was sent and not yet typed."""

    number: str = field(repr=False)
    authentication_id: str = field(repr=False)
    sent_at: int
    then: str | None = None
    """Where to go once the code was right; None: to choose the amount."""


@dataclass(frozen=True, slots=True)
class Session:
    """One browser. Times are seconds since 1970; `own` holds order ids, the latest last."""

    id: str
    csrf: str = field(repr=False)
    since: int
    number: str | None = field(default=None, repr=False)
    proved_at: int = 0
    proof: str | None = field(default=None, repr=False)
    code: CodeAsked | None = None
    own: tuple[int, ...] = ()
    fresh: bool = False

    def number_at(self, now: datetime) -> str | None:
        """The proved number, while it still opens its orders."""
        if self.number is None or now.timestamp() - self.proved_at > NUMBER_LASTS.total_seconds():
            return None
        return self.number

    def owns(self, order: int) -> bool:
        """Whether this browser placed the order."""
        return order in self.own

    def with_order(self, order: int) -> "Session":
        """The session after it placed the order."""
        kept = tuple(each for each in self.own if each != order)
        return replace(self, own=(*kept, order)[-MOST_OWN:])

    def matches(self, token: str) -> bool:
        """Whether a form carried this session's token."""
        return hmac.compare_digest(self.csrf.encode(), token.encode())


def new_session(*, now: datetime, entropy: Callable[[int], bytes]) -> Session:
    """A browser that was never seen before."""
    return Session(
        id=ids.new_reference(entropy=entropy),
        csrf=ids.new_reference(entropy=entropy),
        since=int(now.timestamp()),
        fresh=True,
    )


def read_session(
    cookies: Mapping[str, str], *, keys: KeyProvider, now: datetime, entropy: Callable[[int], bytes]
) -> Session:
    """The session in the cookies, or a new one when there is none, it lapsed, or it is not ours."""
    body = unseal(cookies.get(COOKIE, ""), keys=keys, where=_WHERE)
    if body is not None:
        try:
            session = msgspec.convert(body, Session)
        except msgspec.ValidationError:
            session = None
        if session is not None and 0 <= now.timestamp() - session.since < LASTS.total_seconds():
            return replace(session, fresh=False)
    return new_session(now=now, entropy=entropy)


def session_cookie(session: Session, *, keys: KeyProvider, now: datetime, secure: bool) -> Cookie:
    """The cookie that holds the session. Its life starts anew with every change."""
    body = msgspec.to_builtins(replace(session, since=int(now.timestamp()), fresh=False))
    return Cookie(
        key=COOKIE,
        value=seal(body, keys=keys, where=_WHERE),
        max_age=int(LASTS.total_seconds()),
        path="/",
        httponly=True,
        samesite="lax",
        secure=secure,
    )


def seal(body: Any, *, keys: KeyProvider, where: bytes) -> str:
    """A cookie's value that only this installation can open, and only as what it was made for."""
    sealed = keys.seal(purpose="cookie", plain=msgspec.json.encode(body), where=where)
    return base64.urlsafe_b64encode(sealed).decode().rstrip("=")


def unseal(value: str, *, keys: KeyProvider, where: bytes) -> Any | None:
    """What was sealed, or None for anything else."""
    if not value or len(value) > _MOST_COOKIE_CHARACTERS:
        return None
    try:
        sealed = base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_", validate=True)
        return msgspec.json.decode(keys.unseal(purpose="cookie", sealed=sealed, where=where))
    except (binascii.Error, ValueError, Unsealable, msgspec.DecodeError):
        return None
