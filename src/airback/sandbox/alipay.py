"""A sandbox Alipay: the open platform's gateway for single transfers, over the books of `alipay_books`.

It verifies the RSA2 signature of every request and signs every answer. It prints `/` as `\\/`, as some of the
real one's back ends do, and signs what it printed. Endpoints:

    POST /alipay/gateway.do            the gateway: transfer, query, account log
    GET  /sandbox/alipay               app id, public key, money, counts
    POST /sandbox/alipay/merchant      {"public_key": PEM, "notify_url": URL or null, "balance_fen": n}, each optional
    POST /sandbox/alipay/accounts      {"accounts": [{"identity", "name"}]}: accounts with a holder's name
    POST /sandbox/alipay/settle        let every transfer that is being processed succeed now
    GET  /sandbox/alipay/notification  ?out_biz_no=: the signed message about a transfer, as it would be posted now

Faults (`POST /sandbox/faults`, far side `alipay`) strike the operations `transfer`, `query`, `log` and `notify`.
`refusal` takes a sub_code; with `SYSTEM_ERROR` the transfer is executed all the same, which is what makes that
answer a doubt. `duplicated` sends a notification twice; a transfer it leaves alone, for Alipay keeps its word about
references.

It differs from the real one where a sandbox has to: any account exists under the name it was first paid by (not
those that begin with `unknown`), timestamps are checked for their form only, and nobody is charged.
"""

import asyncio
import json
import logging
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import PyreqwestError

from airback.domain.money import PPM, MoneyError, parse_yuan, yuan
from airback.sandbox.alipay_books import AlipayBooks, Transfer, Wish, milliseconds
from airback.sandbox.alipay_keys import APP_ID, ensure_alipay_keys, joined, read_public_key, signature, stands
from airback.sandbox.faults import Fault
from airback.sandbox.wire import Counts, Frame, Plug, Reply, Request, Route, Unreadable

#: Where the merchant's public key is looked for when none was registered, below the data directory.
MERCHANT_KEY_FILE: Final = Path("keys") / "alipay-merchant-public.pem"

TRANSFER: Final = "alipay.fund.trans.uni.transfer"
QUERY: Final = "alipay.fund.trans.common.query"
LOG: Final = "alipay.data.bill.accountlog.query"

_OPERATIONS: Final = {TRANSFER: "transfer", QUERY: "query", LOG: "log"}
_REFUSED_BY_DEFAULT: Final = "PAYEE_ACCOUNT_STATUS_ERROR"
_LEAST_FEN: Final = 10
_NOTIFY_TRIES: Final = 3
_JSON: Final = (("content-type", "application/json;charset=utf-8"),)
_FORM: Final = (("content-type", "application/x-www-form-urlencoded;charset=utf-8"),)
_LOGGER: Final = logging.getLogger(__name__)


class _Refused(Exception):
    """The gateway's or the business's refusal."""

    def __init__(self, code: str, sub_code: str, sub_msg: str = "") -> None:
        super().__init__(sub_code)
        self.code, self.sub_code, self.sub_msg = code, sub_code, sub_msg


class SandboxAlipay:
    """The far side itself. Close it when done."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        data_dir = frame.folder.parent
        self._keys = ensure_alipay_keys(data_dir)
        self._merchant_key_file = data_dir / MERCHANT_KEY_FILE
        self._books = AlipayBooks(frame.folder / "alipay.db")
        self._tasks: set[asyncio.Task[None]] = set()
        self._client: Client | None = None

    async def run(self) -> None:
        """Wait to be cancelled; then notifications that were not delivered are forgotten."""
        try:
            await asyncio.Event().wait()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            if self._client is not None:
                await self._client.close()

    def close(self) -> None:
        """Close the books."""
        self._books.close()

    def counts(self) -> Counts:
        """Payments that succeeded; duplicates are those beyond one for the same remark."""
        return Counts(**self._books.counts(now=self._at()))

    # -- told by people

    async def show(self, request: Request) -> Reply:
        """`GET /sandbox/alipay`."""
        del request
        return Reply.json(200, self._standing())

    async def merchant(self, request: Request) -> Reply:
        """`POST /sandbox/alipay/merchant`."""
        told = request.json()
        if not isinstance(told, dict):
            raise Unreadable("the body must be an object")
        if "public_key" in told:
            try:
                read_public_key(str(told["public_key"]).encode())
            except ValueError as error:
                raise Unreadable("public_key must be an RSA public key in PEM") from error
            self._books.set("merchant_key", told["public_key"])
        if "notify_url" in told:
            url = told["notify_url"]
            if url is not None and not (isinstance(url, str) and re.match(r"https?://", url)):
                raise Unreadable("notify_url must be an http(s) address or null")
            self._books.set("notify_url", url)
        if "balance_fen" in told:
            if type(told["balance_fen"]) is not int or told["balance_fen"] < 0:
                raise Unreadable("balance_fen must be a whole number")
            self._books.set("balance_fen", str(told["balance_fen"]))
        return Reply.json(200, self._standing())

    async def accounts(self, request: Request) -> Reply:
        """`POST /sandbox/alipay/accounts`."""
        told = request.json()
        listed = told.get("accounts") if isinstance(told, dict) else None
        if not isinstance(listed, list) or not all(
            isinstance(account, dict)
            and all(isinstance(account.get(name), str) and account[name] for name in ("identity", "name"))
            for account in listed
        ):
            raise Unreadable("accounts must be a list of objects with identity and name")
        for account in listed:
            self._books.open_account(identity=account["identity"], name=account["name"])
        return Reply.json(200, {"accounts": len(listed)})

    async def settle(self, request: Request) -> Reply:
        """`POST /sandbox/alipay/settle`."""
        del request
        return Reply.json(200, {"settled": self._books.settle(now=self._at(), early=True)})

    async def show_notification(self, request: Request) -> Reply:
        """`GET /sandbox/alipay/notification?out_biz_no=`."""
        body = self.notification(request.first("out_biz_no") or "")
        if body is None:
            return Reply.json(404, {"code": "NOT_FOUND", "message": "no such transfer"})
        return Reply(200, body, headers=_FORM)

    def _standing(self) -> dict[str, Any]:
        return {
            "app_id": APP_ID,
            "public_key": self._keys.public_pem.decode(),
            "notify_url": self._books.setting("notify_url"),
            "balance_fen": self._books.balance_fen,
            **self._books.counts(now=self._at()),
        }

    # -- the gateway

    async def gateway(self, request: Request) -> Reply:
        """`POST /alipay/gateway.do`."""
        try:
            fields = dict(parse_qsl(request.body.decode("utf-8"), keep_blank_values=True, errors="strict"))
        except ValueError:
            return self._printed("error_response", _refusal("40002", "isv.invalid-encoding"))
        method = fields.get("method", "")
        node = f"{method.replace('.', '_')}_response" if method in _OPERATIONS else "error_response"
        fault: Fault | None = None
        try:
            content = self._admit(fields)
            wish = _wish(content) if method == TRANSFER else None
            # A transfer's draw follows from payee and amount, so that a seed means the same in every run.
            key = "" if wish is None else f"{wish.identity}/{wish.amount_fen}"
            fault = await request.begin("alipay", _OPERATIONS[method], key=key)
            if fault is not None and fault.kind == "refusal" and fault.code != "SYSTEM_ERROR":
                raise _Refused("40004", fault.code or _REFUSED_BY_DEFAULT)
            if wish is not None:
                said = self._transfer(wish, fault)
            else:
                said = self._query(content) if method == QUERY else self._log(content)
            if fault is not None and fault.kind == "refusal":
                raise _Refused("40004", "SYSTEM_ERROR")
        except _Refused as refused:
            said = _refusal(refused.code, refused.sub_code, refused.sub_msg)
        return self._printed(node, said, spoilt=fault is not None and fault.kind == "bad_signature")

    def _admit(self, fields: Mapping[str, str]) -> dict[str, Any]:
        """The business content of a request that is in order. Raises _Refused."""
        for name in ("app_id", "method", "charset", "sign_type", "sign", "timestamp", "version"):
            if not fields.get(name):
                raise _Refused("40001", f"isv.missing-{name.replace('_', '-')}")
        if fields["app_id"] != APP_ID:
            raise _Refused("40002", "isv.invalid-app-id")
        if fields["method"] not in _OPERATIONS:
            raise _Refused("40002", "isv.invalid-method")
        if fields["sign_type"] != "RSA2":
            raise _Refused("40002", "isv.invalid-signature-type")
        if fields["charset"].lower() != "utf-8" or fields["version"] != "1.0":
            raise _Refused("40002", "isv.invalid-charset")
        key = self._merchant_key()
        if key is None or not stands(
            joined(fields.items(), but=("sign",)), fields["sign"], read_public_key(key)
        ):
            raise _Refused(
                "40002", "isv.invalid-signature", "验签出错, see https://opendocs.alipay.com/common/02mse7"
            )
        try:
            milliseconds(fields["timestamp"])
            content = json.loads(fields.get("biz_content", ""), parse_float=str)
        except (ValueError, RecursionError) as error:
            raise _Refused("40002", "isv.invalid-format") from error
        if not isinstance(content, dict):
            raise _Refused("40002", "isv.invalid-format")
        return content

    def _merchant_key(self) -> bytes | None:
        registered = self._books.setting("merchant_key")
        if registered is not None:
            return registered.encode()
        return self._merchant_key_file.read_bytes() if self._merchant_key_file.exists() else None

    def _transfer(self, wish: Wish, fault: Fault | None) -> dict[str, Any]:
        settles_after_ms = max(1, fault.delay_ms) if fault is not None and fault.kind == "processing" else 0
        amount_fen = wish.amount_fen
        if fault is not None and fault.kind == "wrong_amount":
            amount_fen = max(1, amount_fen * fault.amount_ppm // PPM)
        new = self._books.find(wish.out_biz_no, now=self._at()) is None
        transfer, refusal = self._books.transfer(
            wish, amount_fen=amount_fen, now=self._at(), settles_after_ms=settles_after_ms
        )
        if transfer is None:
            raise _Refused("40004", refusal or "SYSTEM_ERROR")
        if new and self._books.setting("notify_url") is not None:
            task = asyncio.ensure_future(self._notify(transfer.out_biz_no, after_s=settles_after_ms / 1000))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        said = {
            "code": "10000",
            "msg": "Success",
            "out_biz_no": transfer.out_biz_no,
            "order_id": transfer.order_id,
            "status": transfer.status,
        }
        if transfer.status == "SUCCESS":
            said |= {"pay_fund_order_id": transfer.fund_order_id, "trans_date": transfer.paid_at}
        return said

    def _query(self, content: dict[str, Any]) -> dict[str, Any]:
        if not isinstance(content.get("out_biz_no"), str) or not content.get("product_code"):
            raise _Refused("40004", "INVALID_PARAMETER")
        transfer = self._books.find(content["out_biz_no"], now=self._at())
        if transfer is None:
            raise _Refused("40004", "ORDER_NOT_EXIST", "转账订单不存在")
        return {"code": "10000", "msg": "Success", **_order(transfer)}

    def _log(self, content: dict[str, Any]) -> dict[str, Any]:
        try:
            since, until = milliseconds(content["start_time"]), milliseconds(content["end_time"])
            page, size = int(content.get("page_no", "1")), int(content.get("page_size", "2000"))
        except (KeyError, TypeError, ValueError) as error:
            raise _Refused("40004", "INVALID_PARAMETER") from error
        if not 0 <= until - since <= 31 * 86_400_000 or page < 1 or not 1000 <= size <= 2000:
            raise _Refused("40004", "INVALID_PARAMETER")
        rows, total = self._books.log(since=since, until=until, now=self._at(), page=page, size=size)
        return {
            "code": "10000",
            "msg": "Success",
            "page_no": str(page),
            "page_size": str(size),
            "total_size": str(total),
            "detail_list": [
                {
                    "trans_dt": row.paid_at,
                    "account_log_id": row.fund_order_id,
                    "alipay_order_no": row.order_id,
                    "merchant_order_no": row.out_biz_no,
                    "trans_amount": yuan(row.amount_fen),
                    "balance": yuan(row.balance_fen),
                    "type": "转账",
                    "direction": "支出",
                    "other_account": f"{row.name}({row.identity})",
                    "trans_memo": row.remark,
                }
                for row in rows
            ],
        }

    def _printed(self, node: str, said: Mapping[str, Any], *, spoilt: bool = False) -> Reply:
        text = json.dumps(said, ensure_ascii=False, separators=(",", ":")).replace("/", "\\/")
        sign = signature(text + (" " if spoilt else ""), self._keys.private)
        return Reply(200, f'{{"{node}":{text},"sign":"{sign}"}}'.encode(), headers=_JSON)

    # -- what it says unasked

    def notification(self, out_biz_no: str) -> bytes | None:
        """The signed message about a transfer as it stands, form-encoded; None when there is no such transfer."""
        transfer = self._books.find(out_biz_no, now=self._at())
        if transfer is None:
            return None
        content = {
            **_order(transfer),
            "product_code": "TRANS_ACCOUNT_NO_PWD",
            "biz_scene": "DIRECT_TRANSFER",
            "origin_interface": TRANSFER,
            "action_type": "FINISH",
        }
        fields = {
            "notify_id": self._frame.entropy(16).hex(),
            "utc_timestamp": str(self._at()),
            "msg_method": "alipay.fund.trans.order.changed",
            "app_id": APP_ID,
            "version": "1.1",
            "biz_content": json.dumps(content, ensure_ascii=False, separators=(",", ":")),
            "sign_type": "RSA2",
            "charset": "utf-8",
        }
        fields["sign"] = signature(joined(fields.items(), but=("sign", "sign_type")), self._keys.private)
        return urlencode(fields).encode("ascii")

    async def _notify(self, out_biz_no: str, *, after_s: float) -> None:
        await asyncio.sleep(after_s + 0.001 if after_s else 0)
        fault = self._frame.faults.draw("alipay", "notify")
        kind = None if fault is None else fault.kind
        url, body = self._books.setting("notify_url"), self.notification(out_biz_no)
        if url is None or body is None or kind in ("answer_lost", "outage"):
            return
        if fault is not None and kind in ("late", "slow"):
            await asyncio.sleep(fault.delay_ms / 1000)
        if kind == "bad_signature":
            body += b"&version=1.2"
        for _ in range(2 if kind == "duplicated" else 1):
            for attempt in range(_NOTIFY_TRIES):
                if await self._deliver(url, body):
                    break
                await asyncio.sleep(0.5 * 2**attempt)

    async def _deliver(self, url: str, body: bytes) -> bool:
        if self._client is None:
            self._client = (
                ClientBuilder().timeout(timedelta(seconds=10)).no_proxy().follow_redirects(False).build()
            )
        try:
            response = await self._client.post(url).headers(dict(_FORM)).body_bytes(body).build().send()
            return bytes(await response.bytes()).strip() == b"success"
        except (PyreqwestError, ValueError) as error:
            _LOGGER.info("notification not delivered: %s", type(error).__name__)
            return False

    def _at(self) -> int:
        return int(self._frame.now().timestamp() * 1000)


def plug(frame: Frame) -> Plug:
    """Alipay as a far side of the sandbox's server."""
    alipay = SandboxAlipay(frame)
    return Plug(
        name="alipay",
        routes=[
            Route("POST", "/alipay/gateway.do", alipay.gateway),
            Route("GET", "/sandbox/alipay", alipay.show, counted=False),
            Route("POST", "/sandbox/alipay/merchant", alipay.merchant, counted=False),
            Route("POST", "/sandbox/alipay/accounts", alipay.accounts, counted=False),
            Route("POST", "/sandbox/alipay/settle", alipay.settle, counted=False),
            Route("GET", "/sandbox/alipay/notification", alipay.show_notification, counted=False),
        ],
        counts=alipay.counts,
        run=alipay.run,
        close=alipay.close,
    )


def _order(transfer: Transfer) -> dict[str, str]:
    said = {"order_id": transfer.order_id, "out_biz_no": transfer.out_biz_no, "status": transfer.status}
    if transfer.status == "SUCCESS":
        said |= {
            "pay_fund_order_id": transfer.fund_order_id,
            "trans_amount": yuan(transfer.amount_fen),
            "pay_date": transfer.paid_at,
        }
    return said


def _wish(content: dict[str, Any]) -> Wish:
    """What a transfer's content asks for. Raises _Refused."""
    payee = content.get("payee_info")
    texts = [content.get(name) for name in ("out_biz_no", "trans_amount", "order_title", "remark")]
    if not isinstance(payee, dict) or not all(isinstance(text, str) for text in texts):
        raise _Refused("40004", "INVALID_PARAMETER")
    if content.get("product_code") != "TRANS_ACCOUNT_NO_PWD" or content.get("biz_scene") != "DIRECT_TRANSFER":
        raise _Refused("40004", "INVALID_PARAMETER")
    if payee.get("identity_type") != "ALIPAY_LOGON_ID" or not payee.get("identity") or not payee.get("name"):
        raise _Refused("40004", "INVALID_PARAMETER")
    if not 1 <= len(content["out_biz_no"]) <= 64 or len(content["remark"]) > 200:
        raise _Refused("40004", "INVALID_PARAMETER")
    try:
        amount_fen = parse_yuan(content["trans_amount"])
    except MoneyError as error:
        raise _Refused("40004", "INVALID_PARAMETER") from error
    if amount_fen < _LEAST_FEN:
        raise _Refused("40004", "EXCEED_LIMIT_SM_MIN_AMOUNT")
    return Wish(
        out_biz_no=content["out_biz_no"],
        identity=str(payee["identity"]).strip(),
        name=str(payee["name"]).strip(),
        amount_fen=amount_fen,
        title=content["order_title"],
        remark=content["remark"],
        terms=content,
    )


def _refusal(code: str, sub_code: str, sub_msg: str = "") -> dict[str, str]:
    words = {"40001": "Missing Required Arguments", "40002": "Invalid Arguments", "40004": "Business Failed"}
    return {"code": code, "msg": words[code], "sub_code": sub_code, "sub_msg": sub_msg or sub_code}
