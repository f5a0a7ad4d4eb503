"""A quote of which all is written but who it is for: the same price is offered to many sellers in the same second.

What `quotes.make_quotes`, `sign_quote` and `mark_quote` make is a document that differs, from one seller to the next, in
its id, its seller and the number that is sold. An `Offer` keeps the canonical JSON of the rest, so that a quote costs its
signature and little else. That both ways give the same bytes is a test.
"""

import base64
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from airback.domain.canonical import canonical
from airback.domain.ports.keys import KeyProvider
from airback.pricing.quotes import MARK, PURPOSE, marks

_encode: Final = msgspec.json.Encoder().encode
_NULL: Final = b"null"
#: What is left open, in the order of canonical JSON; the last two stand only on a signed document.
_OPEN: Final = ("card_number", "id", "number", "seller")


class Offer:
    """An unsigned quote's body with its id, seller and numbers left open."""

    __slots__ = (
        "_after_card",
        "_after_id",
        "_after_seller",
        "_before_card",
        "_before_number",
        "_before_seller",
    )

    def __init__(self, body: Mapping[str, Any]) -> None:
        """`body` as `quotes.make_quotes` answers it; what it says of the four open fields is not kept."""
        parts = [b""]
        for key in sorted(body):
            name = b'"%s":' % key.encode()
            if key in _OPEN:
                parts[-1] += name
                parts.append(b"")
            else:
                parts[-1] += name + canonical(body[key])
            parts[-1] += b","
            if key == "issued_at":  # the key's id and the mark come here
                parts.append(b"")
        before_card, after_card, after_id, before_number, before_seller, after_seller = parts
        self._before_card = b"{" + before_card
        self._after_card = after_card + b'"'
        self._after_id = b'"' + after_id
        self._before_number = before_number
        self._before_seller = before_seller
        self._after_seller = after_seller[1:-1] + b"}"

    def quote(
        self, *, quote_id: str, number: str | None, card_number: str | None, seller: str, keys: KeyProvider
    ) -> bytes:
        """Canonical JSON of the signed and marked quote for a seller. The numbers are in their plain form, as they are
        checked where asks are."""
        head = b"%s%s%s%s%s" % (
            self._before_card,
            _NULL if card_number is None else b'"%s"' % card_number.encode(),
            self._after_card,
            quote_id.encode(),
            self._after_id,
        )
        tail = b"%s%s%s%s," % (
            self._before_number,
            _NULL if number is None else b'"%s"' % number.encode(),
            self._before_seller,
            _encode(seller),
        )
        key_id, signature = keys.sign(purpose=PURPOSE, message=b"%s%s%s" % (head, tail, self._after_seller))
        head = b'%s"key_id":"%s",' % (head, key_id.encode())
        tail = b'%s"signature":"%s",%s' % (tail, base64.b64encode(signature), self._after_seller)
        mark = marks(head + tail, keys)[0]
        return b'%s"%s":"%s",%s' % (head, MARK.encode(), mark.encode(), tail)
