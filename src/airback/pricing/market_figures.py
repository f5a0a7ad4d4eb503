"""What the two trade articles print of platforms, cell by cell: the comparison matrix as it stands before anybody adds to it.

S1 and S2 are described in docs/pricing.md. A cell they leave empty is not here, and is empty. `low` and `high` are in the
criterion's unit; one alone is an end that is open. Texts stand where the print is no figure, or says more than one.
"""

from typing import Any, Final

#: Units: `ppm` of face value, `fen`, `hours`, `people`, `text`. `better` says which end of a figure is better for a seller.
TABLES: Final[tuple[dict[str, Any], ...]] = (
    {
        "key": "types",
        "zh": "按平台类型",
        "en": "By type of platform",
        "source": "S1",
        "platforms": (
            ("second_hand", "二手交易市场(闲鱼、转转)", "Second-hand market (Xianyu, Zhuanzhuan)"),
            ("payment", "支付机构(支付宝、微信)", "Payment institution (Alipay, WeChat)"),
            ("vertical", "垂直回收商(卡卡礼品网)", "Vertical buyer (Kaka gift cards)"),
        ),
        "criteria": (
            ("rate", "折扣率", "Rate", "ppm", "high"),
            ("limit", "单笔限额", "Per-order limit", "fen", "high"),
            ("control", "风控方式", "Control", "text", None),
        ),
        "cells": {
            ("second_hand", "rate"): {"low": 850_000, "high": 920_000},
            ("second_hand", "limit"): {"high": 50_000},
            ("second_hand", "control"): {"zh": "人工查看聊天记录", "en": "People read the chat"},
            ("payment", "rate"): {"low": 900_000, "high": 970_000},
            ("payment", "limit"): {"high": 100_000},
            ("payment", "control"): {"zh": "实名与人脸", "en": "Real name and face"},
            ("vertical", "rate"): {"low": 780_000, "high": 880_000},
            ("vertical", "limit"): {"high": 500_000},
            ("vertical", "control"): {"zh": "直连运营商核验", "en": "Direct check with the carrier"},
        },
    },
    {
        "key": "routes",
        "zh": "按兑换路径",
        "en": "By route",
        "source": "S2",
        "platforms": (
            ("carrier", "运营商自营", "Carrier's own"),
            ("third_party", "第三方平台", "Third-party platform"),
            ("social", "社交电商功能", "Social-commerce feature"),
        ),
        "criteria": (
            ("arrives", "到账时间", "Money arrives", "hours", "low"),
            ("fee", "手续费", "Fee", "ppm", "low"),
            ("limit", "单笔限额", "Per-order limit", "fen", "high"),
            ("paid_to", "出款方式", "Paid out to", "text", None),
            ("conversion", "折算", "Conversion", "ppm", None),
        ),
        "cells": {
            ("carrier", "arrives"): {"low": 24, "high": 24, "zh": "T+1 工作日", "en": "T+1 working day"},
            ("carrier", "fee"): {"low": 50_000, "high": 80_000},
            ("carrier", "limit"): {
                "high": 50_000,
                "zh": "每月通常低于 500 元",
                "en": "usually under 500 yuan a month",
            },
            ("carrier", "paid_to"): {"zh": "运营商钱包", "en": "Carrier wallet"},
            ("carrier", "conversion"): {
                "low": 850_000,
                "high": 950_000,
                "zh": "仅限本网",
                "en": "own network only",
            },
            ("third_party", "arrives"): {"low": 0, "high": 0, "zh": "实时", "en": "Real time"},
            ("third_party", "fee"): {"low": 100_000, "high": 150_000},
            ("third_party", "limit"): {"high": 500_000},
            ("third_party", "paid_to"): {
                "zh": "银行账户或数字货币",
                "en": "Bank account or digital currency",
            },
            ("third_party", "conversion"): {"zh": "跨网、批量", "en": "Cross-carrier, bulk"},
            ("social", "arrives"): {"low": 0, "high": 72, "zh": "T+0 至 T+3", "en": "T+0 to T+3"},
            ("social", "fee"): {"low": 80_000, "high": 120_000},
            ("social", "limit"): {"high": 200_000},
            ("social", "paid_to"): {"zh": "平台余额", "en": "Platform credit"},
            ("social", "conversion"): {"zh": "阶梯式,通过积分", "en": "Stepped, through points"},
        },
    },
    {
        "key": "platforms",
        "zh": "三家平台",
        "en": "Three platforms",
        "source": "S1",
        "platforms": (
            ("alipay", "支付宝", "Alipay"),
            ("xianyu", "闲鱼", "Xianyu"),
            ("kaka", "卡卡礼品网", "Kaka gift cards"),
        ),
        "criteria": (
            ("users", "用户数", "Users", "people", "high"),
            ("volume", "日均交易量", "Average daily volume", "text", None),
            ("complaints", "投诉率", "Complaint rate", "ppm", "low"),
            ("business", "企业客户占比", "Share of business clients", "ppm", None),
            ("technology", "技术投入占比", "Share of spending on technology", "ppm", None),
        ),
        "cells": {
            ("alipay", "users"): {"low": 1_200_000_000},
            # As printed, beside the unit 万元: 1.2 亿 万元 cannot be meant, so no figure is made of it.
            ("alipay", "volume"): {
                "zh": "1.2 亿(原文单位:万元)",
                "en": "120 million (as printed, unit 10 000 yuan)",
            },
            ("alipay", "complaints"): {"low": 300, "high": 300},
            ("xianyu", "users"): {"low": 380_000_000},
            ("xianyu", "volume"): {
                "zh": "320 万(原文单位:万元)",
                "en": "3.2 million (as printed, unit 10 000 yuan)",
            },
            ("kaka", "users"): {"low": 85_000_000, "high": 85_000_000},
            ("kaka", "volume"): {
                "zh": "180 万(原文单位:万元)",
                "en": "1.8 million (as printed, unit 10 000 yuan)",
            },
        },
    },
)
