"""Documents of figures as lines a person can read: what differs between two of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airback.domain.money import percent
from airback.web.templates import grouped_yuan


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where two documents differ. None: nothing stands there."""

    path: str
    before: str | None
    after: str | None


def figure_text(key: str, value: Any) -> str:
    """A value as text, by the unit at the end of its key."""
    if isinstance(value, int) and not isinstance(value, bool):
        if "ppm" in key:
            return f"{percent(value)} %".replace("-", "−")
        if "fen" in key:
            return f"¥{grouped_yuan(value)}"
        return str(value)
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def flat(document: Any, path: str = "", unit: str = "") -> Iterator[tuple[str, str]]:
    """(path, text) of every leaf, in the document's order. The unit of a list's or an object's key counts inside."""
    if isinstance(document, Mapping) and document:
        for key, value in document.items():
            inner = str(key)
            yield from flat(value, f"{path}.{inner}" if path else inner, f"{unit} {inner}")
    elif isinstance(document, Sequence) and not isinstance(document, str) and document:
        for index, value in enumerate(document):
            yield from flat(value, f"{path}[{index + 1}]", unit)
    elif isinstance(document, Mapping | list):
        yield path, "–"
    else:
        yield path, figure_text(unit, document)


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Difference]:
    """Every leaf that is not the same in both, in the order of the new document, removed ones last."""
    old, new = dict(flat(before)), dict(flat(after))
    found = [Difference(path, old.get(path), text) for path, text in new.items() if old.get(path) != text]
    return found + [Difference(path, text, None) for path, text in old.items() if path not in new]
