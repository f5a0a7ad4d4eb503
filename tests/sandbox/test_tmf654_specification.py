"""What the sandbox's carriers answer, and what our adapter sends, against the TMF654 specification file."""

import json
import secrets
from datetime import timedelta
from typing import Any

import pytest

from airback.adapters.carrier.capabilities import default_capabilities
from airback.adapters.carrier.tmf654 import Tmf654Carrier
from airback.adapters.http.client import HttpAnswer, encode_json
from airback.domain.ports.carrier import HoldKind, HoldRequest, RedeemRequest, ReleaseRequest, TransferRequest
from tests.sandbox import specifications
from tests.sandbox.running import RunningSandbox

BASE = "/tmf-api/prepayBalanceManagement/v4"


def ask(sandbox: RunningSandbox, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """One call whose answer is held against the specification."""
    status, told, headers = sandbox.call(method, BASE + path, body)
    specifications.tmf654().check_answer(method, BASE + path, status, told)
    assert told is None or headers["content-type"] == "application/json"
    return status, told


def line(sandbox: RunningSandbox, *, fen: int = 10_000, carrier: str = "cmcc", status: str = "active") -> str:
    number = f"137{secrets.randbelow(10**8):08d}"
    one = {"number": number, "carrier": carrier, "principal_fen": fen, "status": status}
    assert sandbox.call("POST", "/sandbox/subscribers", {"subscribers": [one]})[1] == {"added": 1}
    return number


def reserve_body(number: str, yuan: float = 10) -> dict[str, Any]:
    return {
        "amount": {"amount": yuan, "units": "CNY"},
        "usageType": "monetary",
        "bucket": {"id": f"{number}.principal"},
        "partyAccount": {"id": number},
    }


def transfer_body(sender: str, receiver: str, yuan: float = 10) -> dict[str, Any]:
    return {
        "reason": "test",
        "channel": {"id": "tests"},
        "logicalResource": [{"id": sender}],
        "bucket": {"id": f"{sender}.principal"},
        "amount": {"amount": yuan, "units": "CNY"},
        "usageType": "monetary",
        "receiverLogicalResource": {"id": receiver},
        "receiverBucket": {"id": f"{receiver}.principal"},
        "receiverBucketUsageType": "monetary",
    }


def adjust_body(number: str) -> dict[str, Any]:
    body = reserve_body(number)
    del body["partyAccount"]
    return body


def topup_body(number: str, yuan: float = 10) -> dict[str, Any]:
    return reserve_body(number, yuan)


def test_a_new_sandbox_has_lines_to_try_things_on(open_sandbox: RunningSandbox) -> None:
    status, buckets = ask(open_sandbox, "GET", "/bucket")
    assert status == 200
    assert len(buckets) > 10
    assert {party["id"] for bucket in buckets for party in bucket["relatedParty"]} == {
        "cmcc",
        "ctcc",
        "cucc",
        "cbn",
    }


@pytest.mark.parametrize(
    "path",
    [
        "/bucket",
        "/accumulatedBalance",
        "/balanceActionHistory",
        "/reserveBalance",
        "/transferBalance",
        "/topupBalance",
        "/adjustBalance",
    ],
)
def test_every_list_is_as_specified_with_and_without_filters(open_sandbox: RunningSandbox, path: str) -> None:
    one, other = line(open_sandbox), line(open_sandbox)
    open_sandbox.call("POST", f"{BASE}/transferBalance", transfer_body(one, other))
    open_sandbox.call("POST", f"{BASE}/reserveBalance", reserve_body(one))
    open_sandbox.call("POST", f"{BASE}/topupBalance", topup_body(one))
    open_sandbox.call("POST", f"{BASE}/adjustBalance", adjust_body(one))
    status, everything = ask(open_sandbox, "GET", path)
    assert status == 200
    assert everything
    status, few = ask(open_sandbox, "GET", f"{path}?offset=0&limit=1")
    assert (status, len(few)) == (200, 1)
    assert few[0] == everything[0]
    status, mine = ask(open_sandbox, "GET", f"{path}?logicalResource.id={one}")
    assert status == 200
    assert mine
    assert all(one in json.dumps(document) for document in mine)
    status, found = ask(open_sandbox, "GET", f"{path}?id={everything[-1]['id']}")
    assert [document["id"] for document in found] == [everything[-1]["id"]]
    status, selected = ask(open_sandbox, "GET", f"{path}?fields=id&limit=1")
    assert status == 200
    assert "requestedDate" not in selected[0]
    status, again = ask(open_sandbox, "GET", f"{path}/{everything[0]['id']}")
    assert (status, again["id"]) == (200, everything[0]["id"])
    assert ask(open_sandbox, "GET", f"{path}/nothing")[0] == 404
    for query in ("limit=0", "limit=x", "offset=-1"):
        assert ask(open_sandbox, "GET", f"{path}?{query}")[0] == 400


def test_the_whole_number_of_rows_is_told(open_sandbox: RunningSandbox) -> None:
    one = line(open_sandbox)
    for _ in range(3):
        open_sandbox.call("POST", f"{BASE}/reserveBalance", reserve_body(one, 1))
    _, rows, headers = open_sandbox.call("GET", f"{BASE}/reserveBalance?logicalResource.id={one}&limit=2")
    assert (len(rows), headers["x-total-count"], headers["x-result-count"]) == (2, "3", "2")


@pytest.mark.parametrize(
    ("path", "make"),
    [
        ("/reserveBalance", lambda one, other: reserve_body(one)),
        ("/topupBalance", lambda one, other: topup_body(one)),
        ("/adjustBalance", lambda one, other: adjust_body(one)),
        ("/transferBalance", transfer_body),
    ],
)
class TestEachTask:
    """What holds for all four task resources. `make` draws a body with the mandatory fields only."""

    def test_the_mandatory_fields_are_enough(
        self, open_sandbox: RunningSandbox, path: str, make: Any
    ) -> None:
        body = make(line(open_sandbox), line(open_sandbox))
        specifications.tmf654().check_request("POST", BASE + path, body)
        status, task = ask(open_sandbox, "POST", path, body)
        assert (status, task["status"], task["amount"]) == (201, "completed", {"amount": 10, "units": "CNY"})
        assert ask(open_sandbox, "GET", f"{path}/{task['id']}") == (200, task)

    def test_every_mandatory_field_is_missed(
        self, open_sandbox: RunningSandbox, path: str, make: Any
    ) -> None:
        body = make(line(open_sandbox), line(open_sandbox))
        for name in body:
            status, error = ask(open_sandbox, "POST", path, {key: body[key] for key in body if key != name})
            assert status == 400, name
            assert name in error["reason"]

    def test_malformed_bodies_are_400(self, open_sandbox: RunningSandbox, path: str, make: Any) -> None:
        good = make(line(open_sandbox), line(open_sandbox))
        bad = [b"", b"{", b"\xff", b"[]", b"null", b"1", b'{"amount": NaN}', b"[" * 20_000]
        bad += [
            json.dumps(good | change).encode()
            for change in (
                {"amount": 10},
                {"amount": {"amount": "10"}},
                {"amount": {"amount": 0}},
                {"amount": {"amount": True}},
                {"amount": {"amount": 0.001}},
                {"amount": {"amount": 1e30}},
                {"amount": {"amount": 10, "units": "USD"}},
                {"usageType": "gold"},
                {"bucket": "x"},
                {"bucket": {"id": 5}},
                {"bucket": {}},
                {"clientReference": "a b"},
                {"clientReference": 7},
            )
        ]
        for body in bad:
            status, error = ask(open_sandbox, "POST", path, body)
            assert status == 400, body
            assert error["code"]

    def test_business_refusals_are_409_with_a_name(
        self, open_sandbox: RunningSandbox, path: str, make: Any
    ) -> None:
        nobody = "13799999999"
        status, error = ask(open_sandbox, "POST", path, make(nobody, line(open_sandbox)))
        assert status == 409
        assert error["code"] == "bucket.unknown"
        status, error = ask(
            open_sandbox, "POST", path, make(line(open_sandbox), line(open_sandbox)) | {"usageType": "data"}
        )
        assert (status, error["code"]) == (409, "usage.unsupported")

    def test_a_task_accepted_for_later_can_be_cancelled_once(
        self, open_sandbox: RunningSandbox, path: str, make: Any
    ) -> None:
        fault = {"operation": "*", "fault": "processing", "next": 1, "delay_ms": 60_000}
        open_sandbox.call("POST", "/sandbox/faults", fault)
        status, task = ask(open_sandbox, "POST", path, make(line(open_sandbox), line(open_sandbox)))
        assert (status, task["status"]) == (201, "created")
        change: dict[str, Any] = {"status": "cancelled", "reason": "changed my mind"}
        for field in ("receiverLogicalResource", "channel", "logicalResource"):
            change |= {field: task[field]} if field in task else {}
        status, cancelled = ask(open_sandbox, "PATCH", f"{path}/{task['id']}", change)
        assert (status, cancelled["status"]) == (200, "cancelled")
        assert ask(open_sandbox, "PATCH", f"{path}/{task['id']}", change)[0] == 409
        assert ask(open_sandbox, "PATCH", f"{path}/nothing", change)[0] == 404
        assert (
            ask(open_sandbox, "PATCH", f"{path}/{task['id']}", {"status": "completed", "reason": "x"})[0]
            == 400
        )

    def test_records_are_not_deleted(self, open_sandbox: RunningSandbox, path: str, make: Any) -> None:
        _, task = ask(open_sandbox, "POST", path, make(line(open_sandbox), line(open_sandbox)))
        assert ask(open_sandbox, "DELETE", f"{path}/{task['id']}")[0] == 405


def test_a_failed_task_is_told_as_specified(open_sandbox: RunningSandbox) -> None:
    one = line(open_sandbox, fen=500)
    body = reserve_body(one) | {"clientReference": "failing1"}
    assert ask(open_sandbox, "POST", "/reserveBalance", body)[0] == 409
    status, (task,) = ask(open_sandbox, "GET", "/reserveBalance?clientReference=failing1")
    assert (status, task["status"], task["failure"]["code"]) == (200, "failed", "balance.insufficient")


def test_a_subscription_is_made_and_ended(open_sandbox: RunningSandbox) -> None:
    status, hub = ask(
        open_sandbox, "POST", "/hub", {"callback": "http://127.0.0.1:1/listener", "query": "x=1"}
    )
    assert (status, hub["callback"]) == (201, "http://127.0.0.1:1/listener")
    assert ask(open_sandbox, "DELETE", f"/hub/{hub['id']}") == (204, None)
    assert ask(open_sandbox, "DELETE", f"/hub/{hub['id']}")[0] == 404
    assert ask(open_sandbox, "POST", "/hub", {"query": "x"})[0] == 400


def test_without_a_token_nothing_is_told(sandbox: RunningSandbox) -> None:
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": f"Basic {sandbox.token}"}):
        status, error, _ = sandbox.call("GET", f"{BASE}/bucket", headers=headers)
        assert status == 401
        specifications.tmf654().check_answer("GET", f"{BASE}/bucket", status, error)
    status, _, _ = sandbox.call("GET", f"{BASE}/bucket", headers={"authorization": f"Bearer {sandbox.token}"})
    assert status == 200


@pytest.mark.parametrize("code", ["cmcc", "cucc"])
async def test_what_our_adapter_sends_and_is_told_is_as_specified(
    sandbox: RunningSandbox, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    specification = specifications.tmf654()
    capabilities = default_capabilities(code)
    carrier = Tmf654Carrier(base_url=sandbox.url, capabilities=capabilities, token=sandbox.token)
    original = carrier._http.call
    calls = 0

    async def checked(method: str, path: str, **more: Any) -> HttpAnswer:
        nonlocal calls
        calls += 1
        if more.get("json") is not None:
            specification.check_request(method, path, json.loads(encode_json(more["json"])))
        answer = await original(method, path, **more)
        specification.check_answer(
            method, path, answer.status, json.loads(answer.body) if answer.body else None
        )
        return answer

    monkeypatch.setattr(carrier._http, "call", checked)
    seller, buyer = line(sandbox, carrier=code), line(sandbox, carrier=code)
    _, told, _ = sandbox.call("POST", "/sandbox/cards", {"count": 1, "carriers": [code]})
    card = told["cards"][0]
    until = sandbox.clock() + timedelta(hours=1)
    refs = [secrets.token_hex(12) for _ in range(5)]
    held = await carrier.hold(HoldRequest(ref=refs[0], number=seller, amount_fen=5_005, valid_until=until))
    far_ref = held.far_ref or ""
    sent = await carrier.transfer(
        TransferRequest(
            ref=refs[1],
            from_number=seller,
            to_number=buyer,
            amount_fen=3_003,
            hold=capabilities.hold,
            hold_ref=refs[0],
            hold_far_ref=far_ref,
            purpose="fil_1",
        )
    )
    redeemed = await carrier.redeem(
        RedeemRequest(
            ref=refs[2],
            to_number=buyer,
            card_number=card["card_number"],
            card_code=card["code"],
            face_fen=card["face_fen"],
            purpose="fil_2",
        )
    )
    released = await carrier.release(
        ReleaseRequest(
            ref=refs[3],
            number=seller,
            amount_fen=2_002,
            hold=capabilities.hold,
            hold_ref=refs[0],
            hold_far_ref=far_ref,
        )
    )
    refused = await carrier.hold(HoldRequest(ref=refs[4], number=seller, amount_fen=10**8, valid_until=until))
    assert [str(one.result) for one in (held, sent, redeemed, released, refused)] == ["succeeded"] * 4 + [
        "failed"
    ]
    await carrier.statement(since=sandbox.clock() - timedelta(hours=1), until=until)
    assert calls == 7
    assert capabilities.hold in (HoldKind.NATIVE, HoldKind.CUSTODY)
    await carrier.close()
