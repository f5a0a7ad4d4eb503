"""Canonical JSON: the one byte string that a signature or a hash covers.

Object keys sorted by code point, no white space, UTF-8, no escapes beyond JSON's own. Values are strings,
integers, booleans, null, lists and objects; a float is refused, since two machines may print it differently.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any


def canonical(value: Any) -> bytes:
    """Canonical bytes of a JSON value. Raises TypeError for a float or any type outside JSON."""
    _refuse_floats(value)
    return json.dumps(
        value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False
    ).encode()


def _refuse_floats(value: Any) -> None:
    if value is None or isinstance(value, str | int):
        return
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError("canonical JSON has text keys only")
            _refuse_floats(item)
        return
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        for item in value:
            _refuse_floats(item)
        return
    raise TypeError(f"canonical JSON cannot hold a {type(value).__name__}")
