"""Alipay: single transfers to Alipay accounts over the open platform's gateway, signed RSA2 in public-key mode.

Methods spoken (open platform, version 1.0, as its documentation describes them):
`alipay.fund.trans.uni.transfer`, `alipay.fund.trans.common.query`, `alipay.data.bill.accountlog.query`, and the
message `alipay.fund.trans.order.changed` that comes unasked.

What an answer is worth:

- unsigned or badly signed: nothing. It is `unknown`, whatever it says;
- code 10000: its `status` counts;
- code 40004 with a `sub_code`: the business refused. Explicit, so `failed`, except the few that say "I do not know";
- any other code: the gateway's word about this request, not about the reference, which an earlier request may
  have used. `unknown`, and the query tells.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from airback.adapters.http.client import AnswerLost, HttpFarSide, NotSent
from airback.adapters.http.redaction import Redaction
from airback.adapters.rail import rsa2
from airback.domain.effects import Exchange, Kind, Outcome, Resend, Result
from airback.domain.money import MoneyError, parse_yuan, yuan
from airback.domain.ports.carrier import FarSideUnreachable, StatementLine
from airback.domain.ports.rail import Notification, PayRequest, RailCapabilities

TRANSFER: Final = "alipay.fund.trans.uni.transfer"
QUERY: Final = "alipay.fund.trans.common.query"
ACCOUNT_LOG: Final = "alipay.data.bill.accountlog.query"
ORDER_CHANGED: Final = "alipay.fund.trans.order.changed"

PRODUCT_CODE: Final = "TRANS_ACCOUNT_NO_PWD"
BIZ_SCENE: Final = "DIRECT_TRANSFER"

#: Alipay's clock: UTC+8 all year, no summer time.
CHINA: Final = timezone(timedelta(hours=8))

#: Limits that an operator's contract may change: `dataclasses.replace(ALIPAY, most_fen=…)`.
ALIPAY: Final = RailCapabilities(
    name="alipay",
    resend=Resend.SAME_REFERENCE,  # documented: after SYSTEM_ERROR the same out_biz_no with the same parameters
    least_fen=10,
    most_fen=5_000_000,
    name_checked=True,
    licence=None,
    counted_by_far_side=True,
    not_found_final_after_s=600,
    ask_every_s=2,
    ask_at_most_every_s=300,
    requests_per_s=50,
    concurrency=32,
    timeout_s=15,
)

#: The same before the sandbox's Alipay, where nothing takes long.
SANDBOX_ALIPAY: Final = replace(
    ALIPAY,
    not_found_final_after_s=6,
    ask_every_s=1,
    ask_at_most_every_s=4,
    requests_per_s=1_000,
    timeout_s=5,
)

#: A notification older, or further in the future, than this many seconds is not read; polling finds the result.
NOTIFICATION_WINDOW_S: Final = 300

#: The account log covers at most 31 days in one query.
_MOST_LOG_DAYS: Final = 31
_LOG_PAGE: Final = 2000
_MOST_LOG_PAGES: Final = 10_000
_MOST_ANSWER_BYTES: Final = 8 << 20
_MOST_NOTIFICATION_BYTES: Final = 64 << 10
_LONGEST_REF: Final = 64

#: Business refusals in the platform's own words; every other explicit one is `rail_refused`.
REFUSALS: Final[Mapping[str, str]] = {
    "PAYEE_USER_INFO_ERROR": "payee_name_mismatch",
    "PAYEE_CERT_INFO_ERROR": "payee_name_mismatch",
    "PAYEE_NOT_EXIST": "payee_account_unknown",
    "PAYEE_ACC_OCUPIED": "payee_account_unknown",  # (their spelling) one phone number, several accounts
    "PAYER_BALANCE_NOT_ENOUGH": "float_insufficient",
    "BALANCE_IS_NOT_ENOUGH": "float_insufficient",
    "BALANCE_NOT_ENOUGH": "float_insufficient",
}

#: Sub-codes with which the business says that it does not know, and why it is unknown then.
DOUBTS: Final[Mapping[str, str]] = {
    "SYSTEM_ERROR": "far_side_error",
    "REQUEST_PROCESSING": "far_side_error",
    # Same out_biz_no, other parameters: nothing new was paid, but what became of the first is not said.
    "PAYMENT_INFO_INCONSISTENCY": "reference_repeated",
}

_STATUSES: Final[Mapping[str, Result]] = {
    "SUCCESS": Result.SUCCEEDED,
    "DEALING": Result.PROCESSING,
    "WAIT_PAY": Result.PROCESSING,
    "INIT": Result.PROCESSING,
    "FAIL": Result.FAILED,
    "CLOSED": Result.FAILED,
    "REFUND": Result.REVERSED,
}

_REDACTION: Final = Redaction(
    hidden_keys=frozenset({"sign"}),
    masked_keys=frozenset({"identity", "name", "other_account"}),
)


@dataclass(frozen=True, slots=True)
class _Call:
    """What came of one signed request: the proven node, or the code that says why there is none."""

    node: dict[str, Any] | None
    problem: str | None
    exchange: Exchange


class AlipayRail:
    """Pays through one merchant application.

    `gateway` is the whole address of `gateway.do`; `merchant_key` signs what we say, `alipay_key` (Alipay's public
    key, not the merchant's) proves what they say. `now` dates requests (UTC). Close it when done.
    """

    def __init__(
        self,
        *,
        gateway: str,
        app_id: str,
        merchant_key: RSAPrivateKey,
        alipay_key: RSAPublicKey,
        now: Callable[[], datetime],
        capabilities: RailCapabilities = ALIPAY,
        notification_window_s: int = NOTIFICATION_WINDOW_S,
    ) -> None:
        base_url, _, last = gateway.rpartition("/")
        self._path = f"/{last}"
        self._app_id = app_id
        self._merchant_key = merchant_key
        self._alipay_key = alipay_key
        self._now = now
        self._capabilities = capabilities
        self._notification_window_s = notification_window_s
        self._http = HttpFarSide(
            name=f"rail:{capabilities.name}",
            base_url=base_url,
            timeout_s=capabilities.timeout_s,
            concurrency=capabilities.concurrency,
            redaction=_REDACTION,
            most_answer_bytes=_MOST_ANSWER_BYTES,
            now=now,
        )

    @property
    def capabilities(self) -> RailCapabilities:
        """What this rail can do."""
        return self._capabilities

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def pay(self, request: PayRequest) -> Outcome:
        """Pay `request.amount_fen`; the purpose travels in the remark. See the module for what an answer is worth."""
        content = {
            "out_biz_no": request.ref,
            "trans_amount": yuan(request.amount_fen),
            "product_code": PRODUCT_CODE,
            "biz_scene": BIZ_SCENE,
            "order_title": request.title,
            "payee_info": {
                "identity": request.payee_account,
                "identity_type": "ALIPAY_LOGON_ID",
                "name": request.payee_name,
            },
            "remark": request.purpose,
        }
        try:
            call = await self._call(TRANSFER, content)
        except NotSent as error:
            return Outcome(result=Result.FAILED, code="not_sent", exchanges=(error.exchange,))
        except AnswerLost as error:
            return Outcome(result=Result.UNKNOWN, code="answer_lost", exchanges=(error.exchange,))
        if call.node is None:
            return Outcome(result=Result.UNKNOWN, code=call.problem, exchanges=(call.exchange,))
        return _about(call.node, ref=request.ref, asked=False, exchanges=(call.exchange,))

    async def ask(self, *, ref: str) -> Outcome:
        """What became of `ref`. Whatever keeps the question from being answered leaves it `unknown`."""
        content = {"out_biz_no": ref, "product_code": PRODUCT_CODE, "biz_scene": BIZ_SCENE}
        try:
            call = await self._call(QUERY, content)
        except NotSent as error:
            return Outcome(result=Result.UNKNOWN, code="not_sent", exchanges=(error.exchange,))
        except AnswerLost as error:
            return Outcome(result=Result.UNKNOWN, code="answer_lost", exchanges=(error.exchange,))
        if call.node is None:
            return Outcome(result=Result.UNKNOWN, code=call.problem, exchanges=(call.exchange,))
        return _about(call.node, ref=ref, asked=True, exchanges=(call.exchange,))

    def read_notification(
        self, *, headers: dict[str, str], body: bytes, now: datetime
    ) -> Notification | None:
        """Verify and read `alipay.fund.trans.order.changed`; None when it is not genuine, not ours or not fresh.

        `outcome.detail["notify_id"]` is Alipay's number of the message: whoever stores messages keeps it, so that
        one inside the window that comes twice is known. Answer the sender `success` once it is stored.
        """
        fields = _form(body)
        if (
            fields is None
            or fields.get("app_id") != self._app_id
            or fields.get("msg_method") != ORDER_CHANGED
        ):
            return None
        if fields.get("sign_type", "").upper() != "RSA2" or fields.get("charset", "utf-8").lower() != "utf-8":
            return None
        text = rsa2.signed_text(fields, outside=rsa2.OUTSIDE_NOTIFICATION)
        if not rsa2.verifies(text, signature=fields.get("sign", ""), key=self._alipay_key):
            return None
        sent_at = _milliseconds(fields.get("utc_timestamp", ""))
        if sent_at is None or abs((now - sent_at).total_seconds()) > self._notification_window_s:
            return None
        try:
            content = json.loads(fields.get("biz_content", ""))
        except (ValueError, RecursionError):
            return None
        if not isinstance(content, dict) or not 0 < len(_word(content, "out_biz_no")) <= _LONGEST_REF:
            return None
        if content.get("product_code", PRODUCT_CODE) != PRODUCT_CODE:
            return None
        outcome = _by_status(content, exchanges=(), notify_id=fields.get("notify_id", ""))
        return None if outcome is None else Notification(ref=content["out_biz_no"], outcome=outcome)

    async def statement(self, *, since: datetime, until: datetime) -> Sequence[StatementLine]:
        """The merchant account's log in [since, until), both cut to the whole second below: transfers we asked for.

        Alipay's log knows whole seconds, so windows that adjoin neither miss a line nor tell one twice. A transfer
        that came back is a line of its own with `reversed`. Raises FarSideUnreachable.
        """
        lines: list[StatementLine] = []
        start, end = (
            since.astimezone(CHINA).replace(microsecond=0),
            until.astimezone(CHINA).replace(microsecond=0),
        )
        while start < end:
            stop = min(end, start + timedelta(days=_MOST_LOG_DAYS))
            lines += await self._log(start=start, stop=stop)
            start = stop
        return lines

    async def _log(self, *, start: datetime, stop: datetime) -> list[StatementLine]:
        lines: list[StatementLine] = []
        read = 0
        for page in range(1, _MOST_LOG_PAGES + 1):
            content = {
                "start_time": _china(start),
                "end_time": _china(stop),
                "page_no": str(page),
                "page_size": str(_LOG_PAGE),
            }
            try:
                call = await self._call(ACCOUNT_LOG, content)
            except (NotSent, AnswerLost) as error:
                raise FarSideUnreachable(far_side=self._http.name, reason=error.reason) from error
            if call.node is None or call.node.get("code") != "10000":
                raise FarSideUnreachable(far_side=self._http.name, reason=call.problem or "statement_refused")
            rows = call.node.get("detail_list", [])
            total = call.node.get("total_size", "")
            if not isinstance(rows, list) or not str(total).isdecimal():
                raise FarSideUnreachable(far_side=self._http.name, reason="statement_unreadable")
            for row in rows:
                line = _statement_line(row, far_side=self._http.name)
                if line is not None:
                    lines.append(line)
            read += len(rows)
            if read >= int(total) or not rows:
                break
        return lines

    async def _call(self, method: str, content: Mapping[str, Any]) -> _Call:
        """One signed request. Raises NotSent, AnswerLost."""
        fields = {
            "app_id": self._app_id,
            "method": method,
            "format": "JSON",
            "charset": "utf-8",
            "sign_type": "RSA2",
            "timestamp": _china(self._now()),
            "version": "1.0",
            "biz_content": json.dumps(content, ensure_ascii=False, separators=(",", ":")),
        }
        text = rsa2.signed_text(fields, outside=rsa2.OUTSIDE_REQUEST)
        fields["sign"] = rsa2.sign(text, key=self._merchant_key)
        answer = await self._http.call(
            "POST",
            self._path,
            content=urlencode(fields).encode("ascii"),
            headers={"content-type": "application/x-www-form-urlencoded;charset=utf-8"},
        )
        node = f"{method.replace('.', '_')}_response"
        read = rsa2.read_answer(answer.body, node=node, key=self._alipay_key)
        if read is None:
            return _Call(node=None, problem="far_side_error", exchange=answer.exchange)
        if not read.proven:
            return _Call(node=None, problem="answer_unproven", exchange=answer.exchange)
        return _Call(node=read.node, problem=None, exchange=answer.exchange)


def _about(node: Mapping[str, Any], *, ref: str, asked: bool, exchanges: tuple[Exchange, ...]) -> Outcome:
    """What a proven node says of `ref`; `asked` when it answers a query rather than a transfer."""
    code, sub_code = _word(node, "code"), _word(node, "sub_code")
    if code == "10000":
        if node.get("out_biz_no") != ref:
            # Genuine, but about something else: an old answer put in this one's place.
            return Outcome(result=Result.UNKNOWN, code="answer_unproven", exchanges=exchanges)
        outcome = _by_status(node, exchanges=exchanges)
        return outcome or Outcome(result=Result.UNKNOWN, code="far_side_error", exchanges=exchanges)
    detail = {"sub_code": sub_code or code}
    if code != "40004" or not sub_code or sub_code.startswith(("isp.", "aop.")):
        return Outcome(result=Result.UNKNOWN, code="far_side_error", detail=detail, exchanges=exchanges)
    if sub_code in DOUBTS:
        return Outcome(result=Result.UNKNOWN, code=DOUBTS[sub_code], detail=detail, exchanges=exchanges)
    if asked:
        if sub_code == "ORDER_NOT_EXIST":
            return Outcome(result=Result.FAILED, code="not_found", detail=detail, exchanges=exchanges)
        # A refused question says nothing about the payment.
        return Outcome(result=Result.UNKNOWN, code="far_side_error", detail=detail, exchanges=exchanges)
    failed = REFUSALS.get(sub_code, "rail_refused")
    return Outcome(result=Result.FAILED, code=failed, detail=detail, exchanges=exchanges)


def _by_status(
    node: Mapping[str, Any], *, exchanges: tuple[Exchange, ...], notify_id: str | None = None
) -> Outcome | None:
    """What a transfer's `status` says, or None for one that we do not know."""
    result = _STATUSES.get(_word(node, "status"))
    if result is None:
        return None
    amount_fen: int | None = None
    if isinstance(node.get("trans_amount"), str):
        try:
            amount_fen = parse_yuan(node["trans_amount"])
        except MoneyError:
            return None
    detail: dict[str, Any] = {"status": _word(node, "status")}
    code: str | None = None
    if result is Result.FAILED:
        detail["sub_code"] = _word(node, "error_code")
        code = REFUSALS.get(detail["sub_code"], "rail_refused")
    for ours, theirs in (
        ("fund_ref", "pay_fund_order_id"),
        ("paid_at", "trans_date"),
        ("paid_at", "pay_date"),
    ):
        if _word(node, theirs):
            detail[ours] = _word(node, theirs)
    if notify_id is not None:
        detail["notify_id"] = notify_id[:128]
    return Outcome(
        result=result,
        code=code,
        far_ref=_word(node, "order_id") or None,
        amount_fen=amount_fen,
        detail=detail,
        exchanges=exchanges,
    )


def _statement_line(row: object, *, far_side: str) -> StatementLine | None:
    """A line of the account log, or None when it is no transfer under a reference of ours."""
    if not isinstance(row, dict):
        raise FarSideUnreachable(far_side=far_side, reason="statement_unreadable")
    ref = _word(row, "merchant_order_no")
    if _word(row, "type") != "转账" or not ref:
        return None
    try:
        at = datetime.strptime(_word(row, "trans_dt"), "%Y-%m-%d %H:%M:%S").replace(tzinfo=CHINA)
        amount_fen = parse_yuan(_word(row, "trans_amount").removeprefix("-"))
    except (ValueError, MoneyError) as error:
        raise FarSideUnreachable(far_side=far_side, reason="statement_unreadable") from error
    return StatementLine(
        ref=ref,
        kind=Kind.PAY,
        amount_fen=amount_fen,
        far_ref=_word(row, "alipay_order_no"),
        at=at.astimezone(UTC),
        reversed=_word(row, "direction") == "收入",
    )


def _form(body: bytes) -> dict[str, str] | None:
    """A form's fields; None when it is too large, not UTF-8, or names a field twice."""
    if len(body) > _MOST_NOTIFICATION_BYTES:
        return None
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=64,
        )
    except ValueError:
        return None
    fields = dict(pairs)
    return fields if len(fields) == len(pairs) else None


def _milliseconds(text: str) -> datetime | None:
    if not (text.isascii() and text.isdecimal() and len(text) <= 14):
        return None
    return datetime.fromtimestamp(int(text) / 1000, tz=UTC)


def _china(moment: datetime) -> str:
    return moment.astimezone(CHINA).strftime("%Y-%m-%d %H:%M:%S")


def _word(node: Mapping[str, Any], name: str) -> str:
    """A short text member, or an empty text when it is missing or no text."""
    value = node.get(name)
    return value[:128] if isinstance(value, str) else ""
