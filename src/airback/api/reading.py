"""Reading what clients send: strictly, within limits, and with a name for everything that is wrong.

JSON must be UTF-8, hold no repeated key, no NaN, no lone surrogate and no NUL (PostgreSQL has no place for either),
and nest no deeper than `DEEPEST`. A number with a fraction is read exactly, so that the field it stands in can be
named as the refusal's reason.

Most texts are plain: no odd escape, no fraction, nothing deep or large. Those are read by msgspec; whatever it is not
sure of is read again, slowly and by the letter, and only that reading refuses.
"""

import json
import re
from decimal import Decimal, InvalidOperation
from hashlib import sha256
from typing import Any, Final, NamedTuple, NoReturn, TypeVar

import msgspec
from litestar import Request
from litestar.connection import ASGIConnection

from airback.domain.refusals import Refused

MOST_BODY_BYTES: Final = 4 * 1024 * 1024
MOST_ITEMS: Final = 1000
DEEPEST: Final = 32
#: Digits of an announced length that is surely within the limit; no server takes in more than was announced.
_SMALL_LENGTH: Final = len(str(MOST_BODY_BYTES)) - 1
LONGEST_NUMBER: Final = 40

_IDEMPOTENCY_KEY: Final = re.compile(r"[\x21-\x7e]{1,200}", re.ASCII)
_MISSING: Final = re.compile(r"missing required field `([^`]*)`")
_UNKNOWN: Final = re.compile(r"contains unknown field `([^`]*)`")
_AT: Final = re.compile(r" - at `\$([^`]*)`$")
#: A name that is fit to be repeated: no run of digits, which might be a code that went astray.
_PLAIN: Final = re.compile(r"(?!.*[0-9]{5})[A-Za-z][A-Za-z0-9_.\[\]-]{0,79}", re.ASCII)

Document = TypeVar("Document", bound=msgspec.Struct)


class Sent(NamedTuple):
    """A JSON body: its value, its bytes, and whether the value may hold a number with a fraction."""

    value: Any
    body: bytes
    fractions: bool


async def read_json(request: Request[Any, Any, Any]) -> Sent:
    """What was sent. Raises `Refused`: `content_type_unsupported`, `body_too_large`, `body_malformed`."""
    content_type = header(request, b"content-type") or ""
    if content_type != "application/json":
        media_type, _, parameters = content_type.partition(";")
        charset = parameters.strip().lower().removeprefix("charset=").strip('"')
        if media_type.strip().lower() != "application/json" or charset not in ("", "utf-8"):
            raise Refused("content_type_unsupported")
    if header(request, b"content-encoding") not in (None, "identity"):
        raise Refused("content_type_unsupported")
    body = await _body(request)
    value = _plain_json(body)
    return Sent(parse_json(body), body, True) if value is None else Sent(value, body, False)


def header(connection: ASGIConnection[Any, Any, Any, Any], name: bytes) -> str | None:
    """The first header of that name, in small letters as ASGI has it. Litestar makes a dictionary of them all first."""
    for key, value in connection.scope["headers"]:
        if key == name:
            return value.decode("latin-1")
    return None


async def _body(request: Request[Any, Any, Any]) -> bytes:
    """What was sent, read no further than the limit. A small body comes as one message; the router's limit stops the rest."""
    announced = header(request, b"content-length")
    if announced is None or len(announced) > _SMALL_LENGTH:
        body = await request.body()
        if len(body) > MOST_BODY_BYTES:
            raise Refused("body_too_large")
        return body
    chunks = []
    while True:
        message = await request.receive()
        if message["type"] != "http.request":
            raise Refused("body_malformed")  # nobody is there any more to read this
        chunks.append(message["body"])
        if not message.get("more_body"):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def parse_json(body: bytes) -> Any:
    """The value of a JSON text, read by the letter. Raises `Refused` `body_malformed`."""
    if b"\\u" in body and _hides_unstorable(body):
        raise Refused("body_malformed")
    if _too_deep(body):
        raise Refused("body_malformed")
    try:
        return _DECODER.decode(body.decode("utf-8"))
    except (ValueError, RecursionError, InvalidOperation):
        raise Refused("body_malformed") from None


def _plain_json(body: bytes) -> Any:
    """The value of a plain text, the same as `parse_json` gives; None for any other, and for `null`.

    msgspec keeps the last of repeated keys. A key that was dropped takes its quotation marks along: written again, the
    value has fewer of them than the text. (Only an escaped mark could make up for it, so such a text is not plain.)
    """
    if body.count(b"[") + body.count(b"{") > DEEPEST:
        return None
    if b"\\" in body and (b"\\u0022" in body or _hides_unstorable(body)):
        return None
    try:
        value = _PLAIN_DECODER.decode(body)
        msgspec.msgpack.encode(value)  # has no room for a whole number of more than 64 bits
        again = msgspec.json.encode(value)
    except (ValueError, RecursionError, OverflowError):
        return None
    return value if again.count(b'"') == body.count(b'"') else None


def items(value: Any, *, name: str) -> tuple[list[Any], bool]:
    """(items, whether it was a batch): `{name: [...]}` is a batch, any other object a single item.

    Raises `Refused`: `field_invalid`, `body_too_large`."""
    if not isinstance(value, dict):
        raise Refused("body_malformed")
    if name not in value:
        return [value], False
    batch = value[name]
    surplus = next((key for key in value if key != name), None)
    if surplus is not None:
        raise Refused("field_invalid", field=_plain(surplus))
    if not isinstance(batch, list) or not batch:
        raise Refused("field_invalid", field=name)
    if len(batch) > MOST_ITEMS:
        raise Refused("body_too_large", field=name)
    return batch, True


def read(value: Any, kind: type[Document]) -> Document:
    """`value` as a document. Raises `Refused`: `field_missing`, `field_invalid`, or what an amount or price is
    refused with; `field` names the field."""
    if isinstance(value, dict):
        for name, item in value.items():
            if isinstance(item, Decimal) and name.endswith("_fen"):
                whole = item == item.to_integral_value()
                raise Refused(
                    "amount_not_a_number" if whole else "amount_fraction_of_fen", field=_plain(name)
                )
    try:
        return msgspec.convert(value, kind, strict=True)
    except msgspec.ValidationError as error:
        raise _named(str(error)) from None


def holds_fraction(value: Any) -> bool:
    """Whether a JSON value holds a number with a fraction anywhere."""
    if isinstance(value, Decimal):
        return True
    if isinstance(value, dict):
        return any(map(holds_fraction, value.values()))
    return isinstance(value, list) and any(map(holds_fraction, value))


def idempotency(request: Request[Any, Any, Any], body: bytes) -> tuple[str, bytes]:
    """(the client's key, a hash of the whole request). Raises `Refused`: `idempotency_key_missing`, `field_invalid`."""
    key = request.headers.get("idempotency-key")
    if key is None or not key.strip():
        raise Refused("idempotency_key_missing", field="Idempotency-Key")
    if _IDEMPOTENCY_KEY.fullmatch(key) is None:
        raise Refused("field_invalid", field="Idempotency-Key")
    return key, sha256(f"{request.method} {request.scope['path']}\n".encode() + body).digest()


def query(request: Request[Any, Any, Any], *names: str) -> dict[str, str]:
    """The query's parameters. Raises `Refused` `field_invalid` for one that is unknown, repeated or too long."""
    found: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name not in names or name in found or len(value) > 200 or not value.isprintable():
            raise Refused("field_invalid", field=_plain(name))
        found[name] = value
    return found


def limit_of(parameters: dict[str, str], *, default: int = 50, most: int = 200) -> int:
    """The page's size. Raises `Refused` `field_invalid` outside 1…`most`."""
    text = parameters.get("limit")
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 6 or not 1 <= int(text) <= most:
        raise Refused("field_invalid", field="limit")
    return int(text)


def _named(message: str) -> Refused:
    """msgspec's sentence as a refusal. The sentence itself may quote what was sent and is dropped."""
    at = _AT.search(message)
    path = "" if at is None else at[1].lstrip(".")
    missing = _MISSING.search(message)
    if missing is not None:
        return Refused("field_missing", field=_plain(f"{path}.{missing[1]}".lstrip(".")))
    unknown = _UNKNOWN.search(message)
    if unknown is not None:
        return Refused("field_invalid", field=_plain(f"{path}.{unknown[1]}".lstrip(".")))
    if path.endswith("_fen"):
        return Refused("amount_not_a_number", field=path)
    if path.endswith("_ppm"):
        return Refused("price_malformed", field=path)
    return Refused("field_invalid", field=_plain(path))


def _plain(name: str) -> str | None:
    """A field's name as it may be repeated to the sender: what is no plain name is not repeated."""
    return name if _PLAIN.fullmatch(name) else None


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is repeated")
    return found


def _whole(text: str) -> int:
    if len(text) > LONGEST_NUMBER:
        raise ValueError("the number is too long")
    return int(text)


def _fraction(text: str) -> Decimal:
    if len(text) > LONGEST_NUMBER:
        raise ValueError("the number is too long")
    number = Decimal(text)
    if abs(number.adjusted()) > LONGEST_NUMBER:
        raise ValueError("the number is out of range")
    return number


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_pairs, parse_int=_whole, parse_float=_fraction, parse_constant=_no_constant
)


def _no_fraction(text: str) -> NoReturn:
    raise ValueError("a number with a fraction")


_PLAIN_DECODER: Final = msgspec.json.Decoder(float_hook=_no_fraction)
_ESCAPED: Final = re.compile(rb"\\(?:u([0-9A-Fa-f]{4})|.)", re.DOTALL)


def _hides_unstorable(body: bytes) -> bool:
    """Whether an escape makes a NUL or half of a surrogate pair."""
    expects_low_at = -1
    for match in _ESCAPED.finditer(body):
        if match[1] is None:
            continue
        unit = int(match[1], 16)
        if expects_low_at >= 0 and not (match.start() == expects_low_at and 0xDC00 <= unit <= 0xDFFF):
            return True
        if expects_low_at >= 0:
            expects_low_at = -1
        elif 0xD800 <= unit <= 0xDBFF:
            expects_low_at = match.end()
        elif unit == 0 or 0xDC00 <= unit <= 0xDFFF:
            return True
    return expects_low_at >= 0


#: A whole string, or the rest of the text when it never ends; or a bracket outside strings.
_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)


def _too_deep(body: bytes) -> bool:
    """Whether brackets nest beyond `DEEPEST`, looked at before anything recurses."""
    depth = 0
    for match in _TOKEN.finditer(body):
        first = match[0][:1]
        if first in (b"[", b"{"):
            depth += 1
            if depth > DEEPEST:
                return True
        elif first != b'"':
            depth -= 1
    return False
