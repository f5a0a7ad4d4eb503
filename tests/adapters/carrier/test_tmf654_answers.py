"""What `Tmf654Carrier` makes of answers that the sandbox would never give."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airback.adapters.carrier.capabilities import default_capabilities
from airback.adapters.carrier.quantities import from_quantity, to_quantity
from airback.adapters.carrier.tmf654 import Tmf654Carrier
from airback.adapters.http.client import HttpAnswer
from airback.domain.effects import Exchange, Kind, Result
from airback.domain.ports.carrier import (
    FarSideUnreachable,
    HoldKind,
    HoldRequest,
    RedeemRequest,
    ReleaseRequest,
)

NOW = datetime(2026, 11, 21, tzinfo=UTC)
HOLD = HoldRequest(ref="REF1", number="13800138000", amount_fen=1_000, valid_until=NOW + timedelta(hours=1))
RELEASE = ReleaseRequest(
    ref="REF1",
    number="13800138000",
    amount_fen=1_000,
    hold=HoldKind.NATIVE,
    hold_ref="HOLD1",
    hold_far_ref="far1",
)
REDEEM = RedeemRequest(
    ref="REF1",
    to_number="13800138000",
    card_number="1" * 17,
    card_code="2" * 18,
    face_fen=1_000,
    purpose="fil_1",
)
GOOD = {
    "id": "far1",
    "status": "completed",
    "clientReference": "REF1",
    "amount": {"amount": 10, "units": "CNY"},
}


def _unkept() -> Exchange:
    raise AssertionError("nothing of a statement is kept")


@asynccontextmanager
async def carrier_answering(status: int, body: Any) -> AsyncIterator[Tmf654Carrier]:
    """A carrier that gives one answer to everything."""
    text = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        for line in head.decode().lower().split("\r\n"):
            if line.startswith("content-length:"):
                await reader.readexactly(int(line[15:]))
        writer.write(
            f"HTTP/1.1 {status} X\r\nContent-Length: {len(text)}\r\nConnection: close\r\n\r\n".encode() + text
        )
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    carrier = Tmf654Carrier(
        base_url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}",
        capabilities=default_capabilities("cmcc"),
    )
    try:
        yield carrier
    finally:
        await carrier.close()
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize(
    ("status", "body", "result", "code"),
    [
        (201, GOOD, Result.SUCCEEDED, None),
        (200, GOOD, Result.SUCCEEDED, None),
        (201, GOOD | {"status": "created"}, Result.PROCESSING, None),
        (201, GOOD | {"status": "failed"}, Result.FAILED, "hold_refused"),
        (201, GOOD | {"status": "failed", "failure": {"code": "line.dead"}}, Result.FAILED, "number_dead"),
        (201, GOOD | {"status": "cancelled"}, Result.FAILED, "hold_unknown"),
        # success that cannot be understood is not success, and not failure either
        (201, GOOD | {"status": "acknowledged"}, Result.UNKNOWN, "far_side_error"),
        (201, GOOD | {"id": ""}, Result.UNKNOWN, "far_side_error"),
        (201, GOOD | {"clientReference": "OTHER"}, Result.UNKNOWN, "far_side_error"),
        (201, GOOD | {"amount": {"amount": 10.005, "units": "CNY"}}, Result.UNKNOWN, "far_side_error"),
        (201, GOOD | {"amount": {"amount": 10, "units": "USD"}}, Result.UNKNOWN, "far_side_error"),
        (201, GOOD | {"amount": {"amount": 0, "units": "CNY"}}, Result.UNKNOWN, "far_side_error"),
        (201, GOOD | {"amount": {"amount": -1, "units": "CNY"}}, Result.UNKNOWN, "far_side_error"),
        (201, GOOD | {"amount": {"amount": 999_999_999, "units": "CNY"}}, Result.UNKNOWN, "far_side_error"),
        (201, GOOD | {"amount": {"amount": "10"}}, Result.UNKNOWN, "far_side_error"),
        (201, GOOD | {"amount": 10}, Result.UNKNOWN, "far_side_error"),
        (201, [GOOD], Result.UNKNOWN, "far_side_error"),
        (201, b"", Result.UNKNOWN, "far_side_error"),
        (201, b"{", Result.UNKNOWN, "far_side_error"),
        (204, b"", Result.UNKNOWN, "far_side_error"),
        (302, b"", Result.UNKNOWN, "far_side_error"),
        # errors
        (409, {"code": "balance.insufficient", "reason": "x"}, Result.FAILED, "balance_insufficient"),
        (409, {"code": "request.refused", "reason": "x"}, Result.FAILED, "hold_refused"),
        (409, {"code": "reference.repeated", "reason": "x"}, Result.UNKNOWN, "reference_repeated"),
        (409, {"code": "something.new", "reason": "x"}, Result.UNKNOWN, "far_side_error"),
        (409, b"<html>conflict</html>", Result.UNKNOWN, "far_side_error"),
        (400, {"code": "INVALID_ARGUMENT", "reason": "x"}, Result.FAILED, "hold_refused"),
        (400, b"<html>bad gateway of some proxy</html>", Result.UNKNOWN, "far_side_error"),
        (404, {"code": "NOT_FOUND", "reason": "x"}, Result.FAILED, "hold_refused"),
        (404, {"code": 404}, Result.UNKNOWN, "far_side_error"),
        (408, {"code": "TIMEOUT", "reason": "x"}, Result.UNKNOWN, "far_side_error"),
        (401, {"code": "UNAUTHENTICATED", "reason": "x"}, Result.FAILED, "not_sent"),
        (403, {"code": "PERMISSION_DENIED", "reason": "x"}, Result.FAILED, "not_sent"),
        (429, {"code": "TOO_MANY_REQUESTS", "reason": "x"}, Result.FAILED, "not_sent"),
        (500, {"code": "balance.insufficient", "reason": "x"}, Result.UNKNOWN, "far_side_error"),
        (503, b"", Result.UNKNOWN, "far_side_error"),
    ],
)
async def test_only_what_is_understood_is_believed(
    status: int, body: Any, result: Result, code: str | None
) -> None:
    async with carrier_answering(status, body) as carrier:
        outcome = await carrier.hold(HOLD)
    assert (outcome.result, outcome.code) == (result, code)
    assert len(outcome.exchanges) == 1


@pytest.mark.parametrize(
    ("status", "body", "result", "code"),
    [
        (200, [GOOD], Result.SUCCEEDED, None),
        (200, [], Result.FAILED, "not_found"),
        (
            200,
            [GOOD | {"clientReference": "OTHER"}],
            Result.UNKNOWN,
            "far_side_error",
        ),  # the filter was ignored
        (200, [GOOD, GOOD | {"id": "far2", "clientReference": "OTHER"}], Result.UNKNOWN, "far_side_error"),
        (200, GOOD, Result.UNKNOWN, "far_side_error"),
        (200, b"no JSON", Result.UNKNOWN, "far_side_error"),
        (
            404,
            {"code": "NOT_FOUND", "reason": "x"},
            Result.UNKNOWN,
            "far_side_error",
        ),  # the address, not the task
        (401, {"code": "UNAUTHENTICATED", "reason": "x"}, Result.UNKNOWN, "far_side_error"),
        (500, b"", Result.UNKNOWN, "far_side_error"),
    ],
)
async def test_a_question_answered_strangely_leaves_it_unknown(
    status: int, body: Any, result: Result, code: str | None
) -> None:
    async with carrier_answering(status, body) as carrier:
        outcome = await carrier.ask(kind=Kind.HOLD, ref="REF1")
    assert (outcome.result, outcome.code) == (result, code)


async def test_an_execution_told_twice_is_told_so() -> None:
    async with carrier_answering(200, [GOOD, GOOD | {"id": "far1-2"}]) as carrier:
        outcome = await carrier.ask(kind=Kind.TRANSFER, ref="REF1")
    assert (outcome.result, outcome.detail) == (Result.SUCCEEDED, {"executions": 2})


@pytest.mark.parametrize(
    ("said", "result", "code"),
    [
        ("reservation.expired", Result.SUCCEEDED, None),
        ("reservation.released", Result.SUCCEEDED, None),
        ("reservation.consumed", Result.FAILED, "release_refused"),
        ("something.new", Result.UNKNOWN, "far_side_error"),
        ("request.refused", Result.FAILED, "release_refused"),
        ("balance.insufficient", Result.FAILED, "release_refused"),
        ("reservation.unknown", Result.FAILED, "hold_unknown"),
    ],
)
async def test_releasing_what_is_not_held(said: str, result: Result, code: str | None) -> None:
    async with carrier_answering(409, {"code": said, "reason": "x"}) as carrier:
        outcome = await carrier.release(RELEASE)
    assert (outcome.result, outcome.code) == (result, code)


async def test_a_release_of_a_hold_nobody_knows_is_not_sent() -> None:
    unnamed = replace(RELEASE, hold_far_ref="")
    async with carrier_answering(200, []) as carrier:
        assert (await carrier.release(unnamed)).code == "hold_unknown"
    async with carrier_answering(500, b"") as carrier:
        assert (await carrier.release(unnamed)).code == "not_sent"


@pytest.mark.parametrize("said", ["bucket.unknown", "receiver.refused", "bucket.untransferable"])
async def test_a_card_that_its_receiver_cannot_take_is_the_receivers_fault(said: str) -> None:
    async with carrier_answering(409, {"code": said, "reason": "x"}) as carrier:
        outcome = await carrier.redeem(REDEEM)
    assert (outcome.result, outcome.code) == (Result.FAILED, "target_refused")


async def test_a_far_side_that_repeats_the_code_does_not_get_it_kept() -> None:
    body = {"code": "voucher.used", "reason": f"voucher {REDEEM.card_code} was used", REDEEM.card_code: 1}
    async with carrier_answering(409, body) as carrier:
        outcome = await carrier.redeem(REDEEM)
    assert outcome.code == "card_used"
    assert REDEEM.card_code not in repr(outcome)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b""),
        (200, b"{"),
        (200, {"x": 1}),
        (200, [{"channel": {"id": "airback"}, "id": "1", "status": "completed"}]),
        (200, [GOOD | {"channel": {"id": "airback"}, "confirmationDate": "yesterday"}]),
    ],
)
async def test_a_statement_that_cannot_be_read_is_no_statement(status: int, body: Any) -> None:
    async with carrier_answering(status, body) as carrier:
        with pytest.raises(FarSideUnreachable):
            await carrier.statement(since=NOW, until=NOW + timedelta(days=1))


async def test_rows_of_other_channels_and_other_carriers_are_not_ours() -> None:
    row = GOOD | {"channel": {"id": "airback"}, "confirmationDate": "2026-11-21T00:00:00Z"}
    others = [row | {"channel": {"id": "shop"}}, row | {"relatedParty": [{"id": "ctcc", "role": "carrier"}]}]
    async with carrier_answering(200, others) as carrier:
        assert await carrier.statement(since=NOW, until=NOW + timedelta(days=1)) == []


async def test_a_statement_of_many_pages_is_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        GOOD | {"id": f"f{at:04d}", "clientReference": f"R{at}", "channel": {"id": "airback"}}
        for at in range(1_200)
    ]
    moments = [NOW + timedelta(seconds=1_200 - at) for at in range(1_200)]
    asked: list[str] = []

    async def call(method: str, path: str, *, query: list[tuple[str, str]], **_: Any) -> HttpAnswer:
        given = dict(query)
        asked.append(f"{path.rsplit('/', 1)[1]} {given['offset']}")
        start, count = int(given["offset"]), int(given["limit"])
        page = [
            row | {"confirmationDate": moment.isoformat()}
            for row, moment in list(zip(rows, moments, strict=True))[start : start + count]
        ]
        body = json.dumps(page if "transfer" in path else []).encode()
        return HttpAnswer(status=200, headers={}, body=body, record=_unkept)

    carrier = Tmf654Carrier(base_url="http://127.0.0.1:1", capabilities=default_capabilities("cmcc"))
    monkeypatch.setattr(carrier._http, "call", call)
    lines = await carrier.statement(since=NOW, until=NOW + timedelta(days=1))
    await carrier.close()
    assert asked == ["transferBalance 0", "transferBalance 500", "transferBalance 1000", "topupBalance 0"]
    assert len(lines) == 1_200
    assert [line.at for line in lines] == sorted(moments)


def test_a_connector_without_a_contract_does_not_start() -> None:
    with pytest.raises(ValueError, match="contract_id"):
        Tmf654Carrier(
            base_url="http://127.0.0.1:1", capabilities=replace(default_capabilities("cmcc"), contract_id="")
        )


@pytest.mark.parametrize("fen", [0, 1, 10, 99, 100, 12_345, 9_999_999_999, -5])
def test_fen_and_quantities_are_the_same_amount(fen: int) -> None:
    assert from_quantity(to_quantity(fen)) == fen
