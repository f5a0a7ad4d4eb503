"""Names and colours of what is stored as a code: states, results, kinds, phases, accounts.

Colour never stands alone: each badge carries its word. A code that is not in a table is shown as it is.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from airback.compliance.licences import CAPABILITY_NAMES, Standing
from airback.domain.assets import CARRIERS, CNY
from airback.domain.effects import Result
from airback.domain.refusals import REFUSALS
from airback.ledger.split import KIND_NAMES as SHARE_NAMES
from airback.market import channels
from airback.market.health import State as HealthState
from airback.market.pauses import PauseKind
from airback.market.profiles import PROFILES
from airback.market.terms import FundsOutlet
from airback.orders.corrections import Bearer, Settlement
from airback.orders.corrections import Kind as CorrectionKind
from airback.orders.corrections import State as CorrectionState
from airback.orders.states import FillState
from airback.orders.states import State as OrderState
from airback.payouts.states import State as PayoutState
from airback.reconciliation.breaks import Explanation
from airback.reconciliation.breaks import State as BreakState
from airback.staff.actions import ACTIONS, BEARERS, CORRECTIONS, KIND_NAMES, RESULT_NAMES, SETTLEMENTS
from airback.staff.actions import BOOKED as BOOKED_NAMES
from airback.staff.proposals import State as ProposalState
from airback.staff.roles import ROLE_NAMES, Role
from airback.web.templates import clock, grouped_yuan, typeset

BLUE: Final = "blue"
GREEN: Final = "green"
ORANGE: Final = "orange"
RED: Final = "red"
GREY: Final = "secondary"
AZURE: Final = "azure"


@dataclass(frozen=True, slots=True)
class Word:
    """A code as people read it. `colour` is a name of the style sheet's palette."""

    zh: str
    en: str
    colour: str = GREY

    def text(self, language: str) -> str:
        """The word in `zh` or `en`."""
        return typeset(self.zh) if language.startswith("zh") else self.en


_S = OrderState
ORDER: Final = MappingProxyType(
    {
        _S.SUBMITTED: Word("已提交", "Submitted", AZURE),
        _S.SCREENED: Word("已筛查", "Screened", AZURE),
        _S.VERIFIED: Word("已核实", "Verified", AZURE),
        _S.HELD: Word("已冻结", "Held", BLUE),
        _S.ROUTED: Word("送出中", "Being delivered", BLUE),
        _S.DELIVERED: Word("已送达", "Delivered", BLUE),
        _S.CREDITED: Word("付款中", "Being paid", BLUE),
        _S.AWAITING_SELLER: Word("待卖家", "Awaiting seller", ORANGE),
        _S.IN_REVIEW: Word("人工处理", "In review", ORANGE),
        _S.CANCELLING: Word("取消中", "Cancelling", ORANGE),
        _S.CLOSED: Word("已完成", "Closed", GREEN),
        _S.DECLINED: Word("未受理", "Declined", GREY),
        _S.CANCELLED: Word("已取消", "Cancelled", GREY),
        _S.EXPIRED: Word("已过期", "Expired", GREY),
        _S.FAILED: Word("失败", "Failed", RED),
    }
)

FILL: Final = MappingProxyType(
    {
        FillState.RESERVED: Word("已预留", "Reserved", AZURE),
        FillState.DELIVERING: Word("送出中", "Delivering", BLUE),
        FillState.DELIVERED: Word("已送达", "Delivered", GREEN),
        FillState.RELEASED: Word("已放回", "Released"),
        FillState.FAILED: Word("失败", "Failed", RED),
    }
)

PAYOUT: Final = MappingProxyType(
    {
        PayoutState.PLANNED: Word("待发出", "Planned", AZURE),
        PayoutState.SENT: Word("已发出", "Sent", BLUE),
        PayoutState.AWAITING_SELLER: Word("待卖家", "Awaiting seller", ORANGE),
        PayoutState.PAID: Word("已付", "Paid", GREEN),
        PayoutState.RETURNED: Word("已退回", "Returned", RED),
        PayoutState.FAILED: Word("失败", "Failed", RED),
    }
)

_RESULT_COLOURS: Final = {
    Result.UNKNOWN: ORANGE,
    Result.AWAITING_SELLER: ORANGE,
    Result.SUCCEEDED: GREEN,
    Result.FAILED: RED,
    Result.REVERSED: RED,
    Result.ACCEPTED: BLUE,
    Result.PROCESSING: BLUE,
}
RESULT: Final = MappingProxyType(
    {result: Word(zh, en, _RESULT_COLOURS.get(result, AZURE)) for result, (zh, en) in RESULT_NAMES.items()}
)
EFFECT: Final = MappingProxyType({kind: Word(zh, en) for kind, (zh, en) in KIND_NAMES.items()})

PROPOSAL: Final = MappingProxyType(
    {
        ProposalState.OPEN: Word("待审批", "Open", ORANGE),
        ProposalState.APPROVED: Word("已批准", "Approved", GREEN),
        ProposalState.REJECTED: Word("已否决", "Rejected", RED),
        ProposalState.EXPIRED: Word("已过期", "Expired"),
    }
)

LICENCE: Final = MappingProxyType(
    {
        Standing.NOT_YET: Word("未生效", "Not yet valid", AZURE),
        Standing.VALID: Word("有效", "Valid", GREEN),
        Standing.ENDING: Word("即将到期", "Ends soon", ORANGE),
        Standing.ENDED: Word("已到期", "Ended", RED),
    }
)

PHASE: Final = MappingProxyType(
    {
        "posted": Word("入账", "Posted", GREEN),
        "pending": Word("预留", "Pending", ORANGE),
        "post": Word("预留转入账", "Pending, posted", GREEN),
        "void": Word("预留撤销", "Pending, voided"),
    }
)

ROLE: Final = MappingProxyType({role: Word(zh, en, BLUE) for role, (zh, en) in ROLE_NAMES.items()})
ACTION: Final = MappingProxyType({name: Word(action.zh, action.en) for name, action in ACTIONS.items()})
CAPABILITY: Final = MappingProxyType({one: Word(zh, en, BLUE) for one, (zh, en) in CAPABILITY_NAMES.items()})
CARRIER: Final = MappingProxyType({code: Word(each.zh, each.en) for code, each in CARRIERS.items()})
PRODUCT: Final = MappingProxyType(
    {"balance": Word("话费余额", "Balance"), "card": Word("充值卡", "Recharge card")}
)
HOLD: Final = MappingProxyType(
    {
        "native": Word("运营商冻结", "Carrier's own hold"),
        "custody": Word("先转入平台", "Moved into custody"),
        "none": Word("不冻结", "No hold"),
    }
)
CANCEL: Final = MappingProxyType(
    {
        "asked": Word("已要求取消", "Cancellation asked", ORANGE),
        "too_late": Word("取消太晚", "Too late to cancel"),
        "done": Word("已取消", "Cancelled"),
    }
)
PROMOTION: Final = MappingProxyType(
    {
        "to come": Word("未开始", "To come", AZURE),
        "live": Word("进行中", "Live", ORANGE),
        "over": Word("已结束", "Over"),
        "withdrawn": Word("已撤销", "Withdrawn"),
    }
)
RAIL: Final = MappingProxyType(
    {"alipay": Word("支付宝", "Alipay"), "credit": Word("平台余额", "Platform credit")}
)
SEGMENT: Final = MappingProxyType(
    {
        "carrier": Word("按运营商", "By carrier"),
        "outlet": Word("按渠道", "By outlet"),
        "product": Word("按品种", "By product"),
        "face": Word("按面值", "By face value"),
        "client": Word("按客户", "By client"),
        "day": Word("按日", "By day"),
    }
)
CHANNEL: Final = MappingProxyType({kind: Word(one.zh, one.en) for kind, one in PROFILES.items()})
FUNDS: Final = MappingProxyType(
    {
        FundsOutlet.CARRIER_WALLET: Word("运营商钱包", "Carrier's wallet"),
        FundsOutlet.BANK: Word("银行账户", "Bank account"),
        FundsOutlet.ECNY: Word("数字人民币", "Digital yuan"),
        FundsOutlet.PLATFORM_CREDIT: Word("平台余额", "Platform credit"),
    }
)
PAUSE: Final = MappingProxyType(
    {
        PauseKind.CARRIER: Word("运营商", "Carrier", ORANGE),
        PauseKind.PROVINCE: Word("地区", "Region", ORANGE),
        PauseKind.OUTLET: Word("渠道", "Outlet", ORANGE),
        PauseKind.RAIL: Word("付款渠道", "Rail", ORANGE),
    }
)
OUTLET_KIND: Final = MappingProxyType({"house": Word("平台自营", "House", BLUE)})

BOOKED: Final = MappingProxyType({line: Word(*names) for line, names in BOOKED_NAMES.items()})
BASE: Final = MappingProxyType(
    {
        "platform": Word("服务费与价差", "of fee and spread"),
        "fee": Word("服务费", "of the fee"),
        "spread": Word("价差", "of the spread"),
        "face": Word("面值", "of face value"),
        "net": Word("卖家净得", "of what the seller nets"),
        "line": Word("报价扣项", "of the deduction"),
    }
)
SHARE: Final = MappingProxyType({kind: Word(*names) for kind, names in SHARE_NAMES.items()})

#: Kinds of ledger accounts: the first part of their code.
ACCOUNT: Final = MappingProxyType(
    {
        "cash": Word("现金", "Cash"),
        "clearing": Word("渠道在途", "Clearing at rails"),
        "float": Word("自有备付资金", "Operator's float"),
        "deposit": Word("渠道保证金", "Outlets' deposits"),
        "receivable": Word("渠道授信", "Lent to outlets"),
        "proceeds": Word("待分配货款", "Proceeds to split"),
        "payable": Word("应付卖家", "Payable to sellers"),
        "stored": Word("卖家平台余额", "Sellers' platform credit"),
        "fee": Word("服务费收入", "Fees"),
        "rail_cost": Word("渠道成本", "Cost of rails"),
        "spread": Word("价差收入", "Spread"),
        "recourse": Word("向卖家追偿", "Recourse to sellers"),
        "loss": Word("损失", "Loss"),
        "suspense": Word("待查", "Suspense"),
        "shared": Word("分给各方", "Shared with parties"),
        "party": Word("应付分成方", "Owed to parties"),
        "tax_withheld": Word("代扣税款", "Tax withheld"),
        "reserve": Word("坏账准备", "Bad-debt reserve"),
        "cost": Word("经营成本", "Operating costs"),
        "rebate": Word("运营商返点", "Carriers' rebates"),
        "source": Word("话费来源", "Airtime brought"),
        "held": Word("已冻结话费", "Airtime held"),
        "transit": Word("在途话费", "Airtime in transit"),
        "delivered": Word("已送达话费", "Airtime delivered"),
        "stock": Word("库存话费", "Airtime in stock"),
    }
)

#: What a correction stands for. It is an alarm of the same name until it is settled.
TAKEN_BACK: Final = MappingProxyType(
    {
        CorrectionKind.DELIVERY_REVERSED: Word("送达后被冲正", "Delivery reversed", RED),
        CorrectionKind.PAYMENT_RETURNED: Word("付款被退回", "Payment returned", RED),
    }
)

ALARM: Final = MappingProxyType(
    {
        **TAKEN_BACK,
        "account_overdrawn": Word("账户透支", "Account overdrawn", RED),
        "earmark_overdrawn": Word("预留超出余额", "More was set aside than there was", RED),
        "safeguarding_short": Word("备付不足", "Safeguarding short", RED),
        "effect_unresolved": Word("指令结果不明", "Effect unresolved", ORANGE),
        "order_in_review": Word("订单待处理", "Order in review", ORANGE),
        "done_after_failure": Word("判为失败后对方报告成功", "Done after it counted as failed", RED),
        "card_in_doubt": Word("卡已用过,可能是我方所用", "Card used, perhaps by us", RED),
        "delivered_more": Word("对方多送或重复送达", "Delivered more, or twice", RED),
        "payout_delayed": Word("付款一再未成功", "Payment keeps failing", ORANGE),
        "payout_failed": Word("付款被拒", "Payment refused", ORANGE),
        "delivery_failed": Word("送达失败", "Delivery failed", ORANGE),
        "notice_failed": Word("渠道没有收下通知", "An outlet took no notice", ORANGE),
        "notices_not_made": Word(
            "渠道积压的通知过多,不再新发", "Too many notices wait for an outlet", ORANGE
        ),
        "release_failed": Word("解冻失败", "Release failed", ORANGE),
        "outlet_resting": Word("渠道连续拒收,已暂离", "Outlet refuses, rests", ORANGE),
        "no_taker": Word("无处送达", "Nobody takes it", ORANGE),
        "seller_silent": Word("卖家未答复", "Seller silent", ORANGE),
        "requote_refused": Word("无法重新报价", "Cannot be requoted", ORANGE),
        "paid_amount": Word("实付金额不符", "Another amount was paid", RED),
        "order_set_aside": Word("订单无法处理,已搁置", "Order set aside", RED),
        "letter_set_aside": Word("来件无法处理,已搁置", "Letter set aside", RED),
        "offers_set_aside": Word("挂单撮合出错,已搁置一小时", "Offers set aside for an hour", RED),
        "answer_set_aside": Word("对方答复无法处理,已搁置", "Answer set aside", RED),
        "arbitrage": Word("促销价低于回收价,已封顶", "Promotion below our price: capped", ORANGE),
        "decision_stale": Word("批准时情况已变,未执行", "Decision no longer fits", ORANGE),
        "decision_impossible": Word("批准的处理无法执行", "Decision cannot be carried out", ORANGE),
    }
)

#: Whether orders go to an outlet.
HEALTH: Final = MappingProxyType(
    {
        HealthState.WELL: Word("正常", "Well", GREEN),
        HealthState.RESTING: Word("暂离", "Resting", ORANGE),
        HealthState.PROBING: Word("试送中", "Probing", AZURE),
    }
)

#: Why an outlet was passed over.
PASSED: Final = MappingProxyType(
    {
        channels.PAUSED: Word("已暂停", "paused"),
        channels.RESTING: Word("暂离", "resting"),
        channels.PROBING: Word("只接小额试送", "takes small probes only"),
        channels.CARRIER: Word("不收此运营商", "does not take this carrier"),
        channels.NETWORK: Word("只收本网", "own network only"),
        channels.ORDER_LIMIT: Word("超出单笔上限", "above its limit per order"),
        channels.DAILY_LIMIT: Word("超出日限额", "above its daily limit"),
        channels.MONTHLY_LIMIT: Word("超出月限额", "above its monthly limit"),
        channels.CAPACITY: Word("本分钟已满", "full for this minute"),
        channels.DEPOSIT: Word("预付款不足", "not enough prepaid money"),
        channels.TOO_LATE: Word("截止太近", "deadline too near"),
        channels.TOO_SMALL: Word("所需金额不合", "wants another amount"),
        channels.REFUSED_BEFORE: Word("已拒收过此单", "refused this order before"),
        channels.OWN_NUMBER: Word("是卖家本人号码", "the seller's own number"),
        channels.BELOW_FLOOR: Word("低于成本", "below cost"),
        channels.WORTH_LESS: Word("净值较低", "worth less"),
    }
)

_SOURCES: Final = {
    "seller": ("卖家", "Seller"),
    "engine": ("系统", "Engine"),
    "finance": ("财务", "Finance"),
    "operations": ("运营", "Operations"),
    "pricing": ("定价", "Pricing"),
    "compliance": ("合规", "Compliance"),
    "administrator": ("管理员", "Administrator"),
    "staff": ("员工", "Staff"),
    "carrier": ("运营商", "Carrier"),
    "rail": ("付款渠道", "Rail"),
    "messenger": ("短信", "Messenger"),
    "outlet": ("渠道", "Outlet"),
    "market": ("市场", "Market"),
}

EXPLANATION: Final = MappingProxyType(
    {
        Explanation.DUPLICATE: Word("重复", "Duplicate", RED),
        Explanation.REVERSED: Word("已冲正", "Reversed", RED),
        Explanation.FEE: Word("手续费", "Fee", AZURE),
        Explanation.AMOUNT: Word("金额不符", "Amount differs", ORANGE),
        Explanation.TIMING: Word("时间差", "Timing", BLUE),
        Explanation.MISSING_HERE: Word("我方缺", "Missing here", RED),
        Explanation.MISSING_THERE: Word("对方缺", "Missing there", ORANGE),
    }
)
BREAK: Final = MappingProxyType(
    {
        BreakState.OPEN: Word("未结", "Open", ORANGE),
        BreakState.MATCHED: Word("已对上", "Matched", GREEN),
        BreakState.CORRECTED: Word("已更正", "Corrected", GREEN),
    }
)
CORRECTION: Final = MappingProxyType({code: Word(zh, en) for code, (zh, en) in CORRECTIONS.items()})

BEARER: Final = MappingProxyType(
    {one: Word(*BEARERS[one], ORANGE if one is Bearer.PLATFORM else AZURE) for one in Bearer}
)
SETTLEMENT: Final = MappingProxyType(
    {code: Word(zh, en) for code, (zh, en) in SETTLEMENTS.items()}
    | {Settlement.REPAID: Word("已重新付给卖家", "Paid to the seller again")}
)
CORRECTION_STATE: Final = MappingProxyType(
    {
        CorrectionState.OPEN: Word("未了结", "Open", ORANGE),
        CorrectionState.SETTLED: Word("已了结", "Settled", GREEN),
    }
)

_CORRECTION_VERBS: Final = {
    "opened": ("已开立更正", "Correction opened"),
    "settled": ("更正已了结一笔", "Correction settled in part or whole"),
}

_VERBS: Final = {
    "submitted": ("提交", "submitted"),
    "requoted": ("重新报价", "requoted"),
    "too_late": ("取消太晚", "too late to cancel"),
    "cancel_asked": ("要求取消", "cancellation asked"),
    "payee_given": ("更换收款账户", "payee given"),
    "planned": ("计划付款", "payout planned"),
    "sent": ("付款已发出", "payout sent"),
    "paid": ("款项已付", "paid"),
    "returned": ("付款退回", "payout returned"),
}

#: What an entry of an order's timeline says besides its title.
FACT: Final = MappingProxyType(
    {
        "from": Word("此前", "Before"),
        "state": Word("当时", "At that time"),
        "carrier": Word("运营商", "Carrier"),
        "product": Word("所售", "Sold"),
        "face_fen": Word("面值", "Face value"),
        "quoted_face_fen": Word("报价面值", "Face quoted"),
        "delivered_fen": Word("已送达", "Delivered"),
        "net_fen": Word("卖家净得", "Seller nets"),
        "pays_fen": Word("应收", "Pays"),
        "before_fen": Word("此前余额", "Balance before"),
        "after_fen": Word("此后余额", "Balance after"),
        "claim_fen": Word("追偿金额", "To be recovered"),
        "left_fen": Word("未了结", "Left to settle"),
        "settlement": Word("了结方式", "Settlement"),
        "bearer": Word("由谁承担", "Borne by"),
        "fill": Word("成交", "Fill"),
        "fills": Word("成交笔数", "Fills"),
        "outlet": Word("渠道", "Outlet"),
        "payout": Word("付款", "Payout"),
        "rail": Word("付款渠道", "Rail"),
        "quote": Word("报价编号", "Quote"),
        "first_quote": Word("原报价编号", "First quote"),
        "correction": Word("更正", "Correction"),
        "far_ref": Word("对方流水号", "Far side's reference"),
        "send_by": Word("最迟发出", "Send by"),
        "epoch": Word("任期", "Epoch"),
        "reason": Word("原因", "Reason"),
        "paid_at": Word("对方付款时间", "Paid at"),
    }
)
#: Facts whose value is a code of another table.
_FACT_TABLES: Final = {
    "from": "order",
    "state": "order",
    "carrier": "carrier",
    "product": "product",
    "rail": "rail",
    "bearer": "bearer",
    "settlement": "settlement",
}

#: Why a transfer was posted: every kind that the engine posts.
POSTING: Final = MappingProxyType(
    {
        "hold": Word("冻结话费", "Airtime held"),
        "intake": Word("收进卡", "Card taken in"),
        "earmark": Word("预留货款", "Outlet's money earmarked"),
        "dispatch": Word("话费送出", "Airtime dispatched"),
        "dispatch_back": Word("送出退回", "Dispatched airtime back"),
        "deliver": Word("话费送达", "Airtime delivered"),
        "release": Word("退还话费", "Airtime released"),
        "excess": Word("多收的面值", "Face beyond what was said"),
        "credit": Word("记入卖家", "Credited to the seller"),
        "split": Word("按协议分成", "Split by agreement"),
        "booking": Word("经营成本或返点", "Operating cost or rebate"),
        "party_paid": Word("付给分成方", "Paid to a party"),
        "backing": Word("划入备付金", "Own cash to safeguarded"),
        "pay": Word("付款", "Paid out"),
        "returned": Word("付款退回", "Payment returned"),
        "reversal": Word("冲正", "Reversal"),
        "reversal_backing": Word("冲正的备付金", "Safeguarded for a reversal"),
        "deposit": Word("渠道充值", "Outlet's deposit"),
        "deposit_back": Word("退还保证金", "Deposit paid back"),
        "credit_line": Word("渠道授信", "Credit line"),
        "credit_line_backing": Word("授信的备付金", "Safeguarded for a credit line"),
        "correct_backing": Word("更正的备付金", "Safeguarded for a correction"),
        "float": Word("自有资金", "Operator's float"),
        "settle": Word("对账结算", "Settled by a statement"),
        "correct": Word("对账更正", "Corrected by two people"),
        "recovery": Word("追回", "Recovered"),
        "write_off": Word("核销", "Written off"),
    }
)

_TABLES: Final[Mapping[str, Mapping[Any, Word]]] = MappingProxyType(
    {
        "order": ORDER,
        "fill": FILL,
        "payout": PAYOUT,
        "result": RESULT,
        "effect": EFFECT,
        "proposal": PROPOSAL,
        "licence": LICENCE,
        "phase": PHASE,
        "role": ROLE,
        "action": ACTION,
        "capability": CAPABILITY,
        "carrier": CARRIER,
        "product": PRODUCT,
        "hold": HOLD,
        "cancel": CANCEL,
        "promotion": PROMOTION,
        "rail": RAIL,
        "outlet": OUTLET_KIND,
        "channel": CHANNEL,
        "funds": FUNDS,
        "pause": PAUSE,
        "account": ACCOUNT,
        "alarm": ALARM,
        "explanation": EXPLANATION,
        "break": BREAK,
        "correction": CORRECTION,
        "taken_back": TAKEN_BACK,
        "bearer": BEARER,
        "settlement": SETTLEMENT,
        "correction_state": CORRECTION_STATE,
        "fact": FACT,
        "posting": POSTING,
        "booked": BOOKED,
        "segment": SEGMENT,
        "share": SHARE,
        "base": BASE,
        "health": HEALTH,
        "passed": PASSED,
    }
)


@dataclass(frozen=True, slots=True)
class Words:
    """The tables in one language, as templates use them."""

    language: str

    def word(self, table: str, code: str) -> str:
        """A code's word; the code itself when the table does not know it."""
        found = _TABLES[table].get(code)
        return code if found is None else found.text(self.language)

    def colour(self, table: str, code: str) -> str:
        """A code's colour in the style sheet's palette."""
        found = _TABLES[table].get(code)
        return GREY if found is None else found.colour

    def codes(self, table: str) -> list[str]:
        """Every code of a table, in its order."""
        return [str(code) for code in _TABLES[table]]

    def refusal(self, code: str) -> str:
        """A refusal's sentence; the code itself when the catalogue does not know it."""
        found = REFUSALS.get(code)
        return code if found is None else typeset(found.sentence(self.language))

    def far_side(self, name: str) -> str:
        """`carrier:cmcc` → `China Mobile`; `rail:alipay` → `Alipay`."""
        port, _, which = name.partition(":")
        table = {"carrier": CARRIER, "rail": RAIL}.get(port)
        if table is not None and which in table:
            return table[which].text(self.language)
        pair = _SOURCES.get(port)
        return f"{pair[self._second]} {which}".strip() if pair else name

    def event(self, action: str) -> str:
        """An event's action as a sentence's beginning: `engine:order:held` → `Order held`."""
        if action in ACTION:
            return ACTION[action].text(self.language)
        subject, _, verb = action.partition(":")[2].partition(":")
        if subject == "order" and verb in ORDER:
            return ORDER[OrderState(verb)].text(self.language)
        if subject == "payout" and verb in _VERBS:
            return _VERBS[verb][self._second]
        if subject == "order" and verb in _VERBS:
            return _VERBS[verb][self._second].capitalize()
        if subject == "fill" and verb in FILL:
            word = FILL[FillState(verb)]
            return (f"成交{word.zh}", f"Fill {word.en.lower()}")[self._second]
        if subject == "correction" and verb in _CORRECTION_VERBS:
            return _CORRECTION_VERBS[verb][self._second]
        return action

    def base(self, code: str) -> str:
        """What a share of an agreement is of: `platform`, or `line:vat`, a line that quotes deduct."""
        kind, _, line = code.partition(":")
        return f"{self.word('base', kind)} {line}".strip()

    def fact(self, key: str) -> str:
        """What a fact of the timeline is called; the key itself when the table does not know it."""
        return self.word("fact", key)

    def fact_text(self, key: str, value: Any) -> str:
        """A fact's value as text: an amount in yuan, a code as its word, a time by Beijing's clock."""
        if key in _FACT_TABLES:
            return self.word(_FACT_TABLES[key], str(value))
        if key.endswith("_fen") and isinstance(value, int):
            return f"¥{grouped_yuan(value)}"
        if isinstance(value, datetime):
            return clock(value)
        if isinstance(value, Mapping | list | tuple):
            return json.dumps(value, ensure_ascii=False, default=str)
        return str(value)

    def source(self, action: str) -> str:
        """Who did it: `seller:order:submitted` → `Seller`."""
        source = action.partition(":")[0]
        pair = _SOURCES.get(source)
        return source if pair is None else pair[self._second]

    def asset(self, code: str) -> str:
        """`CNY`, or `cmcc.balance` → `China Mobile balance`."""
        if code == CNY:
            return code
        carrier, _, product = code.partition(".")
        return f"{self.word('carrier', carrier)} {self.word('product', product)}"

    def roles(self, codes: tuple[str, ...]) -> list[str]:
        """Roles' names in the order of the table."""
        return [self.word("role", role) for role in Role if role in codes]

    @property
    def _second(self) -> int:
        return 0 if self.language.startswith("zh") else 1
