"""What takes two people: each action, who may propose it, who may approve it, and the form of its document.

An action is named `source:subject:action`. Its `after` says what shall be; its `before` says what stood there when
it was proposed. Between proposal and approval the world goes on, so the writer, before it executes an approved
proposal, compares those keys of `before` that `compared` names with what stands now (`stale`). Keys outside
`compared` are kept to be shown. A credit to a deposit compares nothing: an addition is right whatever stands there.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from airback.domain.effects import Kind, Result
from airback.domain.money import MAX_FEN, PPM, percent, yuan
from airback.domain.refusals import Refused
from airback.staff.roles import Permission

MOST_TEXT: Final = 500


class Form(StrEnum):
    """How one value of a document is checked and shown."""

    TEXT = "text"
    FEN = "fen"
    TIME = "time"
    FLAG = "flag"
    WORDS = "words"
    RESULT = "result"
    COURSE = "course"
    DOCUMENT = "document"
    CORRECTION = "correction"
    BEARER = "bearer"
    SETTLEMENT = "settlement"
    PPM = "ppm"
    DAY = "day"
    BOOKED = "booked"
    LINE = "line"


@dataclass(frozen=True, slots=True)
class Field:
    """One key of an action's document. `zh` and `en` are its label."""

    key: str
    form: Form
    zh: str
    en: str
    optional: bool = False

    def label(self, language: str) -> str:
        """The label in `zh` or `en`."""
        return self.zh if language.startswith("zh") else self.en


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that takes two people."""

    name: str
    propose: Permission
    approve: Permission
    zh: str
    en: str
    before: tuple[Field, ...]
    after: tuple[Field, ...]
    compared: frozenset[str] = frozenset()
    valid_for: timedelta = timedelta(hours=72)

    def title(self, language: str) -> str:
        """The title in `zh` or `en`."""
        return self.zh if language.startswith("zh") else self.en

    def check(self, after: Mapping[str, Any]) -> None:
        """Raise `Refused` (`field_missing`, `field_invalid`, amounts) unless `after` has the action's form."""
        known = {field.key for field in self.after}
        for key in after:
            if key not in known:
                raise Refused("field_invalid", field=key)
        for field in self.after:
            value = after.get(field.key)
            if value is None:
                if not field.optional:
                    raise Refused("field_missing", field=field.key)
            else:
                _check_value(field, value)

    def stale(self, *, before: Mapping[str, Any], stands: Mapping[str, Any]) -> bool:
        """Whether something this action compares is no longer what the proposer saw."""
        return any(before.get(key) != stands.get(key) for key in self.compared)

    def changes(
        self, *, before: Mapping[str, Any], after: Mapping[str, Any], language: str
    ) -> list["Change"]:
        """What would change, one line per key, in the order of the form; keys of neither form come last."""
        fields = {field.key: field for field in (*self.before, *self.after)}
        keys = [*fields, *(key for key in sorted({*before, *after}) if key not in fields)]
        lines = []
        for key in keys:
            if key not in before and key not in after:
                continue
            field = fields.get(key)
            lines.append(
                Change(
                    key=key,
                    label=field.label(language) if field else key,
                    form=field.form if field else Form.TEXT,
                    before=shown(before.get(key), form=field.form if field else Form.TEXT, language=language),
                    after=shown(after.get(key), form=field.form if field else Form.TEXT, language=language),
                    differs=key in after and before.get(key) != after.get(key),
                )
            )
        return lines


@dataclass(frozen=True, slots=True)
class Change:
    """One line of a proposal as it is shown. `before` and `after` are plain text; None where there is nothing."""

    key: str
    label: str
    form: Form
    before: str | None
    after: str | None
    differs: bool


_OUTLET: Final = Field("outlet", Form.TEXT, "渠道", "Outlet")
_EFFECT: Final = Field("effect", Form.TEXT, "指令流水号", "Effect's reference")
_BREAK: Final = Field("break", Form.TEXT, "差异编号", "Break")
_CORRECTION: Final = Field("correction", Form.TEXT, "更正编号", "Correction")
_ORDER: Final = Field("order", Form.TEXT, "订单", "Order")
_ACCOUNT: Final = Field("account", Form.TEXT, "账户", "Account")
_SCOPE: Final = Field("scope", Form.TEXT, "适用于", "Applies to")
_ROUTING: Final = Field("routing", Form.FLAG, "收购", "Buying")
_PAUSE_REASON: Final = Field("reason", Form.TEXT, "对卖家说明的原因", "Reason shown to sellers")
_CAP: Final = (
    Field("promotion", Form.TEXT, "促销编号", "Promotion"),
    Field("most_ppm", Form.PPM, "最高回收率(费用前)", "Most rate, before fees"),
    Field("per_seller_fen_per_day", Form.FEN, "每账户每日限额", "Limit per account and day", optional=True),
)

ACTIONS: Final = MappingProxyType(
    {
        action.name: action
        for action in (
            Action(
                name="finance:deposit:credit",
                propose=Permission.PROPOSE_DEPOSIT,
                approve=Permission.APPROVE_DEPOSIT,
                zh="渠道保证金入账",
                en="Credit an outlet's deposit",
                before=(_OUTLET, Field("balance_fen", Form.FEN, "提议时余额", "Balance when proposed")),
                after=(_OUTLET, Field("amount_fen", Form.FEN, "入账金额", "Amount received")),
            ),
            Action(
                name="finance:float:credit",
                propose=Permission.PROPOSE_DEPOSIT,
                approve=Permission.APPROVE_DEPOSIT,
                zh="自有备付资金入账",
                en="Add to the operator's float",
                before=(Field("balance_fen", Form.FEN, "提议时余额", "Balance when proposed"),),
                after=(Field("amount_fen", Form.FEN, "入账金额", "Amount added"),),
            ),
            Action(
                name="finance:correction:settle",
                propose=Permission.PROPOSE_CORRECTION,
                approve=Permission.APPROVE_CORRECTION,
                zh="了结更正",
                en="Settle a correction",
                before=(
                    _CORRECTION,
                    _ORDER,
                    Field("far_side", Form.TEXT, "对方", "Far side"),
                    Field("bearer", Form.BEARER, "由谁承担", "Borne by"),
                    Field("total_fen", Form.FEN, "冲正金额", "Amount reversed"),
                    Field("left_fen", Form.FEN, "未了结", "Left to settle"),
                ),
                after=(
                    _CORRECTION,
                    Field("settlement", Form.SETTLEMENT, "了结方式", "Settlement"),
                    Field("amount_fen", Form.FEN, "了结金额", "Amount settled"),
                ),
                # what was settled meanwhile may be the very money of this proposal
                compared=frozenset({"left_fen"}),
            ),
            Action(
                name="finance:booking:post",
                propose=Permission.PROPOSE_BOOKING,
                approve=Permission.APPROVE_BOOKING,
                zh="经营成本或返点入账",
                en="Book an operating cost or a rebate",
                before=(),
                after=(
                    Field("line", Form.BOOKED, "类别", "Line"),
                    Field("carrier", Form.TEXT, "运营商", "Carrier", optional=True),
                    Field("amount_fen", Form.FEN, "金额", "Amount"),
                    Field("period_from", Form.DAY, "所属期首日", "First day it is for"),
                    Field("period_to", Form.DAY, "所属期末日", "Last day it is for"),
                    Field("source", Form.TEXT, "凭证", "Source"),
                ),
            ),
            Action(
                name="finance:party:pay",
                propose=Permission.PROPOSE_BOOKING,
                approve=Permission.APPROVE_BOOKING,
                zh="付给分成方、缴税或动用准备金",
                en="Pay a party, hand over tax, or use the reserve",
                before=(_ACCOUNT, Field("balance_fen", Form.FEN, "提议时余额", "Balance when proposed")),
                after=(
                    _ACCOUNT,
                    Field("amount_fen", Form.FEN, "金额", "Amount"),
                    Field("source", Form.TEXT, "凭证", "Source"),
                ),
            ),
            Action(
                name="finance:split:agree",
                propose=Permission.PROPOSE_SPLIT,
                approve=Permission.APPROVE_SPLIT,
                zh="分成协议",
                en="Agreement on a split",
                before=(
                    _SCOPE,
                    Field("version", Form.TEXT, "现行版本", "Version in force", optional=True),
                    Field("document", Form.DOCUMENT, "协议", "Agreement", optional=True),
                ),
                after=(
                    _SCOPE,
                    Field("effective_at", Form.TIME, "生效时间", "In force from"),
                    Field("document", Form.DOCUMENT, "协议", "Agreement"),
                ),
                compared=frozenset({"version"}),
            ),
            Action(
                name="finance:deposit:withdraw",
                propose=Permission.PROPOSE_DEPOSIT,
                approve=Permission.APPROVE_DEPOSIT,
                zh="退还渠道保证金",
                en="Pay back an outlet's deposit",
                before=(_OUTLET, Field("free_fen", Form.FEN, "提议时可退", "Free when proposed")),
                after=(_OUTLET, Field("amount_fen", Form.FEN, "退还金额", "Amount to pay back")),
            ),
            Action(
                name="finance:credit_line:set",
                propose=Permission.PROPOSE_DEPOSIT,
                approve=Permission.APPROVE_DEPOSIT,
                zh="设定渠道授信额度",
                en="Set an outlet's credit line",
                before=(_OUTLET, Field("line_fen", Form.LINE, "现有授信", "Credit line now")),
                after=(_OUTLET, Field("amount_fen", Form.LINE, "授信额度", "Credit line")),
                compared=frozenset({"line_fen"}),
            ),
            Action(
                name="market:outlet:terms",
                propose=Permission.PROPOSE_OUTLET,
                approve=Permission.APPROVE_OUTLET,
                zh="登记渠道条款",
                en="Set an outlet's terms",
                before=(
                    Field("version", Form.TEXT, "现行版本", "Last version"),
                    Field("document", Form.DOCUMENT, "条款", "Terms"),
                ),
                after=(
                    _OUTLET,
                    Field("name", Form.TEXT, "名称", "Name"),
                    Field("effective_at", Form.TIME, "生效时间", "In force from"),
                    Field("document", Form.DOCUMENT, "条款", "Terms"),
                ),
                compared=frozenset({"version"}),
            ),
            Action(
                name="operations:pause:lift",
                propose=Permission.PROPOSE_RESUME,
                approve=Permission.APPROVE_RESUME,
                zh="解除局部暂停",
                en="Lift a pause",
                before=(
                    Field("kind", Form.TEXT, "暂停类别", "Kind of pause"),
                    Field("subject", Form.TEXT, "暂停对象", "What is paused"),
                    Field("reason", Form.TEXT, "暂停原因", "Reason of the pause"),
                ),
                after=(Field("pause", Form.TEXT, "暂停编号", "Pause"),),
                compared=frozenset({"kind", "subject"}),
                valid_for=timedelta(hours=24),
            ),
            Action(
                name="pricing:rate_card:publish",
                propose=Permission.PROPOSE_RATE_CARD,
                approve=Permission.APPROVE_RATE_CARD,
                zh="发布价格表",
                en="Publish a rate card",
                before=(
                    Field("version", Form.TEXT, "现行版本", "Version in force"),
                    Field("document", Form.DOCUMENT, "价格表", "Rate card"),
                ),
                after=(
                    Field("effective_at", Form.TIME, "生效时间", "In force from"),
                    Field(
                        "replaces",
                        Form.TEXT,
                        "替换已排期的版本",
                        "In place of scheduled version",
                        optional=True,
                    ),
                    Field("document", Form.DOCUMENT, "价格表", "Rate card"),
                ),
                compared=frozenset({"version"}),
            ),
            Action(
                name="operations:effect:resolve",
                propose=Permission.PROPOSE_EFFECT,
                approve=Permission.APPROVE_EFFECT,
                zh="认定指令结果",
                en="Settle an unknown effect",
                before=(
                    _EFFECT,
                    Field("kind", Form.TEXT, "类别", "Kind"),
                    Field("far_side", Form.TEXT, "对方", "Far side"),
                    Field("result", Form.RESULT, "结果", "Result"),
                    Field("amount_fen", Form.FEN, "金额", "Amount"),
                ),
                after=(
                    _EFFECT,
                    Field("result", Form.RESULT, "结果", "Result"),
                    Field("amount_fen", Form.FEN, "实际金额", "Amount that moved", optional=True),
                ),
                compared=frozenset({"result"}),
            ),
            Action(
                name="operations:order:decide",
                propose=Permission.PROPOSE_ORDER,
                approve=Permission.APPROVE_ORDER,
                zh="人工处理订单",
                en="Decide an order",
                before=(
                    _ORDER,
                    Field("state", Form.TEXT, "状态", "State"),
                    Field("code", Form.TEXT, "原因", "Cause"),
                    Field("resume", Form.TEXT, "原步骤", "Step it stood at"),
                    Field("held_fen", Form.FEN, "已冻结", "Held"),
                    Field("delivered_fen", Form.FEN, "已送达", "Delivered"),
                    Field("credited_fen", Form.FEN, "应付", "Credited"),
                    Field("paid_fen", Form.FEN, "已付", "Paid"),
                ),
                after=(_ORDER, Field("course", Form.COURSE, "处理", "Course")),
                compared=frozenset({"state", "code"}),
            ),
            Action(
                name="pricing:cap:override",
                propose=Permission.PROPOSE_RATE_CARD,
                approve=Permission.APPROVE_RATE_CARD,
                zh="改动促销封顶",
                en="Set other figures for a promotion's cap",
                before=_CAP,
                after=_CAP,
                compared=frozenset({"most_ppm"}),
                valid_for=timedelta(hours=24),
            ),
            Action(
                name="operations:book:pause",
                propose=Permission.PROPOSE_PAUSE,
                approve=Permission.APPROVE_PAUSE,
                zh="暂停收购",
                en="Pause buying",
                before=(_ROUTING,),
                after=(_ROUTING, _PAUSE_REASON),
                compared=frozenset({"routing"}),
                valid_for=timedelta(hours=24),
            ),
            Action(
                name="operations:book:resume",
                propose=Permission.PROPOSE_RESUME,
                approve=Permission.APPROVE_RESUME,
                zh="恢复收购",
                en="Resume buying",
                before=(
                    _ROUTING,
                    Field("reason", Form.TEXT, "暂停原因", "Reason of the pause", optional=True),
                ),
                after=(_ROUTING,),
                compared=frozenset({"routing"}),
                valid_for=timedelta(hours=24),
            ),
            Action(
                name="reconciliation:break:resolve",
                propose=Permission.PROPOSE_BREAK,
                approve=Permission.APPROVE_BREAK,
                zh="处理对账差异",
                en="Resolve a break",
                before=(
                    _BREAK,
                    Field("far_side", Form.TEXT, "对方", "Far side"),
                    Field("explanation", Form.TEXT, "差异原因", "Explanation"),
                    Field("reference", Form.TEXT, "流水号", "Reference", optional=True),
                    Field("our_amount_fen", Form.FEN, "我方金额", "Our amount", optional=True),
                    Field("their_amount_fen", Form.FEN, "对方金额", "Their amount", optional=True),
                    Field("left_fen", Form.FEN, "清算账户余留", "Left on the clearing account"),
                    Field("state", Form.TEXT, "状态", "State"),
                ),
                after=(_BREAK, Field("correction", Form.CORRECTION, "更正方式", "Correction")),
                compared=frozenset({"state", "left_fen"}),
            ),
            Action(
                name="compliance:licence:record",
                propose=Permission.PROPOSE_LICENCE,
                approve=Permission.APPROVE_LICENCE,
                zh="登记许可证",
                en="Record a licence",
                before=(
                    Field("number", Form.TEXT, "编号", "Number"),
                    Field("issuer", Form.TEXT, "发证机关", "Issuer"),
                    Field("capabilities", Form.WORDS, "许可范围", "Capabilities"),
                    Field("valid_from", Form.TIME, "有效期起", "Valid from"),
                    Field("valid_until", Form.TIME, "有效期止", "Valid until"),
                ),
                after=(
                    Field("number", Form.TEXT, "编号", "Number"),
                    Field("issuer", Form.TEXT, "发证机关", "Issuer"),
                    Field("capabilities", Form.WORDS, "许可范围", "Capabilities"),
                    Field("valid_from", Form.TIME, "有效期起", "Valid from"),
                    Field("valid_until", Form.TIME, "有效期止", "Valid until"),
                ),
                compared=frozenset({"issuer", "capabilities", "valid_from", "valid_until"}),
            ),
        )
    }
)

#: Results that two people may give to an effect nobody could resolve.
RESOLUTIONS: Final = (Result.SUCCEEDED, Result.FAILED)

#: What stops an order that is under way; the other courses are for one that is in review.
STOP: Final = "review"

#: What two people may do with an order.
COURSES: Final = MappingProxyType(
    {
        STOP: ("停下,转人工处理", "Stop it, for people to decide"),
        "pay": ("重新付款", "Pay again"),
        "resume": ("退回原步骤继续", "Go on from the step it stood at"),
        "decline": ("退回话费并谢绝", "Give back and decline"),
        "fail": ("退回话费并作失败结束", "Give back and end as failed"),
    }
)

RESULT_NAMES: Final = MappingProxyType(
    {
        Result.JOURNALLED: ("已登记", "Journalled"),
        Result.ACCEPTED: ("已受理", "Accepted"),
        Result.PROCESSING: ("处理中", "Processing"),
        Result.AWAITING_SELLER: ("待卖家", "Awaiting seller"),
        Result.UNKNOWN: ("未知", "Unknown"),
        Result.SUCCEEDED: ("成功", "Succeeded"),
        Result.FAILED: ("失败", "Failed"),
        Result.REVERSED: ("已冲正", "Reversed"),
    }
)

KIND_NAMES: Final = MappingProxyType(
    {
        Kind.INSPECT: ("查询", "Inspect"),
        Kind.HOLD: ("冻结", "Hold"),
        Kind.TRANSFER: ("转移", "Transfer"),
        Kind.REDEEM: ("充值卡核销", "Redeem"),
        Kind.RELEASE: ("解冻", "Release"),
        Kind.PAY: ("付款", "Pay"),
        Kind.NOTIFY: ("通知", "Notify"),
        Kind.WEBHOOK: ("渠道通知", "Outlet notice"),
    }
)

#: How a break may be resolved: (zh-CN, English), by the names of `airback.reconciliation.breaks.Correction`.
CORRECTIONS: Final = MappingProxyType(
    {
        "fee": ("记为渠道手续费", "Book as a rail's charge"),
        "loss": ("记为损益", "Book as profit or loss"),
        "suspense": ("转入暂记", "Move into suspense"),
        "nothing": ("双方已一致,无需记账", "Both sides agree by now; nothing is booked"),
    }
)

#: Who bears a correction, by the names of `airback.orders.corrections.Bearer`.
BEARERS: Final = MappingProxyType({"seller": ("卖家", "Seller"), "platform": ("平台", "Operator")})

#: How two people may settle a correction, by the names of `airback.orders.corrections.Settlement`.
SETTLEMENTS: Final = MappingProxyType(
    {
        "recovered": ("款项已追回", "Recovered: the money came back"),
        "written_off": ("核销,由平台承担", "Written off: the operator bears it"),
    }
)

#: What two people may book by hand, by the names of `airback.ledger.margin.BOOKED`.
BOOKED: Final = MappingProxyType(
    {
        "compliance": ("合规成本", "Cost of compliance"),
        "anti_fraud": ("反欺诈成本", "Cost of anti-fraud"),
        "other": ("其他经营成本", "Other operating cost"),
        "rebate": ("运营商返点收入", "Carrier rebate received"),
    }
)

_FLAGS: Final = {True: ("进行中", "on"), False: ("已暂停", "paused")}


#: Names of the codes that stand in a document, by their form: (zh-CN, English).
_NAMES: Final[Mapping[Form, Mapping[str, tuple[str, str]]]] = MappingProxyType(
    {
        Form.RESULT: {str(result): names for result, names in RESULT_NAMES.items()},
        Form.COURSE: COURSES,
        Form.CORRECTION: CORRECTIONS,
        Form.BEARER: BEARERS,
        Form.SETTLEMENT: SETTLEMENTS,
        Form.BOOKED: BOOKED,
    }
)


def shown(value: Any, *, form: Form, language: str) -> str | None:
    """A document's value as plain text (never markup). None stays None; a value of another form is shown as it is."""
    if value is None:
        return None
    second = 0 if language.startswith("zh") else 1
    if form in (Form.FEN, Form.LINE) and isinstance(value, int) and not isinstance(value, bool):
        whole, _, part = yuan(abs(value)).partition(".")
        return f"{'−' if value < 0 else ''}¥{int(whole):,}.{part}"
    if form is Form.PPM and isinstance(value, int) and not isinstance(value, bool):
        return f"{percent(value)} %"
    if form is Form.FLAG and isinstance(value, bool):
        return _FLAGS[value][second]
    if form is Form.WORDS and isinstance(value, list):
        return ", ".join(str(word) for word in value)
    if not isinstance(value, str):
        return str(value)
    names = _NAMES.get(form, {}).get(value)
    return value if names is None else names[second]


def parse_time(text: str) -> datetime | None:
    """An ISO 8601 time with its offset, as UTC; None for anything else."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if moment.tzinfo is None else moment.astimezone(UTC)


def _check_value(field: Field, value: Any) -> None:
    form = field.form
    if form in (Form.FEN, Form.LINE):
        if isinstance(value, bool) or not isinstance(value, int):
            raise Refused("amount_not_a_number", field=field.key)
        if value < 0 or (value == 0 and form is Form.FEN):
            raise Refused("amount_not_positive", field=field.key)
        if value > MAX_FEN:
            raise Refused("amount_above_limit", field=field.key)
        return
    if not _GOOD[form](value):
        raise Refused("field_invalid", field=field.key)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value.strip()) <= MOST_TEXT and "\x00" not in value


def _is_time(value: Any) -> bool:
    return isinstance(value, str) and parse_time(value) is not None


def _is_ppm(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= PPM


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _are_words(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 0 and all(_is_text(word) for word in value)


def _is_resolution(value: Any) -> bool:
    return isinstance(value, str) and value in RESOLUTIONS


def _is_course(value: Any) -> bool:
    return isinstance(value, str) and value in COURSES


def _is_document(value: Any) -> bool:
    return isinstance(value, dict) and len(value) > 0


def _is_bearer(value: Any) -> bool:
    return isinstance(value, str) and value in BEARERS


def _is_settlement(value: Any) -> bool:
    return isinstance(value, str) and value in SETTLEMENTS


def _is_day(value: Any) -> bool:
    if not isinstance(value, str) or len(value) != 10:
        return False
    try:
        date.fromisoformat(value)
    except ValueError:
        return False
    return True


def _is_booked(value: Any) -> bool:
    return isinstance(value, str) and value in BOOKED


def _is_correction(value: Any) -> bool:
    return isinstance(value, str) and value in CORRECTIONS


_GOOD: Final[dict[Form, Callable[[Any], bool]]] = {
    Form.TEXT: _is_text,
    Form.TIME: _is_time,
    Form.FLAG: _is_flag,
    Form.WORDS: _are_words,
    Form.RESULT: _is_resolution,
    Form.COURSE: _is_course,
    Form.DOCUMENT: _is_document,
    Form.CORRECTION: _is_correction,
    Form.BEARER: _is_bearer,
    Form.SETTLEMENT: _is_settlement,
    Form.PPM: _is_ppm,
    Form.DAY: _is_day,
    Form.BOOKED: _is_booked,
}
