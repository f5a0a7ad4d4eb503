"""What goes over the wire about the market: competitors' rates, the comparison matrix, the arbitrage watch."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from airback.api.documents import Fen, Ppm, Request
from airback.api.problems import Problem
from airback.domain.ids import public
from airback.engine.watch_arbitrage import Watched
from airback.pricing.arbitrage import Trade
from airback.pricing.matrix import Table
from airback.pricing.rivals import Compared, Level, NewRate, Suggestion

Competitor = Annotated[str, Meta(description="The competitor's name.", examples=["淘话费"])]


class RivalRateRequest(Request, frozen=True, forbid_unknown_fields=True):
    """A competitor's rate as it was seen. Without faces it holds for any; `face_fen` alone names one."""

    competitor: Competitor
    carrier: Annotated[str, Meta(description="Carrier code.", examples=["cmcc"])]
    product: Annotated[str, Meta(description="`balance` or `card`.", examples=["balance"])]
    rate_ppm: Ppm
    seen_at: datetime
    source: Annotated[str, Meta(description="Where it was seen.", examples=["app, price page"])]
    face_fen: Fen | None = None
    face_upto_fen: Fen | None = None
    place: Annotated[str | None, Meta(description="Place by GB/T 2260.", examples=["44"])] = None

    def rate(self) -> NewRate:
        """The record that is asked for."""
        upto = self.face_fen if self.face_upto_fen is None else self.face_upto_fen
        return NewRate(
            competitor=self.competitor,
            carrier=self.carrier,
            product=self.product,
            face_fen=self.face_fen,
            face_upto_fen=upto,
            place=self.place,
            rate_ppm=self.rate_ppm,
            seen_at=self.seen_at,
            source=self.source,
        )


class RivalRateAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one rate of a request. `replayed`: it was on record already."""

    status: Annotated[int, Meta(examples=[201])]
    row: int | None = None
    id: str | None = None
    replayed: bool = False
    problem: Problem | None = None


class RivalRateAnswers(msgspec.Struct, frozen=True):
    """One answer for each rate, in order."""

    rates: list[RivalRateAnswer]


class RetractRequest(Request, frozen=True, forbid_unknown_fields=True):
    """Why a record is taken back."""

    reason: str


class Retracted(msgspec.Struct, frozen=True):
    """A record that was taken back."""

    id: str


class RivalRate(msgspec.Struct, frozen=True):
    """A record beside our own rate at the moment it was seen. `stale`: too old to count."""

    id: str
    competitor: Competitor
    carrier: str
    product: str
    face_fen: Fen | None
    face_upto_fen: Fen | None
    place: str | None
    rate_ppm: Ppm
    ours_ppm: Ppm | None
    gap_ppm: Ppm | None
    stale: bool
    seen_at: datetime
    source: str
    recorded_by: str


class MarketLevel(msgspec.Struct, frozen=True):
    """What competitors pay for one asset: of the fresh records the median; null when there is none."""

    carrier: str
    product: str
    median_ppm: Ppm | None
    competitors: int
    stale: int


class CompetitionSuggestion(msgspec.Struct, frozen=True):
    """What the number of competitors suggests for the rate card's competition factor. No price changes by it."""

    rate_ppm: Ppm
    stands_ppm: Ppm
    competitors: int
    competitors_before: int
    per_ten_ppm: Ppm
    unbounded_ppm: Ppm


class RivalRates(msgspec.Struct, frozen=True):
    """The latest records, each asset's level, and what follows for the competition factor."""

    rates: list[RivalRate]
    levels: list[MarketLevel]
    suggestion: CompetitionSuggestion | None


class MatrixPlatform(msgspec.Struct, frozen=True):
    """A platform; `own` is this one."""

    key: str
    name: str


class MatrixCriterion(msgspec.Struct, frozen=True):
    """A criterion and the unit of its figures: ppm, fen, hours, people or text."""

    key: str
    name: str
    unit: str


class MatrixCell(msgspec.Struct, frozen=True):
    """A figure that somebody stated. Either end may be open (null); `source` is S1, S2, own, or what staff recorded."""

    platform: str
    criterion: str
    low: int | None
    high: int | None
    words: str | None
    source: str
    recorded_at: datetime | None


class MatrixTable(msgspec.Struct, frozen=True):
    """One table of the matrix. A cell that is not listed is not stated by anybody."""

    key: str
    name: str
    platforms: list[MatrixPlatform]
    criteria: list[MatrixCriterion]
    cells: list[MatrixCell]


class Matrix(msgspec.Struct, frozen=True):
    """The comparison matrix. S1 and S2 are two trade articles; they describe a market, not law."""

    tables: list[MatrixTable]


class ArbitrageTrade(msgspec.Struct, frozen=True):
    """One order of a trader: bought from the carrier, sold to us."""

    face_fen: Fen
    rail: str
    cost_fen: Fen
    pays_fen: Fen
    profit_fen: Fen
    pays_capped_fen: Fen
    profit_capped_fen: Fen
    cut_ppm: Ppm | None


class ArbitrageCap(msgspec.Struct, frozen=True):
    """The cap that counts: on the rate before fee and payment, and on a seller's face value a day."""

    most_ppm: Ppm
    per_seller_fen_per_day: Fen | None
    since: datetime
    until: datetime
    overridden_by: str | None


class ArbitragePromotion(msgspec.Struct, frozen=True):
    """A promotion, what it earns a trader on each face value without and with the cap, and the least share cut."""

    id: str
    carrier: str
    product: str
    buy_ppm: Ppm
    since: datetime
    until: datetime
    source: str
    state: Annotated[str, Meta(description="`to come`, `live`, `over` or `withdrawn`.", examples=["live"])]
    card_version: int | None
    place: str | None
    cap: ArbitrageCap | None
    cut_ppm: Ppm | None
    per_account_day_fen: Fen | None
    per_account_day_capped_fen: Fen | None
    trades: list[ArbitrageTrade]


class Arbitrage(msgspec.Struct, frozen=True):
    """What the watch found for each promotion of the last 90 days and to come, newest first."""

    promotions: list[ArbitragePromotion]


def rate_document(one: Compared) -> RivalRate:
    """A record beside our own rate."""
    record = one.record
    return RivalRate(
        id=public("riv", record.id),
        competitor=record.competitor,
        carrier=record.carrier,
        product=record.product,
        face_fen=record.face_fen,
        face_upto_fen=record.face_upto_fen,
        place=record.place,
        rate_ppm=record.rate_ppm,
        ours_ppm=one.ours_ppm,
        gap_ppm=one.gap_ppm,
        stale=one.stale,
        seen_at=record.seen_at,
        source=record.source,
        recorded_by=record.recorded_by,
    )


def level_document(carrier: str, product: str, level: Level) -> MarketLevel:
    """One asset's level."""
    return MarketLevel(carrier, product, level.median_ppm, level.competitors, level.stale)


def suggestion_document(one: Suggestion) -> CompetitionSuggestion:
    """The suggestion with its arithmetic."""
    return CompetitionSuggestion(
        one.rate_ppm, one.stands_ppm, one.competitors, one.before, one.per_ten_ppm, one.unbounded_ppm
    )


def matrix_document(tables: list[Table], *, language: str) -> Matrix:
    """The matrix; only cells that are stated."""
    second = language.startswith("zh")
    return Matrix(
        [
            MatrixTable(
                key=table.key,
                name=table.name(language),
                platforms=[MatrixPlatform(column.key, column.name(language)) for column in table.columns],
                criteria=[MatrixCriterion(one.key, one.name(language), one.unit) for one in table.criteria],
                cells=[
                    MatrixCell(
                        column.key,
                        one.key,
                        cell.low,
                        cell.high,
                        cell.zh if second else cell.en,
                        cell.source,
                        cell.recorded_at,
                    )
                    for one in table.criteria
                    for column in table.columns
                    if (cell := table.cell(column.key, one.key)) is not None
                ],
            )
            for table in tables
        ]
    )


def arbitrage_document(watched: list[Watched], *, now: datetime) -> Arbitrage:
    """The watch's report."""
    return Arbitrage([_promotion(one, now=now) for one in watched])


def _promotion(one: Watched, *, now: datetime) -> ArbitragePromotion:
    promotion, finding, cap = one.promotion, one.finding, one.cap
    return ArbitragePromotion(
        id=public("prm", promotion.id),
        carrier=promotion.carrier,
        product=promotion.product,
        buy_ppm=promotion.buy_ppm,
        since=promotion.since,
        until=promotion.until,
        source=promotion.source,
        state=promotion.state(now),
        card_version=None if finding is None else finding.card_version,
        place=None if finding is None else finding.place,
        cap=None
        if cap is None
        else ArbitrageCap(cap.most_ppm, cap.per_seller_fen_per_day, cap.since, cap.until, cap.overridden_by),
        cut_ppm=None if finding is None else finding.cut_ppm,
        per_account_day_fen=None if finding is None else finding.per_day_fen(capped=False),
        per_account_day_capped_fen=None if finding is None else finding.per_day_fen(capped=True),
        trades=[] if finding is None else [_trade(trade) for trade in finding.trades],
    )


def _trade(trade: Trade) -> ArbitrageTrade:
    return ArbitrageTrade(
        trade.face_fen,
        trade.rail,
        trade.cost_fen,
        trade.pays_fen,
        trade.profit_fen,
        trade.pays_capped_fen,
        trade.profit_capped_fen,
        trade.cut_ppm,
    )
