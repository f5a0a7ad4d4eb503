"""The carriers' books themselves: money is neither made nor lost, and what was recorded stays."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from airback.sandbox.accounts import Accounts, voucher_hash
from airback.sandbox.balance_sheet import reserved_fen, total_fen
from airback.sandbox.cards import issue_into
from airback.sandbox.records import Denied, Subscriber, Task, custody_bucket, principal_bucket, to_micros
from tests.sandbox.running import RunningSandbox, counts_of

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
NUMBERS = ("13800000001", "13800000002", "13800000003")
CUSTODY = custody_bucket("cmcc")


class Day:
    """A clock that stands still until it is pushed."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


class CarrierBooks(RuleBasedStateMachine):
    """Random requests of every kind, good and bad, at random times; the balance sheet holds after each."""

    folder: Path
    runs = 0

    @initialize()
    def open_books(self) -> None:
        type(self).runs += 1
        self.day = Day()
        self.accounts = Accounts(self.folder / str(type(self).runs), now=self.day)
        people = [Subscriber(number=number, carrier="cmcc", principal_fen=10_000) for number in NUMBERS]
        people.append(Subscriber(number="13800000009", carrier="cmcc", status="dead"))
        people.append(Subscriber(number="18900000001", carrier="ctcc", principal_fen=10_000))
        self.accounts.add_subscribers(people)
        self.cards = issue_into(self.accounts, count=8, bad_ppm=300_000, seed=1, now=NOW, carriers=["cmcc"])
        self.reserved: list[str] = []
        self.taken: list[str] = []
        self.serial = 0

    def teardown(self) -> None:
        if hasattr(self, "accounts"):
            self.accounts.close()

    def _run(
        self, *, resource: str, kind: str, fen: int, delayed: bool, twice: bool, **more: object
    ) -> str | None:
        self.serial += 1
        number = more.pop("number", None)
        task = Task(
            id=f"task{self.serial}",
            resource=resource,
            kind=kind,
            client_ref=f"ref{self.serial}" if self.serial % 7 else "repeated",
            carrier="cmcc",
            asked_fen=fen,
            number=number if isinstance(number, str) else None,
            requested_at=to_micros(self.day.now),
            **more,  # type: ignore[arg-type]
        )
        try:
            self.accounts.execute(task, delay_us=5_000_000 if delayed else 0, twice=twice)
        except Denied:
            return None
        return task.id

    amounts = st.integers(min_value=1, max_value=12_000)
    people = st.sampled_from((*NUMBERS, "13800000009", "18900000001", "13800000077"))

    @rule(number=people, fen=amounts, delayed=st.booleans(), twice=st.booleans())
    def reserve(self, number: str, fen: int, delayed: bool, twice: bool) -> None:
        made = self._run(
            resource="reserveBalance",
            kind="hold",
            fen=fen,
            delayed=delayed,
            twice=twice,
            bucket=principal_bucket(number),
            number=number,
        )
        self.reserved += [made] if made else []

    @rule(data=st.data(), number=people, fen=amounts, delayed=st.booleans(), twice=st.booleans())
    def deliver_out_of_a_reservation(
        self, data: st.DataObject, number: str, fen: int, delayed: bool, twice: bool
    ) -> None:
        hold = data.draw(st.sampled_from([*self.reserved, "no-such"]))
        sender = data.draw(st.sampled_from(NUMBERS))
        self._run(
            resource="transferBalance",
            kind="deliver",
            fen=fen,
            delayed=delayed,
            twice=twice,
            bucket=principal_bucket(sender),
            number=sender,
            receiver_bucket=principal_bucket(number),
            receiver_number=number,
            reservation=hold,
        )

    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        hold = data.draw(st.sampled_from([*self.reserved, "no-such"]))
        self.serial += 1
        try:
            self.accounts.release(hold, reference=f"rel{self.serial}", at=to_micros(self.day.now))
        except Denied:
            return

    @rule(number=people, fen=amounts, delayed=st.booleans())
    def take_into_custody(self, number: str, fen: int, delayed: bool) -> None:
        made = self._run(
            resource="transferBalance",
            kind="custody",
            fen=fen,
            delayed=delayed,
            twice=False,
            bucket=principal_bucket(number),
            number=number,
            receiver_bucket=CUSTODY,
            receiver_number="platform",
        )
        self.taken += [made] if made else []

    @rule(data=st.data(), number=people, fen=amounts, back=st.booleans())
    def move_out_of_custody(self, data: st.DataObject, number: str, fen: int, back: bool) -> None:
        self._run(
            resource="transferBalance",
            kind="give_back" if back else "deliver",
            fen=fen,
            delayed=False,
            twice=False,
            bucket=CUSTODY,
            receiver_bucket=principal_bucket(number),
            receiver_number=number,
            releases=data.draw(st.sampled_from([*self.taken, "no-such"])) if back else None,
        )

    @rule(data=st.data(), number=people, delayed=st.booleans(), twice=st.booleans())
    def redeem(self, data: st.DataObject, number: str, delayed: bool, twice: bool) -> None:
        card = data.draw(st.sampled_from(self.cards))
        self._run(
            resource="topupBalance",
            kind="redeem",
            fen=card.face_fen,
            delayed=delayed,
            twice=twice,
            bucket=principal_bucket(number),
            number=number,
            receiver_bucket=principal_bucket(number),
            receiver_number=number,
            voucher_hash=voucher_hash(card.code),
        )

    @rule(number=people, fen=st.integers(min_value=-12_000, max_value=12_000).filter(bool))
    def adjust(self, number: str, fen: int) -> None:
        self._run(
            resource="adjustBalance",
            kind="adjust",
            fen=fen,
            delayed=False,
            twice=False,
            bucket=principal_bucket(number),
            number=number,
        )

    @rule(seconds=st.sampled_from([1, 6, 3_600]))
    def time_passes(self, seconds: int) -> None:
        self.day.now += timedelta(seconds=seconds)

    @invariant()
    def the_books_are_right(self) -> None:
        if not hasattr(self, "accounts"):
            return
        held, expected = total_fen(self.accounts)
        assert held == expected
        assert all(said == open_fen for said, open_fen in reserved_fen(self.accounts))
        with self.accounts.transaction() as connection:
            redeemed = connection.execute(
                "SELECT card_number, count(*) FROM tasks WHERE kind = 'redeem' AND status = 'completed' GROUP BY 1"
            ).fetchall()
        assert all(times == 1 for _, times in redeemed)


def test_no_sequence_of_requests_makes_or_loses_money(tmp_path: Path) -> None:
    CarrierBooks.folder = tmp_path
    run_state_machine_as_test(
        CarrierBooks,
        settings=settings(
            max_examples=15,
            stateful_step_count=25,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_a_balance_below_zero_cannot_be_written(tmp_path: Path) -> None:
    accounts = Accounts(tmp_path, now=lambda: NOW)
    accounts.add_subscribers([Subscriber(number=NUMBERS[0], carrier="cmcc", principal_fen=5)])
    with pytest.raises(sqlite3.IntegrityError), accounts.transaction() as connection:
        connection.execute("UPDATE buckets SET amount_fen = -1 WHERE number = ?", (NUMBERS[0],))
    bucket = accounts.bucket(principal_bucket(NUMBERS[0]))
    assert bucket is not None
    assert bucket["amount_fen"] == 5
    accounts.close()


def test_what_was_executed_is_known_after_a_restart(tmp_path: Path) -> None:
    body = {
        "amount": {"amount": 12.5, "units": "CNY"},
        "usageType": "monetary",
        "bucket": {"id": "13800138000.principal"},
        "partyAccount": {"id": "13800138000"},
        "clientReference": "beforerestart",
    }
    path = "/tmf-api/prepayBalanceManagement/v4/reserveBalance"
    with RunningSandbox(tmp_path, auth=False) as running:
        assert running.call("POST", path, body)[0] == 201
        token = running.token
        calls = counts_of(running.call("GET", "/sandbox/counts")[1])["http_calls"]
    with RunningSandbox(tmp_path, auth=False) as running:
        assert running.token == token
        (task,) = running.call("GET", f"{path}?clientReference=beforerestart")[1]
        assert (task["status"], task["amount"]["amount"]) == ("completed", 12.5)
        assert running.call("POST", path, body)[1]["code"] == "reference.repeated"
        assert counts_of(running.call("GET", "/sandbox/counts")[1])["http_calls"] == calls + 2


_SERVER = """
import asyncio, sys
from pathlib import Path
from airback.sandbox.server import serve
asyncio.run(serve("127.0.0.1:0", Path(sys.argv[1]), auth=False, ready=lambda url: print(url, flush=True)))
"""


def test_a_kill_in_the_middle_loses_nothing_that_was_answered(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    running = RunningSandbox(tmp_path, auth=False)
    running.url = process.stdout.readline().strip()
    path = "/tmf-api/prepayBalanceManagement/v4/topupBalance"
    answered = []
    for at in range(20):
        body = {
            "amount": {"amount": 1, "units": "CNY"},
            "usageType": "monetary",
            "bucket": {"id": "13800138000.principal"},
            "partyAccount": {"id": "13800138000"},
            "clientReference": f"kill{at}",
        }
        answered.append(running.call("POST", path, body)[1]["id"])
    os.kill(process.pid, signal.SIGKILL)
    process.wait(30)
    process.stdout.close()
    with RunningSandbox(tmp_path, auth=False) as again:
        found = [again.call("GET", f"{path}?clientReference=kill{at}")[1][0]["id"] for at in range(20)]
        assert found == answered
        assert again.call("GET", "/sandbox/books")[1]["right"] is True


def test_the_server_stops_by_a_signal_and_says_when_its_address_is_taken(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    taken = _SERVER.replace("127.0.0.1:0", url.removeprefix("http://"))
    second = subprocess.run(
        [sys.executable, "-c", taken, str(tmp_path / "other")], capture_output=True, text=True, timeout=60
    )
    assert second.returncode != 0
    assert "Address already in use" in second.stderr
    started = time.monotonic()
    process.terminate()
    process.wait(30)
    process.stdout.close()
    assert time.monotonic() - started < 20
