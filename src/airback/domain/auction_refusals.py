"""Refusals of auctions and their bids, a part of the table in `airback.domain.refusals`."""

from typing import Final

from airback.domain.refusal import Refusal

AUCTION_REFUSALS: Final = (
    Refusal(
        "auction_without_bids",
        409,
        "没有任何报价,拍卖无法进行。",
        "Nobody has bid, so nothing can be awarded.",
        "请延长拍卖或改用逐单出货。",
        "Hold the auction open for longer, or sell order by order.",
    ),
    Refusal(
        "bid_below_reserve",
        422,
        "出价低于保留价。",
        "The bid is below the lot's reserve price.",
        "请按保留价或更高的价格出价。",
        "Bid the reserve price or more.",
    ),
    Refusal(
        "bid_twice",
        409,
        "对同一批次重复出价。",
        "There is more than one bid of this bidder for the lot.",
        "每个批次只出一次价;首次出价有效。",
        "Bid once for each lot; the first bid counts.",
    ),
    Refusal(
        "bid_seal_broken",
        409,
        "开标内容与事先提交的密封值不符。",
        "The opened bids do not match the seal that was handed in.",
        "请按密封时的报价和随机数开标。",
        "Open the bids and the salt exactly as they were sealed.",
    ),
    Refusal(
        "bidder_unknown",
        404,
        "没有这个竞价方。",
        "There is no such bidder.",
        "请核对竞价方名单。",
        "Check the list of bidders.",
    ),
    Refusal(
        "lot_unknown",
        404,
        "没有这个批次。",
        "There is no such lot.",
        "请核对批次编号。",
        "Check the lot's number.",
    ),
    Refusal(
        "percent_malformed",
        422,
        "百分比格式不正确。",
        "The percentage cannot be read.",
        "请填写 0 到 100 之间的数,最多四位小数。",
        "Give a number from 0 to 100 with at most four decimals.",
    ),
)
