"""Refusals of what is recorded about the market, and of what its promotions make us cap; a part of the table in
`airback.domain.refusals`."""

from typing import Final

from airback.domain.refusal import Refusal

MARKET_REFUSALS: Final = (
    Refusal(
        "rival_rate_malformed",
        422,
        "折扣率无法读取。",
        "The rate cannot be read.",
        "请填写如 85%、0.85 或 8.5折 的折扣率,最多精确到百万分之一。",
        "Give a rate such as 85% or 0.85, to a millionth at most.",
    ),
    Refusal(
        "rival_rate_not_positive",
        422,
        "折扣率必须大于零。",
        "The rate must be above zero.",
        "请核对所见的报价;对方暂停收购时不必记录。",
        "Check what was seen; a competitor who buys nothing needs no record.",
    ),
    Refusal(
        "rival_rate_above_face",
        422,
        "折扣率超过 100%。",
        "The rate is above 100 %.",
        "没有人以高于面值的价格收购;请核对单位和小数点。",
        "Nobody pays more than face value: check the unit and the point.",
    ),
    Refusal(
        "seen_in_future",
        422,
        "所见时间晚于现在。",
        "It was seen later than now.",
        "请核对日期和时区;没有时区的时间按北京时间计。",
        "Check the date and its offset; a time without one is China's.",
    ),
    Refusal(
        "face_band_reversed",
        422,
        "面值区间的上限低于下限。",
        "The face values' upper end lies below the lower.",
        "请按从小到大填写,如 50-100。",
        "Write the smaller first, such as 50-100.",
    ),
    Refusal(
        "already_retracted",
        409,
        "该记录已被撤回。",
        "This record was already retracted.",
        "如需更正,请另记一条。",
        "To correct it, record another.",
    ),
    Refusal(
        "promotion_dates_reversed",
        422,
        "促销的结束时间不晚于开始时间。",
        "The promotion ends before it begins.",
        "请核对起止时间。",
        "Check when it begins and ends.",
    ),
    Refusal(
        "promotion_over",
        409,
        "该促销已经结束或撤销。",
        "This promotion is over or was withdrawn.",
        "请登记新的促销。",
        "Record a new one.",
    ),
    Refusal(
        "matrix_cell_computed",
        409,
        "本平台的数值由系统计算,不能手工填写。",
        "Our own column is computed and cannot be written by hand.",
        "请修改价格表等原始数据,数值会随之变化。",
        "Change what it is computed from, such as the rate card.",
    ),
    Refusal(
        "account_daily_limit",
        422,
        "运营商促销期间,该账户今天可出售的这类话费已达上限。",
        "While the carrier's promotion runs, this account has reached what it may sell of this airtime today.",
        "请改售较小面值,或于明天(北京时间零点后)再来;促销结束后不再限额。",
        "Sell a smaller amount, or come back tomorrow, China's time; the limit ends with the promotion.",
    ),
)
