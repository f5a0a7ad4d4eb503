"""`CamaraSubscribers` against the sandbox: who somebody is, and what their line has."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from airback.adapters.carrier.camara import CamaraSubscribers
from airback.domain.ports.carrier import CodeCheck, CodeRefused, FarSideUnreachable, LineStatus
from tests.sandbox.running import RunningSandbox

TEXT = "【回话费】验证码 {{code}},5 分钟内有效。"


@pytest.fixture
async def subscribers(sandbox: RunningSandbox) -> AsyncIterator[CamaraSubscribers]:
    adapter = CamaraSubscribers(base_url=sandbox.url, token=sandbox.token)
    yield adapter
    await adapter.close()
    sandbox.call("DELETE", "/sandbox/faults")


def open_line(sandbox: RunningSandbox, **more: Any) -> str:
    number = f"139{secrets.randbelow(10**8):08d}"
    one = {"number": number, "carrier": "cmcc", **more}
    assert sandbox.call("POST", "/sandbox/subscribers", {"subscribers": [one]})[1] == {"added": 1}
    return number


def heard(sandbox: RunningSandbox, number: str) -> dict[str, Any]:
    newest: dict[str, Any] = sandbox.call("GET", f"/sandbox/sms?number={number}")[1]["messages"][0]
    return newest


async def test_a_lines_standing_and_balance_are_read(
    sandbox: RunningSandbox, subscribers: CamaraSubscribers
) -> None:
    expires = (sandbox.clock() + timedelta(days=90)).replace(microsecond=0)
    number = open_line(
        sandbox,
        principal_fen=10_050,
        promotional_fen=777,
        keep_alive_fen=1_000,
        charges_due_fen=50,
        province="广东",
        expires_at=expires.isoformat(),
    )
    line = await subscribers.inspect(number)
    assert line is not None
    assert (line.number, line.carrier, line.status, line.province) == (
        number,
        "cmcc",
        LineStatus.ACTIVE,
        "广东",
    )
    assert (line.principal_fen, line.promotional_fen, line.reserved_fen, line.sellable_fen) == (
        10_050,
        777,
        0,
        9_000,
    )
    assert line.expires_at == expires


async def test_the_carrier_is_asked_and_not_guessed_from_the_prefix(
    sandbox: RunningSandbox, subscribers: CamaraSubscribers
) -> None:
    ported = open_line(sandbox, carrier="cucc", ported_from="cmcc")
    line = await subscribers.inspect(ported)
    assert line is not None
    assert line.carrier == "cucc"


async def test_dead_suspended_and_unknown_numbers_are_told_apart(
    sandbox: RunningSandbox, subscribers: CamaraSubscribers
) -> None:
    for status in ("dead", "suspended"):
        line = await subscribers.inspect(open_line(sandbox, status=status, principal_fen=5_000))
        assert line is not None
        assert line.status == status
    assert await subscribers.inspect("13999999999") is None


async def test_an_expired_balance_sells_nothing(
    sandbox: RunningSandbox, subscribers: CamaraSubscribers
) -> None:
    gone = (sandbox.clock() - timedelta(days=1)).isoformat()
    line = await subscribers.inspect(open_line(sandbox, principal_fen=5_000, expires_at=gone))
    assert line is not None
    assert (line.principal_fen, line.sellable_fen) == (5_000, 0)


async def test_a_code_is_sent_checked_and_worn_out(
    sandbox: RunningSandbox, subscribers: CamaraSubscribers
) -> None:
    number = open_line(sandbox)
    identifier = await subscribers.send_code(number=number, text=TEXT)
    message = heard(sandbox, number)
    assert message["text"] == TEXT.replace("{{code}}", message["code"])
    wrong = f"{(int(message['code']) + 1) % 1_000_000:06d}"
    assert await subscribers.check_code(authentication_id=identifier, code=wrong) is CodeCheck.WRONG
    assert await subscribers.check_code(authentication_id=identifier, code="x" * 40) is CodeCheck.WRONG
    assert await subscribers.check_code(authentication_id=identifier, code=message["code"]) is CodeCheck.RIGHT
    assert (
        await subscribers.check_code(authentication_id=identifier, code=message["code"]) is CodeCheck.EXPIRED
    )
    assert await subscribers.check_code(authentication_id="unknown", code="123456") is CodeCheck.EXPIRED


async def test_too_many_wrong_codes_are_too_many(
    sandbox: RunningSandbox, subscribers: CamaraSubscribers
) -> None:
    number = open_line(sandbox)
    identifier = await subscribers.send_code(number=number, text=TEXT)
    wrong = f"{(int(heard(sandbox, number)['code']) + 1) % 1_000_000:06d}"
    said = [await subscribers.check_code(authentication_id=identifier, code=wrong) for _ in range(4)]
    assert said == [CodeCheck.WRONG, CodeCheck.WRONG, CodeCheck.TOO_MANY, CodeCheck.TOO_MANY]


@pytest.mark.parametrize(
    ("more", "refusal"),
    [
        ({"messages": "barred"}, "code_undeliverable"),
        ({"messages": "impossible"}, "code_undeliverable"),
        ({"status": "dead"}, "number_dead"),
    ],
)
async def test_numbers_that_cannot_be_sent_a_code_are_refused_by_name(
    sandbox: RunningSandbox, subscribers: CamaraSubscribers, more: dict[str, Any], refusal: str
) -> None:
    with pytest.raises(CodeRefused) as caught:
        await subscribers.send_code(number=open_line(sandbox, **more), text=TEXT)
    assert caught.value.code == refusal


async def test_codes_asked_for_too_often_are_refused(
    sandbox: RunningSandbox, subscribers: CamaraSubscribers
) -> None:
    number = open_line(sandbox)
    with pytest.raises(CodeRefused) as caught:
        for _ in range(20):
            await subscribers.send_code(number=number, text=TEXT)
    assert caught.value.code == "code_too_many"


async def test_a_devices_number_is_verified_where_the_network_can(
    sandbox: RunningSandbox, subscribers: CamaraSubscribers
) -> None:
    number = open_line(sandbox)
    token = sandbox.call("POST", "/sandbox/tokens", {"number": number})[1]["access_token"]
    assert await subscribers.holds_number(number=number, device_token=token) is True
    assert await subscribers.holds_number(number=open_line(sandbox), device_token=token) is False
    by_wifi = sandbox.call("POST", "/sandbox/tokens", {"number": number, "by_network": False})[1][
        "access_token"
    ]
    assert await subscribers.holds_number(number=number, device_token=by_wifi) is None
    assert await subscribers.holds_number(number=number, device_token="forged") is None


async def test_a_changed_sim_is_told(sandbox: RunningSandbox, subscribers: CamaraSubscribers) -> None:
    changed = open_line(sandbox, sim_changed_at=(sandbox.clock() - timedelta(hours=30)).isoformat())
    assert await subscribers.sim_swapped(number=changed, within_hours=72) is True
    assert await subscribers.sim_swapped(number=changed, within_hours=24) is False
    assert (
        await subscribers.sim_swapped(number=open_line(sandbox, sim_swap_served=False), within_hours=24)
        is None
    )
    assert await subscribers.sim_swapped(number="13999999998", within_hours=24) is None
    with pytest.raises(ValueError, match="within_hours"):
        await subscribers.sim_swapped(number=changed, within_hours=2_401)


async def test_an_unreachable_carrier_is_said_to_be(sandbox: RunningSandbox) -> None:
    nobody = CamaraSubscribers(base_url="http://127.0.0.1:1")
    for asked in (
        nobody.inspect("13800138000"),
        nobody.send_code(number="13800138000", text=TEXT),
        nobody.check_code(authentication_id="x", code="123456"),
        nobody.holds_number(number="13800138000", device_token="x"),
        nobody.sim_swapped(number="13800138000", within_hours=24),
    ):
        with pytest.raises(FarSideUnreachable) as caught:
            await asked
        assert "13800138000" not in str(caught.value)
    await nobody.close()


async def test_a_reading_that_was_broken_off_is_tried_once_more(
    sandbox: RunningSandbox, subscribers: CamaraSubscribers
) -> None:
    sandbox.call("POST", "/sandbox/faults", {"operation": "inspect", "fault": "outage", "next": 1})
    assert await subscribers.inspect("13800138000") is not None
    sandbox.call("POST", "/sandbox/faults", {"operation": "inspect", "fault": "outage", "next": 2})
    with pytest.raises(FarSideUnreachable):
        await subscribers.inspect("13800138000")


async def test_a_wrong_token_is_no_answer(sandbox: RunningSandbox) -> None:
    stranger = CamaraSubscribers(base_url=sandbox.url, token="wrong")
    with pytest.raises(FarSideUnreachable) as caught:
        await stranger.inspect("13800138000")
    assert "401" in caught.value.reason
    await stranger.close()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"{}",
        b"[1]",
        b"[{}]",
        b'[{"name":"principal"}]',
        b'[{"name":"principal","status":"active","remainingValue":{"amount":1.005,"units":"CNY"},"reservedValue":{"amount":0},"relatedParty":[{"id":"cmcc","role":"carrier"}]}]',
        b'[{"name":"principal","status":"active","remainingValue":{"amount":1,"units":"USD"},"reservedValue":{"amount":0},"relatedParty":[{"id":"cmcc","role":"carrier"}]}]',
        b'[{"name":"principal","status":"active","remainingValue":{"amount":1},"reservedValue":{"amount":0},"relatedParty":[{"id":"other","role":"carrier"}]}]',
    ],
)
async def test_an_answer_that_cannot_be_understood_is_no_answer(body: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    adapter = CamaraSubscribers(base_url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    with pytest.raises(FarSideUnreachable):
        await adapter.inspect("13800138000")
    await adapter.close()
    server.close()
    await server.wait_closed()


async def test_a_line_without_the_profiles_fields_is_read_by_the_standards_alone() -> None:
    body = (
        b'[{"name":"principal","status":"active","remainingValue":{"amount":99.9,"units":"CNY"},'
        b'"reservedValue":{"amount":9.9,"units":"CNY"},"relatedParty":[{"id":"ctcc","role":"carrier"}]}]'
    )

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    adapter = CamaraSubscribers(base_url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    line = await adapter.inspect("18900000000")
    assert line is not None
    assert (line.carrier, line.status, line.sellable_fen, line.expires_at) == (
        "ctcc",
        LineStatus.ACTIVE,
        9_000,
        None,
    )
    await adapter.close()
    server.close()
    await server.wait_closed()
