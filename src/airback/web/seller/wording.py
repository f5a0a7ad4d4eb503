"""What each state of an order means to the person who sells, in plain words.

Texts are Chinese and marked with `N_` for the catalogue; they are translated where they are shown. `progress`
makes the vertical timeline out of an order and its events, and is pure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from airback.domain.assets import BALANCE, CARD
from airback.orders.states import FINAL, State
from airback.queries.orders import OrderView, TimelineEntry

SOONEST: Final = timedelta(minutes=5)
LATEST: Final = timedelta(minutes=30)
"""How long an order usually takes until the money is there: five to thirty minutes (S1)."""


def N_(text: str) -> str:
    """Mark a text for the catalogue."""
    return text


@dataclass(frozen=True, slots=True)
class Saying:
    """A state in words. `tone`: `moving`, `done`, `asks` (the seller must do something), `ended` or `failed`."""

    title: str
    sentence: str
    short: str
    tone: str = "moving"


_BALANCE: Final[Mapping[State, Saying]] = {
    State.SUBMITTED: Saying(N_("订单已收到"), N_("正在核对号码和报价。"), N_("已收到")),
    State.SCREENED: Saying(N_("正在核对号码"), N_("正在向运营商查询号码和可卖余额。"), N_("核对中")),
    State.VERIFIED: Saying(N_("正在冻结话费"), N_("正在请运营商冻结这笔话费,尚未扣除。"), N_("冻结中")),
    State.HELD: Saying(N_("话费已冻结"), N_("正在安排收购方。送出之前可以免费取消。"), N_("已冻结")),
    State.ROUTED: Saying(N_("正在送出话费"), N_("话费正在送到收购方的号码。"), N_("送出中")),
    State.CANCELLING: Saying(N_("正在取消"), N_("正在把冻结的话费退回您的号码。"), N_("取消中")),
    State.CANCELLED: Saying(N_("订单已取消"), N_("话费已全部留在您的号码上。"), N_("已取消"), "ended"),
}
_CARD: Final[Mapping[State, Saying]] = {
    State.SUBMITTED: Saying(N_("订单已收到"), N_("正在核对卡的信息和报价。"), N_("已收到")),
    State.SCREENED: Saying(N_("正在核对卡的信息"), N_("正在核对卡号和有效期。"), N_("核对中")),
    State.VERIFIED: Saying(N_("正在安排收购方"), N_("卡还没有使用。送出之前可以免费取消。"), N_("安排中")),
    State.HELD: Saying(N_("正在安排收购方"), N_("卡还没有使用。送出之前可以免费取消。"), N_("安排中")),
    State.ROUTED: Saying(
        N_("正在充值检验"), N_("正在把卡充入收购方的号码,以运营商返回的实际面值为准。"), N_("检验中")
    ),
    State.CANCELLING: Saying(N_("正在取消"), N_("正在撤回订单。"), N_("取消中")),
    State.CANCELLED: Saying(N_("订单已取消"), N_("卡没有被使用,仍然归您。"), N_("已取消"), "ended"),
    State.DECLINED: Saying(N_("这笔订单没有成交"), N_("没有产生任何费用。"), N_("未成交"), "failed"),
    State.EXPIRED: Saying(N_("订单已超时"), N_("没有产生任何费用。"), N_("已超时"), "ended"),
}
_BOTH: Final[Mapping[State, Saying]] = {
    State.DELIVERED: Saying(N_("话费已送达"), N_("正在为您结算。"), N_("结算中")),
    State.CREDITED: Saying(N_("正在付款"), N_("款项正在付到您的收款账户。"), N_("付款中")),
    State.AWAITING_SELLER: Saying(
        N_("需要您更正收款信息"), N_("钱是您的,没有损失;更正后会重新付款。"), N_("请更正收款信息"), "asks"
    ),
    State.IN_REVIEW: Saying(
        N_("正在人工核对"),
        N_("工作人员正在核对这笔订单,有结果会立即更新。您不需要重复提交。"),
        N_("人工核对中"),
    ),
    State.CLOSED: Saying(N_("款项已付出"), N_("请在收款账户中查收。感谢您的信任。"), N_("已到账"), "done"),
    State.DECLINED: Saying(N_("这笔订单没有成交"), N_("没有扣除任何话费。"), N_("未成交"), "failed"),
    State.EXPIRED: Saying(N_("订单已超时"), N_("没有扣除任何话费。"), N_("已超时"), "ended"),
    State.FAILED: Saying(N_("订单未能完成"), N_("如有疑问,请凭订单编号联系我们。"), N_("未完成"), "failed"),
}
_RETURNED: Final = Saying(
    N_("付款被退回"), N_("钱仍是您的,没有损失;更正收款信息后会重新付款。"), N_("请更正收款信息"), "asks"
)


def saying(order: OrderView, *, awaits: bool = True) -> Saying:
    """The order's state in words. `awaits`: whether one whose payment came back waits for a payee, or is being paid."""
    state = State(order.state)
    if order.owed_again:
        return _RETURNED if awaits else _BOTH[State.CREDITED]
    own = _BALANCE if order.product == BALANCE else _CARD
    return own.get(state) or _BOTH[state]


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the timeline. `mark`: `done`, `now`, `todo`, `asks`, `stopped` or `ended`. `amount_fen` belongs
    to the sentence, when there is one."""

    name: str
    mark: str
    at: datetime | None
    sentence: str = ""
    amount_fen: int | None = None


@dataclass(frozen=True, slots=True)
class Stage:
    """A step before it is filled in: when it is over, and the event that says so."""

    name: str
    over: frozenset[State]
    event: str
    sentence: str


_AFTER_CREDIT: Final = frozenset({State.CLOSED})
_AFTER_DELIVERY: Final = _AFTER_CREDIT | {State.DELIVERED, State.CREDITED, State.AWAITING_SELLER}
_AFTER_HOLD: Final = _AFTER_DELIVERY | {State.HELD, State.ROUTED}
_AFTER_CHECK: Final = _AFTER_HOLD | {State.VERIFIED}

_STAGES: Final[Mapping[str, tuple[Stage, ...]]] = {
    BALANCE: (
        Stage(N_("提交订单"), frozenset(State), "seller:order:submitted", ""),
        Stage(N_("核对号码"), _AFTER_CHECK, "engine:order:verified", ""),
        Stage(N_("冻结话费"), _AFTER_HOLD, "engine:order:held", N_("运营商已冻结 %(amount)s 元")),
        Stage(N_("送出话费"), _AFTER_DELIVERY, "engine:order:delivered", N_("已送达 %(amount)s 元")),
        Stage(N_("付款给您"), _AFTER_CREDIT, "engine:order:closed", N_("已付 %(amount)s 元")),
    ),
    CARD: (
        Stage(N_("提交订单"), frozenset(State), "seller:order:submitted", ""),
        Stage(N_("核对卡的信息"), _AFTER_CHECK, "engine:order:verified", ""),
        Stage(
            N_("充值检验"),
            _AFTER_DELIVERY,
            "engine:order:delivered",
            N_("运营商确认实际面值 %(amount)s 元"),
        ),
        Stage(N_("付款给您"), _AFTER_CREDIT, "engine:order:closed", N_("已付 %(amount)s 元")),
    ),
}
_ENDS: Final[Mapping[State, tuple[str, str]]] = {
    State.DECLINED: (N_("没有成交"), "stopped"),
    State.FAILED: (N_("未能完成"), "stopped"),
    State.EXPIRED: (N_("已超时"), "ended"),
    State.CANCELLED: (N_("已取消"), "ended"),
}


def progress(order: OrderView, events: Sequence[TimelineEntry], *, awaits: bool = True) -> list[Step]:
    """The timeline: what is done and when, what happens now, what is still to come; or how it ended."""
    state = State(order.state)
    seen: dict[str, datetime] = {}
    for event in events:
        seen.setdefault(event.action, event.at)
    if order.owed_again:  # what closed it is undone: the last step is to be taken again
        state = State.AWAITING_SELLER if awaits else State.CREDITED
        seen.pop("engine:order:closed", None)
    # a pause keeps its place: what was done before it is what its `resume` state says, or the log
    standing = State(order.resume) if order.resume and state is State.IN_REVIEW else state
    amounts = {
        "engine:order:held": order.held_fen,
        "engine:order:delivered": order.delivered_fen,
        "engine:order:closed": order.paid_fen,
    }
    steps: list[Step] = []
    for place, stage in enumerate(_STAGES[order.product]):
        at = order.submitted_at if place == 0 else seen.get(stage.event)
        if place == 0 or standing in stage.over or (at is not None and standing not in _AFTER_CREDIT):
            amount = amounts.get(stage.event) or None
            steps.append(Step(stage.name, "done", at, stage.sentence if amount else "", amount))
        elif state in _ENDS:
            name, mark = _ENDS[state]
            ended_at = next((e.at for e in reversed(events) if e.action.endswith(f":{state}")), None)
            return [*steps, Step(name, mark, ended_at or order.closed_at or order.updated_at)]
        elif steps[-1].mark == "done":
            mark = "asks" if state is State.AWAITING_SELLER else "now"
            steps.append(Step(stage.name, mark, None, saying(order, awaits=awaits).sentence))
        else:
            steps.append(Step(stage.name, "todo", None))
    return steps


@dataclass(frozen=True, slots=True)
class Expected:
    """When the money usually is there; `slow` when that time has passed and it is not."""

    soonest: datetime
    latest: datetime
    slow: bool


def expected(order: OrderView, now: datetime) -> Expected | None:
    """When the money is expected, or None when it is not: paid, ended, or it waits for a person."""
    state = State(order.state)
    if state in FINAL or state in (State.AWAITING_SELLER, State.IN_REVIEW, State.CANCELLING):
        return None
    return Expected(
        max(order.submitted_at + SOONEST, now), order.submitted_at + LATEST, now > order.submitted_at + LATEST
    )


def may_cancel(order: OrderView) -> bool:
    """Whether cancelling is still free as far as a page can know; the engine decides when it gets there."""
    return order.cancel is None and State(order.state) in {
        State.SUBMITTED,
        State.SCREENED,
        State.VERIFIED,
        State.HELD,
    }
