"""Refusals of rate cards on their way into force, a part of the table in `airback.domain.refusals`."""

from typing import Final

from airback.domain.refusal import Refusal

RATE_CARD_REFUSALS: Final = (
    Refusal(
        "preview_without_history",
        409,
        "这段时间没有可以重算的订单,无法试算。",
        "There are no orders of that time to price again, so nothing can be previewed.",
        "请放宽天数,或在有成交之后再试算。",
        "Take more days, or wait until orders were completed.",
    ),
    Refusal(
        "card_overlap",
        409,
        "生效时间与另一份已排期的价格表重叠。",
        "Its dates overlap with those of another scheduled rate card.",
        "请换一个时间,或选择替换那一份。",
        "Choose another time, or let it come in place of that one.",
    ),
    Refusal(
        "card_gap",
        409,
        "会有一段时间没有生效的价格表。",
        "There would be a time without any rate card in force.",
        "请先排定在结束时刻生效的下一份价格表,或不设失效时间。",
        "Schedule the card that follows at that very moment first, or give this one no end.",
    ),
    Refusal(
        "effective_past",
        422,
        "生效时间已经过去。",
        "The time it is to take effect has passed.",
        "请填写将来的时间;不填则批准后即生效。",
        "Give a time to come, or none to let it take effect when it is approved.",
    ),
    Refusal(
        "draft_changed",
        409,
        "草稿在您打开之后已被他人修改。",
        "Somebody changed the draft since you opened it.",
        "您填写的内容仍在下方;请打开最新内容核对后重新填写。",
        "What you typed is still here; open the draft as it is now, compare, and enter it again.",
    ),
    Refusal(
        "draft_closed",
        409,
        "草稿已经提交审批、发布或作废,不能再改。",
        "The draft was proposed, published or discarded, and cannot be changed.",
        "请以它的内容另起一份草稿。",
        "Start another draft from it.",
    ),
)
