"""The rate card a new installation starts with: the trade's figures, each with where it comes from.

S1 and S2 are two Chinese trade articles on airtime buy-back. They describe a market, not law. A figure marked
`own` is ours, chosen where both are silent; its note says so. Nothing here is a constant of the program: an
operator publishes a card of their own.
"""

import copy
from collections.abc import Mapping
from typing import Any, Final

DEFAULT_CARD: Final[dict[str, Any]] = {
    "v": 1,
    "version": 1,
    "effective_from": "2026-01-01T00:00:00Z",
    "effective_until": None,
    "sources": {
        "S1": "行业文章一:话费回收的价格、渠道与风险",
        "S2": "行业文章二:话费回收的参与方、流程与权益",
        "own": "平台自定:两篇文章均未给出",
    },
    "factors": {
        "base": {
            "zh": "基准回收率",
            "en": "Base rate",
            "on": True,
            "source": "S1",
            "note": (
                "S1: 82-95 % on average by amount and channel; S2 says 85-90 %. Where between is ours: low enough that "
                "a third-tier city's share does not meet the upper bound."
            ),
            "range_ppm": [820_000, 950_000],
            "rates_ppm": {
                "cmcc.balance": 880_000,
                "ctcc.balance": 870_000,
                "cucc.balance": 870_000,
                "cbn.balance": 850_000,
                "cmcc.card": 900_000,
                "ctcc.card": 890_000,
                "cucc.card": 890_000,
                "cbn.card": 870_000,
            },
        },
        "face": {
            "zh": "面值档位",
            "en": "Face value band",
            "on": True,
            "source": "S1",
            "note": (
                "S1: 50 yuan and less carry 3-5 points less than 100 and more, and calls that liquidity, though more "
                "liquid cards should cost more: `switch` true turns the sign. Between 50 and 100 S1 is silent: half. "
                "S2's stepped conversion rates are these bands."
            ),
            "range_ppm": [-50_000, 0],
            "switch": False,
            "bands": [
                {"upto_fen": 5_000, "rate_ppm": -40_000},
                {"upto_fen": 9_999, "rate_ppm": -20_000},
                {"upto_fen": None, "rate_ppm": 0},
            ],
        },
        "validity": {
            "zh": "剩余有效期",
            "en": "Remaining validity",
            "on": True,
            "source": "S1",
            "note": (
                "S1: each 30 days less lowers the price by 1.2-2.8 %. From which term it counts neither says: a year, "
                "so that each of its months counts: 2 % of the list rate are 1.9 to 2.7 % of what is paid. "
                "Where no date is stated the full term is taken (null), or as many "
                "days as written here."
            ),
            "range_ppm": [12_000, 28_000],
            "full_days": 365,
            "step_days": 30,
            "step_ppm": 20_000,
            "unstated_days": {"balance": None, "card": None},
        },
        "region": {
            "zh": "地区",
            "en": "Region",
            "on": True,
            "source": "S1",
            "note": (
                "S1: third- and fourth-tier cities 5-8 % above first-tier ones; the second tier is not mentioned: "
                "half; the fifth is like the fourth. 5.5 % of the list rate is 5.6 to 7.7 % of what is paid. Which "
                "place has which tier is ours. Places are codes of GB/T 2260, the longest match counts; a province "
                "without its city has the tier of most of its people."
            ),
            "range_ppm": [0, 80_000],
            "tiers_ppm": {"1": 0, "2": 27_500, "3": 55_000, "4": 55_000, "5": 55_000},
            "places": {
                "11": "1",
                "31": "1",
                "4401": "1",
                "4403": "1",
                "12": "2",
                "32": "2",
                "33": "2",
                "44": "2",
                "50": "2",
                **dict.fromkeys(
                    ("13", "14", "15", "21", "22", "23", "34", "35", "36", "37", "41", "42"), "3"
                ),
                **dict.fromkeys(
                    ("43", "45", "46", "51", "52", "53", "54", "61", "62", "63", "64", "65"), "3"
                ),
            },
        },
        "promotion": {
            "zh": "运营商促销",
            "en": "Carrier promotion",
            "on": False,
            "source": "S1",
            "note": "S1: 8-15 % less while a carrier's promotion runs (75 % on 11 November). Switch on with dates.",
            "range_ppm": [-150_000, 0],
            "carriers_ppm": {"cmcc": -100_000, "ctcc": -100_000, "cucc": -100_000, "cbn": -100_000},
        },
        "competition": {
            "zh": "市场竞争",
            "en": "Competition",
            "on": False,
            "source": "S1",
            "note": "S1: ten more competitors raise prices by 2-3 %. Switch on by hand until rates are recorded.",
            "range_ppm": [0, 30_000],
            "rate_ppm": 20_000,
        },
        "standing": {
            "zh": "客户等级",
            "en": "Class of seller",
            "on": True,
            "source": "S2",
            "note": (
                "S2: stepped conversion rates; it gives no figures. Classes, thresholds and shares are ours: what a seller has "
                "closed within the days, by face value and number of orders. Nothing else about a person is read."
            ),
            "range_ppm": [0, 30_000],
            "days": 90,
            "classes": [
                {
                    "name": "basic",
                    "zh": "普通客户",
                    "en": "Basic",
                    "least_face_fen": 0,
                    "least_orders": 0,
                    "rate_ppm": 0,
                },
                {
                    "name": "silver",
                    "zh": "银牌客户",
                    "en": "Silver",
                    "least_face_fen": 500_000,
                    "least_orders": 5,
                    "rate_ppm": 4_000,
                },
                {
                    "name": "gold",
                    "zh": "金牌客户",
                    "en": "Gold",
                    "least_face_fen": 5_000_000,
                    "least_orders": 30,
                    "rate_ppm": 8_000,
                },
            ],
        },
        "demand": {
            "zh": "当前求购",
            "en": "Demand now",
            "on": True,
            "source": "own",
            "note": "Neither says what demand is worth. Ours: the more outlets want open of a carrier, the more is paid.",
            "range_ppm": [0, 10_000],
            "bands": [
                {"from_fen": 0, "rate_ppm": 0},
                {"from_fen": 10_000_000, "rate_ppm": 2_000},
                {"from_fen": 100_000_000, "rate_ppm": 5_000},
            ],
        },
        "bounds": {
            "zh": "回收率上下限",
            "en": "Least and most rate",
            "on": True,
            "source": "S1",
            "note": "S1's highest average is 95 %. The lower bound is ours.",
            "range_ppm": [0, 950_000],
            "least_ppm": 600_000,
            "most_ppm": 950_000,
        },
        "cap": {
            "zh": "促销期间上限",
            "en": "Cap during a promotion",
            "on": True,
            "source": "S1",
            "note": (
                "S1: anti-arbitrage control cuts the profit from price differences by half or more. Each cap is set for one "
                "asset and names its promotion; without one this is neutral."
            ),
            "range_ppm": [0, 1_000_000],
        },
        "outlet": {
            "zh": "出货价上限",
            "en": "What an outlet gives",
            "on": True,
            "source": "own",
            "note": (
                "Never more than the best outlet bids now less a margin for what an order costs; S1 expects 0.8-1.2 % an order "
                "of licensed operators. `subsidy_ppm` pays more than that and is a person's decision."
            ),
            "range_ppm": [8_000, 12_000],
            "margin_ppm": 10_000,
            "subsidy_ppm": 0,
        },
    },
    "fee": {
        "zh": "平台服务费",
        "en": "Platform fee",
        "source": "S1",
        "note": "S1: 3-8 % of face; S2: 10-15 % on third-party platforms. The documents contradict; S1 is taken.",
        "range_ppm": [30_000, 80_000],
        "rate_ppm": 30_000,
        "least_fen": 0,
    },
    "charges": [],
    "rails": {
        "alipay": {
            "zh": "支付宝",
            "en": "Alipay",
            "on": True,
            "source": "S1",
            "note": "S1: about 0.38 % + 0.05 % of the payment.",
            "range_ppm": [3_800, 4_300],
            "rate_ppm": 4_300,
            "fixed_fen": 0,
        },
        "wechat": {
            "zh": "微信支付",
            "en": "WeChat Pay",
            "on": False,
            "source": "S1",
            "note": "S1: about 0.38 % + 0.05 % of the payment.",
            "range_ppm": [3_800, 4_300],
            "rate_ppm": 4_300,
            "fixed_fen": 0,
        },
        "bank": {
            "zh": "银行卡",
            "en": "Bank",
            "on": False,
            "source": "S1",
            "note": "S1: 0.6-1.2 % per payment.",
            "range_ppm": [6_000, 12_000],
            "rate_ppm": 9_000,
            "fixed_fen": 0,
        },
        "credit": {
            "zh": "平台余额",
            "en": "Platform credit",
            "on": True,
            "source": "own",
            "note": "Inside the ledger: costs nothing. Offered only where the operator's licence allows it.",
            "range_ppm": [0, 0],
            "rate_ppm": 0,
            "fixed_fen": 0,
        },
    },
    "limits": {
        "source": "S1",
        "note": "S1, S2: specialised buyers take up to 5 000 yuan an order. The least amount is ours.",
        "balance": {"least_fen": 1_000, "most_fen": 500_000},
        "card": {"least_fen": 1_000, "most_fen": 50_000},
    },
    "card_faces_fen": [1_000, 2_000, 3_000, 5_000, 10_000, 20_000, 30_000, 50_000],
    "table_faces_fen": [1_000, 3_000, 5_000, 10_000, 20_000, 30_000, 50_000, 100_000],
}


def lacking(document: Mapping[str, Any]) -> list[str]:
    """Factors of this card that another one's document, of an earlier time, has no part for."""
    return [name for name in DEFAULT_CARD["factors"] if name not in document["factors"]]


def completed(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document with the factors it lacks, each switched off, so that no price changes until a person turns one on.

    Their sources come along; where the document calls something else by a source's name, the newer one gets a name of its own.
    """
    made: dict[str, Any] = copy.deepcopy(dict(document))
    sources = made["sources"]
    for name in lacking(document):
        part = copy.deepcopy(DEFAULT_CARD["factors"][name])
        said = DEFAULT_CARD["sources"][part["source"]]
        source = part["source"]
        while sources.setdefault(source, said) != said:
            source = f"{source}+"
        made["factors"][name] = part | {"on": False, "source": source}
    return made
