"""A channel: what is known of one outlet at one moment, and what a yuan that goes there is really worth.

Whoever keeps the outlets' register fills these in; nothing here is stored. An outlet without a channel has no terms: it
is worth exactly what its demands say.
"""

from dataclasses import dataclass
from typing import Final

from airback.domain.assets import CARRIERS
from airback.domain.money import MAX_FEN, PPM, share_ceil

#: So many orders a minute stand for "as many as come".
MANY: Final = 1_000_000

#: Why a channel or a demand was passed over, as stored beside the decision. The words are `web.console.words`' work.
PAUSED: Final = "paused"
RESTING: Final = "resting"
PROBING: Final = "probing"
CARRIER: Final = "carrier"
NETWORK: Final = "own_network_only"
ORDER_LIMIT: Final = "order_limit"
DAILY_LIMIT: Final = "daily_limit"
MONTHLY_LIMIT: Final = "monthly_limit"
CAPACITY: Final = "capacity"
DEPOSIT: Final = "deposit"
TOO_LATE: Final = "too_late"
TOO_SMALL: Final = "too_small"
REFUSED_BEFORE: Final = "refused_before"
OWN_NUMBER: Final = "own_number"
BELOW_FLOOR: Final = "below_floor"
WORTH_LESS: Final = "worth_less"


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One outlet's terms and what is left of its limits now. Amounts are integer fen, rates integer ppm of face.

    `kind`: type of channel as DOMAIN.md §6 lists them (`second_hand`, `payment`, `vertical`, `carrier_own`,
    `third_party`, `social`, `reseller`). `carriers`: whose airtime it takes. `price_ppm`: what it pays of face; None where
    only its demands say. `fee_ppm` and `fee_fen` (for each fill) are what it charges us, beside the price.
    `least_fen`, `most_fen`: face of one order there. `daily_left_fen`, `monthly_left_fen`: face it may still take today and
    this month. `own_network_only`: it takes airtime of its own network, so `carriers` names one. `per_minute`: fills it takes
    in this minute yet. `delay_s`: until its money is here; `speed_s`: until it has taken the airtime. `success_ppm`,
    `reversal_ppm`: shares of its fills that succeed, and that are taken back afterwards. `deposit_fen`: its money that
    is not earmarked, with its credit line (used where no ledger stands beside, as in `allocation`).
    """

    outlet: str
    kind: str = "reseller"
    carriers: frozenset[str] = frozenset(CARRIERS)
    price_ppm: int | None = None
    fee_ppm: int = 0
    fee_fen: int = 0
    least_fen: int = 1
    most_fen: int = MAX_FEN
    daily_left_fen: int = MAX_FEN
    monthly_left_fen: int = MAX_FEN
    own_network_only: bool = False
    delay_s: int = 0
    per_minute: int = MANY
    success_ppm: int = PPM
    reversal_ppm: int = 0
    speed_s: int = 0
    deposit_fen: int = MAX_FEN
    paused: bool = False
    reason: str = ""

    def __post_init__(self) -> None:
        if self.own_network_only and len(self.carriers) != 1:
            raise ValueError(f"{self.outlet}: own network only, and not one carrier")
        if not (0 <= self.success_ppm <= PPM and 0 <= self.reversal_ppm <= PPM and 0 <= self.fee_ppm <= PPM):
            raise ValueError(f"{self.outlet}: a share is from 0 to 1 000 000 ppm")


@dataclass(frozen=True, slots=True)
class Valuation:
    """What failure, reversal and waiting cost the operator: settings of his own, ppm of face.

    `failure_ppm`: what a refused delivery costs (another outlet at a worse price, or the house). `reversal_ppm`: what is
    lost of a fill that is taken back. `day_ppm`: what it costs to wait a day for the money. `hour_ppm`: what an hour of the
    seller's waiting costs; nobody looks on at a file.
    """

    failure_ppm: int = 20_000
    reversal_ppm: int = PPM
    day_ppm: int = 200
    hour_ppm: int = 10_000


def cost_ppm(channel: Channel, valuation: Valuation, *, watched: bool) -> int:
    """What selling there costs beside the fixed fee, ppm of face, rounded up. `watched`: a person waits for it."""
    failing = share_ceil(valuation.failure_ppm, PPM - channel.success_ppm)
    reversing = share_ceil(valuation.reversal_ppm, channel.reversal_ppm)
    money = -(-valuation.day_ppm * channel.delay_s // 86_400)
    waiting = -(-valuation.hour_ppm * channel.speed_s // 3600) if watched else 0
    return channel.fee_ppm + failing + reversing + money + waiting


def fees_fen(channel: Channel, face_fen: int) -> int:
    """What the outlet charges us for a fill of that face, in fen, rounded up: sure, while the other costs are expected."""
    return share_ceil(face_fen, channel.fee_ppm) + channel.fee_fen
