"""Refusals of the margin, of agreements that split money and of the rate index, a part of `airback.domain.refusals`."""

from typing import Final

from airback.domain.refusal import Refusal

MARGIN_REFUSALS: Final = (
    Refusal(
        "period_invalid",
        422,
        "期间不成立:结束早于开始、超过一年,或尚未到来。",
        "This is no period: it ends before it begins, is longer than a year, or lies ahead.",
        "请填写已经开始、不超过 366 天的起止日期。",
        "Give a first and a last day that are not in the future, at most 366 days apart.",
    ),
    Refusal(
        "split_above_whole",
        422,
        "同一基数上的分成合计超过 100%。",
        "The shares of one base come to more than 100 %.",
        "请减少所指基数上的分成。",
        "Lower the shares of the base that is named.",
    ),
    Refusal(
        "split_order",
        422,
        "分成的顺序不对:先代扣税款,再准备金,再推荐人,再代理。",
        "The shares stand in the wrong order: tax first, then reserve, then referrers, then agents.",
        "请按此顺序排列分成项。",
        "Put the shares into that order.",
    ),
    Refusal(
        "split_repeated",
        422,
        "同一方以同一身份出现了两次。",
        "A party stands twice in the same part.",
        "请合并所指的两项。",
        "Join the two into one share.",
    ),
    Refusal(
        "party_balance_short",
        409,
        "金额超过应付该方的余额。",
        "The amount is above what is owed to this party.",
        "请填写不超过余额的金额。",
        "Enter no more than the balance.",
    ),
    Refusal(
        "index_not_published",
        404,
        "该周的费率指数没有公布。",
        "There is no rate index of that week.",
        "请填写一个已结束的星期的星期一;最近的见不带参数的请求。",
        "Name the Monday of a week that is over; without a week the latest is given.",
    ),
)
