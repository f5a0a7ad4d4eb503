"""What differs between two rate cards, factor by factor, in the words of their form."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from airback.web.console.card_form import groups, in_order
from airback.web.console.figures import Difference, differences

#: Parts of a document that say nothing of its prices: the version and the time are given at publication.
_GIVEN: Final = frozenset({"v", "version", "effective_from"})
#: Yes and no, as a person reads them.
_SAID: Final[Mapping[str | None, Mapping[str, str]]] = {
    "true": {"zh": "是", "en": "Yes"},
    "false": {"zh": "否", "en": "No"},
}
_ITEM: Final = re.compile(r"\[([0-9]+)\]")


@dataclass(frozen=True, slots=True)
class Line:
    """One place of a part where the cards differ: what it is called, where it stands, and both texts (None: nothing)."""

    label: str
    path: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class FactorDifference:
    """One part of two cards where they differ."""

    path: str
    title: str
    lines: tuple[Line, ...]


def by_factor(
    before: Mapping[str, Any], after: Mapping[str, Any], *, language: str
) -> list[FactorDifference]:
    """What differs between two cards' documents, part by part in the order of a price."""
    titles: dict[str, str] = {}
    labels: dict[str, str] = {}
    for document in (before, after):
        for group in groups(document, language=language) if "factors" in document else ():
            titles[group.path] = group.title
            entries = [entry for row in group.rows for entry in row.entries] + [*group.about]
            labels |= {entry.name: entry.label for entry in (group.switch, *entries) if entry is not None}
    found: dict[str, list[Line]] = {}
    for line in differences(_prices(before), _prices(after)):
        name = _ITEM.sub(lambda item: f".{int(item[1]) - 1}", line.path)
        part = next((path for path in titles if name == path or name.startswith(f"{path}.")), name)
        found.setdefault(part, []).append(_line(line, name, part, labels, language))
    return [FactorDifference(part, titles.get(part, part), tuple(lines)) for part, lines in found.items()]


def _line(line: Difference, name: str, part: str, labels: Mapping[str, str], language: str) -> Line:
    where = name.removeprefix(part).removeprefix(".") or part
    before, after = (_SAID.get(text, {}).get(language, text) for text in (line.before, line.after))
    return Line(labels.get(name, where), where, before, after)


def _prices(document: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in in_order(document).items() if key not in _GIVEN}
