"""Canonical JSON: the one byte string that a signature or a hash covers.

Object keys sorted by code point, no white space, UTF-8, no escapes beyond JSON's own. Values are strings,
integers, booleans, null, lists and objects; a float is refused, since two machines may print it differently.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

_SCALARS: Final = frozenset({str, int, bool, type(None)})
_encode: Final = msgspec.json.Encoder(order="sorted").encode


def canonical(value: Any) -> bytes:
    """Canonical bytes of a JSON value. Raises TypeError for a float or any type outside JSON."""
    _refuse_floats(value)
    return _encode(value)


def read_single(text: str, *, fraction: Callable[[str], Any] | None = None) -> object:
    """JSON in which no key stands twice: of two a person may read the first, and a program the last. `fraction` reads a number
    with a point. Raises ValueError, RecursionError."""
    value: object = json.loads(
        text, object_pairs_hook=_single, parse_float=fraction, parse_constant=_no_number
    )
    return value


def _single(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _no_number(text: str) -> Any:
    raise ValueError(text)


def _refuse_floats(value: Any) -> None:
    # Exact types first: every event is written this way, and abstract classes are slow to ask.
    kind = type(value)
    if kind in _SCALARS:
        return
    if kind is dict or isinstance(value, Mapping):
        for key, item in value.items():
            if type(key) is not str and not isinstance(key, str):
                raise TypeError("canonical JSON has text keys only")
            if type(item) not in _SCALARS:
                _refuse_floats(item)
    elif isinstance(value, str | int):
        return
    elif kind is list or (isinstance(value, Sequence) and not isinstance(value, bytes | bytearray)):
        for item in value:
            if type(item) not in _SCALARS:
                _refuse_floats(item)
    else:
        raise TypeError(f"canonical JSON cannot hold a {kind.__name__}")
