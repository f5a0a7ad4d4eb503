"""What every adapter of the Rail port must do. Subclass, provide the `stage` fixture, and run it with pytest:

    class TestMyRail(FarRailConformance):
        @pytest.fixture
        async def stage(self, tmp_path): yield MyStage(...)

`RailConformance` holds for every rail; `FarRailConformance` adds what holds for a rail with a far side that can be
told to misbehave (your provider's sandbox, or a server of your own). A stage drives that far side.
"""

import asyncio
import dataclasses
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

from airback.domain import refusals
from airback.domain.effects import Kind, Outcome, Result
from airback.domain.ids import new_reference
from airback.domain.ports.rail import PayRequest, Rail


class Stage(Protocol):
    """A rail, and how its far side is driven. `now` is the clock both of them go by."""

    rail: Rail

    def now(self) -> datetime:
        """The present moment, UTC."""


class FarStage(Stage, Protocol):
    """A stage whose far side keeps books and misbehaves on demand, once each time it is told."""

    #: Something that is genuine except that it is not signed by the far side, or about another account.
    forgeries: list[Callable[[bytes], bytes]]

    async def paid(self) -> tuple[int, int]:
        """Payments executed and their sum in fen, as the far side itself counts, ever."""

    async def open_account(self, *, account: str, name: str) -> None:
        """Let an account exist whose holder has that name."""

    async def misbehave(self, what: str) -> None:
        """At the next payment: `lose_answer` and `spoil_signature` after executing it, `refuse` without, `take_time`."""

    async def misbehave_when_asked(self, what: str) -> None:
        """The same at the next question."""

    async def let_time_take_its_course(self) -> None:
        """Return once a payment that takes time has succeeded."""

    async def notification(self, ref: str) -> tuple[dict[str, str], bytes]:
        """Headers and body of the far side's genuine message about a payment, made now."""


def pay_request(
    *, amount_fen: int = 4_321, account: str = "13800138000", name: str = "王小明", ref: str | None = None
) -> PayRequest:
    """A request with a reference of its own."""
    return PayRequest(
        ref=ref or new_reference(entropy=secrets.token_bytes),
        amount_fen=amount_fen,
        payee_account=account,
        payee_name=name,
        purpose=f"pay_{secrets.token_hex(6)}",
        title="话费转让款",
    )


class Books:
    """What the far side's books say since the beginning of a test: other tests may have paid before."""

    def __init__(self, far: FarStage, before: tuple[int, int]) -> None:
        self._far = far
        self._before = before

    @classmethod
    async def open(cls, far: FarStage) -> "Books":
        return cls(far, await far.paid())

    async def say(self, *, payments: int, paid_fen: int) -> bool:
        now = await self._far.paid()
        return (now[0] - self._before[0], now[1] - self._before[1]) == (payments, paid_fen)


def assert_orderly(outcome: Outcome) -> None:
    """A refusal is named, a doubt says why, success bears the far side's reference, and nothing secret is shown."""
    if outcome.result in (Result.FAILED, Result.UNKNOWN):
        assert outcome.code in refusals.REFUSALS
    if outcome.result is Result.SUCCEEDED:
        assert outcome.code is None
        assert outcome.far_ref


class RailConformance:
    """Holds for every rail."""

    async def test_a_payment_succeeds_with_a_reference_of_the_far_side(self, stage: Stage) -> None:
        outcome = await stage.rail.pay(pay_request())
        assert outcome.result is Result.SUCCEEDED
        assert_orderly(outcome)

    async def test_asking_tells_what_paying_told(self, stage: Stage) -> None:
        request = pay_request()
        paid = await stage.rail.pay(request)
        asked = await stage.rail.ask(ref=request.ref)
        assert (asked.result, asked.far_ref) == (paid.result, paid.far_ref)
        assert asked.amount_fen in (None, request.amount_fen)

    async def test_the_same_request_again_has_the_same_outcome(self, stage: Stage) -> None:
        request = pay_request()
        first, second = await stage.rail.pay(request), await stage.rail.pay(request)
        assert (first.result, first.far_ref) == (second.result, second.far_ref)

    async def test_any_amount_within_the_limits_is_paid(self, stage: Stage) -> None:
        for amount_fen in (stage.rail.capabilities.least_fen, stage.rail.capabilities.most_fen):
            assert (await stage.rail.pay(pay_request(amount_fen=amount_fen))).result is Result.SUCCEEDED

    async def test_noise_is_no_notification(self, stage: Stage) -> None:
        for body in (b"", b"\x00\xff", b"{}", b"a=1&a=2", b"sign=%ZZ", b"x" * 1_000_000):
            assert stage.rail.read_notification(headers={}, body=body, now=stage.now()) is None

    async def test_capabilities_make_sense(self, stage: Stage) -> None:
        capabilities = stage.rail.capabilities
        assert capabilities.name.isidentifier()
        assert 0 < capabilities.least_fen <= capabilities.most_fen
        assert 0 < capabilities.ask_every_s <= capabilities.ask_at_most_every_s
        assert capabilities.not_found_final_after_s > capabilities.timeout_s
        assert min(capabilities.requests_per_s, capabilities.concurrency, capabilities.timeout_s) > 0

    async def test_a_statement_of_a_time_before_us_is_empty(self, stage: Stage) -> None:
        day = datetime(2020, 1, 1, tzinfo=UTC)
        assert list(await stage.rail.statement(since=day, until=day + timedelta(days=1))) == []


class FarRailConformance(RailConformance):
    """Holds for every rail with a far side."""

    async def test_a_reference_never_seen_is_not_found(self, far: FarStage) -> None:
        outcome = await far.rail.ask(ref=new_reference(entropy=secrets.token_bytes))
        assert (outcome.result, outcome.code) == (Result.FAILED, "not_found")

    async def test_the_same_request_twice_is_one_payment(self, far: FarStage) -> None:
        books = await Books.open(far)
        request = pay_request(amount_fen=10_000)
        await far.rail.pay(request)
        await far.rail.pay(request)
        assert await books.say(payments=1, paid_fen=10_000)

    async def test_the_same_request_many_times_at_once_is_one_payment(self, far: FarStage) -> None:
        books = await Books.open(far)
        request = pay_request(amount_fen=10_000)
        outcomes = await asyncio.gather(*(far.rail.pay(request) for _ in range(8)))
        assert {outcome.result for outcome in outcomes} == {Result.SUCCEEDED}
        assert await books.say(payments=1, paid_fen=10_000)

    async def test_a_reference_repeated_with_another_amount_pays_nothing_and_claims_nothing(
        self, far: FarStage
    ) -> None:
        books = await Books.open(far)
        request = pay_request(amount_fen=10_000)
        first = await far.rail.pay(request)
        outcome = await far.rail.pay(dataclasses.replace(request, amount_fen=20_000))
        # What became of the first is not said by this answer, so it is doubtful and never `failed`.
        assert (outcome.result, outcome.code) == (Result.UNKNOWN, "reference_repeated")
        assert await books.say(payments=1, paid_fen=10_000)
        asked = await far.rail.ask(ref=request.ref)
        assert (asked.result, asked.far_ref) == (Result.SUCCEEDED, first.far_ref)

    async def test_a_lost_answer_is_unknown_until_asked(self, far: FarStage) -> None:
        books = await Books.open(far)
        await far.misbehave("lose_answer")
        request = pay_request(amount_fen=10_000)
        lost = await far.rail.pay(request)
        assert (lost.result, lost.code) == (Result.UNKNOWN, "answer_lost")
        assert_orderly(lost)
        asked = await far.rail.ask(ref=request.ref)
        assert asked.result is Result.SUCCEEDED
        assert await books.say(payments=1, paid_fen=10_000)

    async def test_a_lost_answer_sent_again_is_one_payment(self, far: FarStage) -> None:
        books = await Books.open(far)
        await far.misbehave("lose_answer")
        request = pay_request(amount_fen=10_000)
        await far.rail.pay(request)
        assert (await far.rail.pay(request)).result is Result.SUCCEEDED
        assert await books.say(payments=1, paid_fen=10_000)

    async def test_a_lost_answer_to_a_question_leaves_it_open(self, far: FarStage) -> None:
        request = pay_request()
        await far.rail.pay(request)
        await far.misbehave_when_asked("lose_answer")
        asked = await far.rail.ask(ref=request.ref)
        assert (asked.result, asked.code) == (Result.UNKNOWN, "answer_lost")

    async def test_a_wrong_name_is_refused_and_nothing_is_paid(self, far: FarStage) -> None:
        books = await Books.open(far)
        await far.open_account(account="13900139000", name="李雷")
        outcome = await far.rail.pay(pay_request(account="13900139000", name="韩梅梅"))
        assert (outcome.result, outcome.code) == (Result.FAILED, "payee_name_mismatch")
        assert await books.say(payments=0, paid_fen=0)

    async def test_an_account_that_does_not_exist_is_refused(self, far: FarStage) -> None:
        books = await Books.open(far)
        outcome = await far.rail.pay(pay_request(account="unknown@example.com"))
        assert (outcome.result, outcome.code) == (Result.FAILED, "payee_account_unknown")
        assert await books.say(payments=0, paid_fen=0)

    async def test_a_refusal_is_named_and_nothing_is_paid(self, far: FarStage) -> None:
        books = await Books.open(far)
        await far.misbehave("refuse")
        outcome = await far.rail.pay(pay_request())
        assert (outcome.result, outcome.code) == (Result.FAILED, "rail_refused")
        assert await books.say(payments=0, paid_fen=0)

    async def test_an_answer_that_is_not_proven_is_never_believed(self, far: FarStage) -> None:
        await far.misbehave("spoil_signature")
        request = pay_request()
        outcome = await far.rail.pay(request)
        assert (outcome.result, outcome.code, outcome.far_ref) == (Result.UNKNOWN, "answer_unproven", None)
        await far.misbehave_when_asked("spoil_signature")
        assert (await far.rail.ask(ref=request.ref)).result is Result.UNKNOWN
        assert (await far.rail.ask(ref=request.ref)).result is Result.SUCCEEDED

    async def test_a_payment_may_take_time(self, far: FarStage) -> None:
        books = await Books.open(far)
        await far.misbehave("take_time")
        request = pay_request(amount_fen=10_000)
        assert (await far.rail.pay(request)).result is Result.PROCESSING
        assert (await far.rail.ask(ref=request.ref)).result is Result.PROCESSING
        assert await books.say(payments=0, paid_fen=0)
        await far.let_time_take_its_course()
        assert (await far.rail.ask(ref=request.ref)).result is Result.SUCCEEDED
        assert await books.say(payments=1, paid_fen=10_000)

    async def test_a_genuine_notification_is_read(self, far: FarStage) -> None:
        request = pay_request(amount_fen=10_000)
        paid = await far.rail.pay(request)
        headers, body = await far.notification(request.ref)
        read = far.rail.read_notification(headers=headers, body=body, now=far.now())
        assert read is not None
        assert (read.ref, read.outcome.result, read.outcome.far_ref) == (
            request.ref,
            Result.SUCCEEDED,
            paid.far_ref,
        )
        assert read.outcome.amount_fen == 10_000
        # Its own number lets whoever stores it know a second copy.
        assert read.outcome.detail["notify_id"]

    async def test_a_forged_notification_is_not_read(self, far: FarStage) -> None:
        request = pay_request()
        await far.rail.pay(request)
        headers, body = await far.notification(request.ref)
        assert far.forgeries
        for forge in far.forgeries:
            forged = forge(body)
            assert forged != body
            assert far.rail.read_notification(headers=headers, body=forged, now=far.now()) is None

    async def test_an_old_notification_is_not_read(self, far: FarStage) -> None:
        request = pay_request()
        await far.rail.pay(request)
        headers, body = await far.notification(request.ref)
        for hours in (-1, 1):
            then = far.now() + timedelta(hours=hours)
            assert far.rail.read_notification(headers=headers, body=body, now=then) is None

    async def test_the_statement_agrees_with_what_was_paid(self, far: FarStage) -> None:
        since = far.now() - timedelta(seconds=2)
        requests = [pay_request(amount_fen=1_000 + n) for n in range(3)]
        paid = {request.ref: await far.rail.pay(request) for request in requests}
        await far.open_account(account="13900139000", name="李雷")
        refused = pay_request(account="13900139000", name="韩梅梅")
        await far.rail.pay(refused)
        lines = await far.rail.statement(since=since, until=far.now() + timedelta(seconds=2))
        told = {line.ref: (line.kind, line.amount_fen, line.far_ref, line.reversed) for line in lines}
        assert len(told) == len(lines)
        assert refused.ref not in told
        for request in requests:
            assert told[request.ref] == (Kind.PAY, request.amount_fen, paid[request.ref].far_ref, False)
        assert all(abs((line.at - far.now()).total_seconds()) < 60 for line in lines)

    async def test_what_is_kept_of_an_exchange_shows_neither_account_nor_name(self, far: FarStage) -> None:
        request = pay_request(account="13712345678", name="欧阳明月")
        outcome = await far.rail.pay(request)
        assert outcome.exchanges
        kept = repr(outcome) + repr(await far.rail.ask(ref=request.ref)) + repr(request)
        assert "13712345678" not in kept
        assert "欧阳明月" not in kept
        assert request.ref in outcome.exchanges[0].request
