"""A sealed-bid auction of a large batch: bids are handed in as hashes, opened together, and the lots go where all of them
together bring most, within each bidder's prepaid money and limit.

A seal is SHA-256 over the bidder's canonical bids and a salt of its own, so nobody, not the operator either, can read a bid
before all are opened, and none can be changed after. Losing and winning bidders can compute it again.

`PAY_AS_BID`: the winner pays its bid. `SECOND_PRICE`: the best other valid bid for that lot, or the reserve where there is
none; lot by lot, so with limits that bind it is a rule, not a promise that honest bids are always best.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import numpy as np

from airback.domain.canonical import canonical
from airback.domain.money import MAX_FEN, PPM, share_floor
from airback.domain.refusals import Refused
from airback.market.allocation import best
from airback.market.arcs import NOWHERE, Arcs, BulkOrder
from airback.market.channels import MANY, Channel

MOST_LOTS: Final = 1000
MOST_BIDDERS: Final = 200


class Rule(StrEnum):
    """What a winner pays."""

    PAY_AS_BID = "pay_as_bid"
    SECOND_PRICE = "second_price"


@dataclass(frozen=True, slots=True)
class Lot:
    """So much airtime of one carrier, sold whole; nothing is sold below `reserve_ppm` of face."""

    lot: str
    carrier: str
    face_fen: int
    reserve_ppm: int


@dataclass(frozen=True, slots=True)
class Bidder:
    """`deposit_fen`: its prepaid money. `most_fen`: the face it takes of the whole batch."""

    bidder: str
    deposit_fen: int
    most_fen: int = MAX_FEN


@dataclass(frozen=True, slots=True)
class Bid:
    """A price for one lot, ppm of face. `row`: where it stands in what was handed in, from 1."""

    bidder: str
    lot: str
    price_ppm: int
    row: int


@dataclass(frozen=True, slots=True)
class Award:
    """What became of a lot. `bids`: how many were valid. `next_ppm`: the best valid bid of another, if there was one."""

    lot: Lot
    bidder: str | None
    bid_ppm: int
    pays_fen: int
    bids: int
    next_ppm: int | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The awards, bids that did not count with why, and what else the lots would have brought at the bids' prices: in turn
    (each lot to its best bidder with room), and to each bidder alone. `total_fen` is what is paid by the rule, `bid_fen` what
    was bid for the same lots: the figure to hold the others against."""

    awards: list[Award]
    refused: list[tuple[Bid, Refused]]
    total_fen: int
    bid_fen: int
    in_turn_fen: int
    alone_fen: dict[str, int]


def seal(bidder: str, bids: Mapping[str, int], salt: str) -> str:
    """The hash a bidder hands in first: of its name, its price for each lot in ppm, and a salt it keeps until the opening."""
    document = {"bidder": bidder, "bids": dict(sorted(bids.items())), "salt": salt}
    return hashlib.sha256(canonical(document)).hexdigest()


def unbroken(
    bids: Sequence[Bid], salts: Mapping[str, str], sealed: Mapping[str, str]
) -> tuple[list[Bid], list[tuple[Bid, Refused]]]:
    """Bids whose seal holds, and the others, each refused `bid_seal_broken`: a bidder's bids hold together or not at all."""
    by_bidder: dict[str, dict[str, int]] = {}
    for bid in bids:
        by_bidder.setdefault(bid.bidder, {})[bid.lot] = bid.price_ppm
    honest = {
        bidder
        for bidder, prices in by_bidder.items()
        if sealed.get(bidder) == seal(bidder, prices, salts.get(bidder, ""))
    }
    broken = [
        (bid, Refused("bid_seal_broken", field="bidder", row=bid.row))
        for bid in bids
        if bid.bidder not in honest
    ]
    return [bid for bid in bids if bid.bidder in honest], broken


def award(
    lots: Sequence[Lot], bidders: Sequence[Bidder], bids: Sequence[Bid], *, rule: Rule = Rule.PAY_AS_BID
) -> Outcome:
    """Award the lots. A bid alone is refused `lot_unknown`, `bidder_unknown`, `bid_twice`, `price_malformed`,
    `bid_below_reserve` or `bid_above_deposit`; the others go on.

    Raises `Refused` `auction_without_bids` when no bid was handed in at all, `body_too_large` above `MOST_LOTS` lots or
    `MOST_BIDDERS` bidders.
    """
    if not bids:
        raise Refused("auction_without_bids", field="bids")
    if len(lots) > MOST_LOTS or len(bidders) > MOST_BIDDERS:
        raise Refused("body_too_large", field="lots" if len(lots) > MOST_LOTS else "bidders")
    by_lot = {lot.lot: n for n, lot in enumerate(lots)}
    by_name = {one.bidder: n for n, one in enumerate(bidders)}
    prices = np.zeros((len(lots), len(bidders)), np.int64)
    refused: list[tuple[Bid, Refused]] = []
    for bid in bids:
        code = _fault(bid, lots, bidders, by_lot, by_name, prices)
        if code is None:
            prices[by_lot[bid.lot], by_name[bid.bidder]] = bid.price_ppm
        else:
            field = {"lot_unknown": "lot", "bidder_unknown": "bidder", "bid_twice": "lot"}.get(code, "price")
            refused.append((bid, Refused(code, field=field, row=bid.row)))
    arcs = _arcs(lots, bidders, prices)
    found = best(arcs)
    awards = [
        _award(lot, place, prices[n], bidders, rule)
        for n, (lot, place) in enumerate(zip(lots, found.places.tolist(), strict=True))
    ]
    alone = {
        one.bidder: best(_arcs(lots, bidders[n : n + 1], prices[:, n : n + 1])).worth_fen
        for n, one in enumerate(bidders)
    }
    return Outcome(
        awards, refused, sum(one.pays_fen for one in awards), found.worth_fen, found.online_fen, alone
    )


def _fault(
    bid: Bid,
    lots: Sequence[Lot],
    bidders: Sequence[Bidder],
    by_lot: Mapping[str, int],
    by_name: Mapping[str, int],
    prices: Any,
) -> str | None:
    if bid.lot not in by_lot:
        return "lot_unknown"
    if bid.bidder not in by_name:
        return "bidder_unknown"
    lot, bidder = lots[by_lot[bid.lot]], bidders[by_name[bid.bidder]]
    if prices[by_lot[bid.lot], by_name[bid.bidder]]:
        return "bid_twice"
    if not 1 <= bid.price_ppm <= PPM:
        return "price_malformed"
    if bid.price_ppm < lot.reserve_ppm:
        return "bid_below_reserve"
    if share_floor(lot.face_fen, bid.price_ppm) > bidder.deposit_fen:
        return "bid_above_deposit"
    return None


def _arcs(lots: Sequence[Lot], bidders: Sequence[Bidder], prices: Any) -> Arcs:
    """Lots by bidders. A lot goes by its bid alone, so the bidders' channels carry no price of their own."""
    face = np.array([lot.face_fen for lot in lots], np.int64)
    pays = face[:, None] * prices // PPM
    return Arcs(
        [BulkOrder(lot.lot, lot.carrier, lot.face_fen, lot.reserve_ppm) for lot in lots],
        [Channel(outlet=one.bidder) for one in bidders],
        face,
        pays,
        pays,
        pays > 0,
        np.array([one.most_fen for one in bidders], np.int64),
        np.array([one.deposit_fen for one in bidders], np.int64),
        np.full(len(bidders), MANY, np.int64),
    )


def _award(lot: Lot, place: int, prices: Any, bidders: Sequence[Bidder], rule: Rule) -> Award:
    valid = sorted((price for price in prices.tolist() if price), reverse=True)
    if place == NOWHERE:
        return Award(lot, None, 0, 0, len(valid), valid[0] if valid else None)
    bid = int(prices[place])
    valid.remove(bid)
    following = valid[0] if valid else None
    paid = bid
    if rule is Rule.SECOND_PRICE:
        # never above the own bid: where limits bind, a lot may go to another than its highest bidder
        paid = min(bid, max(following or 0, lot.reserve_ppm, 1))
    return Award(lot, bidders[place].bidder, bid, share_floor(lot.face_fen, paid), len(valid) + 1, following)
