"""Every refusal of the platform: a stable code, a sentence and a remedy in zh-CN and English, an HTTP status.

The code is a promise: it appears in answers, answer files and events, and never changes its meaning. Far sides'
own error codes are translated to these by the adapters. Texts hold no data of the order they refuse.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Refusal:
    """One named refusal. `status` is the HTTP status when an API call is refused for it."""

    code: str
    status: int
    zh: str
    en: str
    remedy_zh: str
    remedy_en: str

    def sentence(self, language: str) -> str:
        """The sentence in `zh` or `en`."""
        return self.zh if language.startswith("zh") else self.en

    def remedy(self, language: str) -> str:
        """What the person can do, in `zh` or `en`."""
        return self.remedy_zh if language.startswith("zh") else self.remedy_en


_TABLE: Final = (
    # -- form of what was sent
    Refusal(
        "body_malformed",
        400,
        "请求内容无法读取。",
        "The request body cannot be read.",
        "请按接口说明发送 UTF-8 编码的 JSON。",
        "Send UTF-8 JSON as the API description says.",
    ),
    Refusal(
        "body_too_large",
        413,
        "请求内容过大。",
        "The request body is too large.",
        "请分批发送,每次不超过上限。",
        "Send smaller batches, below the stated limit.",
    ),
    Refusal(
        "content_type_unsupported",
        415,
        "不支持的内容类型。",
        "This content type is not supported.",
        "请使用 application/json。",
        "Use application/json.",
    ),
    Refusal(
        "field_missing",
        422,
        "缺少必填项。",
        "A required field is missing.",
        "请补上所指的字段。",
        "Add the field that is named.",
    ),
    Refusal(
        "field_invalid",
        422,
        "字段内容不符合要求。",
        "A field does not have the required form.",
        "请按说明更正所指的字段。",
        "Correct the field that is named.",
    ),
    Refusal(
        "formula_cell",
        422,
        "单元格含有公式,未予读取。",
        "The cell holds a spreadsheet formula and was not read.",
        "请将该列设为文本并填入原值。",
        "Format the column as text and enter the plain value.",
    ),
    Refusal(
        "text_not_decodable",
        422,
        "文件编码无法识别。",
        "The file's text encoding cannot be read.",
        "请另存为 UTF-8 或 GB18030。",
        "Save the file as UTF-8 or GB18030.",
    ),
    Refusal(
        "columns_missing",
        422,
        "文件缺少必要的列。",
        "The file lacks a required column.",
        "请补上卡号、卡密、面值、运营商各列。",
        "Provide the columns card_number, code, face_yuan and carrier.",
    ),
    Refusal(
        "not_found",
        404,
        "没有找到所查的内容。",
        "Nothing was found under this address.",
        "请核对编号。",
        "Check the identifier.",
    ),
    Refusal(
        "method_not_allowed",
        405,
        "此地址不支持该请求方法。",
        "This address does not take that method.",
        "请按接口说明选择请求方法。",
        "Use the method that the API description gives.",
    ),
    # -- who asks
    Refusal(
        "credentials_missing",
        401,
        "缺少接口密钥。",
        "No API key was given.",
        "请在 Authorization 头中提供密钥。",
        "Give the key in the Authorization header.",
    ),
    Refusal(
        "credentials_wrong",
        401,
        "接口密钥无效。",
        "The API key is not valid.",
        "请核对密钥,或请管理员重新签发。",
        "Check the key or have a new one issued.",
    ),
    Refusal(
        "scope_missing",
        403,
        "该密钥无此权限。",
        "This key may not do that.",
        "请管理员为密钥增加相应权限。",
        "Have the scope added to the key.",
    ),
    Refusal(
        "rate_limited",
        429,
        "请求过于频繁。",
        "Too many requests.",
        "请按 Retry-After 所示时间后再试。",
        "Try again after the time in Retry-After.",
    ),
    Refusal(
        "idempotency_key_missing",
        400,
        "缺少幂等键。",
        "The idempotency key is missing.",
        "请提供 Idempotency-Key 头。",
        "Send an Idempotency-Key header.",
    ),
    Refusal(
        "idempotency_key_reused",
        409,
        "同一幂等键用于不同内容。",
        "This idempotency key was used with another body.",
        "请为新的请求使用新的键。",
        "Use a new key for a new request.",
    ),
    Refusal(
        "client_ref_used",
        409,
        "该客户单号已被使用。",
        "This client reference belongs to another order or demand.",
        "请使用新的单号,或按此单号查询原订单。",
        "Use a new reference, or look the first one up by it.",
    ),
    # -- amounts
    Refusal(
        "amount_not_a_number",
        422,
        "金额不是有效数字。",
        "The amount is not a number.",
        "请填写如 100 或 99.50 的金额。",
        "Enter an amount such as 100 or 99.50.",
    ),
    Refusal(
        "amount_not_positive",
        422,
        "金额必须大于零。",
        "The amount must be above zero.",
        "请填写大于零的金额。",
        "Enter an amount above zero.",
    ),
    Refusal(
        "amount_fraction_of_fen",
        422,
        "金额最小单位为分。",
        "The amount has a fraction of a fen.",
        "金额最多两位小数。",
        "Use at most two decimals.",
    ),
    Refusal(
        "amount_below_minimum",
        422,
        "金额低于最低限额。",
        "The amount is below the minimum.",
        "请提高金额。",
        "Enter a larger amount.",
    ),
    Refusal(
        "amount_above_limit",
        422,
        "金额超过单笔限额。",
        "The amount is above the limit for one order.",
        "请降低金额或分多笔。",
        "Enter a smaller amount or several orders.",
    ),
    # -- numbers and carriers
    Refusal(
        "number_malformed",
        422,
        "手机号码格式不正确。",
        "This is not a mainland mobile number.",
        "请填写 11 位手机号码。",
        "Enter an 11-digit mobile number.",
    ),
    Refusal(
        "number_dead",
        422,
        "该号码为空号或已销号。",
        "This number is not in service.",
        "请核对号码。",
        "Check the number.",
    ),
    Refusal(
        "number_suspended",
        422,
        "该号码已停机。",
        "This number is suspended.",
        "请先恢复服务。",
        "Restore the line's service first.",
    ),
    Refusal(
        "carrier_unknown",
        422,
        "无法识别运营商。",
        "The carrier is not known.",
        "请填写移动、电信、联通或广电。",
        "Name China Mobile, Telecom, Unicom or Broadnet.",
    ),
    Refusal(
        "carrier_mismatch",
        422,
        "号码的实际运营商与报价不符。",
        "The number's carrier is not the one quoted for.",
        "请重新询价。",
        "Ask for a new quote.",
    ),
    Refusal(
        "carrier_unreachable",
        503,
        "运营商接口暂时无法连接。",
        "The carrier cannot be reached.",
        "请稍后再试,未扣除任何话费。",
        "Try again later; nothing was taken.",
    ),
    Refusal(
        "balance_insufficient",
        422,
        "可用余额不足。",
        "The sellable balance is too small.",
        "请降低金额后重新询价。",
        "Ask for a quote of a smaller amount.",
    ),
    Refusal(
        "sim_swapped",
        422,
        "该号码近期更换过 SIM 卡。",
        "The number's SIM was changed recently.",
        "请在更换 72 小时后再试。",
        "Try again 72 hours after the change.",
    ),
    # -- proving a number
    Refusal(
        "number_unproven",
        422,
        "尚未验证您持有该号码。",
        "You have not shown that the number is yours.",
        "请先完成短信验证。",
        "Confirm the SMS code first.",
    ),
    Refusal(
        "proof_invalid",
        422,
        "号码验证凭据无效或已过期。",
        "The proof of the number is not valid any more.",
        "请重新完成短信验证。",
        "Confirm an SMS code again.",
    ),
    Refusal("code_wrong", 422, "验证码不正确。", "The code is wrong.", "请重新输入。", "Enter it again."),
    Refusal(
        "code_expired",
        422,
        "验证码已过期。",
        "The code has expired.",
        "请重新获取验证码。",
        "Ask for a new code.",
    ),
    Refusal(
        "code_too_many",
        429,
        "验证码错误次数过多。",
        "Too many wrong codes.",
        "请稍后重新获取验证码。",
        "Ask for a new code later.",
    ),
    Refusal(
        "code_too_soon",
        429,
        "获取验证码过于频繁。",
        "A code was sent less than a minute ago.",
        "请在 60 秒后重试。",
        "Wait 60 seconds.",
    ),
    Refusal(
        "code_undeliverable",
        422,
        "该号码无法接收短信验证码。",
        "This number cannot receive codes by SMS.",
        "请解除短信限制,或换用其他号码。",
        "Lift the SMS barring or use another number.",
    ),
    # -- cards
    Refusal(
        "card_number_malformed",
        422,
        "卡号格式不正确。",
        "The card number does not have the right form.",
        "请核对卡号。",
        "Check the card number.",
    ),
    Refusal(
        "card_code_malformed",
        422,
        "卡密格式不正确。",
        "The card's code does not have the right form.",
        "请核对卡密。",
        "Check the code.",
    ),
    Refusal(
        "card_face_unknown",
        422,
        "面值不在回收范围内。",
        "Cards of this face value are not bought.",
        "请核对面值。",
        "Check the face value.",
    ),
    Refusal(
        "card_duplicate",
        422,
        "该卡已在本平台提交过。",
        "This card has already been submitted.",
        "请勿重复提交同一张卡。",
        "Do not submit a card twice.",
    ),
    Refusal(
        "card_expired",
        422,
        "该卡已过有效期。",
        "The card has expired.",
        "过期卡无法回收。",
        "Expired cards cannot be sold.",
    ),
    Refusal(
        "card_used",
        422,
        "运营商显示该卡已被使用。",
        "The carrier says the card was already used.",
        "请核对是否已充值。",
        "Check whether it was redeemed before.",
    ),
    Refusal(
        "card_unknown",
        422,
        "运营商不存在该卡或卡密有误。",
        "The carrier does not know the card, or its code is wrong.",
        "请核对卡号和卡密。",
        "Check the number and the code.",
    ),
    # -- quotes
    Refusal(
        "quote_invalid",
        422,
        "报价签名无效。",
        "The quote's signature does not stand.",
        "请使用平台签发的原始报价。",
        "Use the quote exactly as it was issued.",
    ),
    Refusal(
        "quote_expired", 422, "报价已过期。", "The quote has expired.", "请重新询价。", "Ask for a new quote."
    ),
    Refusal(
        "quote_used",
        409,
        "该报价已被使用。",
        "The quote was already used.",
        "请重新询价。",
        "Ask for a new quote.",
    ),
    Refusal(
        "quote_mismatch",
        422,
        "报价与所售内容不符。",
        "The quote is for something else.",
        "请按报价的内容提交,或重新询价。",
        "Submit what was quoted, or ask for a new quote.",
    ),
    Refusal(
        "not_bought",
        422,
        "目前不回收该类话费。",
        "This airtime is not bought at present.",
        "请查看价格表。",
        "See the published rate table.",
    ),
    Refusal(
        "agreement_missing",
        422,
        "尚未同意转让协议。",
        "The agreement was not accepted.",
        "请阅读并同意协议。",
        "Read and accept the agreement.",
    ),
    # -- routing and execution
    Refusal(
        "no_outlet",
        409,
        "暂无收购方,话费未动。",
        "Nobody wants this airtime right now; nothing was taken.",
        "请稍后再试。",
        "Try again later.",
    ),
    Refusal(
        "hold_refused",
        422,
        "运营商未能冻结该金额。",
        "The carrier would not hold the amount.",
        "请稍后再试或联系运营商。",
        "Try again later or ask the carrier.",
    ),
    Refusal(
        "target_refused",
        422,
        "收货号码拒绝入账。",
        "The receiving number refused the airtime.",
        "平台将改送其他号码。",
        "The platform sends it elsewhere.",
    ),
    Refusal(
        "delivery_failed",
        422,
        "话费未能送达。",
        "The airtime could not be delivered.",
        "未送达部分不会扣除。",
        "What was not delivered is given back.",
    ),
    Refusal(
        "cancelled",
        409,
        "订单已取消。",
        "The order was cancelled.",
        "如仍想出售请重新下单。",
        "Place a new order if you still want to sell.",
    ),
    Refusal(
        "too_late",
        409,
        "话费已开始送出,无法取消。",
        "Delivery has begun; it is too late to cancel.",
        "订单将继续完成并付款。",
        "The order goes on and is paid.",
    ),
    Refusal(
        "order_not_waiting",
        409,
        "该订单当前无需您操作。",
        "The order is not waiting for you.",
        "请查看订单的当前状态。",
        "See where the order stands.",
    ),
    Refusal(
        "order_expired",
        409,
        "订单超时未完成。",
        "The order was not completed in time.",
        "请重新下单。",
        "Place a new order.",
    ),
    Refusal("routing_paused", 503, "平台暂停收购。", "Buying is paused.", "请稍后再试。", "Try again later."),
    # -- paying out
    Refusal(
        "payee_malformed",
        422,
        "收款账户格式不正确。",
        "The payee account does not have the right form.",
        "请核对收款账户。",
        "Check the payee account.",
    ),
    Refusal(
        "payee_name_mismatch",
        422,
        "收款人姓名与账户不符。",
        "The payee's name is not the account's.",
        "请更正收款人姓名。",
        "Correct the payee's name.",
    ),
    Refusal(
        "payee_account_unknown",
        422,
        "收款账户不存在。",
        "The payee account does not exist.",
        "请更正收款账户。",
        "Correct the payee account.",
    ),
    Refusal(
        "rail_unavailable",
        422,
        "该收款方式不可用。",
        "This way of being paid is not available.",
        "请选择其他收款方式。",
        "Choose another way.",
    ),
    Refusal(
        "rail_refused",
        422,
        "收款渠道拒绝了付款。",
        "The payment was refused by the rail.",
        "请更换收款账户或联系客服。",
        "Use another account or contact support.",
    ),
    Refusal(
        "licence_missing",
        403,
        "运营者未持有所需许可。",
        "The operator does not hold the licence this needs.",
        "请选择其他方式。",
        "Choose another way.",
    ),
    # -- far sides, as codes of effects
    Refusal(
        "not_sent",
        503,
        "请求未能送出。",
        "The request did not leave.",
        "系统会自动重试。",
        "It is tried again by itself.",
    ),
    Refusal(
        "sending_overdue",
        503,
        "请求已过发送时限,未送出。",
        "The request was not sent before its deadline.",
        "系统会自动处理。",
        "It is dealt with by itself.",
    ),
    Refusal(
        "reference_repeated",
        409,
        "对方称该流水号已存在。",
        "The far side says the reference exists.",
        "系统会查询原结果。",
        "The first result is asked for.",
    ),
    Refusal(
        "answer_lost",
        503,
        "对方尚未答复。",
        "The far side's answer was lost.",
        "系统会继续查询。",
        "It is asked for.",
    ),
    Refusal(
        "answer_unproven",
        503,
        "对方答复的签名无效,未予采信。",
        "The far side's answer does not bear its signature and was not believed.",
        "系统会继续查询。",
        "It is asked again.",
    ),
    Refusal(
        "far_side_error",
        503,
        "对方系统出错。",
        "The far side reported an error of its own.",
        "系统会继续查询。",
        "It is asked again.",
    ),
    Refusal(
        "hold_unknown",
        422,
        "对方没有该冻结记录。",
        "The far side does not know the reservation.",
        "请重新下单。",
        "Place a new order.",
    ),
    Refusal(
        "float_insufficient",
        503,
        "平台备付资金不足。",
        "The operator's float is too small.",
        "请联系运营者。",
        "Contact the operator.",
    ),
    Refusal("message_refused", 422, "短信未被受理。", "The message was not accepted for sending.", "请以订单页面为准。", "See the order's page instead."),
    # -- outlets
    Refusal(
        "deposit_insufficient",
        402,
        "保证金余额不足。",
        "The deposit is too small.",
        "请先补足保证金。",
        "Top up the deposit.",
    ),
    Refusal(
        "deadline_past",
        422,
        "截止时间已过。",
        "The deadline has passed.",
        "请填写将来的时间。",
        "Give a time in the future.",
    ),
    Refusal(
        "price_malformed",
        422,
        "价格不在允许范围内。",
        "The price is out of range.",
        "价格以百万分之一计,须在 1 至 1000000 之间。",
        "Give parts per million between 1 and 1000000.",
    ),
    # -- people
    Refusal(
        "sign_in_failed",
        401,
        "用户名或密码不正确。",
        "The name or the password is wrong.",
        "请重新输入。",
        "Try again.",
    ),
    Refusal(
        "role_missing",
        403,
        "您的角色无此权限。",
        "Your role may not do that.",
        "请联系管理员。",
        "Ask an administrator.",
    ),
    Refusal(
        "same_person",
        409,
        "提议人不得审批自己的提议。",
        "The proposer may not approve.",
        "请由他人审批。",
        "Another person must approve.",
    ),
    Refusal(
        "already_decided",
        409,
        "该提议已有结论。",
        "This proposal was already decided.",
        "请查看结论。",
        "See the decision.",
    ),
    Refusal(
        "reason_missing",
        422,
        "请填写理由。",
        "A reason is required.",
        "请填写理由后再提交。",
        "Give a reason.",
    ),
    Refusal(
        "proposal_expired",
        409,
        "该提议已过期。",
        "This proposal has expired.",
        "请重新提议。",
        "Propose it again.",
    ),
    Refusal(
        "password_weak",
        422,
        "密码不够安全。",
        "The password is too weak.",
        "请使用至少 12 个字符、不含姓名和常见词的密码。",
        "Use at least 12 varied characters, without your name or common words.",
    ),
    Refusal(
        "name_taken",
        409,
        "该用户名已被使用。",
        "This name is taken.",
        "请换一个用户名。",
        "Choose another name.",
    ),
    Refusal(
        "form_stale",
        403,
        "页面已失效,未作任何更改。",
        "The page is out of date; nothing was changed.",
        "请刷新页面后重新提交。",
        "Reload the page and send it again.",
    ),
    Refusal(
        "draft_gone",
        410,
        "这次填写已经过期,或已经提交。",
        "This sale lapsed, or was submitted already.",
        "请在我的订单中查看,或重新开始。",
        "Look under My orders, or start again.",
    ),
    # -- our own
    Refusal(
        "internal",
        500,
        "系统内部错误。",
        "Something failed on our side.",
        "请稍后再试;问题已记录。",
        "Try again later; it was recorded.",
    ),
    Refusal(
        "unavailable",
        503,
        "服务暂时不可用。",
        "The service is not available right now.",
        "请稍后再试。",
        "Try again later.",
    ),
)

REFUSALS: Final[dict[str, Refusal]] = {refusal.code: refusal for refusal in _TABLE}


class Refused(Exception):
    """Something was refused. `code` is a key of `REFUSALS`; `field` names the input, `row` (from 1) its place in a batch."""

    def __init__(self, code: str, *, field: str | None = None, row: int | None = None) -> None:
        super().__init__(code)
        self.refusal = REFUSALS[code]
        self.field = field
        self.row = row

    @property
    def code(self) -> str:
        """The refusal's stable code."""
        return self.refusal.code
