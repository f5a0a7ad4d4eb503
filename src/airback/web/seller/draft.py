"""A sale that is being prepared: what was typed on the first pages, kept in a sealed cookie of its own.

Each draft has its own address and its cookie is sent to that address only, so two tabs never mix and the other
pages carry nothing. A card's code is never part of a draft: it is asked on the last page, after the price was
shown, and goes into the order in the same request.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final

import msgspec
from litestar.datastructures import Cookie

from airback.domain import ids
from airback.domain.ports.keys import KeyProvider
from airback.web.seller.session import seal, unseal

LASTS: Final = timedelta(minutes=30)
_COOKIE: Final = "airback_sale"


@dataclass(frozen=True, slots=True)
class Draft:
    """What is being sold and who is to be paid. `number` for a balance, `card_number` for a card."""

    id: str
    made_at: int
    product: str
    carrier: str
    face_fen: int
    number: str | None = field(default=None, repr=False)
    card_number: str | None = field(default=None, repr=False)
    expires_on: date | None = None
    province: str | None = None
    sellable_fen: int | None = None
    notify_number: str | None = field(default=None, repr=False)
    rail: str = "alipay"
    payee_account: str = field(default="", repr=False)
    payee_name: str = field(default="", repr=False)

    @property
    def address(self) -> str:
        """Where this sale goes on."""
        return f"/sell/{self.id}"


def new_draft_id(entropy: Callable[[int], bytes]) -> str:
    """A random name for a draft."""
    return ids.new_reference(entropy=entropy)[:12].lower()


def draft_cookie(draft: Draft, *, keys: KeyProvider, secure: bool) -> Cookie:
    """The cookie that holds the draft, for its own address only."""
    return Cookie(
        key=_COOKIE,
        value=seal(msgspec.to_builtins(draft), keys=keys, where=_where(draft.id)),
        max_age=int(LASTS.total_seconds()),
        path=draft.address,
        httponly=True,
        samesite="lax",
        secure=secure,
    )


def drop_cookie(draft: Draft) -> Cookie:
    """Forget the draft: it became an order."""
    return Cookie(key=_COOKIE, value="", max_age=0, path=draft.address, httponly=True, samesite="lax")


def read_draft(
    cookies: Mapping[str, str], *, draft_id: str, keys: KeyProvider, now: datetime
) -> Draft | None:
    """The draft of this address, or None when it lapsed or was never here."""
    body = unseal(cookies.get(_COOKIE, ""), keys=keys, where=_where(draft_id))
    if body is None:
        return None
    try:
        draft = msgspec.convert(body, Draft)
    except msgspec.ValidationError:
        return None
    if draft.id != draft_id or now.timestamp() - draft.made_at > LASTS.total_seconds():
        return None
    return draft


def _where(draft_id: str) -> bytes:
    return b"web/seller/draft/" + draft_id.encode()
