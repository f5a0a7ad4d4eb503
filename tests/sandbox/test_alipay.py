"""The sandbox Alipay: strict about signatures, true to references, and its books survive a restart."""

import asyncio
import contextlib
import dataclasses
import json
import stat
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import pytest_asyncio

from airback.adapters.rail.alipay import AlipayRail
from airback.adapters.rail.alipay_keys import ensure_merchant_keys
from airback.domain.effects import Result
from airback.sandbox.alipay_keys import APP_ID, ensure_alipay_keys, joined, signature
from tests.adapters.rail.rail_conformance import pay_request
from tests.adapters.rail.sandbox_alipay import AlipayStage, alipay_stage

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def one_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("alipay")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(one_dir: Path) -> AsyncIterator[AlipayStage]:
    async with alipay_stage(one_dir) as stage:
        yield stage


def fields(**changes: str) -> dict[str, str]:
    return {
        "app_id": APP_ID,
        "method": "alipay.fund.trans.common.query",
        "charset": "utf-8",
        "sign_type": "RSA2",
        "timestamp": "2026-11-22 01:30:05",
        "version": "1.0",
        "biz_content": '{"out_biz_no":"nobody","product_code":"TRANS_ACCOUNT_NO_PWD"}',
    } | changes


async def ask(
    stage: AlipayStage, data_dir: Path, asked: dict[str, str], *, signed: bool = True
) -> dict[str, Any]:
    """The response node to a request, signed or as it is."""
    if signed:
        sign = signature(joined(asked.items(), but=("sign",)), ensure_merchant_keys(data_dir).private)
        asked = asked | {"sign": sign}
    answer = await stage.http.call(
        "POST",
        "/alipay/gateway.do",
        content=urlencode(asked).encode(),
        headers={"content-type": "application/x-www-form-urlencoded"},
    )
    assert answer.status == 200
    document = answer.json()
    assert document.pop("sign")
    ((_, node),) = document.items()
    return dict(node)


async def test_a_request_in_order_is_answered(stage: AlipayStage, one_dir: Path) -> None:
    assert (await ask(stage, one_dir, fields()))["sub_code"] == "ORDER_NOT_EXIST"


@pytest.mark.parametrize(
    ("changes", "sub_code"),
    [
        ({"app_id": "2021"}, "isv.invalid-app-id"),
        ({"app_id": ""}, "isv.missing-app-id"),
        ({"timestamp": ""}, "isv.missing-timestamp"),
        ({"timestamp": "yesterday"}, "isv.invalid-format"),
        ({"method": "alipay.trade.pay"}, "isv.invalid-method"),
        ({"sign_type": "RSA"}, "isv.invalid-signature-type"),
        ({"charset": "gbk"}, "isv.invalid-charset"),
        ({"version": "2.0"}, "isv.invalid-charset"),
        ({"biz_content": "{"}, "isv.invalid-format"),
        ({"biz_content": "[]"}, "isv.invalid-format"),
    ],
)
async def test_a_request_out_of_order_is_refused_by_the_gateway(
    stage: AlipayStage, one_dir: Path, changes: dict[str, str], sub_code: str
) -> None:
    node = await ask(stage, one_dir, fields(**changes))
    assert (node["code"][:4], node["sub_code"]) == ("4000", sub_code)


def transfer_of(amount: str) -> dict[str, str]:
    """A transfer's fields, not signed yet."""
    content = {
        "out_biz_no": f"transfer of {amount}",
        "trans_amount": amount,
        "product_code": "TRANS_ACCOUNT_NO_PWD",
        "biz_scene": "DIRECT_TRANSFER",
        "order_title": "t",
        "remark": f"remark {amount}",
        "payee_info": {"identity": "a@b.cn", "identity_type": "ALIPAY_LOGON_ID", "name": "n"},
    }
    return fields(method="alipay.fund.trans.uni.transfer", biz_content=json.dumps(content))


async def test_a_wrong_signature_executes_nothing(stage: AlipayStage, one_dir: Path) -> None:
    before = await stage.paid()
    transfer = transfer_of("1.00")
    for sign in ("AAAA", "no base64"):
        node = await ask(stage, one_dir, transfer | {"sign": sign}, signed=False)
        assert node["sub_code"] == "isv.invalid-signature"
    good = signature(joined(transfer.items(), but=("sign",)), ensure_merchant_keys(one_dir).private)
    changed = transfer | {"biz_content": transfer["biz_content"].replace("1.00", "9.00"), "sign": good}
    assert (await ask(stage, one_dir, changed, signed=False))["sub_code"] == "isv.invalid-signature"
    assert await stage.paid() == before
    assert (await ask(stage, one_dir, transfer | {"sign": good}, signed=False))["status"] == "SUCCESS"


@pytest.mark.parametrize("amount", ["0", "0.00", "-1.00", "0.09", "1.001", "1e2", "", "many"])
async def test_an_amount_that_is_none_is_refused(stage: AlipayStage, one_dir: Path, amount: str) -> None:
    node = await ask(stage, one_dir, transfer_of(amount))
    assert node["sub_code"] in ("INVALID_PARAMETER", "EXCEED_LIMIT_SM_MIN_AMOUNT")


async def test_an_account_bears_the_name_it_was_first_paid_by(stage: AlipayStage) -> None:
    assert (await stage.rail.pay(pay_request(account="first@a.cn", name="甲"))).result is Result.SUCCEEDED
    assert (await stage.rail.pay(pay_request(account="first@a.cn", name="甲"))).result is Result.SUCCEEDED
    assert (await stage.rail.pay(pay_request(account="first@a.cn", name="乙"))).code == "payee_name_mismatch"
    await stage.open_account(account="first@a.cn", name="乙")
    assert (await stage.rail.pay(pay_request(account="first@a.cn", name="乙"))).result is Result.SUCCEEDED


async def test_an_unknown_account_exists_once_it_is_opened(stage: AlipayStage) -> None:
    request = pay_request(account="unknown-7", name="丙")
    assert (await stage.rail.pay(request)).code == "payee_account_unknown"
    await stage.open_account(account="unknown-7", name="丙")
    assert (await stage.rail.pay(request)).result is Result.SUCCEEDED


async def test_an_empty_purse_is_the_operators_trouble(stage: AlipayStage) -> None:
    standing = await stage.show("/sandbox/alipay")
    try:
        await stage.tell("/sandbox/alipay/merchant", {"balance_fen": 5_000})
        assert (await stage.rail.pay(pay_request(amount_fen=5_001))).code == "float_insufficient"
        assert (await stage.rail.pay(pay_request(amount_fen=5_000))).result is Result.SUCCEEDED
        assert (await stage.show("/sandbox/alipay"))["balance_fen"] == 0
    finally:
        await stage.tell("/sandbox/alipay/merchant", {"balance_fen": standing["balance_fen"]})


async def test_two_payments_for_one_purpose_are_counted_as_a_duplicate(tmp_path: Path) -> None:
    async with alipay_stage(tmp_path) as stage:
        first = pay_request()
        await stage.rail.pay(first)
        assert (await stage.show("/sandbox/counts"))["duplicates"] == 0
        await stage.rail.pay(dataclasses.replace(pay_request(), purpose=first.purpose))
        counts = await stage.show("/sandbox/counts")
        assert (counts["payments"], counts["duplicates"]) == (2, 1)
        assert counts["http_calls"] == 2


async def test_a_doubtful_answer_may_have_paid(stage: AlipayStage) -> None:
    await stage.fault("refuse", operation="transfer", code="SYSTEM_ERROR")
    request = pay_request()
    outcome = await stage.rail.pay(request)
    assert (outcome.result, outcome.code) == (Result.UNKNOWN, "far_side_error")
    assert (await stage.rail.ask(ref=request.ref)).result is Result.SUCCEEDED


async def test_a_wrong_amount_is_told_by_the_query(stage: AlipayStage) -> None:
    await stage.fault("wrong_amount", operation="transfer", amount_ppm=900_000)
    request = pay_request(amount_fen=10_000)
    await stage.rail.pay(request)
    assert (await stage.rail.ask(ref=request.ref)).amount_fen == 9_000


async def test_the_books_survive_a_restart_and_so_do_the_keys(tmp_path: Path) -> None:
    request = pay_request(amount_fen=10_000)
    async with alipay_stage(tmp_path) as stage:
        paid = await stage.rail.pay(request)
        standing = await stage.show("/sandbox/alipay")
    async with alipay_stage(tmp_path) as again:
        assert await again.show("/sandbox/alipay") == standing
        asked = await again.rail.ask(ref=request.ref)
        assert (asked.result, asked.far_ref, asked.amount_fen) == (Result.SUCCEEDED, paid.far_ref, 10_000)
        assert (await again.rail.pay(request)).far_ref == paid.far_ref
        assert await again.paid() == (1, 10_000)


async def test_what_holds_keys_and_names_is_its_owners_alone(stage: AlipayStage, one_dir: Path) -> None:
    for name in ("alipay.db", "alipay-private.pem"):
        assert stat.S_IMODE((one_dir / "sandbox" / name).stat().st_mode) == 0o600
    assert "PRIVATE" not in str(await stage.show("/sandbox/alipay"))


async def test_a_registered_key_counts_instead_of_the_file(tmp_path: Path) -> None:
    async with alipay_stage(tmp_path) as stage:
        other = ensure_alipay_keys(tmp_path)  # any other key will do
        await stage.tell("/sandbox/alipay/merchant", {"public_key": other.public_pem.decode()})
        assert (await stage.rail.pay(pay_request())).result is Result.UNKNOWN
        assert await stage.paid() == (0, 0)


@pytest.mark.parametrize(
    ("path", "document"),
    [
        ("merchant", []),
        ("merchant", {"public_key": "none"}),
        ("merchant", {"notify_url": "file:///etc/passwd"}),
        ("merchant", {"balance_fen": "1"}),
        ("merchant", {"balance_fen": -1}),
        ("accounts", {}),
        ("accounts", {"accounts": [{"identity": "", "name": "x"}]}),
        ("accounts", {"accounts": ["x"]}),
    ],
)
async def test_what_it_cannot_be_told_is_said(stage: AlipayStage, path: str, document: Any) -> None:
    answer = await stage.http.call("POST", f"/sandbox/alipay/{path}", json=document)
    assert answer.status == 400


class Ears:
    """A merchant's address that notifications reach; answers `success` after `deaf` failures."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.deaf = 0
        self.news = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(head.partition("content-length:")[2].split()[0])
            self.heard.append(await reader.readexactly(length))
            word = b"failure" if len(self.heard) <= self.deaf else b"success"
            writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 7\r\n\r\n" + word)
            await writer.drain()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        self.news.set()

    async def hear(self, count: int) -> list[bytes]:
        """The first `count` messages."""
        async with asyncio.timeout(30):
            while len(self.heard) < count:
                self.news.clear()
                await self.news.wait()
        return self.heard


@pytest_asyncio.fixture(loop_scope="module")
async def ears(stage: AlipayStage) -> AsyncIterator[Ears]:
    ears = Ears()
    server = await asyncio.start_server(ears.serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/notifications/alipay"
    await stage.tell("/sandbox/alipay/merchant", {"notify_url": url})
    yield ears
    await stage.tell("/sandbox/alipay/merchant", {"notify_url": None})
    server.close()
    await server.wait_closed()


def read(rail: AlipayRail, body: bytes) -> tuple[str, Result, Any]:
    said = rail.read_notification(headers={}, body=body, now=datetime.now(UTC))
    assert said is not None
    return said.ref, said.outcome.result, said.outcome.detail["notify_id"]


async def test_a_payment_is_notified_of_and_the_word_is_proven(stage: AlipayStage, ears: Ears) -> None:
    request = pay_request()
    await stage.rail.pay(request)
    await stage.rail.pay(request)
    (body,) = await ears.hear(1)
    assert read(stage.rail, body)[:2] == (request.ref, Result.SUCCEEDED)


async def test_a_notification_may_come_twice_under_one_number(stage: AlipayStage, ears: Ears) -> None:
    await stage.fault("duplicated", operation="notify")
    await stage.rail.pay(pay_request())
    first, second = await ears.hear(2)
    assert read(stage.rail, first) == read(stage.rail, second)


async def test_a_notification_nobody_took_comes_again(stage: AlipayStage, ears: Ears) -> None:
    ears.deaf = 1
    await stage.rail.pay(pay_request())
    first, second = await ears.hear(2)
    assert first == second


async def test_a_notification_with_a_bad_signature_is_not_read(stage: AlipayStage, ears: Ears) -> None:
    await stage.fault("bad_signature", operation="notify")
    await stage.rail.pay(pay_request())
    (body,) = await ears.hear(1)
    assert stage.rail.read_notification(headers={}, body=body, now=datetime.now(UTC)) is None
