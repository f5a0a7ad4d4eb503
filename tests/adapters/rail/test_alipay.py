"""What the Alipay rail makes of what the gateway says, word by word."""

import asyncio
import contextlib
import dataclasses
import json
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from tests.adapters.rail.rail_conformance import pay_request
from tests.adapters.rail.sandbox_alipay import with_keys

from airback.adapters.rail import rsa2
from airback.adapters.rail.alipay import ALIPAY, DOUBTS, QUERY, REFUSALS, TRANSFER, AlipayRail
from airback.adapters.rail.alipay_keys import ensure_merchant_keys
from airback.domain import refusals
from airback.domain.effects import Outcome, Result
from airback.domain.ports.carrier import FarSideUnreachable
from airback.sandbox.alipay_keys import ensure_alipay_keys

NOW = datetime(2026, 11, 21, 17, 30, 5, 123456, tzinfo=UTC)
APP = "2021001172656340"

#: What a scripted gateway does: (fields of the request) → the bytes it answers, or None to hang up.
Script = Callable[[dict[str, str]], bytes | None]


class Gateway:
    """A gateway that answers as a test says, and remembers what it was asked."""

    def __init__(self, key: RSAPrivateKey) -> None:
        self.key = key
        self.asked: list[dict[str, str]] = []
        self.headers: list[str] = []
        self.script: Script = lambda _: None
        self.status = "200 OK"
        self.serving: set[asyncio.Task[None]] = set()

    def says(self, node: Mapping[str, object], *, name: str | None = None) -> None:
        """Answer every request with this node, well signed."""

        def script(fields: dict[str, str]) -> bytes:
            text = json.dumps(node, ensure_ascii=False)
            named = name or f"{fields['method'].replace('.', '_')}_response"
            return f'{{"{named}":{text},"sign":"{rsa2.sign(text.encode(), key=self.key)}"}}'.encode()

        self.script = script

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.serving.add(task)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = int(head.lower().partition("content-length:")[2].split()[0])
                fields = dict(parse_qsl((await reader.readexactly(length)).decode(), keep_blank_values=True))
                self.asked.append(fields)
                self.headers.append(head)
                answer = self.script(fields)
                if answer is None:
                    break
                writer.write(
                    f"HTTP/1.1 {self.status}\r\ncontent-length: {len(answer)}\r\n\r\n".encode() + answer
                )
                await writer.drain()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    yield Gateway(ensure_alipay_keys(with_keys(tmp_path)).private)


@pytest.fixture
async def rail(gateway: Gateway, tmp_path: Path) -> AsyncIterator[AlipayRail]:
    server = await asyncio.start_server(gateway.serve, "127.0.0.1", 0)
    rail = AlipayRail(
        gateway=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/gateway.do",
        app_id=APP,
        merchant_key=ensure_merchant_keys(tmp_path).private,
        alipay_key=gateway.key.public_key(),
        now=lambda: NOW,
        capabilities=dataclasses.replace(ALIPAY, timeout_s=5),
    )
    yield rail
    await rail.close()
    server.close()
    for task in gateway.serving:
        task.cancel()
    await asyncio.gather(*gateway.serving)


def told(outcome: Outcome) -> tuple[Result, str | None]:
    assert outcome.code is None or outcome.code in refusals.REFUSALS
    return outcome.result, outcome.code


async def test_a_transfer_is_asked_for_as_the_open_platform_describes(
    rail: AlipayRail, gateway: Gateway
) -> None:
    request = pay_request(amount_fen=123_405, account="a+b&c=d@例.cn", name="欧阳·明月")
    await rail.pay(request)
    (fields,) = gateway.asked
    assert (fields["method"], fields["app_id"], fields["version"]) == (TRANSFER, APP, "1.0")
    assert (fields["charset"], fields["sign_type"], fields["format"]) == ("utf-8", "RSA2", "JSON")
    assert fields["timestamp"] == "2026-11-22 01:30:05"
    assert json.loads(fields["biz_content"]) == {
        "out_biz_no": request.ref,
        "trans_amount": "1234.05",
        "product_code": "TRANS_ACCOUNT_NO_PWD",
        "biz_scene": "DIRECT_TRANSFER",
        "order_title": request.title,
        "payee_info": {
            "identity": "a+b&c=d@例.cn",
            "identity_type": "ALIPAY_LOGON_ID",
            "name": "欧阳·明月",
        },
        "remark": request.purpose,
    }
    assert "charset=utf-8" in gateway.headers[0].lower()
    assert gateway.headers[0].startswith("POST /gateway.do HTTP/1.1")


async def test_what_is_sent_is_signed_by_the_merchant(
    rail: AlipayRail, gateway: Gateway, tmp_path: Path
) -> None:
    await rail.pay(pay_request(account="a+b&c=d@例.cn"))
    await rail.ask(ref="0" * 26)
    public = ensure_merchant_keys(tmp_path).private.public_key()
    for fields in gateway.asked:
        text = rsa2.signed_text(fields, outside=rsa2.OUTSIDE_REQUEST)
        assert rsa2.verifies(text, signature=fields["sign"], key=public)


async def test_a_question_names_the_reference_and_the_product(rail: AlipayRail, gateway: Gateway) -> None:
    await rail.ask(ref="A" * 26)
    assert gateway.asked[0]["method"] == QUERY
    assert json.loads(gateway.asked[0]["biz_content"]) == {
        "out_biz_no": "A" * 26,
        "product_code": "TRANS_ACCOUNT_NO_PWD",
        "biz_scene": "DIRECT_TRANSFER",
    }


BUSINESS = {"code": "40004", "msg": "Business Failed", "sub_msg": "…"}
DOUBT = (Result.UNKNOWN, "far_side_error")


@pytest.mark.parametrize(
    ("sub_code", "expected"),
    [
        *((code, (Result.FAILED, ours)) for code, ours in REFUSALS.items()),
        *((code, (Result.UNKNOWN, ours)) for code, ours in DOUBTS.items()),
        ("PERMIT_NON_BANK_LIMIT_PAYEE", (Result.FAILED, "rail_refused")),
        ("A_CODE_NOBODY_HAS_SEEN", (Result.FAILED, "rail_refused")),
        ("isp.unknow-error", DOUBT),
        ("aop.unknow-error", DOUBT),
        ("", DOUBT),
    ],
)
async def test_each_refusal_of_the_business_has_its_name(
    rail: AlipayRail, gateway: Gateway, sub_code: str, expected: tuple[Result, str]
) -> None:
    gateway.says(BUSINESS | {"sub_code": sub_code})
    outcome = await rail.pay(pay_request())
    assert told(outcome) == expected
    assert outcome.detail["sub_code"] == (sub_code or "40004")


@pytest.mark.parametrize("code", ["20000", "20001", "40001", "40002", "40003", "40005", "40006", "", "10001"])
async def test_a_refusal_of_the_gateway_says_nothing_of_the_payment(
    rail: AlipayRail, gateway: Gateway, code: str
) -> None:
    gateway.says({"code": code, "sub_code": "isv.invalid-signature"})
    assert told(await rail.pay(pay_request())) == DOUBT
    assert told(await rail.ask(ref="A" * 26)) == DOUBT


async def test_only_the_missing_order_is_not_found(rail: AlipayRail, gateway: Gateway) -> None:
    gateway.says(BUSINESS | {"sub_code": "ORDER_NOT_EXIST"})
    assert told(await rail.ask(ref="A" * 26)) == (Result.FAILED, "not_found")
    for sub_code in ("SYSTEM_ERROR", "INVALID_PARAMETER", "PAYEE_NOT_EXIST", "ILLEGAL_ACCESS"):
        gateway.says(BUSINESS | {"sub_code": sub_code})
        assert (await rail.ask(ref="A" * 26)).result is Result.UNKNOWN


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("SUCCESS", (Result.SUCCEEDED, None)),
        ("DEALING", (Result.PROCESSING, None)),
        ("WAIT_PAY", (Result.PROCESSING, None)),
        ("INIT", (Result.PROCESSING, None)),
        ("FAIL", (Result.FAILED, "rail_refused")),
        ("CLOSED", (Result.FAILED, "rail_refused")),
        ("REFUND", (Result.REVERSED, None)),
        ("SOMETHING_NEW", DOUBT),
        ("", DOUBT),
    ],
)
async def test_each_status_has_its_result(
    rail: AlipayRail, gateway: Gateway, status: str, expected: tuple[Result, str | None]
) -> None:
    request = pay_request()
    gateway.says({"code": "10000", "out_biz_no": request.ref, "status": status, "order_id": "2026"})
    assert told(await rail.pay(request)) == expected
    assert told(await rail.ask(ref=request.ref)) == expected


async def test_a_failed_order_tells_why(rail: AlipayRail, gateway: Gateway) -> None:
    ref = "A" * 26
    gateway.says(
        {"code": "10000", "out_biz_no": ref, "status": "FAIL", "error_code": "PAYEE_USER_INFO_ERROR"}
    )
    assert told(await rail.ask(ref=ref)) == (Result.FAILED, "payee_name_mismatch")


async def test_the_amount_that_really_moved_is_told(rail: AlipayRail, gateway: Gateway) -> None:
    ref = "A" * 26
    said = {
        "code": "10000",
        "out_biz_no": ref,
        "status": "SUCCESS",
        "order_id": "20261122",
        "pay_date": "2026-11-22 01:30:05",
    }
    gateway.says(said | {"trans_amount": "1234.05"})
    outcome = await rail.ask(ref=ref)
    assert (outcome.amount_fen, outcome.far_ref) == (123_405, "20261122")
    assert outcome.detail == {"status": "SUCCESS", "paid_at": "2026-11-22 01:30:05"}
    for odd in ("1e3", "-5.00", "1.001", "", "NaN"):
        gateway.says(said | {"trans_amount": odd})
        assert told(await rail.ask(ref=ref)) == DOUBT


async def test_a_genuine_answer_about_another_payment_is_not_believed(
    rail: AlipayRail, gateway: Gateway
) -> None:
    gateway.says({"code": "10000", "out_biz_no": "B" * 26, "status": "SUCCESS", "order_id": "1"})
    assert told(await rail.pay(pay_request())) == (Result.UNKNOWN, "answer_unproven")
    assert told(await rail.ask(ref="A" * 26)) == (Result.UNKNOWN, "answer_unproven")
    gateway.says({"code": "10000", "status": "SUCCESS", "order_id": "1"})
    assert told(await rail.ask(ref="A" * 26)) == (Result.UNKNOWN, "answer_unproven")


async def test_an_answer_signed_by_the_merchant_is_not_alipays(
    rail: AlipayRail, gateway: Gateway, tmp_path: Path
) -> None:
    gateway.key = ensure_merchant_keys(tmp_path).private
    gateway.says(BUSINESS | {"sub_code": "PAYEE_NOT_EXIST"})
    assert told(await rail.pay(pay_request())) == (Result.UNKNOWN, "answer_unproven")


async def test_an_unsigned_error_is_not_believed(rail: AlipayRail, gateway: Gateway) -> None:
    gateway.script = lambda _: b'{"error_response":{"code":"40002","sub_code":"isv.invalid-app-id"}}'
    assert told(await rail.pay(pay_request())) == (Result.UNKNOWN, "answer_unproven")


@pytest.mark.parametrize("status", ["200 OK", "502 Bad Gateway", "302 Found", "404 Not Found"])
async def test_a_page_in_place_of_an_answer_is_a_doubt(
    rail: AlipayRail, gateway: Gateway, status: str
) -> None:
    gateway.status = status
    gateway.script = lambda _: b"<html>nginx</html>"
    assert told(await rail.pay(pay_request())) == DOUBT


async def test_a_hang_up_is_a_lost_answer(rail: AlipayRail) -> None:
    assert told(await rail.pay(pay_request())) == (Result.UNKNOWN, "answer_lost")


async def test_a_closed_door_is_not_sent_for_a_payment_and_unknown_for_a_question(tmp_path: Path) -> None:
    with_keys(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    keys = ensure_merchant_keys(tmp_path)
    rail = AlipayRail(
        gateway=f"http://127.0.0.1:{port}/gateway.do",
        app_id=APP,
        merchant_key=keys.private,
        alipay_key=keys.private.public_key(),
        now=lambda: NOW,
    )
    assert told(await rail.pay(pay_request())) == (Result.FAILED, "not_sent")
    # A question that did not leave says nothing of the payment it was about.
    assert told(await rail.ask(ref="A" * 26)) == (Result.UNKNOWN, "not_sent")
    with pytest.raises(FarSideUnreachable):
        await rail.statement(since=NOW - timedelta(days=1), until=NOW)
    await rail.close()


def log_page(rows: list[dict[str, str]], *, total: int) -> dict[str, object]:
    return {
        "code": "10000",
        "page_no": "1",
        "page_size": "2000",
        "total_size": str(total),
        "detail_list": rows,
    }


def row(**more: str) -> dict[str, str]:
    return {
        "trans_dt": "2026-11-22 00:10:00",
        "alipay_order_no": "2026",
        "merchant_order_no": "A" * 26,
        "trans_amount": "100.00",
        "type": "转账",
        "direction": "支出",
    } | more


async def test_a_statement_is_read_in_pieces_of_at_most_31_days(rail: AlipayRail, gateway: Gateway) -> None:
    gateway.says(log_page([], total=0))
    assert list(await rail.statement(since=NOW - timedelta(days=70), until=NOW)) == []
    asked = [json.loads(fields["biz_content"]) for fields in gateway.asked]
    assert [(piece["start_time"], piece["end_time"]) for piece in asked] == [
        ("2026-09-13 01:30:05", "2026-10-14 01:30:05"),
        ("2026-10-14 01:30:05", "2026-11-14 01:30:05"),
        ("2026-11-14 01:30:05", "2026-11-22 01:30:05"),
    ]


async def test_a_statement_is_read_page_by_page_to_its_end(rail: AlipayRail, gateway: Gateway) -> None:
    pages = {"1": [row(merchant_order_no="A"), row(merchant_order_no="B")], "2": [row(merchant_order_no="C")]}

    def script(fields: dict[str, str]) -> bytes | None:
        gateway.says(log_page(pages[json.loads(fields["biz_content"])["page_no"]], total=3))
        answer, gateway.script = gateway.script(fields), script
        return answer

    gateway.script = script
    lines = await rail.statement(since=NOW - timedelta(days=1), until=NOW)
    assert [line.ref for line in lines] == ["A", "B", "C"]


async def test_a_statement_tells_our_transfers_and_those_that_came_back(
    rail: AlipayRail, gateway: Gateway
) -> None:
    rows = [
        row(),
        row(type="收费", merchant_order_no="A"),
        row(type="提现", merchant_order_no=""),
        row(direction="收入", trans_amount="100.00"),
        row(merchant_order_no="B", trans_amount="-7.50"),
    ]
    gateway.says(log_page(rows, total=5))
    lines = await rail.statement(since=NOW - timedelta(days=1), until=NOW)
    assert [(line.ref[:1], line.amount_fen, line.reversed) for line in lines] == [
        ("A", 10_000, False),
        ("A", 10_000, True),
        ("B", 750, False),
    ]
    assert lines[0].at == datetime(2026, 11, 21, 16, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    "node",
    [
        BUSINESS | {"sub_code": "SYSTEM_ERROR"},
        {"code": "10000"},
        {"code": "10000", "total_size": "1", "detail_list": "none"},
        log_page([row(trans_dt="yesterday")], total=1),
        log_page([row(trans_amount="a lot")], total=1),
        {"code": "10000", "total_size": "1", "detail_list": ["text"]},
    ],
)
async def test_a_statement_that_cannot_be_read_is_no_statement(
    rail: AlipayRail, gateway: Gateway, node: Mapping[str, object]
) -> None:
    gateway.says(node)
    with pytest.raises(FarSideUnreachable):
        await rail.statement(since=NOW - timedelta(days=1), until=NOW)


async def test_names_with_every_difficult_character_arrive_as_they_are(
    rail: AlipayRail, gateway: Gateway
) -> None:
    for name in ("王&李=张+赵", "100%", "𠮷野家", 'a"b\\c/d', "阿卜杜·拉 赫曼", "\u200b王"):
        await rail.pay(pay_request(name=name))
        assert json.loads(gateway.asked[-1]["biz_content"])["payee_info"]["name"] == name
