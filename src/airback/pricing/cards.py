"""Rate cards: the published price list as data. A card is a JSON document; `parse_card` reads it strictly.

The document says for every factor its name in two languages, whether it is on, from when to when, its figures,
and where they come from. Rates are signed integers in parts per million, amounts integer fen. See docs/pricing.md.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Final, NoReturn, TypeVar

from airback.domain.assets import CARRIERS, PRODUCTS, airtime
from airback.domain.money import MAX_FEN, PPM
from airback.domain.refusals import Refused
from airback.pricing.default_card import DEFAULT_CARD

__all__ = ["DEFAULT_CARD", "RateCard", "card_in_force", "in_force_from", "outside_sources", "parse_card"]

_RAIL: Final = re.compile(r"[a-z][a-z0-9_]{0,39}", re.ASCII)
_PLACE: Final = re.compile(r"[0-9]{2,6}", re.ASCII)
_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z", re.ASCII)
_MOST_TEXT: Final = 400
_MOST_ITEMS: Final = 4_000
_MOST_DAYS: Final = 36_500
#: Volumes of sellers are kept for so long.
MOST_STANDING_DAYS: Final = 365
_MOST_ORDERS: Final = 1_000_000

_Read = TypeVar("_Read")


@dataclass(frozen=True, slots=True)
class Factor:
    """What every line of a price has: a name to store, one in each language, its source, and when it counts."""

    name: str
    zh: str
    en: str
    source: str
    on: bool = True
    since: datetime | None = None
    until: datetime | None = None

    def counts(self, at: datetime) -> bool:
        """Whether the factor is on at that time."""
        return (
            self.on and (self.since is None or self.since <= at) and (self.until is None or at < self.until)
        )


@dataclass(frozen=True, slots=True)
class Base:
    """Buy-back rate by airtime asset (`cmcc.balance`), ppm of face. What is not named is not bought."""

    factor: Factor
    rates_ppm: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Face:
    """Points added by face value: the first band whose upper end (inclusive; None: no end) is not below the face."""

    factor: Factor
    bands: tuple[tuple[int | None, int], ...]

    def rate_ppm(self, face_fen: int) -> int:
        """Points of the band the face value falls into."""
        for upto, rate in self.bands:
            if upto is None or face_fen <= upto:
                return rate
        raise AssertionError("the last band has no end")  # pragma: no cover - parse_card sees to it


@dataclass(frozen=True, slots=True)
class Validity:
    """`step_ppm` of the list rate off for each whole `step_days` missing of `full_days`."""

    factor: Factor
    full_days: int
    step_days: int
    step_ppm: int
    unstated_days: Mapping[str, int | None]

    def steps(self, *, days_left: int) -> int:
        """Whole steps missing."""
        return max(0, self.full_days - days_left) // self.step_days


@dataclass(frozen=True, slots=True)
class Region:
    """Share of the list rate by tier; a place (GB/T 2260 code) has the tier of its longest named prefix, and `tier3`
    stands for a place of which only the tier is known."""

    factor: Factor
    tiers_ppm: Mapping[str, int]
    places: Mapping[str, str]

    def tier(self, place: str) -> str | None:
        """Tier of a place, or None when the card does not name it."""
        if place.startswith("tier"):
            stated = place.removeprefix("tier")
            return stated if stated in self.tiers_ppm else None
        for length in range(len(place), 1, -1):
            found = self.places.get(place[:length])
            if found is not None:
                return found
        return None


@dataclass(frozen=True, slots=True)
class Promotion:
    """Share of the list rate while a carrier sells its own credit cheaper."""

    factor: Factor
    carriers_ppm: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Competition:
    """Share of the list rate for the whole market's level."""

    factor: Factor
    rate_ppm: int


@dataclass(frozen=True, slots=True)
class SellerClass:
    """A published class of sellers: who has closed so much face value in so many orders within the card's days is in it.
    `rate_ppm` is a share of the list rate."""

    name: str
    zh: str
    en: str
    least_face_fen: int
    least_orders: int
    rate_ppm: int


@dataclass(frozen=True, slots=True)
class Standing:
    """Share of the list rate by the seller's class. Classes stand lowest first; the first is everybody's."""

    factor: Factor
    days: int
    classes: tuple[SellerClass, ...]

    def place(self, name: str) -> int | None:
        """Place of a class by name, or None when the card does not name it."""
        return next((n for n, one in enumerate(self.classes) if one.name == name), None)


@dataclass(frozen=True, slots=True)
class Demand:
    """Share of the list rate by what outlets want: of the last band that begins at or below it."""

    factor: Factor
    bands: tuple[tuple[int, int], ...]

    def place(self, demand_fen: int) -> int:
        """Place of the band."""
        return bisect_right(self.bands, demand_fen, key=lambda band: band[0]) - 1


@dataclass(frozen=True, slots=True)
class Caps:
    """Whether live anti-arbitrage caps count; how high each is, is a fact."""

    factor: Factor


@dataclass(frozen=True, slots=True)
class OutletBound:
    """At most what the best outlet gives, less `margin_ppm` of face for costs, and `subsidy_ppm` that was approved."""

    factor: Factor
    margin_ppm: int
    subsidy_ppm: int

    def most_ppm(self, outlet_ppm: int) -> int:
        """The most of face value that is paid, ppm."""
        return max(0, outlet_ppm - self.margin_ppm + self.subsidy_ppm)


@dataclass(frozen=True, slots=True)
class Bounds:
    """Least and most rate, ppm of face."""

    factor: Factor
    least_ppm: int
    most_ppm: int


@dataclass(frozen=True, slots=True)
class Fee:
    """Platform fee: a share of face, at least `least_fen`."""

    factor: Factor
    rate_ppm: int
    least_fen: int


@dataclass(frozen=True, slots=True)
class Charge:
    """A further deduction that is listed on the quote: a share of face and a fixed amount, for some assets or all."""

    factor: Factor
    rate_ppm: int
    fixed_fen: int
    assets: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class RailCost:
    """What paying costs: a share of the payment and a fixed amount."""

    factor: Factor
    rate_ppm: int
    fixed_fen: int


@dataclass(frozen=True, slots=True)
class Limits:
    """Least and most face value of one order, both inclusive."""

    least_fen: int
    most_fen: int


@dataclass(frozen=True, slots=True)
class RateCard:
    """A published price list, read and checked. `document` is what it was read from."""

    version: int
    effective_from: datetime
    effective_until: datetime | None
    base: Base
    face: Face
    validity: Validity
    region: Region
    promotion: Promotion
    competition: Competition
    standing: Standing | None
    demand: Demand | None
    bounds: Bounds
    cap: Caps | None
    outlet: OutletBound | None
    fee: Fee
    charges: tuple[Charge, ...]
    rails: Mapping[str, RailCost]
    limits: Mapping[str, Limits]
    card_faces_fen: frozenset[int]
    table_faces_fen: tuple[int, ...]
    sources: Mapping[str, str]
    document: Mapping[str, Any] = field(repr=False, compare=False)


def card_in_force(cards: Iterable[RateCard], now: datetime) -> RateCard:
    """The card in force: the one that took effect last, of two at the same time the higher version.

    Raises Refused `not_bought` when none is in force: without a published price nothing is bought.
    """
    in_force = [
        card
        for card in cards
        if card.effective_from <= now and (card.effective_until is None or now < card.effective_until)
    ]
    if not in_force:
        raise Refused("not_bought")
    return max(in_force, key=lambda card: (card.effective_from, card.version))


def lowest_class(card: RateCard) -> str | None:
    """The class of a seller who has sold nothing yet; None where the card has no classes."""
    return None if card.standing is None else card.standing.classes[0].name


def in_force_from(document: Mapping[str, Any], moment: datetime) -> dict[str, Any]:
    """The document as it takes effect at that time, to the second: an older list that is published again counts anew."""
    at = moment.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat()
    return {**document, "effective_from": f"{at}Z"}


def parse_card(document: object) -> RateCard:
    """Read a rate card. Raises Refused with the path of the faulty field: `card_rate_above_whole`, `card_source_missing`,
    `card_bands_overlap`, `card_bands_gap`, `card_tiers_fall`, and `field_invalid` or `field_missing` for the rest."""
    card = _Fields(document, "")
    if card.whole("v", 1, 1) != 1:  # pragma: no cover - `whole` has refused it
        card.wrong("v")
    factors = card.inside("factors")
    sources = dict(card.inside("sources").texts())
    parsed = RateCard(
        version=card.whole("version", 1, 2**31 - 1),
        effective_from=card.time("effective_from"),
        effective_until=card.optional_time("effective_until"),
        base=_base(factors.inside("base"), sources),
        face=_face(factors.inside("face"), sources),
        validity=_validity(factors.inside("validity"), sources),
        region=_region(factors.inside("region"), sources),
        promotion=_promotion(factors.inside("promotion"), sources),
        competition=_competition(factors.inside("competition"), sources),
        standing=_optional(factors, "standing", _standing, sources),
        demand=_optional(factors, "demand", _demand, sources),
        bounds=_bounds(factors.inside("bounds"), sources),
        cap=_optional(factors, "cap", _cap, sources),
        outlet=_optional(factors, "outlet", _outlet, sources),
        fee=_fee(card.inside("fee"), sources),
        charges=tuple(_charge(item, sources) for item in card.items("charges")),
        rails=_rails(card.inside("rails"), sources),
        limits=_limits(card.inside("limits"), sources),
        card_faces_fen=frozenset(card.fens("card_faces_fen")),
        table_faces_fen=tuple(card.fens("table_faces_fen")),
        sources=sources,
        document=card.content,
    )
    if parsed.effective_until is not None and parsed.effective_until <= parsed.effective_from:
        card.wrong("effective_until")
    for outer in (factors, card):
        outer.nothing_else()
    return parsed


def outside_sources(card: RateCard) -> list[str]:
    """Paths of figures outside the range that their source gives: nothing wrong, but to be seen before approval."""
    found = []
    factors = card.document["factors"]
    reversed_face = factors["face"]["switch"]
    figures: list[tuple[str, Mapping[str, Any], Iterable[int]]] = [
        ("factors.base", factors["base"], card.base.rates_ppm.values()),
        ("factors.face", factors["face"], (-r if reversed_face else r for _, r in card.face.bands)),
        ("factors.validity", factors["validity"], (card.validity.step_ppm,)),
        ("factors.region", factors["region"], card.region.tiers_ppm.values()),
        ("factors.promotion", factors["promotion"], card.promotion.carriers_ppm.values()),
        ("factors.competition", factors["competition"], (card.competition.rate_ppm,)),
        ("factors.bounds", factors["bounds"], (card.bounds.least_ppm, card.bounds.most_ppm)),
        ("fee", card.document["fee"], (card.fee.rate_ppm,)),
        *(
            (f"rails.{name}", card.document["rails"][name], (rail.rate_ppm,))
            for name, rail in card.rails.items()
        ),
    ]
    if card.standing is not None:
        figures.append(("factors.standing", factors["standing"], (c.rate_ppm for c in card.standing.classes)))
    if card.demand is not None:
        figures.append(("factors.demand", factors["demand"], (rate for _, rate in card.demand.bands)))
    if card.outlet is not None:
        figures.append(("factors.outlet", factors["outlet"], (card.outlet.margin_ppm,)))
        if card.outlet.subsidy_ppm:  # no source gives a subsidy: a person does
            found.append("factors.outlet.subsidy_ppm")
    for path, content, values in figures:
        lowest, highest = content["range_ppm"]
        if any(not lowest <= value <= highest for value in values):
            found.append(path)
    return found


def _base(part: "_Fields", sources: Mapping[str, str]) -> Base:
    rates = part.inside("rates_ppm")
    known = {airtime(carrier, product) for carrier in CARRIERS for product in PRODUCTS}
    figures = {asset: rates.rate(asset, 0) for asset in rates.names()}
    for asset in figures:
        if asset not in known:
            rates.wrong(asset)
    factor = _factor(part, "base", sources)
    if not factor.on or factor.since is not None or factor.until is not None:
        part.wrong("on")  # without a base rate there is no price
    part.nothing_else()
    return Base(factor, figures)


def _face(part: "_Fields", sources: Mapping[str, str]) -> Face:
    sign = -1 if part.flag("switch") else 1
    bands: list[tuple[int | None, int]] = []
    for item in part.items("bands"):
        upto = item.optional_whole("upto_fen", 1, MAX_FEN)
        if bands and (bands[-1][0] is None or (upto is not None and upto <= bands[-1][0])):
            item.wrong("upto_fen", "card_bands_overlap")
        bands.append((upto, sign * item.rate("rate_ppm", -PPM)))
        item.nothing_else()
    if not bands or bands[-1][0] is not None:
        part.wrong("bands", "card_bands_gap")
    factor = _factor(part, "face", sources)
    part.nothing_else()
    return Face(factor, tuple(bands))


def _validity(part: "_Fields", sources: Mapping[str, str]) -> Validity:
    unstated = part.inside("unstated_days")
    validity = Validity(
        factor=_factor(part, "validity", sources),
        full_days=part.whole("full_days", 0, _MOST_DAYS),
        step_days=part.whole("step_days", 1, _MOST_DAYS),
        step_ppm=part.rate("step_ppm", 0),
        unstated_days={product: unstated.optional_whole(product, 0, _MOST_DAYS) for product in PRODUCTS},
    )
    unstated.nothing_else()
    part.nothing_else()
    return validity


def _region(part: "_Fields", sources: Mapping[str, str]) -> Region:
    tiers = part.inside("tiers_ppm")
    places = part.inside("places")
    region = Region(
        factor=_factor(part, "region", sources),
        tiers_ppm={tier: tiers.rate(tier, -PPM) for tier in tiers.names()},
        places=dict(places.texts()),
    )
    for place, tier in region.places.items():
        if tier not in region.tiers_ppm or not _PLACE.fullmatch(place):
            places.wrong(place)
    named = sorted((tier for tier in region.tiers_ppm if tier.isascii() and tier.isdigit()), key=int)
    for lower, higher in pairwise(named):
        if region.tiers_ppm[higher] < region.tiers_ppm[lower]:
            tiers.wrong(higher, "card_tiers_fall")
    part.nothing_else()
    return region


def _promotion(part: "_Fields", sources: Mapping[str, str]) -> Promotion:
    carriers = part.inside("carriers_ppm")
    figures = {carrier: carriers.rate(carrier, -PPM) for carrier in carriers.names()}
    for carrier in figures:
        if carrier not in CARRIERS:
            carriers.wrong(carrier)
    factor = _factor(part, "promotion", sources)
    part.nothing_else()
    return Promotion(factor, figures)


def _competition(part: "_Fields", sources: Mapping[str, str]) -> Competition:
    competition = Competition(_factor(part, "competition", sources), part.rate("rate_ppm", -PPM))
    part.nothing_else()
    return competition


def _standing(part: "_Fields", sources: Mapping[str, str]) -> Standing:
    classes: list[SellerClass] = []
    for item in part.items("classes"):
        one = SellerClass(
            name=item.text("name"),
            zh=item.text("zh"),
            en=item.text("en"),
            least_face_fen=item.whole("least_face_fen", 0, MAX_FEN),
            least_orders=item.whole("least_orders", 0, _MOST_ORDERS),
            rate_ppm=item.rate("rate_ppm", 0),
        )
        if not _RAIL.fullmatch(one.name) or any(other.name == one.name for other in classes):
            item.wrong("name")
        if not classes and (one.least_face_fen or one.least_orders):
            item.wrong("least_face_fen", "card_bands_gap")  # a seller would be in no class
        if classes:
            below = classes[-1]
            if one.least_face_fen < below.least_face_fen:
                item.wrong("least_face_fen", "card_tiers_fall")
            if one.least_orders < below.least_orders:
                item.wrong("least_orders", "card_tiers_fall")
            if (one.least_face_fen, one.least_orders) == (below.least_face_fen, below.least_orders):
                item.wrong("least_face_fen", "card_bands_overlap")
            if one.rate_ppm < below.rate_ppm:
                item.wrong("rate_ppm", "card_tiers_fall")
        classes.append(one)
        item.nothing_else()
    if not classes:
        part.wrong("classes", "card_bands_gap")
    standing = Standing(
        _factor(part, "standing", sources), part.whole("days", 1, MOST_STANDING_DAYS), tuple(classes)
    )
    part.nothing_else()
    return standing


def _demand(part: "_Fields", sources: Mapping[str, str]) -> Demand:
    bands: list[tuple[int, int]] = []
    for item in part.items("bands"):
        band = item.whole("from_fen", 0, MAX_FEN), item.rate("rate_ppm", -PPM)
        if not bands and band[0]:
            item.wrong("from_fen", "card_bands_gap")
        if bands and band[0] <= bands[-1][0]:
            item.wrong("from_fen", "card_bands_overlap")
        if bands and band[1] < bands[-1][1]:
            item.wrong("rate_ppm", "card_tiers_fall")
        bands.append(band)
        item.nothing_else()
    if not bands:
        part.wrong("bands", "card_bands_gap")
    factor = _factor(part, "demand", sources)
    part.nothing_else()
    return Demand(factor, tuple(bands))


def _cap(part: "_Fields", sources: Mapping[str, str]) -> Caps:
    caps = Caps(_factor(part, "cap", sources))
    part.nothing_else()
    return caps


def _outlet(part: "_Fields", sources: Mapping[str, str]) -> OutletBound:
    bound = OutletBound(
        _factor(part, "outlet", sources), part.rate("margin_ppm", 0), part.rate("subsidy_ppm", 0)
    )
    part.nothing_else()
    return bound


def _optional(
    factors: "_Fields",
    name: str,
    read: Callable[["_Fields", Mapping[str, str]], _Read],
    sources: Mapping[str, str],
) -> _Read | None:
    """A factor that cards published before it was known do not have; without it it is neutral."""
    return None if factors.get(name, absent=True) is None else read(factors.inside(name), sources)


def _bounds(part: "_Fields", sources: Mapping[str, str]) -> Bounds:
    least = part.rate("least_ppm", 0)
    bounds = Bounds(_factor(part, "bounds", sources), least, part.rate("most_ppm", least))
    part.nothing_else()
    return bounds


def _fee(part: "_Fields", sources: Mapping[str, str]) -> Fee:
    fee = Fee(
        factor=_factor(part, "fee", sources, always=True),
        rate_ppm=part.rate("rate_ppm", 0),
        least_fen=part.whole("least_fen", 0, MAX_FEN),
    )
    part.nothing_else()
    return fee


def _charge(part: "_Fields", sources: Mapping[str, str]) -> Charge:
    assets = part.get("assets")
    if assets is not None and not (
        isinstance(assets, list) and len(assets) <= _MOST_ITEMS and all(isinstance(a, str) for a in assets)
    ):
        part.wrong("assets")
    name = part.text("name")
    if not _RAIL.fullmatch(name):
        part.wrong("name")
    charge = Charge(
        factor=_factor(part, f"charge:{name}", sources),
        rate_ppm=part.rate("rate_ppm", 0),
        fixed_fen=part.whole("fixed_fen", 0, MAX_FEN),
        assets=None if assets is None else frozenset(assets),
    )
    part.nothing_else()
    return charge


def _rails(part: "_Fields", sources: Mapping[str, str]) -> dict[str, RailCost]:
    rails = {}
    for name in part.names():
        if not _RAIL.fullmatch(name):
            part.wrong(name)
        item = part.inside(name)
        rails[name] = RailCost(
            factor=_factor(item, f"rail:{name}", sources),
            rate_ppm=item.rate("rate_ppm", 0),
            fixed_fen=item.whole("fixed_fen", 0, MAX_FEN),
        )
        item.nothing_else()
    return rails


def _limits(part: "_Fields", sources: Mapping[str, str]) -> dict[str, Limits]:
    limits = {}
    for product in PRODUCTS:
        item = part.inside(product)
        least = item.whole("least_fen", 1, MAX_FEN)
        limits[product] = Limits(least, item.whole("most_fen", least, MAX_FEN))
        item.nothing_else()
    part.source(sources)
    part.text("note")
    part.nothing_else()
    return limits


def _factor(part: "_Fields", name: str, sources: Mapping[str, str], *, always: bool = False) -> Factor:
    source = part.source(sources)
    part.text("note")
    lowest, highest = part.pair("range_ppm")
    if lowest > highest:
        part.wrong("range_ppm")
    factor = Factor(
        name=name,
        zh=part.text("zh"),
        en=part.text("en"),
        source=source,
        on=True if always else part.flag("on"),
        since=None if always else part.optional_time("from", absent=True),
        until=None if always else part.optional_time("until", absent=True),
    )
    if factor.since is not None and factor.until is not None and factor.until <= factor.since:
        part.wrong("until")
    return factor


class _Fields:
    """One object of the document with its path; remembers what was read, so that nothing is overlooked."""

    def __init__(self, content: object, path: str) -> None:
        if not isinstance(content, dict) or len(content) > _MOST_ITEMS:
            raise Refused("field_invalid", field=path or "document")
        if not all(isinstance(key, str) and len(key) <= _MOST_TEXT for key in content):
            raise Refused("field_invalid", field=path or "document")
        self.content: dict[str, Any] = content
        self._path = path
        self._read: set[str] = set()

    def names(self) -> list[str]:
        return list(self.content)

    def wrong(self, key: str, code: str = "field_invalid") -> NoReturn:
        raise Refused(code, field=self._where(key))

    def rate(self, key: str, least: int) -> int:
        """A rate in ppm, at most the whole."""
        content = self.get(key)
        if type(content) is int and abs(content) > PPM:
            self.wrong(key, "card_rate_above_whole")
        return self.whole(key, least, PPM)

    def source(self, sources: Mapping[str, str]) -> str:
        """The name of a stated source."""
        content = self.get("source", absent=True)
        if not isinstance(content, str) or content not in sources:
            self.wrong("source", "card_source_missing")
        return content

    def get(self, key: str, *, absent: bool = False) -> Any:
        self._read.add(key)
        if key not in self.content:
            if absent:
                return None
            raise Refused("field_missing", field=self._where(key))
        return self.content[key]

    def inside(self, key: str) -> "_Fields":
        return _Fields(self.get(key), self._where(key))

    def items(self, key: str) -> list["_Fields"]:
        content = self.get(key)
        if not isinstance(content, list) or len(content) > _MOST_ITEMS:
            raise Refused("field_invalid", field=self._where(key))
        return [_Fields(item, f"{self._where(key)}.{place}") for place, item in enumerate(content)]

    def whole(self, key: str, least: int, most: int) -> int:
        content = self.get(key)
        if type(content) is not int or not least <= content <= most:
            raise Refused("field_invalid", field=self._where(key))
        return content

    def optional_whole(self, key: str, least: int, most: int) -> int | None:
        return None if self.get(key) is None else self.whole(key, least, most)

    def pair(self, key: str) -> tuple[int, int]:
        content = self.get(key)
        if not isinstance(content, list) or len(content) != 2 or not all(type(i) is int for i in content):
            raise Refused("field_invalid", field=self._where(key))
        return content[0], content[1]

    def fens(self, key: str) -> list[int]:
        content = self.get(key)
        if (
            not isinstance(content, list)
            or not 1 <= len(content) <= _MOST_ITEMS
            or not all(type(item) is int and 0 < item <= MAX_FEN for item in content)
            or len(set(content)) != len(content)
        ):
            raise Refused("field_invalid", field=self._where(key))
        return content

    def flag(self, key: str) -> bool:
        content = self.get(key)
        if not isinstance(content, bool):
            raise Refused("field_invalid", field=self._where(key))
        return content

    def text(self, key: str) -> str:
        content = self.get(key)
        if not isinstance(content, str) or not 0 < len(content) <= _MOST_TEXT or not _writable(content):
            raise Refused("field_invalid", field=self._where(key))
        return content

    def texts(self) -> Iterable[tuple[str, str]]:
        return [(key, self.text(key)) for key in self.content]

    def time(self, key: str) -> datetime:
        content = self.get(key)
        if isinstance(content, str) and _TIME.fullmatch(content):
            try:
                return datetime.strptime(content, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
            except ValueError:
                pass
        raise Refused("field_invalid", field=self._where(key))

    def optional_time(self, key: str, *, absent: bool = False) -> datetime | None:
        return None if self.get(key, absent=absent) is None else self.time(key)

    def nothing_else(self) -> None:
        """Refuse fields nobody read: a mistyped switch must not pass for one that is off."""
        for key in self.content:
            if key not in self._read:
                raise Refused("field_invalid", field=self._where(key))

    def _where(self, key: str) -> str:
        return f"{self._path}.{key}" if self._path else key


def _writable(text: str) -> bool:
    """Whether the text can be stored and signed: no control characters, no lone surrogates."""
    return all(character >= " " and not "\ud800" <= character <= "\udfff" for character in text)
