"""What may be kept of an exchange: secrets hidden whole, people's numbers masked, everything else as it was.

A redacted text is for a person who looks at an order's timeline; it is never parsed again. Hidden keys are
compared without case, at any depth, in JSON, in query strings and in form bodies (also in JSON inside a form
field, which is how Alipay is spoken to).
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl

from airback.domain.numbers import mask

HIDDEN: Final = "***"

#: Keys whose values are never kept, whoever the far side is.
ALWAYS_HIDDEN: Final = frozenset(
    {
        "voucher",
        "code",
        "card_code",
        "access_token",
        "refresh_token",
        "client_secret",
        "authorization",
        "password",
    }
)

#: No stored text is longer than this; what is cut off is said.
MOST_CHARACTERS: Final = 8_000

_MOBILE: Final = re.compile(r"(?<![0-9])(?:1[3-9][0-9]{9})(?![0-9])|(?<=86)1[3-9][0-9]{9}(?![0-9])", re.ASCII)
_LONG_DIGITS: Final = re.compile(r"(?<![0-9A-Za-z])[0-9]{15,}(?![0-9A-Za-z])", re.ASCII)


@dataclass(frozen=True, slots=True)
class Redaction:
    """Which keys one far side's texts hide.

    `hidden_keys` are replaced by `***`, `masked_keys` by `numbers.mask` of their value; `shown_keys` takes a name
    out of `ALWAYS_HIDDEN` where it is no secret (Alipay's answer `code`). All three in lower case.
    Mobile numbers and runs of fifteen digits or more are masked wherever they stand.
    """

    hidden_keys: frozenset[str] = frozenset()
    masked_keys: frozenset[str] = frozenset()
    shown_keys: frozenset[str] = frozenset()

    def hides(self, key: str) -> bool:
        """Whether a value under this key is hidden whole."""
        key = key.lower()
        return key in self.hidden_keys or (key in ALWAYS_HIDDEN and key not in self.shown_keys)

    def text(self, text: str, *, secrets: Iterable[str] = ()) -> str:
        """Free text with every secret, mobile number and long run of digits covered."""
        for secret in secrets:
            if secret:
                text = text.replace(secret, HIDDEN)
        text = _MOBILE.sub(lambda found: mask(found[0]), text)
        return _LONG_DIGITS.sub(lambda found: mask(found[0]), text)

    def query(self, pairs: Iterable[tuple[str, str]], *, secrets: Iterable[str] = ()) -> str:
        """`name=value` pairs joined by `&`, readable rather than percent-encoded."""
        return "&".join(f"{name}={self._pair_value(name, value, tuple(secrets))}" for name, value in pairs)

    def body(self, body: bytes, *, content_type: str, secrets: Iterable[str] = ()) -> str:
        """A request's or an answer's body. What cannot be read as text is only described."""
        if not body:
            return ""
        secrets = tuple(secrets)
        try:
            text = body.decode("utf-8")
        except UnicodeDecodeError:
            return f"[{len(body)} bytes that are no UTF-8]"
        if "x-www-form-urlencoded" in content_type:
            text = self.query(parse_qsl(text, keep_blank_values=True), secrets=secrets)
        else:
            text = self._json_or_text(text, secrets)
        if len(text) > MOST_CHARACTERS:
            return f"{text[:MOST_CHARACTERS]}… [{len(text)} characters]"
        return text

    def _pair_value(self, name: str, value: str, secrets: tuple[str, ...]) -> str:
        if self.hides(name):
            return HIDDEN
        if name.lower() in self.masked_keys:
            return mask(value)
        return self._json_or_text(value, secrets)

    def _json_or_text(self, text: str, secrets: tuple[str, ...]) -> str:
        if text[:1] not in "{[":
            return self.text(text, secrets=secrets)
        try:
            document = json.loads(text, parse_float=_Verbatim, parse_int=_Verbatim)
        except (ValueError, RecursionError):
            # Broken JSON may hold a hidden key's value in a place no parser finds: keep nothing of it.
            return f"[{len(text)} characters that are no JSON]"
        try:
            covered = self._cover(document, secrets)
            return json.dumps(covered, ensure_ascii=False, separators=(",", ":"))
        except RecursionError:
            return f"[{len(text)} characters nested too deeply]"

    def _cover(self, value: Any, secrets: tuple[str, ...]) -> Any:
        if isinstance(value, dict):
            covered: dict[str, Any] = {}
            for key, item in value.items():
                if self.hides(key):
                    # An error's own `code` is a name, not a secret: names have letters, secrets digits.
                    covered[key] = item if key.lower() == "code" and _is_name(item) else HIDDEN
                elif key.lower() in self.masked_keys and isinstance(item, str):
                    covered[key] = mask(item)
                else:
                    covered[self.text(key, secrets=secrets)] = self._cover(item, secrets)
            return covered
        if isinstance(value, list):
            return [self._cover(item, secrets) for item in value]
        if isinstance(value, _Verbatim):
            plain = self.text(value, secrets=secrets)
            return (
                float(value) if plain == value and "." in value else int(value) if _is_int(plain) else plain
            )
        if isinstance(value, str):
            if value[:1] in "{[" and len(value) > 2:
                return self._json_or_text(value, secrets)
            return self.text(value, secrets=secrets)
        return value


class _Verbatim(str):
    """A JSON number as it was written, so that a long one is masked like any other digits."""

    __slots__ = ()


def _is_int(text: str) -> bool:
    return re.fullmatch(r"-?[0-9]{1,18}", text, re.ASCII) is not None


def _is_name(value: Any) -> bool:
    """An error's name (`INVALID_OTP`, `voucher.used`, `404`), which no one-time code or card code looks like."""
    return isinstance(value, str) and (
        re.fullmatch(r"[A-Za-z]+[_.][A-Za-z_.]+|[0-9]{1,3}", value, re.ASCII) is not None
    )
