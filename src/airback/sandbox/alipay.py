"""A sandbox Alipay: the open platform's gateway for single transfers, over the books of `alipay_books`.

It verifies the RSA2 signature of every request and signs every answer. It prints `/` as `\\/`, as some of the
real one's back ends do, and signs what it printed. Endpoints:

    POST /alipay/gateway.do            the gateway: transfer, query, account log
    GET  /sandbox/alipay               app id, public key, money, counts
    POST /sandbox/alipay/merchant      {"public_key": PEM, "notify_url": URL or null, "balance_fen": n}, each optional
    POST /sandbox/alipay/accounts      {"accounts": [{"identity", "name"}]}: accounts with a holder's name
    POST /sandbox/alipay/faults        {"seed": n, "faults": [{"profile", "share_ppm", "times", "seconds", "sub_code",
                                       "method"}]}: how to misbehave, replacing what was said before

It differs from the real one where a sandbox has to: any account exists under the name it was first paid by (not
those that begin with `unknown`), timestamps are checked for their form only, and nobody is charged.
"""

import asyncio
import json
import logging
import random
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from pyreqwest.client import ClientBuilder
from pyreqwest.exceptions import PyreqwestError

from airback.domain.money import MoneyError, parse_yuan, yuan
from airback.sandbox.alipay_books import AlipayBooks, Transfer, Wish, milliseconds
from airback.sandbox.alipay_keys import ensure_alipay_keys, joined, read_public_key, signature, stands

#: The one merchant application of the sandbox.
APP_ID: Final = "9021000100000001"

#: Where the merchant's public key is looked for when none was registered, below the data directory.
MERCHANT_KEY_FILE: Final = Path("keys") / "alipay-merchant-public.pem"

TRANSFER: Final = "alipay.fund.trans.uni.transfer"
QUERY: Final = "alipay.fund.trans.common.query"
LOG: Final = "alipay.data.bill.accountlog.query"

#: How it can misbehave.
PROFILES: Final = (
    "answer_lost",  # executes, then closes the connection without a word
    "late",  # executes, answers after `seconds`
    "slow",  # waits `seconds`, then executes and answers
    "refusal",  # executes nothing, answers `sub_code`
    "system_error",  # executes, answers SYSTEM_ERROR all the same
    "processing",  # answers DEALING, succeeds after `seconds`
    "bad_signature",  # executes, the answer's signature does not stand
    "duplicate_notification",  # notifies twice
)

_LEAST_FEN: Final = 10
_NOTIFY_TRIES: Final = 3
_LOGGER: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes back over HTTP. `lost` means: close the connection instead."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json;charset=utf-8"
    lost: bool = False


@dataclass(slots=True)
class _Fault:
    profile: str
    share_ppm: int
    times: int | None
    seconds: float
    sub_code: str
    method: str


class _Refused(Exception):
    """The gateway's or the business's refusal."""

    def __init__(self, code: str, sub_code: str, sub_msg: str = "") -> None:
        super().__init__(sub_code)
        self.code, self.sub_code, self.sub_msg = code, sub_code, sub_msg


class SandboxAlipay:
    """The far side itself, apart from HTTP. `now` is its clock (UTC). Close it when done."""

    def __init__(self, *, data_dir: Path, now: Callable[[], datetime]) -> None:
        self._now = now
        self._keys = ensure_alipay_keys(data_dir)
        self._merchant_key_file = data_dir / MERCHANT_KEY_FILE
        self._books = AlipayBooks(data_dir / "sandbox" / "alipay.db")
        self._faults: list[_Fault] = []
        self._random = random.Random(0)
        self._tasks: set[asyncio.Task[None]] = set()
        self._client = (
            ClientBuilder().timeout(timedelta(seconds=10)).no_proxy().follow_redirects(False).build()
        )

    async def close(self) -> None:
        """Forget notifications that were not delivered and close the books."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._client.close()
        self._books.close()

    def counts(self) -> dict[str, int]:
        """`payments`, `paid_fen`, `duplicates` (successful payments beyond one for the same remark)."""
        return self._books.counts(now=self._at())

    async def answer(self, *, method: str, path: str, body: bytes) -> Reply | None:
        """The reply to one HTTP request, or None for a path that is not Alipay's."""
        if path == "/alipay/gateway.do":
            return await self._gateway(body) if method == "POST" else Reply(status=405)
        if path != "/sandbox/alipay" and not path.startswith("/sandbox/alipay/"):
            return None
        try:
            return self._control(method, path.removeprefix("/sandbox/alipay").lstrip("/"), body)
        except (ValueError, KeyError, TypeError, AttributeError, MoneyError):
            return _document(400, {"error": "the body does not have the form this endpoint needs"})

    # -- told by people

    def _control(self, method: str, what: str, body: bytes) -> Reply:
        if method == "GET" and what == "":
            return _document(200, self._standing())
        if method != "POST" or what not in ("merchant", "accounts", "faults"):
            return _document(404, {"error": "no such endpoint"})
        told = json.loads(body)
        if what == "accounts":
            for account in told["accounts"]:
                self._books.open_account(identity=str(account["identity"]), name=str(account["name"]))
            return _document(200, {"accounts": len(told["accounts"])})
        if what == "faults":
            self.misbehave(told["faults"], seed=int(told.get("seed", 0)))
            return _document(200, {"faults": len(self._faults)})
        if "public_key" in told:
            read_public_key(told["public_key"].encode())
            self._books.set("merchant_key", told["public_key"])
        if "notify_url" in told:
            url = told["notify_url"]
            if url is not None and not re.match(r"https?://", url):
                raise ValueError("notify_url")
            self._books.set("notify_url", url)
        if "balance_fen" in told:
            self._books.set("balance_fen", str(int(told["balance_fen"])))
        return _document(200, self._standing())

    def _standing(self) -> dict[str, Any]:
        return {
            "app_id": APP_ID,
            "public_key": self._keys.public_pem.decode(),
            "notify_url": self._books.setting("notify_url"),
            "balance_fen": self._books.balance_fen,
            **self.counts(),
        }

    def misbehave(self, faults: list[dict[str, Any]], *, seed: int = 0) -> None:
        """Misbehave from now on; an empty list ends it. Raises ValueError for an unknown profile.

        Each fault strikes `share_ppm` of the requests of `method` (by default transfers), at most `times` times.
        """
        fresh = [
            _Fault(
                profile=str(fault["profile"]),
                share_ppm=int(fault.get("share_ppm", 1_000_000)),
                times=None if fault.get("times") is None else int(fault["times"]),
                seconds=float(fault.get("seconds", 1)),
                sub_code=str(fault.get("sub_code", "PAYEE_ACCOUNT_STATUS_ERROR")),
                method=str(fault.get("method", TRANSFER)),
            )
            for fault in faults
        ]
        if any(fault.profile not in PROFILES for fault in fresh):
            raise ValueError("unknown profile")
        self._faults = fresh
        self._random = random.Random(seed)

    def _strike(self, method: str) -> dict[str, _Fault]:
        """The faults that strike this request, by profile."""
        struck: dict[str, _Fault] = {}
        for fault in self._faults:
            if (
                fault.method != method
                or fault.times == 0
                or self._random.randrange(1_000_000) >= fault.share_ppm
            ):
                continue
            if fault.times is not None:
                fault.times -= 1
            struck.setdefault(fault.profile, fault)
        return struck

    # -- the gateway

    async def _gateway(self, body: bytes) -> Reply:
        try:
            fields = dict(parse_qsl(body.decode("utf-8"), keep_blank_values=True, errors="strict"))
        except ValueError:
            return self._printed("error_response", _refusal("40002", "isv.invalid-encoding"))
        method = fields.get("method", "")
        known = method in (TRANSFER, QUERY, LOG)
        node = f"{method.replace('.', '_')}_response" if known else "error_response"
        struck = self._strike(method)
        if "slow" in struck:
            await asyncio.sleep(struck["slow"].seconds)
        try:
            content = self._admit(fields, known=known)
            said = self._execute(method, content, struck)
        except _Refused as refused:
            said = _refusal(refused.code, refused.sub_code, refused.sub_msg)
        if "late" in struck:
            await asyncio.sleep(struck["late"].seconds)
        if "answer_lost" in struck:
            return Reply(lost=True)
        if "system_error" in struck:
            said = _refusal("40004", "SYSTEM_ERROR")
        return self._printed(node, said, spoilt="bad_signature" in struck)

    def _admit(self, fields: Mapping[str, str], *, known: bool) -> dict[str, Any]:
        """The business content of a request that is in order. Raises _Refused."""
        for name in ("app_id", "method", "charset", "sign_type", "sign", "timestamp", "version"):
            if not fields.get(name):
                raise _Refused("40001", f"isv.missing-{name.replace('_', '-')}")
        if fields["app_id"] != APP_ID:
            raise _Refused("40002", "isv.invalid-app-id")
        if not known:
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

    def _execute(self, method: str, content: dict[str, Any], struck: Mapping[str, _Fault]) -> dict[str, Any]:
        if method == TRANSFER:
            return self._transfer(content, struck)
        if method == QUERY:
            return self._query(content)
        return self._log(content)

    def _transfer(self, content: dict[str, Any], struck: Mapping[str, _Fault]) -> dict[str, Any]:
        wish = _wish(content)
        if "refusal" in struck:
            raise _Refused("40004", struck["refusal"].sub_code)
        processing = struck.get("processing")
        settles_after_ms = 0 if processing is None else max(1, int(processing.seconds * 1000))
        new = self._books.find(wish.out_biz_no, now=self._at()) is None
        transfer, refusal = self._books.transfer(wish, now=self._at(), settles_after_ms=settles_after_ms)
        if transfer is None:
            raise _Refused("40004", refusal or "SYSTEM_ERROR")
        if new and self._books.setting("notify_url") is not None:
            times = 2 if "duplicate_notification" in struck else 1
            task = asyncio.get_running_loop().create_task(
                self._notify(transfer.out_biz_no, after_s=settles_after_ms / 1000, times=times)
            )
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
        return Reply(body=f'{{"{node}":{text},"sign":"{sign}"}}'.encode())

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
            "notify_id": secrets.token_hex(16),
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

    async def _notify(self, out_biz_no: str, *, after_s: float, times: int) -> None:
        await asyncio.sleep(after_s + 0.001 if after_s else 0)
        url, body = self._books.setting("notify_url"), self.notification(out_biz_no)
        if url is None or body is None:
            return
        for _ in range(times):
            for attempt in range(_NOTIFY_TRIES):
                if await self._deliver(url, body):
                    break
                await asyncio.sleep(0.5 * 2**attempt)

    async def _deliver(self, url: str, body: bytes) -> bool:
        headers = {"content-type": "application/x-www-form-urlencoded;charset=utf-8"}
        try:
            response = await self._client.post(url).headers(headers).body_bytes(body).build().send()
            return bytes(await response.bytes()).strip() == b"success"
        except (PyreqwestError, ValueError) as error:
            _LOGGER.info("notification not delivered: %s", type(error).__name__)
            return False

    def _at(self) -> int:
        return int(self._now().timestamp() * 1000)


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


def _document(status: int, value: Mapping[str, Any]) -> Reply:
    return Reply(status=status, body=json.dumps(value, ensure_ascii=False).encode())
