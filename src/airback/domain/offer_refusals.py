"""Refusals of offers, where sellers name their own price: a part of `airback.domain.refusals`."""

from typing import Final

from airback.domain.refusal import Refusal

OFFER_REFUSALS: Final = (
    Refusal(
        "offer_below_price",
        422,
        "您的出价没有高于现在的报价。",
        "Your price is no higher than what is quoted now.",
        "请直接按报价卖出,或填写更高的到手金额。",
        "Sell at the quote, or name a higher amount.",
    ),
    Refusal(
        "offer_above_bounds",
        422,
        "加上费用后,您的出价高于价目表允许的最高价,不会成交。",
        "With the fees your price comes to more than the rate card ever pays: nothing could meet it.",
        "请填写较低的到手金额。",
        "Name a lower amount.",
    ),
    Refusal(
        "offer_deadline_invalid",
        422,
        "截止时间须在 5 分钟之后、验证号码后的 72 小时之内。",
        "The deadline must lie at least 5 minutes ahead and within 72 hours of the number's proof.",
        "请选择较近的截止时间;要等得更久,请到期后重新出价。",
        "Choose a time within these limits; to wait longer, make a new offer when this one ends.",
    ),
    Refusal(
        "offer_unwatched",
        422,
        "该号码的运营商无法告知是否换过卡,不能挂单等待。",
        "This number's carrier cannot tell whether its SIM was changed, so it cannot wait for a buyer.",
        "请按报价直接卖出。",
        "Sell at the quote.",
    ),
    Refusal(
        "offer_resting",
        409,
        "这个号码已有一笔等待中的出价。",
        "An offer of this number is resting already.",
        "请修改或撤回原来的出价。",
        "Change or withdraw that one.",
    ),
    Refusal(
        "offer_closed",
        409,
        "这笔出价已成交、已撤回或已到期,不能再更改。",
        "This offer was met, withdrawn or has expired: it cannot be changed any more.",
        "请查看它现在的状态;成交后的订单可在交付前免费取消。",
        "Look at its state; the order of one that was met may be cancelled until a delivery is committed.",
    ),
)
