"""Competitors' rates: what a record is, how a file of them is read, and what they say of the market together.

A record says what a competitor paid a seller of one asset, of which face values, where, when it was seen and by whom. It is
never changed: a later record stands beside it, a retraction names it. What follows for our own price is a *suggestion*
with its arithmetic; a person proposes a rate card, another approves it.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from airback.domain.assets import PRODUCTS, parse_carrier
from airback.domain.canonical import canonical
from airback.domain.delimited import rows_of
from airback.domain.money import MAX_FEN, PPM, MoneyError, parse_yuan
from airback.domain.refusals import Refused
from airback.pricing.cards import RateCard, card_in_force
from airback.pricing.formula import CHINA, Terms, price
from airback.pricing.spreadsheet import looks_like, read_sheet

MOST_ROWS: Final = 20_000
MOST_NAME: Final = 60
MOST_SOURCE: Final = 200
#: Older records are shown, as stale, and count no more.
FRESH_FOR: Final = timedelta(days=7)
#: Over how long a change of the market is measured.
WINDOW: Final = timedelta(days=30)
#: S1: ten more competitors raise prices by 2–3 %; the middle.
PER_TEN_PPM: Final = 25_000
#: Clocks of those who record may run a little ahead of ours.
_AHEAD: Final = timedelta(minutes=5)
#: The face value that stands for all of them where a record names none, in fen.
REFERENCE_FACE_FEN: Final = 10_000

_PLACE: Final = re.compile(r"[0-9]{2,6}", re.ASCII)
_NUMBER: Final = re.compile(r"-?[0-9]{1,7}(?:\.[0-9]{1,12})?", re.ASCII)
_FORMULA: Final = ("=", "+", "@", "\t", "\r")
_SERIAL: Final = re.compile(r"[3-6][0-9]{4}(?:\.[0-9]{1,12})?", re.ASCII)
_TIME: Final = re.compile(
    r"([0-9]{4})[-/.年]([0-9]{1,2})[-/.月]([0-9]{1,2})日?"
    r"(?:[ T]+([0-9]{1,2}):([0-9]{2})(?::([0-9]{2})(?:\.[0-9]{1,6})?)?)?(Z|[+-][0-9]{2}:?[0-9]{2})?",
    re.ASCII,
)
#: A spreadsheet counts days from here.
_SPREADSHEET_DAY_0: Final = datetime(1899, 12, 30, tzinfo=CHINA)

_HEADERS: Final = {
    **dict.fromkeys(("competitor", "platform", "竞争对手", "平台", "对手"), "competitor"),
    **dict.fromkeys(("carrier", "运营商"), "carrier"),
    **dict.fromkeys(("product", "品类", "产品", "种类"), "product"),
    **dict.fromkeys(("face_yuan", "face", "面值", "面值(元)"), "face_yuan"),
    **dict.fromkeys(("place", "region", "地区", "地区代码"), "place"),
    **dict.fromkeys(("rate", "折扣率", "折算率", "回收率", "费率"), "rate"),
    **dict.fromkeys(("seen_at", "seen", "所见时间", "时间", "日期"), "seen_at"),
    **dict.fromkeys(("source", "来源", "出处"), "source"),
}
_NEEDED: Final = ("competitor", "carrier", "product", "rate", "seen_at", "source")
_PRODUCTS: Final = {
    **{product: product for product in PRODUCTS},
    **dict.fromkeys(("余额", "话费余额", "话费"), "balance"),
    **dict.fromkeys(("卡", "充值卡", "话费卡"), "card"),
}


@dataclass(frozen=True, slots=True)
class NewRate:
    """A record to be kept. `face_fen`–`face_upto_fen` (inclusive) are the face values it holds for, both None: any;
    `place` a code of GB/T 2260 or None; `rate_ppm` what a seller gets, ppm of face."""

    competitor: str
    carrier: str
    product: str
    face_fen: int | None
    face_upto_fen: int | None
    place: str | None
    rate_ppm: int
    seen_at: datetime
    source: str

    @property
    def said(self) -> bytes:
        """Digest of what it says: the same word from the same place is one record."""
        return hashlib.sha256(
            canonical(
                {
                    "competitor": self.competitor,
                    "carrier": self.carrier,
                    "product": self.product,
                    "face_fen": self.face_fen,
                    "face_upto_fen": self.face_upto_fen,
                    "place": self.place,
                    "rate_ppm": self.rate_ppm,
                    "seen_at": self.seen_at.astimezone(UTC).isoformat(),
                    "source": self.source,
                }
            )
        ).digest()


@dataclass(frozen=True, slots=True)
class RivalRate:
    """A record as it is kept."""

    id: int
    competitor: str
    carrier: str
    product: str
    face_fen: int | None
    face_upto_fen: int | None
    place: str | None
    rate_ppm: int
    seen_at: datetime
    source: str
    recorded_by: str
    recorded_at: datetime

    def holds_for(self, *, face_fen: int | None, place: str | None) -> bool:
        """Whether it speaks of that face value and place; None asks for any. A record of a province holds in its cities."""
        least, most = self.face_fen or 0, self.face_upto_fen or MAX_FEN
        if face_fen is not None and not least <= face_fen <= most:
            return False
        return place is None or self.place is None or place.startswith(self.place)

    def stale(self, *, at: datetime, fresh_for: timedelta = FRESH_FOR) -> bool:
        """Whether it is too old to count at that time."""
        return at - self.seen_at > fresh_for


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that was refused: `row` counts data rows from 1, `cells` is what stood there, so that nothing is lost."""

    row: int
    refused: Refused
    cells: tuple[str, ...]


# -- reading


def check_rate(rate: NewRate, *, now: datetime) -> NewRate:
    """The record, when it may be kept. Raises Refused with the field: `field_missing`, `field_invalid`,
    `carrier_unknown`, an amount's refusal, `face_band_reversed`, `rival_rate_not_positive`, `rival_rate_above_face`,
    `seen_in_future`."""
    for name, text, most in (
        ("competitor", rate.competitor, MOST_NAME),
        ("source", rate.source, MOST_SOURCE),
    ):
        if not text.strip():
            raise Refused("field_missing", field=name)
        if len(text) > most or not text.isprintable() or text != text.strip():
            raise Refused("field_invalid", field=name)
    if parse_carrier(rate.carrier) != rate.carrier:
        raise Refused("carrier_unknown", field="carrier")
    if rate.product not in PRODUCTS:
        raise Refused("field_invalid", field="product")
    if (rate.face_fen is None) != (rate.face_upto_fen is None):
        raise Refused("field_missing", field="face_fen" if rate.face_fen is None else "face_upto_fen")
    if rate.face_fen is not None and rate.face_upto_fen is not None:
        if rate.face_fen <= 0:
            raise Refused("amount_not_positive", field="face_fen")
        if rate.face_upto_fen > MAX_FEN:
            raise Refused("amount_above_limit", field="face_upto_fen")
        if rate.face_upto_fen < rate.face_fen:
            raise Refused("face_band_reversed", field="face_upto_fen")
    if rate.place is not None and not _PLACE.fullmatch(rate.place):
        raise Refused("field_invalid", field="place")
    if rate.rate_ppm <= 0:
        raise Refused("rival_rate_not_positive", field="rate")
    if rate.rate_ppm > PPM:
        raise Refused("rival_rate_above_face", field="rate")
    if rate.seen_at > now + _AHEAD:
        raise Refused("seen_in_future", field="seen_at")
    return rate


def read_rate(texts: Mapping[str, str], *, now: datetime) -> NewRate:
    """A record from texts as people type them: `competitor carrier product face_yuan place rate seen_at source`; `face_yuan`
    may be empty, one face (`100`) or a band (`50-100`). Raises Refused as `check_rate` does, and
    `rival_rate_malformed`, `time_malformed`, `formula_cell`."""
    cells = {name: texts.get(name, "").strip() for name in set(_HEADERS.values())}
    for name, cell in cells.items():
        if cell.startswith(_FORMULA) or (cell.startswith("-") and name not in ("rate", "face_yuan")):
            raise Refused("formula_cell", field=name)
    for name in _NEEDED:
        if not cells[name]:
            raise Refused("field_missing", field=name)
    carrier = parse_carrier(cells["carrier"])
    if carrier is None:
        raise Refused("carrier_unknown", field="carrier")
    product = _PRODUCTS.get(cells["product"].lower())
    if product is None:
        raise Refused("field_invalid", field="product")
    least, most = _faces(cells["face_yuan"])
    return check_rate(
        NewRate(
            competitor=cells["competitor"],
            carrier=carrier,
            product=product,
            face_fen=least,
            face_upto_fen=most,
            place=cells["place"] or None,
            rate_ppm=read_share(cells["rate"], field="rate"),
            seen_at=read_time(cells["seen_at"], field="seen_at"),
            source=cells["source"],
        ),
        now=now,
    )


def read_share(text: str, *, field: str) -> int:
    """Ppm of `85%`, `85`, `0.85`, `8.5折` or `85折`. A plain number above 1 and below 10 could mean two things and is
    refused. Raises Refused `rival_rate_malformed`, `rival_rate_not_positive`, `rival_rate_above_face`."""
    plain = text.replace(" ", "").replace("%", "%")
    scale: int | None = None
    if plain.endswith("%"):
        plain, scale = plain[:-1], 100
    elif plain.endswith("折"):
        plain = plain[:-1]
        scale = 10 if len(plain.partition(".")[0]) == 1 else 100
    if not _NUMBER.fullmatch(plain):
        raise Refused("rival_rate_malformed", field=field)
    number = Decimal(plain)
    if scale is None:
        if 1 < number < 10:
            raise Refused("rival_rate_malformed", field=field)
        scale = 1 if number <= 1 else 100
    ppm = number * (PPM // scale)
    if ppm != int(ppm):
        raise Refused("rival_rate_malformed", field=field)
    if ppm <= 0:
        raise Refused("rival_rate_not_positive", field=field)
    if ppm > PPM:
        raise Refused("rival_rate_above_face", field=field)
    return int(ppm)


def read_time(text: str, *, field: str) -> datetime:
    """A time such as `2026-11-20 08:00`, `2026/11/20`, ISO 8601, or a spreadsheet's count of days; without an offset it is
    China's, without a time of day the day's beginning. Raises Refused `time_malformed`."""
    if _SERIAL.fullmatch(text):
        seconds = int(Decimal(text) * 86_400 + Decimal("0.5"))
        return (_SPREADSHEET_DAY_0 + timedelta(seconds=seconds)).astimezone(UTC)
    match = _TIME.fullmatch(text)
    if match is None:
        raise Refused("time_malformed", field=field)
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    try:
        offset = match[7]
        zone = CHINA if offset is None else datetime.fromisoformat(f"2000-01-01T00:00:00{offset}").tzinfo
        return datetime(year, month, day, hour, minute, second, tzinfo=zone).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Refused("time_malformed", field=field) from None


def read_file(content: bytes, *, now: datetime) -> list[NewRate | BadRow]:
    """One entry for each data row of a CSV (UTF-8 or GB18030) or XLSX file, in order; blank lines are no rows.

    Raises Refused for the file as a whole: `text_not_decodable`, `columns_missing` (`field` names the column),
    `body_too_large` above `MOST_ROWS` rows.
    """
    table = read_sheet(content) if looks_like(content) else rows_of(content)
    lines = [cells for cells in table if any(cell.strip() for cell in cells)]
    if not lines:
        raise Refused("columns_missing", field=_NEEDED[0])
    if len(lines) - 1 > MOST_ROWS:
        raise Refused("body_too_large", row=MOST_ROWS + 1)
    columns: dict[str, int] = {}
    for place, cell in enumerate(lines[0]):
        header = re.sub(r"\s", "", cell).strip("\ufeff").lower().replace("（", "(").replace("）", ")")
        name = _HEADERS.get(header)
        if name is not None:
            columns.setdefault(name, place)
    for name in _NEEDED:
        if name not in columns:
            raise Refused("columns_missing", field=name)
    found: list[NewRate | BadRow] = []
    for row, cells in enumerate(lines[1:], start=1):
        texts = {name: cells[place] if place < len(cells) else "" for name, place in columns.items()}
        try:
            found.append(read_rate(texts, now=now))
        except Refused as refused:
            bad = Refused(refused.code, field=refused.field, row=row)
            found.append(BadRow(row, bad, tuple(cell[:MOST_SOURCE] for cell in cells[:20])))
    return found


def _faces(text: str) -> tuple[int | None, int | None]:
    """`` → (None, None), `100` → (10000, 10000), `50-100` → (5000, 10000)."""
    plain = re.sub(r"[元¥\s]", "", text).replace("–", "-").replace("~", "-").replace("至", "-")
    if not plain:
        return None, None
    least, dash, most = plain.partition("-")
    if dash and not least:  # below zero
        raise Refused("amount_not_positive", field="face_yuan")
    try:
        first = parse_yuan(least)
        last = parse_yuan(most) if dash else first
    except MoneyError as error:
        raise Refused(error.code, field="face_yuan") from None
    if last < first:
        raise Refused("face_band_reversed", field="face_yuan")
    return first, last


# -- what the records say together


@dataclass(frozen=True, slots=True)
class Level:
    """What competitors pay for one asset at one time: of the latest fresh record of each the median, ppm of face; None when
    there is none. `stale` counts competitors of whom only older records are known."""

    median_ppm: int | None
    competitors: int
    stale: int


def latest(records: Iterable[RivalRate], *, at: datetime) -> list[RivalRate]:
    """The last record of each competitor, asset, faces and place that was seen by then, in order of names."""
    last: dict[tuple[Any, ...], RivalRate] = {}
    for record in records:
        if record.seen_at > at:
            continue
        key = (
            record.competitor,
            record.carrier,
            record.product,
            record.face_fen or 0,
            record.face_upto_fen or 0,
            record.place or "",
        )
        known = last.get(key)
        if known is None or (known.seen_at, known.id) < (record.seen_at, record.id):
            last[key] = record
    return [last[key] for key in sorted(last)]


def current(
    records: Iterable[RivalRate], *, at: datetime, face_fen: int | None, place: str | None
) -> list[RivalRate]:
    """Of each competitor the last record seen by then that holds for that face value and place, in order of names."""
    last: dict[str, RivalRate] = {}
    for record in latest(records, at=at):
        if record.holds_for(face_fen=face_fen, place=place):
            known = last.get(record.competitor)
            if known is None or (known.seen_at, known.id) < (record.seen_at, record.id):
                last[record.competitor] = record
    return [last[name] for name in sorted(last)]


def level(
    records: Iterable[RivalRate],
    *,
    at: datetime,
    face_fen: int | None = None,
    place: str | None = None,
    fresh_for: timedelta = FRESH_FOR,
) -> Level:
    """The level of the market from the records of one asset, for a face value and place or over all. A competitor with several
    fresh records counts once, with their median, so that whoever has many prices does not weigh more."""
    by_name: dict[str, list[int]] = {}
    names: set[str] = set()
    asked = face_fen is not None or place is not None
    last = current(records, at=at, face_fen=face_fen, place=place) if asked else latest(records, at=at)
    for record in last:
        names.add(record.competitor)
        if not record.stale(at=at, fresh_for=fresh_for):
            by_name.setdefault(record.competitor, []).append(record.rate_ppm)
    each = [median(rates) for rates in by_name.values()]
    return Level(median(each) if each else None, len(each), len(names - set(by_name)))


def median(values: Sequence[int]) -> int:
    """The middle value; between two, their mean rounded down. At least one value."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) // 2


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What the market suggests for `competition.rate_ppm`, with its arithmetic: `rate_ppm` = `stands_ppm` + (`competitors` −
    `before`) × `per_ten_ppm` ÷ 10, rounded down, brought into `range_ppm` (the factor's own range)."""

    rate_ppm: int
    stands_ppm: int
    competitors: int
    before: int
    per_ten_ppm: int
    unbounded_ppm: int
    range_ppm: tuple[int, int]

    @property
    def differs(self) -> bool:
        """Whether it is another figure than what stands."""
        return self.rate_ppm != self.stands_ppm


def suggest_competition(
    records: Sequence[RivalRate],
    *,
    card: RateCard,
    at: datetime,
    window: timedelta = WINDOW,
    per_ten_ppm: int = PER_TEN_PPM,
    fresh_for: timedelta = FRESH_FOR,
) -> Suggestion:
    """How the number of competitors changed over the window, and what that suggests (S1: ten more, 2–3 %)."""
    now = level(records, at=at, fresh_for=fresh_for).competitors
    before = level(records, at=at - window, fresh_for=fresh_for).competitors
    stands = card.competition.rate_ppm if card.competition.factor.counts(at) else 0
    lowest, highest = card.document["factors"]["competition"]["range_ppm"]
    unbounded = stands + (now - before) * per_ten_ppm // 10
    return Suggestion(
        rate_ppm=min(max(unbounded, lowest), highest),
        stands_ppm=stands,
        competitors=now,
        before=before,
        per_ten_ppm=per_ten_ppm,
        unbounded_ppm=unbounded,
        range_ppm=(lowest, highest),
    )


def with_competition(document: Mapping[str, Any], *, rate_ppm: int) -> dict[str, Any]:
    """A rate card's document with the competition factor switched on at that figure."""
    factors = document["factors"]
    competition = {**factors["competition"], "on": True, "rate_ppm": rate_ppm}
    return {**document, "factors": {**factors, "competition": competition}}


# -- beside our own rate


def our_rate_ppm(
    cards: Iterable[RateCard],
    *,
    carrier: str,
    product: str,
    face_fen: int,
    place: str | None,
    at: datetime,
) -> int | None:
    """What a seller got of face value by our published card at that time, at full validity, by the rail that left most;
    rounded down, ppm. None when nothing was published then, or nothing was bought of it."""
    try:
        card = card_in_force(cards, at)
    except Refused:
        return None
    nets = []
    for rail in card.rails:
        terms = Terms(product, carrier, face_fen, None, place, rail, at, face_fen)
        try:
            nets.append(price(card=card, terms=terms).net_fen)
        except Refused:
            continue
    return max(nets) * PPM // face_fen if nets else None


@dataclass(frozen=True, slots=True)
class Compared:
    """A record beside our own rate of the moment it was seen; `gap_ppm` is theirs less ours."""

    record: RivalRate
    face_fen: int
    ours_ppm: int | None
    stale: bool

    @property
    def gap_ppm(self) -> int | None:
        """Above zero: they pay more."""
        return None if self.ours_ppm is None else self.record.rate_ppm - self.ours_ppm


def compare(
    records: Iterable[RivalRate], *, cards: Sequence[RateCard], at: datetime, face_fen: int | None = None
) -> list[Compared]:
    """Each record beside our own rate when it was seen, for the face asked, else the least it names, else 100 yuan."""
    return [
        Compared(
            record,
            face := face_fen or record.face_fen or REFERENCE_FACE_FEN,
            our_rate_ppm(
                cards,
                carrier=record.carrier,
                product=record.product,
                face_fen=face,
                place=record.place,
                at=record.seen_at,
            ),
            record.stale(at=at),
        )
        for record in records
    ]
