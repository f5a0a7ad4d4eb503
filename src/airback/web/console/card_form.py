"""A rate card as a form: every figure of the document as a field a person fills in, and back, without losing anything.

The form follows the document's own shape, so a factor that a later card brings has its fields here at once. A field's
name is its path in the document, the one that `parse_card` names a fault by. Rates are typed in percent, amounts in
yuan, times on Beijing's clock; nothing passes through a float.
"""

import copy
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from airback.domain.assets import CARRIERS, PRODUCTS, airtime
from airback.domain.money import MAX_FEN, percent
from airback.domain.refusals import Refused
from airback.pricing.cards import DEFAULT_CARD, parse_card
from airback.web.templates import BEIJING, plain_yuan

Keys = tuple[str | int, ...]


def _keys_of(part: Any) -> Iterator[str]:
    if isinstance(part, Mapping):
        for key, inner in part.items():
            yield key
            yield from _keys_of(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from _keys_of(inner)


#: Where each key of a card stands among the others, by its first place in the card an installation starts with.
_PLACES: Final = {key: place for place, key in enumerate(dict.fromkeys(_keys_of(DEFAULT_CARD)))}

_PERCENT: Final = re.compile(r"([-−]?)([0-9]{1,3})(?:\.([0-9]{1,4}))?\s*%?", re.ASCII)
_YUAN: Final = re.compile(r"([0-9]{1,9})(?:\.([0-9]{1,2}))?", re.ASCII)
_WHOLE: Final = re.compile(r"[0-9]{1,9}", re.ASCII)
_COMMAS: Final = re.compile(r"[,\uff0c\u3001\s]+")

#: Parts that the form leaves as they are: the version is given at publication, and so is the time it takes effect.
_LEFT: Final = frozenset({"v", "version", "effective_from"})
_TIMES: Final = frozenset({"from", "until", "effective_until"})
#: What may stand under a key whose entries come and go: left empty, an entry is not in the card.
_CANDIDATES: Final[Mapping[str, tuple[str, ...]]] = {
    "rates_ppm": tuple(airtime(carrier, product) for carrier in CARRIERS for product in PRODUCTS),
    "carriers_ppm": tuple(CARRIERS),
}
#: What the rows of a list are in ascending order by.
_ENDS: Final = ("upto_fen", "from_fen", "least_face_fen")
#: What is about the figures, below them: zh-CN, English.
_ABOUT: Final = frozenset({"source", "note", "zh", "en", "range_ppm"})

_LABELS: Final[Mapping[str, tuple[str, str]]] = {
    "zh": ("中文名称", "Name in Chinese"),
    "en": ("英文名称", "Name in English"),
    "source": ("来源", "Source"),
    "note": ("说明", "Note"),
    "range_ppm.0": ("来源给出的下限", "Lowest the source gives"),
    "range_ppm.1": ("来源给出的上限", "Highest the source gives"),
    "from": ("开始", "From"),
    "until": ("结束", "Until"),
    "effective_until": ("失效时间", "Ends at"),
    "upto_fen": ("面值至(含)", "Face up to (incl.)"),
    "rate_ppm": ("比率", "Rate"),
    "step_ppm": ("每档降幅", "Off for each step"),
    "step_days": ("每档天数", "Days in a step"),
    "full_days": ("足期天数", "Days of the full term"),
    "least_ppm": ("下限", "Least"),
    "most_ppm": ("上限", "Most"),
    "least_fen": ("最低", "Least"),
    "most_fen": ("最高", "Most"),
    "fixed_fen": ("每笔固定", "Fixed, each"),
    "switch": ("反转正负号", "Turn the sign"),
    "name": ("代号", "Code"),
    "on": ("启用", "On"),
    "assets": ("适用品种", "Applies to"),
    "places": ("地区与级别", "Places and their tiers"),
    "card_faces_fen": ("收购的卡面值", "Face values of cards bought"),
    "table_faces_fen": ("价格表列出的面值", "Face values in the public table"),
    "balance": ("话费余额", "Balance"),
    "card": ("充值卡", "Recharge card"),
    "unstated_days": ("未注明有效期时按", "Taken when not stated"),
    "days": ("统计天数", "Days counted"),
    "least_face_fen": ("成交面值不少于", "Face value closed, at least"),
    "least_orders": ("成交笔数不少于", "Orders closed, at least"),
    "from_fen": ("求购面值从(含)", "Face value wanted from (incl.)"),
    "margin_ppm": ("每单成本留存", "Kept for what an order costs"),
    "subsidy_ppm": ("补贴(高于出货价)", "Subsidy (above what the outlet gives)"),
}
_UNITS: Final[Mapping[str, tuple[str, str]]] = {
    "percent": ("%", "%"),
    "yuan": ("元", "yuan"),
    "count": ("天", "days"),
    "orders": ("笔", "orders"),
}
_REMEDIES: Final[Mapping[str, tuple[str, str]]] = {
    "percent": ("请填写 -100 到 100 的百分数,最多四位小数。", "Enter a percentage from -100 to 100, at most four decimals."),
    "yuan": ("请填写金额(元),最多两位小数。", "Enter an amount in yuan, at most two decimals."),
    "count": ("请填写不小于零的整数。", "Enter a whole number, zero or more."),
    "orders": ("请填写不小于零的整数。", "Enter a whole number, zero or more."),
    "time": ("请按 2026-11-11T00:00 的样式填写北京时间。", "Enter Beijing time such as 2026-11-11T00:00."),
    "text": ("请填写一至四百个字。", "Enter one to four hundred characters."),
    "source": ("请从来源中选择一项。", "Choose one of the sources."),
    "words": ("请用逗号分隔,如 cmcc.card。", "Separate them by commas, such as cmcc.card."),
    "yuans": ("请填写金额,以逗号分隔,不得重复。", "Enter amounts separated by commas, none twice."),
    "lines": ("请每行填写一个地区代码和一个级别,如 4401 1。", "One place and its tier in each line, such as 4401 1."),
}  # fmt: skip
#: What a fault at such a key usually is.
_MEANINGS: Final[Mapping[str, tuple[str, str]]] = {
    "upto_fen": (
        "各档的面值须逐档递增,只有最后一档留空。",
        "Each band ends above the one before; only the last has no end.",
    ),
    "until": ("结束须晚于开始。", "It must end after it begins."),
    "effective_until": ("失效须晚于生效。", "It must end after it takes effect."),
    "range_ppm": ("下限不得高于上限。", "The lower end must not be above the upper one."),
    "most_ppm": ("上限须在下限与 100 % 之间。", "It must lie between the least and 100 %."),
    "most_fen": ("最高不得低于最低。", "It must not be below the least."),
    "places": (
        "每个地区代码为二至六位数字,级别须是上面列出的。",
        "A place has two to six digits, its tier is one of those above.",
    ),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a field was not taken, and what to do."""

    reason: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One field. `name` is its path in the document, `text` what stands in it; `about`: it is about the figures."""

    name: str
    keys: Keys
    kind: str
    label: str
    unit: str
    text: str
    about: bool = False
    optional: bool = False
    fault: Fault | None = None

    @property
    def said(self) -> str:
        """What stands in it, with its unit."""
        if self.kind == "flag":
            return "✓" if self.text else "–"
        text = self.text.replace("-", "−") if self.kind == "percent" else self.text
        return f"{text} {self.unit}".strip() if text else "–"


@dataclass(frozen=True, slots=True)
class Row:
    """Fields that belong together: a band, or a single field."""

    entries: tuple[Entry, ...]
    key: str = ""
    spare: bool = False

    @property
    def figure(self) -> tuple[str, str] | None:
        """(of what, how much) as a person reads it; None where nothing is said, and for what is too long to be read so."""
        first, *rest = self.entries
        if self.spare or first.kind == "lines" or (first.kind == "time" and not first.text):
            return None
        if not rest:
            return first.label, first.said
        names = {str(entry.keys[-1]): entry.text for entry in self.entries}
        if "zh" in names and "en" in names:
            said = [entry.said for entry in rest if entry.kind != "text"]
            return names["en" if first.label.isascii() else "zh"], ", ".join(said)
        if first.keys[-1] == "upto_fen" and not first.text:
            return "Above that" if first.label.isascii() else "更高面值", rest[0].said
        return f"{first.label} {first.said}", ", ".join(entry.said for entry in rest)


@dataclass(frozen=True, slots=True)
class Group:
    """One part of the card: a factor, the fee, a rail. `switch` is the field that turns it on, where it has one; `about` are
    the fields about its figures, `faulty` those that were not taken."""

    path: str
    title: str
    switch: Entry | None
    rows: tuple[Row, ...]
    about: tuple[Entry, ...]
    faulty: tuple[Entry, ...]

    @property
    def source(self) -> str:
        """The source its figures come from; empty where the part has none."""
        return next((entry.text for entry in self.about if entry.kind == "source"), "")


def in_order(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document with its keys in the order of the card that an installation starts with, unknown ones last: the
    database keeps them in an order of its own."""

    def sorted_part(part: Any) -> Any:
        if isinstance(part, Mapping):
            # a row of a list ends with its rate: what it is for comes before
            row = "source" not in part and "rate_ppm" in part
            keys = sorted(part, key=lambda key: (row and key == "rate_ppm", _PLACES.get(key, len(_PLACES))))
            return {key: sorted_part(part[key]) for key in keys}
        return [sorted_part(item) for item in part] if isinstance(part, list) else part

    return dict(sorted_part(document))


def groups(
    document: Mapping[str, Any],
    *,
    language: str,
    typed: Callable[[str], str] | None = None,
    faults: Mapping[str, Fault] | None = None,
) -> list[Group]:
    """The form of a document. With `typed` (a field's text by its name) it shows what was typed, and the `faults` beside."""
    found = []
    for path, keys, part in _parts(in_order(document)):
        entries = list(_entries(part, keys, language, f"{path} ", top=path))
        if typed is not None:
            entries = [replace(entry, text=typed(entry.name)) for entry in entries]
        entries = [replace(entry, fault=_fault_of(entry, faults or {}, entries)) for entry in entries]
        switch = next((entry for entry in entries if entry.kind == "flag" and entry.keys[-1] == "on"), None)
        rest = [entry for entry in entries if entry is not switch]
        found.append(
            Group(
                path=path,
                title=_title(path, part, language),
                switch=switch,
                rows=tuple(_rows([entry for entry in rest if not entry.about], part, keys)),
                about=tuple(entry for entry in rest if entry.about),
                faulty=tuple(entry for entry in entries if entry.fault),
            )
        )
    return found


def unplaced(document: Mapping[str, Any], faults: Mapping[str, Fault]) -> dict[str, Fault]:
    """Faults that no field of the form stands for."""
    names = [
        entry.name
        for path, keys, part in _parts(document)
        for entry in _entries(part, keys, "zh", "", top=path)
    ]
    return {
        where: fault for where, fault in faults.items() if not any(_stands_for(name, where) for name in names)
    }


def filled(
    document: Mapping[str, Any], typed: Callable[[str], str], *, language: str
) -> tuple[dict[str, Any], dict[str, Fault]]:
    """The document with what was typed, and the fields that could not be read. Without faults it is a rate card."""
    made: dict[str, Any] = copy.deepcopy(dict(document))
    faults: dict[str, Fault] = {}
    spare: dict[Keys, dict[str, Any]] = {}
    gone: set[Keys] = set()
    for path, keys, part in _parts(document):
        for entry in _entries(part, keys, language, "", top=path):
            text = typed(entry.name)
            in_a_row = len(entry.keys) > 2 and isinstance(entry.keys[-2], int)
            try:
                # of a row that is left empty nothing is missing: it is not there
                value = None if in_a_row and entry.kind == "text" and not text else _read(entry.kind, text)
            except Refused as refused:
                faults[entry.name] = _fault(refused, entry.kind, language)
                continue
            _put(made, document, entry, value, spare=spare, gone=gone)
    _settle_rows(made, spare, gone)
    if not faults:
        try:
            parse_card(made)
        except Refused as refused:
            where = refused.field or "document"
            faults[where] = _meaning(refused, where, language)
    return made, faults


def _settle_rows(made: dict[str, Any], spare: Mapping[Keys, dict[str, Any]], gone: set[Keys]) -> None:
    """Rows of a list that were typed anew come in, those emptied go."""
    for row in sorted(gone, key=lambda keys: (len(keys), str(keys)), reverse=True):
        rows = _at(made, row[:-1])
        if all(value is None for value in rows[row[-1]].values()) and len(rows) > 1:
            del rows[row[-1]]
    for row, content in spare.items():
        if any(value is not None for value in content.values()):
            rows = _at(made, row[:-1])
            rows.insert(_its_place(rows, content), content)


def _its_place(rows: list[dict[str, Any]], fresh: Mapping[str, Any]) -> int:
    """Where a new row goes: bands stand in ascending order, of which one without an end is the last."""
    for key in _ENDS:
        if key not in fresh:
            continue
        value = fresh[key]
        for place, row in enumerate(rows):
            if row[key] is None or (value is not None and row[key] > value):
                return place
    return len(rows)


def _put(
    made: dict[str, Any],
    document: Mapping[str, Any],
    entry: Entry,
    value: Any,
    *,
    spare: dict[Keys, dict[str, Any]],
    gone: set[Keys],
) -> None:
    *way, last = entry.keys
    if len(way) > 1 and isinstance(way[-1], int):
        rows = _at(document, tuple(way[:-1]))
        if way[-1] >= len(rows):
            spare.setdefault(tuple(way), {})[str(last)] = value
            return
        if value is None:
            gone.add(tuple(way))
    holder = _at(made, tuple(way))
    comes_and_goes = str(way[-1]) in _CANDIDATES if way else False
    if value is None and (
        comes_and_goes or (last in _TIMES and isinstance(holder, dict) and last not in holder)
    ):
        holder.pop(last, None)
    else:
        holder[last] = value


def _at(document: Any, keys: Keys) -> Any:
    for key in keys:
        document = document[key]
    return document


def _parts(document: Mapping[str, Any]) -> Iterator[tuple[str, Keys, Any]]:
    """The card's parts in the order of a price: (path, keys, content)."""
    for name, part in document["factors"].items():
        yield f"factors.{name}", ("factors", name), part
    for name in document:
        if name in ("factors", "sources") or name in _LEFT:
            continue
        content = document[name]
        if name == "rails":
            for rail, part in content.items():
                yield f"rails.{rail}", ("rails", rail), part
        elif name == "charges":
            for index, part in enumerate(content):
                yield f"charges.{index}", ("charges", index), part
        else:
            yield name, (name,), content
    yield "sources", ("sources",), document["sources"]


def _title(path: str, part: Any, language: str) -> str:
    if isinstance(part, Mapping) and isinstance(part.get("zh"), str) and isinstance(part.get("en"), str):
        return str(part["zh"] if language == "zh" else part["en"])
    names = {
        "limits": ("单笔限额", "Limits of one order"),
        "sources": ("来源", "Sources"),
        **_LABELS,
    }
    zh, en = names.get(path, (path, path))
    return zh if language == "zh" else en


def _entries(part: Any, keys: Keys, language: str, unit: str, *, top: str) -> Iterator[Entry]:
    if isinstance(part, Mapping) and str(keys[-1]) == "places":
        text = "\n".join(f"{place} {tier}" for place, tier in part.items())
        yield _entry(keys, "lines", text, language)
        return
    if isinstance(part, Mapping):
        candidates = _CANDIDATES.get(str(keys[-1]), ())
        for key in [*part, *(one for one in candidates if one not in part)]:
            yield from _entries(part.get(key), (*keys, key), language, f"{unit} {key}", top=top)
        # a factor that can be switched has its dates, but the base rate, without which there is no price
        if "on" in part and keys != ("factors", "base"):
            for key in ("from", "until"):
                if key not in part:
                    yield _entry((*keys, key), "time", "", language)
        return
    if isinstance(part, list) and part and all(isinstance(item, Mapping) for item in part):
        for index, item in enumerate(part):
            yield from _entries(item, (*keys, index), language, unit, top=top)
        for key in part[0]:  # one more, to be filled in
            kind = _kind((*keys, key), part[0][key], f"{unit} {key}")
            yield _entry((*keys, len(part), key), kind, "", language)
        return
    if isinstance(part, list) and str(keys[-1]) == "range_ppm":
        for index, item in enumerate(part):
            yield _entry((*keys, index), "percent", percent(item), language)
        return
    kind = _kind(keys, part, f"{unit} {keys[-1]}")
    yield _entry(keys, kind, _text(kind, part), language)


def _kind(keys: Keys, value: Any, unit: str) -> str:
    key = str(keys[-1])
    if isinstance(value, bool):
        return "flag"
    if key in _TIMES:
        return "time"
    if key == "assets" or (isinstance(value, list) and "fen" not in unit):
        return "words"
    if isinstance(value, list):
        return "yuans"
    if isinstance(value, str):
        return "source" if key == "source" else "text"
    if "ppm" in unit:
        return "percent"
    if key == "least_orders":
        return "orders"
    return "yuan" if "fen" in unit else "count"


def _entry(keys: Keys, kind: str, text: str, language: str) -> Entry:
    second = 0 if language == "zh" else 1
    last = f"{keys[-2]}.{keys[-1]}" if isinstance(keys[-1], int) else str(keys[-1])
    label = _LABELS.get(last, (last, last))[second]
    if len(keys) > 1 and str(keys[-2]) == "unstated_days":
        label = (
            f"{_LABELS['unstated_days'][second]}({label})"
            if second == 0
            else f"{label}, not stated: taken as"
        )
    elif len(keys) > 2 and keys[0] == "limits" and keys[-1] in ("least_fen", "most_fen"):
        label = f"{_LABELS[str(keys[1])][second]} · {label}"
    elif len(keys) > 1 and str(keys[-2]) in _CANDIDATES:
        label = _asset(last, second)
    elif len(keys) > 1 and str(keys[-2]) == "tiers_ppm":
        label = f"{last} 级城市" if second == 0 else f"Tier {last}"
    about = bool(_ABOUT & {str(key) for key in keys[-2:]}) and keys[0] != "sources"
    if len(keys) > 3 and last in ("zh", "en"):  # the name of one row, which stands with its figures
        about = False
    optional = kind in ("time", "words") or str(keys[-1]) == "upto_fen" or "unstated_days" in keys
    optional = optional or (len(keys) > 1 and str(keys[-2]) in _CANDIDATES)
    unit = _UNITS.get(kind, ("", ""))[second]
    return Entry(".".join(map(str, keys)), keys, kind, label, unit, text, about=about, optional=optional)


def _asset(code: str, second: int) -> str:
    carrier, _, product = code.partition(".")
    name = CARRIERS[carrier].zh if second == 0 else CARRIERS[carrier].en
    return f"{name} · {_LABELS[product][second]}" if product else name


def _rows(entries: list[Entry], part: Any, keys: Keys) -> Iterator[Row]:
    """Fields of one item of a list stand together in a row."""
    together: dict[Keys, list[Entry]] = {}
    for entry in entries:
        items = [place for place, key in enumerate(entry.keys) if isinstance(key, int) and place >= len(keys)]
        together.setdefault(entry.keys[: items[0] + 1] if items else entry.keys, []).append(entry)
    for place, found in together.items():
        is_item = isinstance(place[-1], int)
        spare = is_item and int(place[-1]) >= len(_at(part, place[len(keys) : -1]))
        yield Row(tuple(found), key=".".join(map(str, place)) if is_item else "", spare=spare)


def _text(kind: str, value: Any) -> str:
    if value is None:
        return ""
    match kind:
        case "flag":
            return "on" if value else ""
        case "percent":
            return percent(value)
        case "yuan":
            return plain_yuan(value) or "0"
        case "time":
            return datetime.fromisoformat(value).astimezone(BEIJING).strftime("%Y-%m-%dT%H:%M:%S")
        case "yuans":
            return ", ".join(plain_yuan(fen) for fen in value)
        case "words":
            return ", ".join(map(str, value))
        case _:
            return str(value)


def _read(kind: str, text: str) -> Any:
    """What a text says, None for an empty one. Raises Refused `field_invalid`, `field_missing`."""
    text = text.strip()
    if kind == "flag":
        return bool(text)
    if kind == "lines":
        return _lines(text)
    if kind in ("text", "source"):
        if not text:
            raise Refused("field_missing")
        return text
    if not text:
        if kind == "yuans":
            raise Refused("field_missing")
        return None
    match kind:
        case "percent":
            return read_percent(text)
        case "yuan":
            return _fen(text)
        case "yuans":
            return [_fen(one) for one in _COMMAS.split(text) if one]
        case "words":
            return [one for one in _COMMAS.split(text) if one]
        case "time":
            return _time(text)
        case _:
            if not _WHOLE.fullmatch(text):
                raise Refused("field_invalid")
            return int(text)


def read_percent(text: str) -> int:
    """A percentage as ppm: `88`, `-4.5`, `0.43 %`. Raises Refused `field_invalid`."""
    found = _PERCENT.fullmatch(text.strip())
    if found is None:
        raise Refused("field_invalid")
    ppm = int(found[2]) * 10_000 + int((found[3] or "").ljust(4, "0"))
    return -ppm if found[1] else ppm


def _fen(text: str) -> int:
    found = _YUAN.fullmatch(text)
    fen = -1 if found is None else int(found[1]) * 100 + int((found[2] or "").ljust(2, "0"))
    if not 0 <= fen <= MAX_FEN:
        raise Refused("field_invalid")
    return fen


def _time(text: str) -> str:
    for form in ("%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"):
        try:
            moment = datetime.strptime(text, form).replace(tzinfo=BEIJING).astimezone(UTC)
        except (ValueError, OverflowError):
            continue
        return moment.replace(tzinfo=None).isoformat(timespec="seconds") + "Z"
    raise Refused("field_invalid")


def _lines(text: str) -> dict[str, str]:
    places: dict[str, str] = {}
    for line in filter(None, map(str.strip, text.split("\n"))):
        words = line.split()
        if len(words) != 2 or words[0] in places:
            raise Refused("field_invalid")
        places[words[0]] = words[1]
    return places


def _fault(refused: Refused, kind: str, language: str) -> Fault:
    zh, en = _REMEDIES.get(kind, _REMEDIES["text"])
    return Fault(refused.refusal.sentence(language), zh if language == "zh" else en)


def _meaning(refused: Refused, where: str, language: str) -> Fault:
    """Why `parse_card` did not take it, as far as its place tells."""
    last = where.rpartition(".")[2]
    if where == "factors.base.on":
        zh, en = "基准回收率须一直启用,没有起止日期。", "The base rate is always on, without dates."
    elif ".places" in where:
        zh, en = _MEANINGS["places"]
    else:
        zh, en = _MEANINGS.get(last, (refused.refusal.remedy_zh, refused.refusal.remedy_en))
    return Fault(refused.refusal.sentence(language), zh if language == "zh" else en)


def _stands_for(name: str, where: str) -> bool:
    """Whether the field `name` is where a fault at `where` is shown: itself, the first one below it, or above it."""
    return name == where or name.startswith(f"{where}.") or where.startswith(f"{name}.")


def _fault_of(entry: Entry, faults: Mapping[str, Fault], entries: list[Entry]) -> Fault | None:
    for where, fault in faults.items():
        first = next((one.name for one in entries if one.name == where), None) or next(
            (one.name for one in entries if _stands_for(one.name, where)), None
        )
        if first == entry.name:
            return fault
    return None
