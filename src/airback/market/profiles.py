"""The channels that the founding documents describe, ready to be filled in when an outlet is added.

A figure that a document gives stands here with its source (S1, S2); one that it does not give stays empty and must be
filled in before the terms can be proposed: neither document states a daily limit or a capacity. Where a document gives a
range, the profile begins at its end that costs us more (the lowest price, the highest fee) and shows the range.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from airback.domain.assets import BALANCE, CARD, CARRIERS
from airback.market.terms import ChannelKind, FundsOutlet


@dataclass(frozen=True, slots=True)
class Profile:
    """What is known of a type of channel. Ranges are (least, most) in ppm; None: the document's cell is empty."""

    kind: ChannelKind
    zh: str
    en: str
    examples: str
    source: str
    rate_ppm: tuple[int, int] | None
    fee_ppm: tuple[int, int] | None
    order_most_fen: int | None
    monthly_fen: int | None
    own_network: bool
    funds: FundsOutlet | None
    settle_days: tuple[int, int] | None

    def name(self, language: str) -> str:
        """Its name in `zh` or `en`."""
        return self.zh if language.startswith("zh") else self.en

    def draft(self, *, carrier: str | None = None) -> dict[str, Any]:
        """A terms document as far as the source fills it; None where a person must. `carrier`: the one it serves."""
        serves = [carrier] if carrier is not None else list(CARRIERS)
        products = [BALANCE] if self.own_network else [BALANCE, CARD]
        price = None if self.rate_ppm is None else self.rate_ppm[0]
        return {
            "kind": str(self.kind),
            "source": self.source,
            "rates": [
                {
                    "carrier": one,
                    "product": product,
                    "least_fen": 100,
                    "most_fen": self.order_most_fen,
                    "price_ppm": price,
                }
                for one in serves
                for product in products
            ],
            "order_least_fen": 100,
            "order_most_fen": self.order_most_fen,
            "daily_fen": None,
            "monthly_fen": self.monthly_fen,
            "own_network": carrier if self.own_network else None,
            "delay_s": 0,
            "fee_ppm": 0 if self.fee_ppm is None else self.fee_ppm[1],
            "fee_fen": 0,
            "funds": None if self.funds is None else str(self.funds),
            "per_minute": None,
            "settle_from_days": None if self.settle_days is None else self.settle_days[0],
            "settle_to_days": None if self.settle_days is None else self.settle_days[1],
        }


PROFILES: Final[Mapping[ChannelKind, Profile]] = MappingProxyType(
    {
        profile.kind: profile
        for profile in (
            Profile(
                ChannelKind.SECOND_HAND, "二手市场", "Second-hand market", "闲鱼、转转", "S1",
                (850_000, 920_000), None, 50_000, None, False, None, None,
            ),
            Profile(
                ChannelKind.PAYMENT, "支付机构", "Payment institution", "支付宝、微信支付", "S1",
                (900_000, 970_000), None, 100_000, None, False, None, None,
            ),
            Profile(
                ChannelKind.VERTICAL, "垂直回收商", "Vertical buyer", "卡卡礼品网", "S1",
                (780_000, 880_000), None, 500_000, None, False, None, None,
            ),
            Profile(
                ChannelKind.CARRIER_OWN, "运营商自营", "Carrier's own", "和包支付、翼支付", "S2",
                (850_000, 950_000), (50_000, 80_000), 50_000, 50_000, True, FundsOutlet.CARRIER_WALLET, (1, 1),
            ),
            Profile(
                ChannelKind.THIRD_PARTY, "第三方平台", "Third-party platform", "707卡盟、淘话费、回呗", "S2",
                None, (100_000, 150_000), 500_000, None, False, FundsOutlet.BANK, (0, 0),
            ),
            Profile(
                ChannelKind.SOCIAL, "社交电商", "Social commerce", "拼多多多多钱包、美团生活缴费", "S2",
                None, (80_000, 120_000), 200_000, None, False, FundsOutlet.PLATFORM_CREDIT, (0, 3),
            ),
            Profile(
                ChannelKind.RESELLER, "接口分销商", "Reseller by API", "", "",
                None, None, None, None, False, None, None,
            ),
        )
    }
)  # fmt: skip
