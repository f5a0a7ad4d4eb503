"""The server itself: counts, faults, tokens, addresses, limits."""

import http.client
import secrets
import time
from pathlib import Path
from typing import Any

import pytest

from airback.sandbox.server import build
from airback.sandbox.wire import MOST_BODY_BYTES
from tests.sandbox.running import RunningSandbox, counts_of

BASE = "/tmf-api/prepayBalanceManagement/v4"


def deliver(sandbox: RunningSandbox, *, purpose: str, yuan: float = 10) -> tuple[int, Any]:
    """A delivery between two of the first lines."""
    body = {
        "reason": "test",
        "channel": {"id": "tests"},
        "logicalResource": [{"id": "13800138000"}],
        "bucket": {"id": "13800138000.principal"},
        "amount": {"amount": yuan, "units": "CNY"},
        "usageType": "monetary",
        "receiverLogicalResource": {"id": "13900139000"},
        "receiverBucket": {"id": "13900139000.principal"},
        "receiverBucketUsageType": "monetary",
        "purpose": purpose,
        "clientReference": secrets.token_hex(10),
    }
    status, told, _ = sandbox.call("POST", f"{BASE}/transferBalance", body)
    return status, told


def set_faults(sandbox: RunningSandbox, *profiles: dict[str, Any]) -> None:
    assert sandbox.call("POST", "/sandbox/faults", {"profiles": list(profiles)})[0] == 200


def counts(sandbox: RunningSandbox) -> dict[str, int]:
    return counts_of(sandbox.call("GET", "/sandbox/counts")[1])


def test_deliveries_are_counted_once_and_repeats_for_one_purpose_told(open_sandbox: RunningSandbox) -> None:
    before = counts(open_sandbox)
    for purpose in ("fil_a", "fil_b", "fil_b"):
        assert deliver(open_sandbox, purpose=purpose)[0] == 201
    assert deliver(open_sandbox, purpose="fil_c", yuan=100_000)[0] == 409
    after = counts(open_sandbox)
    gained = {name: after[name] - before[name] for name in after}
    assert gained == {
        "http_calls": 4,
        "executions": 3,
        "payments": 0,
        "duplicates": 1,
        "delivered_fen": 3_000,
        "paid_fen": 0,
    }


def test_custody_moves_are_no_deliveries(open_sandbox: RunningSandbox) -> None:
    before = counts(open_sandbox)
    body = {
        "reason": "hold",
        "channel": {"id": "tests"},
        "logicalResource": [{"id": "13000130000"}],
        "bucket": {"id": "13000130000.principal"},
        "amount": {"amount": 5, "units": "CNY"},
        "usageType": "monetary",
        "receiverLogicalResource": {"id": "tests"},
        "receiverBucket": {"id": "custody.cucc"},
        "receiverBucketUsageType": "monetary",
    }
    status, taken, _ = open_sandbox.call("POST", f"{BASE}/transferBalance", body)
    assert status == 201
    back = body | {
        "bucket": {"id": "custody.cucc"},
        "receiverLogicalResource": {"id": "13000130000"},
        "receiverBucket": {"id": "13000130000.principal"},
        "releases": {"id": taken["id"]},
    }
    assert open_sandbox.call("POST", f"{BASE}/transferBalance", back)[0] == 201
    status, error, _ = open_sandbox.call("POST", f"{BASE}/transferBalance", back)
    assert (status, error["code"]) == (409, "balance.insufficient")
    after = counts(open_sandbox)
    assert (after["executions"], after["delivered_fen"]) == (before["executions"], before["delivered_fen"])


def test_a_lost_answer_was_executed_and_an_outage_was_not(open_sandbox: RunningSandbox) -> None:
    before = counts(open_sandbox)["executions"]
    set_faults(open_sandbox, {"operation": "transfer", "fault": "answer_lost", "next": 1})
    with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
        deliver(open_sandbox, purpose="fil_lost")
    assert counts(open_sandbox)["executions"] == before + 1
    set_faults(open_sandbox, {"far_side": "cmcc", "fault": "outage", "next": 1})
    with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
        deliver(open_sandbox, purpose="fil_out")
    assert counts(open_sandbox)["executions"] == before + 1
    assert deliver(open_sandbox, purpose="fil_again")[0] == 201


@pytest.mark.parametrize("fault", ["slow", "late"])
def test_slow_and_late_answers_come_in_the_end(open_sandbox: RunningSandbox, fault: str) -> None:
    set_faults(open_sandbox, {"operation": "transfer", "fault": fault, "delay_ms": 300, "next": 1})
    started = time.monotonic()
    assert deliver(open_sandbox, purpose=f"fil_{fault}{secrets.token_hex(4)}")[0] == 201
    assert time.monotonic() - started >= 0.3


def test_a_duplicated_execution_shows_in_the_counts_and_the_statement(open_sandbox: RunningSandbox) -> None:
    before = counts(open_sandbox)
    set_faults(open_sandbox, {"operation": "transfer", "fault": "duplicated", "next": 1})
    _, task = deliver(open_sandbox, purpose="fil_twice")
    after = counts(open_sandbox)
    assert after["executions"] - before["executions"] == 2
    assert after["duplicates"] - before["duplicates"] == 1
    rows = open_sandbox.call("GET", f"{BASE}/transferBalance?clientReference={task['clientReference']}")[1]
    assert len(rows) == 2


def test_a_wrong_amount_is_told_as_it_was(open_sandbox: RunningSandbox) -> None:
    set_faults(
        open_sandbox, {"operation": "transfer", "fault": "wrong_amount", "amount_ppm": 500_000, "next": 1}
    )
    _, task = deliver(open_sandbox, purpose="fil_half")
    assert task["amount"]["amount"] == 5


def test_a_share_is_drawn_from_the_seed_and_the_number_alone(open_sandbox: RunningSandbox) -> None:
    profile = {"operation": "transfer", "fault": "refusal", "code": "line.suspended", "share_ppm": 500_000}
    drawn: list[int] = []
    while len(set(drawn)) < 2 and len(drawn) < 40:
        set_faults(open_sandbox, profile | {"seed": len(drawn)})
        first = deliver(open_sandbox, purpose="fil_seed", yuan=0.01)[0]
        assert {deliver(open_sandbox, purpose="fil_seed", yuan=0.01)[0] for _ in range(2)} == {first}
        drawn.append(first)
    assert set(drawn) == {201, 409}


@pytest.mark.parametrize(
    "profile",
    [
        {},
        {"fault": "nonsense"},
        {"fault": "slow", "delay_ms": -1},
        {"fault": "slow", "share_ppm": 2_000_000},
        {"fault": "slow", "next": 1.5},
        {"fault": "slow", "far_side": 5},
        {"fault": "refusal", "code": 5},
        {"profiles": "x"},
    ],
)
def test_a_fault_that_cannot_be_read_is_refused(
    open_sandbox: RunningSandbox, profile: dict[str, Any]
) -> None:
    assert open_sandbox.call("POST", "/sandbox/faults", profile)[0] == 400
    assert open_sandbox.call("GET", "/sandbox/faults")[1] == {"profiles": []}


def test_a_carriers_own_address_knows_its_own_lines_only(open_sandbox: RunningSandbox) -> None:
    path = f"{BASE}/bucket?logicalResource.id=13800138000"
    assert len(open_sandbox.call("GET", path)[1]) == 2
    assert len(open_sandbox.call("GET", f"/carriers/cmcc{path}")[1]) == 2
    assert open_sandbox.call("GET", f"/carriers/ctcc{path}")[1] == []
    assert open_sandbox.call("GET", f"/carriers/nobody{path}")[0] == 404


def test_unknown_addresses_and_methods_are_told_in_the_far_sides_manner(open_sandbox: RunningSandbox) -> None:
    status, error, _ = open_sandbox.call("GET", "/tmf-api/nothing")
    assert (status, error["status"]) == (404, "404")
    status, error, _ = open_sandbox.call("PUT", f"{BASE}/bucket", {})
    assert (status, error["status"]) == (405, "405")
    status, error, _ = open_sandbox.call("GET", "/sim-swap/v2/check")
    assert (status, error["status"]) == (405, 405)
    assert open_sandbox.call("GET", "/")[0] == 404


def test_a_body_beyond_the_limit_is_refused(open_sandbox: RunningSandbox) -> None:
    status, error, _ = open_sandbox.call("POST", f"{BASE}/reserveBalance", b"a" * (MOST_BODY_BYTES + 1))
    assert (status, error["status"]) == (413, "413")
    assert open_sandbox.call("GET", f"{BASE}/bucket?limit=1")[0] == 200


def test_lines_are_opened_from_a_seed(open_sandbox: RunningSandbox) -> None:
    ask = {"make": {"count": 50, "seed": "demo", "ported_ppm": 500_000, "dead_ppm": 200_000}}
    status, told, _ = open_sandbox.call("POST", "/sandbox/subscribers", ask)
    assert (status, told["added"]) == (201, 50)
    again = open_sandbox.call("POST", "/sandbox/subscribers", ask)[1]
    assert (again["added"], again["numbers"]) == (0, told["numbers"])
    lines = [
        open_sandbox.call("GET", f"/sandbox/subscribers?number={number}")[1]["subscribers"][0]
        for number, _ in told["numbers"][:20]
    ]
    assert any(line["ported_from"] for line in lines)
    assert {line["status"] for line in lines} == {"active", "dead"}


@pytest.mark.parametrize(
    "line",
    [
        {"number": "123", "carrier": "cmcc"},
        {"number": "13800138001", "carrier": "x"},
        {"number": "13800138001", "carrier": "cmcc", "principal_fen": -1},
        {"number": "13800138001", "carrier": "cmcc", "principal_fen": 1.5},
        {"number": "13800138001", "carrier": "cmcc", "status": "gone"},
        {"number": "13800138001", "carrier": "cmcc", "expires_at": "tomorrow"},
        {"number": "13800138001", "carrier": "cmcc", "typo": 1},
    ],
)
def test_a_line_that_cannot_be_opened_is_refused(open_sandbox: RunningSandbox, line: dict[str, Any]) -> None:
    assert open_sandbox.call("POST", "/sandbox/subscribers", {"subscribers": [line]})[0] == 400


def test_secrets_are_kept_by_their_owner_alone(tmp_path: Path) -> None:
    app = build(tmp_path)
    app.close()
    kept = {path.name: path.stat().st_mode & 0o077 for path in (tmp_path / "sandbox").iterdir()}
    assert {"token", "token_key", "carriers.db", "messages.db"} <= kept.keys()
    assert {kept[name] for name in ("token", "token_key", "carriers.db", "messages.db")} == {0}
