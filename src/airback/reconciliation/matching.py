"""Matching: which row of ours is which row of theirs, and what every difference is called.

The order of the rules, in `docs/reconciliation.md` for people:

1. *By reference.* Both sides' references are hashed to 64 bits and sorted together once: a hash that stands once on each
   side is a pair (its texts are compared, so a collision is never a match), one that stands alone is a remainder,
   and any other crowd is looked at by its text. No table of text is ever joined, memory is linear whatever is repeated.
2. *By the far side's own reference*, then *by amount, time and party*, on the remainder only, with a confidence.
3. Each pair that differs and each row left over gets exactly one explanation.

Everything is a function of the frames and the rules: neither the order of threads nor the hash shows in the result.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import polars as pl

from airback.reconciliation.breaks import Explanation
from airback.reconciliation.rows import Period, day_number

CERTAIN_PPM: Final = 1_000_000
FAR_REFERENCE_PPM: Final = 990_000
PARTY_PPM: Final = 900_000
OTHER_REFERENCE_PPM: Final = 800_000
NO_PARTY_PPM: Final = 700_000
#: What a full `near` between the two times takes from a confidence.
_DISTANCE_PPM: Final = 200_000

_ROUNDS: Final = 4  # of nearest neighbours; what four rounds leave is too crowded to tell apart

#: Columns of `Matching.breaks`. `ours`, `theirs`: row numbers (from 0) in the two frames, null where there is none.
#: `difference_fen` is theirs minus ours, a row that is missing counting as zero.
BREAKS: Final[dict[str, pl.DataType]] = {
    "explanation": pl.String(),
    "ours": pl.UInt32(),
    "theirs": pl.UInt32(),
    "confidence_ppm": pl.Int64(),
    "reference": pl.String(),
    "far_reference": pl.String(),
    "kind": pl.String(),
    "direction": pl.String(),
    "our_amount_fen": pl.Int64(),
    "their_amount_fen": pl.Int64(),
    "difference_fen": pl.Int64(),
    "our_fee_fen": pl.Int64(),
    "their_fee_fen": pl.Int64(),
    "at": pl.Datetime("us", "UTC"),
    "party": pl.String(),
}

_PAIR: Final[dict[str, pl.DataType]] = {"i": pl.UInt32(), "j": pl.UInt32()}


@dataclass(frozen=True, slots=True)
class Rules:
    """The figures of the rules.

    `window`: how near to an edge of the period a row without its other half is a matter of timing. `near`: how far apart
    two rows without a common reference may be. `least_ppm`: the least confidence that makes a pair.
    """

    window: timedelta = timedelta(minutes=15)
    near: timedelta = timedelta(minutes=5)
    least_ppm: int = 500_000


@dataclass(frozen=True, slots=True)
class Matching:
    """The result. `matched`: pairs without a difference, by how they were found; `pairs_by_evidence`: those found
    without a common reference (columns `i`, `j`, `by`, `confidence_ppm`), whether or not they differ. `outside`: rows of
    ours that no statement of this period can list. `held`: rows whose other half lies in quarantine."""

    matched: int
    matched_by: dict[str, int]
    breaks: pl.DataFrame
    pairs_by_evidence: pl.DataFrame
    outside: int
    held: int

    def counts(self) -> dict[str, int]:
        """Breaks by explanation; every explanation is there, zero or not."""
        found = dict(self.breaks.group_by("explanation").len().iter_rows())
        return {str(each): found.get(str(each), 0) for each in Explanation}


def match(
    ours: pl.DataFrame,
    theirs: pl.DataFrame,
    *,
    period: Period | None,
    rules: Rules | None = None,
    pending: Collection[str] = (),
    quarantined: Collection[str] = (),
) -> Matching:
    """Pair and explain two frames of `rows.SCHEMA`.

    `period` is what the statement covers; without one no row is a matter of timing by its place. `pending`: references
    that we sent and whose result we do not know yet: a statement that lists one is ahead of us, not against us.
    `quarantined`: references of rows that could not be read, on either side: their other halves are not missing.
    """
    rules = rules or Rules()
    pairs, alone_ours, alone_theirs, crowd_ours, crowd_theirs = _by_reference(ours, theirs)
    crowd = _crowd(ours, theirs, crowd_ours, crowd_theirs)
    left = pl.concat([_one_sided(ours, alone_ours), crowd.left_ours])
    right = pl.concat([_one_sided(theirs, alone_theirs), crowd.left_theirs])
    evident = _by_evidence(ours, theirs, left, right, rules=rules)
    left = left.join(evident, left_on="row", right_on="i", how="anti")
    right = right.join(evident, left_on="row", right_on="j", how="anti")

    compared = pl.concat([_compare(ours, theirs, pairs), crowd.pairs])
    found = _compare(ours, theirs, evident.select("i", "j"))
    differing = _explain(pl.concat([compared.filter(_differs()), found.filter(_differs())]))
    differing = differing.join(evident.select("i", "confidence_ppm"), on="i", how="left").with_columns(
        pl.col("confidence_ppm").fill_null(CERTAIN_PPM)
    )
    left, outside = _place(left, period=period, rules=rules, missing=Explanation.MISSING_THERE)
    right, _ = _place(right, period=period, rules=rules, missing=Explanation.MISSING_HERE, keep_all=True)
    if pending:
        ahead = pl.col("reference").is_in(list(pending)) & (
            pl.col("explanation") == str(Explanation.MISSING_HERE)
        )
        right = right.with_columns(
            explanation=pl.when(ahead).then(pl.lit(str(Explanation.TIMING))).otherwise("explanation")
        )
    unread = pl.col("reference").is_in(list(quarantined)).fill_null(False)
    held = left.height + right.height
    left, right = left.filter(~unread), right.filter(~unread)
    held -= left.height + right.height
    sides = pl.concat(
        [
            differing.select("explanation", "i", "j", "confidence_ppm"),
            _single(left, side="i"),
            _single(right, side="j"),
            _single(crowd.again_ours.with_columns(explanation=pl.lit(str(Explanation.DUPLICATE))), side="i"),
            _single(
                crowd.again_theirs.with_columns(explanation=pl.lit(str(Explanation.DUPLICATE))), side="j"
            ),
        ]
    )
    by = {"reference": compared.height - compared.select(_differs().sum()).item()}
    agreeing = found.filter(~_differs()).join(evident, on="i", how="left")
    by |= {
        name: agreeing.select((pl.col("by") == name).sum()).item()
        for name in ("far_reference", "amount_time_party")
    }
    return Matching(
        matched=sum(by.values()),
        matched_by=by,
        breaks=_described(ours, theirs, sides),
        pairs_by_evidence=evident.sort("i"),
        outside=outside,
        held=held,
    )


# -- by reference


def _hashes(frame: pl.DataFrame, *, first: int) -> pl.DataFrame:
    return frame.select(
        h=pl.when(pl.col("reference").is_not_null()).then(pl.col("reference").hash()),
        r=pl.int_range(first, first + pl.len(), dtype=pl.UInt32),
    )


def _by_reference(
    ours: pl.DataFrame, theirs: pl.DataFrame
) -> tuple[pl.DataFrame, pl.Series, pl.Series, pl.Series, pl.Series]:
    """(pairs `i`, `j`; rows of ours and of theirs without one; rows of ours and of theirs in crowds)."""
    n = ours.height
    both = pl.concat([_hashes(ours, first=0), _hashes(theirs, first=n)])
    nameless = both.filter(pl.col("h").is_null())["r"]
    # Ties need no order: the row numbers of a tie are sorted below.
    both = (
        both.filter(pl.col("h").is_not_null())
        .sort("h")
        .with_columns(again=pl.col("h") == pl.col("h").shift(-1))
    )
    again = pl.col("again").fill_null(False)
    before = again.shift(1, fill_value=False)
    after = again.shift(-1, fill_value=False)
    following = pl.col("r").shift(-1)
    low, high = pl.min_horizontal("r", following), pl.max_horizontal("r", following)
    head = again & ~before & ~after & (low < n) & (high >= n)
    both = both.select(
        "r",
        alone=~again & ~before,
        head=head,
        tail=head.shift(1, fill_value=False),
        i=low,
        j=high - pl.lit(n, pl.UInt32),
    )
    pairs = both.filter("head").select("i", "j")
    same = ours["reference"].gather(pairs["i"]) == theirs["reference"].gather(pairs["j"])
    strangers = pairs.filter(~same)
    if not strangers.is_empty():
        pairs = pairs.filter(same)
    alone = pl.concat([nameless, both.filter("alone")["r"]])
    crowd = pl.concat(
        [
            both.filter(~pl.any_horizontal("alone", "head", "tail"))["r"],
            strangers["i"],
            strangers["j"] + pl.Series([n], dtype=pl.UInt32),
        ]
    )
    offset = pl.Series([n], dtype=pl.UInt32)
    return (
        pairs,
        alone.filter(alone < n),
        alone.filter(alone >= n) - offset,
        crowd.filter(crowd < n),
        crowd.filter(crowd >= n) - offset,
    )


@dataclass(frozen=True, slots=True)
class _Crowd:
    """What became of rows whose reference stands more than once on a side."""

    pairs: pl.DataFrame
    left_ours: pl.DataFrame
    left_theirs: pl.DataFrame
    again_ours: pl.DataFrame
    again_theirs: pl.DataFrame


def _crowd(ours: pl.DataFrame, theirs: pl.DataFrame, rows_ours: pl.Series, rows_theirs: pl.Series) -> _Crowd:
    """Rows of repeated references: a movement and its contra entry become one reversed movement; then the k-th row is
    paired with the k-th of the same amount, what is left with whatever else bears the reference; the rest is
    duplicate, but for the first row of a reference that the other side does not know."""
    mine, yours = _originals(ours, rows_ours), _originals(theirs, rows_theirs)
    exact = mine.join(yours, on=["reference", "amount_fen", "reversed", "nth_like"], how="inner", suffix="_t")
    mine_left = mine.join(exact, on="row", how="anti")
    yours_left = yours.join(exact, left_on="row", right_on="row_t", how="anti")
    nth = pl.int_range(pl.len()).over("reference", order_by=["at", "row"])
    loose = mine_left.with_columns(nth=nth).join(
        yours_left.with_columns(nth=nth), on=["reference", "nth"], how="inner", suffix="_t"
    )
    paired = pl.concat([exact.select(i="row", j="row_t"), loose.select(i="row", j="row_t")])
    flags = paired.join(mine.select("row", mine="reversed"), left_on="i", right_on="row").join(
        yours.select("row", yours="reversed"), left_on="j", right_on="row"
    )
    compared = _compare(ours, theirs, flags.select("i", "j")).with_columns(
        # A row that its contra entry took back does not say so itself.
        rev_ours=flags["mine"],
        rev_theirs=flags["yours"],
    )
    mine_left = mine_left.join(loose, on="row", how="anti")
    yours_left = yours_left.join(loose, left_on="row", right_on="row_t", how="anti")
    first_mine, again_mine = _split(mine_left, other=yours)
    first_yours, again_yours = _split(yours_left, other=mine)
    return _Crowd(
        compared,
        _one_sided(ours, first_mine["row"], reversed_=first_mine["reversed"]),
        _one_sided(theirs, first_yours["row"], reversed_=first_yours["reversed"]),
        again_mine.select("row"),
        again_yours.select("row"),
    )


def _originals(frame: pl.DataFrame, rows: pl.Series) -> pl.DataFrame:
    """The crowd's rows of one side without contra entries; the first so many originals of a reference are reversed as
    it has contra entries. `nth_like` numbers rows of the same reference, amount and standing."""
    crowd = (
        frame[rows]
        .select("reference", "amount_fen", "at", "direction", "reversed")
        .with_columns(row=rows.cast(pl.UInt32))
        .sort("reference", "reversed", "at", "row")
    )
    first = pl.col("direction").first().over("reference")
    whole = pl.col("reversed").all().over("reference")
    crowd = crowd.with_columns(contra=(pl.col("reversed") & ~whole) | (pl.col("direction") != first))
    crowd = crowd.with_columns(contras=pl.col("contra").sum().over("reference")).filter(~pl.col("contra"))
    nth = pl.int_range(pl.len()).over("reference", order_by=["at", "row"])
    crowd = crowd.with_columns(reversed=pl.col("reversed") | (nth < pl.col("contras")))
    return crowd.select(
        "reference",
        "amount_fen",
        "at",
        "row",
        "reversed",
        nth_like=pl.int_range(pl.len()).over("reference", "amount_fen", "reversed", order_by=["at", "row"]),
    )


def _split(left: pl.DataFrame, *, other: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(first rows of references that the other side does not know, all others)."""
    left = left.with_columns(
        first=pl.int_range(pl.len()).over("reference", order_by=["at", "row"]) == 0,
        known=pl.col("reference").is_in(other["reference"].implode()),
    )
    new = pl.col("first") & ~pl.col("known")
    return left.filter(new), left.filter(~new)


# -- by evidence

_SINGLE: Final = ("row", "reference", "far_reference", "amount_fen", "at", "party", "direction", "reversed")


def _one_sided(frame: pl.DataFrame, rows: pl.Series, *, reversed_: pl.Series | None = None) -> pl.DataFrame:
    rows = rows.sort() if reversed_ is None else rows
    found = frame[rows].with_columns(row=rows.cast(pl.UInt32))
    if reversed_ is not None:
        found = found.with_columns(reversed=reversed_)
    return found.select(_SINGLE)


def _by_evidence(
    ours: pl.DataFrame, theirs: pl.DataFrame, left: pl.DataFrame, right: pl.DataFrame, *, rules: Rules
) -> pl.DataFrame:
    """Pairs among rows without a common reference: columns `i`, `j`, `by`, `confidence_ppm`."""
    schema = {**_PAIR, "by": pl.String(), "confidence_ppm": pl.Int64()}
    found = [pl.DataFrame(schema=schema)]
    if left.is_empty() or right.is_empty():
        return found[0]
    named = pl.col("far_reference").is_not_null()
    order = ["at", "row"]
    pairs = (
        left.filter(named)
        .sort(order)
        .unique("far_reference", keep="first", maintain_order=True)
        .join(
            right.filter(named).sort(order).unique("far_reference", keep="first", maintain_order=True),
            on="far_reference",
            how="inner",
            suffix="_t",
        )
    )
    found.append(
        pairs.select(
            i="row",
            j="row_t",
            by=pl.lit("far_reference"),
            confidence_ppm=pl.lit(FAR_REFERENCE_PPM, pl.Int64),
        )
    )
    left = left.join(pairs, on="row", how="anti")
    right = right.join(pairs, left_on="row", right_on="row_t", how="anti")
    for with_party in (True, False):
        for _ in range(_ROUNDS):
            pairs = _nearest(ours, theirs, left, right, with_party=with_party, rules=rules)
            if pairs.is_empty():
                break
            found.append(pairs)
            left = left.join(pairs, left_on="row", right_on="i", how="anti")
            right = right.join(pairs, left_on="row", right_on="j", how="anti")
    return pl.concat(found)


def _nearest(
    ours: pl.DataFrame,
    theirs: pl.DataFrame,
    left: pl.DataFrame,
    right: pl.DataFrame,
    *,
    with_party: bool,
    rules: Rules,
) -> pl.DataFrame:
    """One round: each row's nearest in time among those of the same amount, direction (and party); kept when either
    is the other's nearest and the confidence suffices."""
    keys = ["amount_fen", "direction", "party"] if with_party else ["amount_fen", "direction"]
    if with_party:
        left, right = left.filter(pl.col("party").is_not_null()), right.filter(pl.col("party").is_not_null())
    there = _nearest_of(left, right, keys=keys, rules=rules)
    back = _nearest_of(right, left, keys=keys, rules=rules).select(row_t="row", row="row_t")
    mutual = there.join(back, on=["row", "row_t"], how="semi")
    if mutual.is_empty():
        return pl.DataFrame(schema={**_PAIR, "by": pl.String(), "confidence_ppm": pl.Int64()})
    lacking = pl.col("reference").is_null() | pl.col("reference_t").is_null()
    if with_party:
        full = pl.when(lacking).then(PARTY_PPM).otherwise(OTHER_REFERENCE_PPM)
    else:
        # Two references that differ and nobody's name: a coincidence, not evidence.
        mutual = mutual.filter(lacking & (pl.col("party").is_null() | pl.col("party_t").is_null()))
        full = pl.lit(NO_PARTY_PPM)
    near_us = rules.near // timedelta(microseconds=1)
    mutual = mutual.with_columns(full=full - _DISTANCE_PPM * pl.col("apart_us") // near_us, lacking=lacking)
    # Where a reference is lacking, rivals are rows still without a partner; where two references differ, any row
    # like it, since even one with a partner shows that such movements are common.
    rivals = pl.max_horizontal(
        _like(mutual, left, keys=keys, rules=rules, at="at_t"),
        _like(mutual, right, keys=keys, rules=rules, at="at"),
    )
    mutual = mutual.with_columns(rivals=rivals)
    if not mutual["lacking"].all():
        like = pl.max_horizontal(
            _like(mutual, ours, keys=keys, rules=rules, at="at_t"),
            _like(mutual, theirs, keys=keys, rules=rules, at="at"),
        )
        mutual = mutual.with_columns(
            rivals=pl.when("lacking").then("rivals").otherwise(pl.max_horizontal(pl.col("rivals"), like))
        )
    return mutual.select(
        i="row",
        j="row_t",
        by=pl.lit("amount_time_party"),
        confidence_ppm=(pl.col("full") // pl.col("rivals").clip(1)).cast(pl.Int64),
    ).filter(pl.col("confidence_ppm") >= rules.least_ppm)


def _nearest_of(mine: pl.DataFrame, yours: pl.DataFrame, *, keys: list[str], rules: Rules) -> pl.DataFrame:
    near = mine.sort("at", "row").join_asof(
        yours.sort("at", "row").with_columns(at_t="at"),
        on="at",
        by=keys,
        strategy="nearest",
        tolerance=rules.near,
        suffix="_t",
        coalesce=True,
        check_sortedness=False,  # cannot be checked with groups; both were just sorted
    )
    near = near.filter(pl.col("row_t").is_not_null())
    if "party" in keys:
        near = near.with_columns(party_t="party")
    return near.with_columns(apart_us=(pl.col("at").to_physical() - pl.col("at_t").to_physical()).abs())


def _like(pairs: pl.DataFrame, frame: pl.DataFrame, *, keys: list[str], rules: Rules, at: str) -> pl.Series:
    """For each pair, how many rows of `frame` have its amount, direction (and party) within `near` of its time."""
    wanted = (
        frame.lazy()
        .select(*keys, "at")
        .join(pairs.lazy().select(keys).unique(), on=keys, how="semi")
        .collect()
    )
    edges = pairs.select(
        *keys, n=pl.int_range(pl.len()), since=pl.col(at) - rules.near, until=pl.col(at) + rules.near
    )
    ranked = wanted.sort("at").with_columns(rank=pl.int_range(1, pl.len() + 1).over(keys))
    upto = (
        edges.sort("until")
        .join_asof(
            ranked, left_on="until", right_on="at", by=keys, strategy="backward", check_sortedness=False
        )
        .select("n", upto=pl.col("rank").fill_null(0))
    )
    below = (
        edges.sort("since")
        .join_asof(
            ranked,
            left_on="since",
            right_on="at",
            by=keys,
            strategy="backward",
            allow_exact_matches=False,
            check_sortedness=False,
        )
        .select("n", below=pl.col("rank").fill_null(0))
    )
    return upto.join(below, on="n").sort("n").select(n=pl.col("upto") - pl.col("below"))["n"]


# -- naming


def _compare(ours: pl.DataFrame, theirs: pl.DataFrame, pairs: pl.DataFrame) -> pl.DataFrame:
    """What the two rows of each pair say, side by side."""
    columns = ("amount_fen", "fee_fen", "reversed", "direction")
    mine = ours.select(*columns, day=day_number("at"))[pairs["i"]]
    yours = theirs.select(*columns, day=day_number("at"))[pairs["j"]]
    return pairs.select("i", "j").with_columns(
        amount_ours=mine["amount_fen"],
        amount_theirs=yours["amount_fen"],
        fee_ours=mine["fee_fen"],
        fee_theirs=yours["fee_fen"],
        rev_ours=mine["reversed"],
        rev_theirs=yours["reversed"],
        turned=mine["direction"] != yours["direction"],
        shifted=mine["day"] != yours["day"],
    )


def _differs() -> pl.Expr:
    return (
        (pl.col("amount_ours") != pl.col("amount_theirs"))
        | (pl.col("fee_ours") != pl.col("fee_theirs"))
        | (pl.col("rev_ours") != pl.col("rev_theirs"))
        | pl.col("turned")
        | pl.col("shifted")
    )


def _explain(pairs: pl.DataFrame) -> pl.DataFrame:
    """Name each differing pair; the first rule that holds counts."""
    gap = (pl.col("amount_theirs") - pl.col("amount_ours")).abs()
    fees = (pl.col("fee_theirs") - pl.col("fee_ours")).abs()
    by_fee = (gap == 0) & (fees != 0) | (gap != 0) & ((gap == pl.col("fee_theirs")) | (gap == fees))
    return pairs.with_columns(
        explanation=pl.when((pl.col("rev_ours") != pl.col("rev_theirs")) | pl.col("turned"))
        .then(pl.lit(str(Explanation.REVERSED)))
        .when(by_fee)
        .then(pl.lit(str(Explanation.FEE)))
        .when(gap != 0)
        .then(pl.lit(str(Explanation.AMOUNT)))
        .otherwise(pl.lit(str(Explanation.TIMING)))
    )


def _place(
    rows: pl.DataFrame, *, period: Period | None, rules: Rules, missing: Explanation, keep_all: bool = False
) -> tuple[pl.DataFrame, int]:
    """Name each row left over by where it lies; with `keep_all` False, rows far outside the period are only counted."""
    if period is None:
        near_edge, beyond = pl.lit(False), pl.lit(False)
    else:
        at = pl.col("at")
        near_edge = (at < period.since + rules.window) | (at >= period.until - rules.window)
        beyond = (at < period.since - rules.window) | (at >= period.until + rules.window)
    named = rows.with_columns(
        explanation=pl.when("reversed")
        .then(pl.lit(str(Explanation.REVERSED)))
        .when(near_edge)
        .then(pl.lit(str(Explanation.TIMING)))
        .otherwise(pl.lit(str(missing))),
        beyond=beyond,
    )
    if keep_all:
        return named, 0
    return named.filter(~pl.col("beyond")), int(named["beyond"].sum())


def _single(rows: pl.DataFrame, *, side: str) -> pl.DataFrame:
    none = pl.lit(None, pl.UInt32)
    return rows.select(
        pl.col("explanation").cast(pl.String),
        i=pl.col("row") if side == "i" else none,
        j=pl.col("row") if side == "j" else none,
        confidence_ppm=pl.lit(CERTAIN_PPM, pl.Int64),
    )


def _described(ours: pl.DataFrame, theirs: pl.DataFrame, sides: pl.DataFrame) -> pl.DataFrame:
    """The breaks with what both sides say, ours first, each in the order of its frame."""
    sides = sides.sort("i", "j", nulls_last=True)
    mine = _gathered(ours, sides["i"])
    yours = _gathered(theirs, sides["j"])

    def either(name: str) -> pl.Series:
        return pl.select(pl.coalesce(mine[name], yours[name])).to_series()

    return sides.select(
        "explanation",
        ours="i",
        theirs="j",
        confidence_ppm="confidence_ppm",
        reference=either("reference"),
        far_reference=pl.select(pl.coalesce(yours["far_reference"], mine["far_reference"])).to_series(),
        kind=either("kind"),
        direction=either("direction").cast(pl.String),
        our_amount_fen=mine["amount_fen"],
        their_amount_fen=yours["amount_fen"],
        difference_fen=yours["amount_fen"].fill_null(0) - mine["amount_fen"].fill_null(0),
        our_fee_fen=mine["fee_fen"],
        their_fee_fen=yours["fee_fen"],
        at=either("at"),
        party=either("party"),
    )


def _gathered(frame: pl.DataFrame, rows: pl.Series) -> pl.DataFrame:
    return frame.select(pl.all().gather(rows))
