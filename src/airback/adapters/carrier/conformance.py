"""The conformance suite of the `Carrier` port: every adapter, ours or yours, passes it against its far side.

Derive a test class, give it a fixture `bench` that yields a `Bench`, and run pytest with pytest-asyncio:

    class TestMyCarrier(CarrierConformance):
        @pytest.fixture
        async def bench(self) -> AsyncIterator[Bench]: ...

The bench opens lines and issues cards at the far side's test environment, looks into the far side's own books, and
tells it to misbehave. What a test environment cannot do it says by raising `CannotPractise`; those tests are then
reported as skipped with the reason, and the connector's declaration must say so too.
"""

from datetime import datetime, timedelta
from typing import Final, Protocol
from unittest import SkipTest

from airback.domain.effects import Kind, Outcome, Result
from airback.domain.ports.carrier import (
    Carrier,
    HoldKind,
    HoldRequest,
    RedeemRequest,
    ReleaseRequest,
    TransferRequest,
)
from airback.domain.refusals import REFUSALS

#: An hour, the usual validity of a hold in these tests.
_HOUR: Final = timedelta(hours=1)

_KINDS: Final = (Kind.HOLD, Kind.TRANSFER, Kind.REDEEM, Kind.RELEASE)


class CannotPractise(SkipTest):
    """The far side's test environment cannot do this."""


class Bench(Protocol):
    """A carrier under test, and hands on the far side's test environment."""

    @property
    def carrier(self) -> Carrier:
        """The connector under test."""

    @property
    def unreachable(self) -> Carrier:
        """The same connector pointed at an address where nobody listens."""

    def now(self) -> datetime:
        """The far side's clock."""

    async def pass_time(self, seconds: int) -> None:
        """Let so much time pass there."""

    def new_ref(self) -> str:
        """A reference never used before."""

    async def open_line(self, *, principal_fen: int, status: str = "active") -> str:
        """A new number of this carrier with that balance; `status` active, suspended or dead."""

    async def issue_card(self, *, face_fen: int, state: str = "fresh") -> tuple[str, str]:
        """Number and code of a new card; `state` fresh, used, expired or unknown."""

    async def balance_fen(self, number: str) -> int:
        """The number's principal balance in the far side's books, reserved or not."""

    async def reserved_fen(self, number: str) -> int:
        """What of it is reserved (custody: always 0)."""

    async def misbehave(
        self, *, operation: str, fault: str, times: int = 1, delay_ms: int = 0, amount_ppm: int = 1_000_000
    ) -> None:
        """Make the next `times` calls of an operation (hold, transfer, redeem, release, ask) go wrong: `answer_lost`,
        `outage`, `refusal`, `wrong_amount` or `processing`."""


class CarrierConformance:
    """The tests. Each says what a carrier's adapter must do."""

    # -- what is declared

    async def test_a_contract_is_named_and_every_limit_is_positive(self, bench: Bench) -> None:
        capabilities = bench.carrier.capabilities
        assert capabilities.contract_id
        assert capabilities.hold in (HoldKind.NATIVE, HoldKind.CUSTODY)
        assert min(capabilities.requests_per_s, capabilities.concurrency, capabilities.timeout_s) > 0
        assert 0 < capabilities.ask_every_s <= capabilities.ask_at_most_every_s
        assert capabilities.final_after_s >= 0
        assert capabilities.not_found_final_after_s > capabilities.timeout_s

    # -- holding

    async def test_a_hold_takes_the_amount_out_of_reach(self, bench: Bench) -> None:
        seller = await bench.open_line(principal_fen=10_000)
        held = await _hold(bench, seller, 6_050)
        assert (held.result, held.amount_fen, held.code) == (Result.SUCCEEDED, 6_050, None)
        assert held.far_ref
        assert await _free_fen(bench, seller) == 3_950
        again = await _hold(bench, seller, 3_951)
        assert (again.result, again.code) == (Result.FAILED, "balance_insufficient")
        assert await _free_fen(bench, seller) == 3_950

    async def test_one_fen_is_held_exactly(self, bench: Bench) -> None:
        seller = await bench.open_line(principal_fen=10_000_001)
        assert (await _hold(bench, seller, 1)).amount_fen == 1
        assert (await _hold(bench, seller, 9_999_999)).amount_fen == 9_999_999
        assert await _free_fen(bench, seller) == 1

    async def test_a_suspended_line_is_refused(self, bench: Bench) -> None:
        seller = await bench.open_line(principal_fen=10_000, status="suspended")
        held = await _hold(bench, seller, 100)
        assert (held.result, held.code) == (Result.FAILED, "number_suspended")

    async def test_a_dead_number_is_refused(self, bench: Bench) -> None:
        seller = await bench.open_line(principal_fen=0, status="dead")
        held = await _hold(bench, seller, 100)
        assert (held.result, held.code) == (Result.FAILED, "number_dead")

    async def test_a_reservation_lapses_by_itself_and_custody_does_not(self, bench: Bench) -> None:
        seller, buyer = await bench.open_line(principal_fen=10_000), await bench.open_line(principal_fen=0)
        ref = bench.new_ref()
        held = await _hold(bench, seller, 5_000, ref=ref, valid_until=bench.now() + timedelta(seconds=60))
        await bench.pass_time(61)
        sent = await _transfer(bench, seller, buyer, 4_000, ref, held)
        if bench.carrier.capabilities.hold is HoldKind.CUSTODY:
            assert sent.result is Result.SUCCEEDED
            assert (await _release(bench, seller, 1_000, ref, held)).result is Result.SUCCEEDED
            return
        assert (sent.result, sent.code) == (Result.FAILED, "hold_unknown")
        assert await _free_fen(bench, seller) == 10_000
        assert await bench.balance_fen(buyer) == 0
        released = await _release(bench, seller, 5_000, ref, held)
        assert released.result is Result.SUCCEEDED  # nothing is held any more, which was what was asked

    # -- delivering

    async def test_a_transfer_delivers_out_of_the_hold(self, bench: Bench) -> None:
        seller, buyer = await bench.open_line(principal_fen=10_000), await bench.open_line(principal_fen=700)
        hold_ref = bench.new_ref()
        held = await _hold(bench, seller, 6_000, ref=hold_ref)
        sent = await _transfer(bench, seller, buyer, 6_000, hold_ref, held)
        assert (sent.result, sent.amount_fen) == (Result.SUCCEEDED, 6_000)
        assert sent.far_ref
        assert await bench.balance_fen(buyer) == 6_700
        assert await bench.balance_fen(seller) == 4_000
        assert await bench.reserved_fen(seller) == 0
        if "after_fen" in sent.detail:
            assert (sent.detail["before_fen"], sent.detail["after_fen"]) == (700, 6_700)

    async def test_one_hold_feeds_several_numbers_and_the_rest_is_given_back(self, bench: Bench) -> None:
        seller = await bench.open_line(principal_fen=10_000)
        buyers = [await bench.open_line(principal_fen=0) for _ in range(3)]
        hold_ref = bench.new_ref()
        held = await _hold(bench, seller, 9_000, ref=hold_ref)
        for buyer, fen in zip(buyers, (1_001, 2_999, 3_000), strict=True):
            assert (await _transfer(bench, seller, buyer, fen, hold_ref, held)).result is Result.SUCCEEDED
        released = await _release(bench, seller, 2_000, hold_ref, held)
        assert (released.result, released.amount_fen) == (Result.SUCCEEDED, 2_000)
        assert [await bench.balance_fen(buyer) for buyer in buyers] == [1_001, 2_999, 3_000]
        assert await _free_fen(bench, seller) == 3_000

    async def test_no_more_is_delivered_than_is_held(self, bench: Bench) -> None:
        seller, buyer = await bench.open_line(principal_fen=10_000), await bench.open_line(principal_fen=0)
        hold_ref = bench.new_ref()
        held = await _hold(bench, seller, 1_000, ref=hold_ref)
        # In custody all holds lie in one bucket, so only the engine's own books bound each of them.
        custody = bench.carrier.capabilities.hold is HoldKind.CUSTODY
        sent = await _transfer(bench, seller, buyer, 9_000_000_000 if custody else 1_001, hold_ref, held)
        assert sent.result is Result.FAILED
        assert sent.code in ("hold_unknown", "delivery_failed")
        assert await bench.balance_fen(buyer) == 0

    async def test_a_dead_target_is_refused_and_the_hold_stands(self, bench: Bench) -> None:
        seller, dead = (
            await bench.open_line(principal_fen=10_000),
            await bench.open_line(principal_fen=0, status="dead"),
        )
        buyer = await bench.open_line(principal_fen=0)
        hold_ref = bench.new_ref()
        held = await _hold(bench, seller, 1_000, ref=hold_ref)
        sent = await _transfer(bench, seller, dead, 1_000, hold_ref, held)
        assert (sent.result, sent.code) == (Result.FAILED, "target_refused")
        assert (await _transfer(bench, seller, buyer, 1_000, hold_ref, held)).result is Result.SUCCEEDED

    # -- giving back

    async def test_a_release_gives_everything_back(self, bench: Bench) -> None:
        seller, buyer = await bench.open_line(principal_fen=10_000), await bench.open_line(principal_fen=0)
        hold_ref = bench.new_ref()
        held = await _hold(bench, seller, 6_000, ref=hold_ref)
        released = await _release(bench, seller, 6_000, hold_ref, held)
        assert (released.result, released.amount_fen) == (Result.SUCCEEDED, 6_000)
        assert await _free_fen(bench, seller) == 10_000
        if bench.carrier.capabilities.hold is HoldKind.NATIVE:
            sent = await _transfer(bench, seller, buyer, 6_000, hold_ref, held)
            assert (sent.result, sent.code) == (Result.FAILED, "hold_unknown")

    async def test_a_hold_whose_own_reference_is_all_that_is_known_can_be_released(
        self, bench: Bench
    ) -> None:
        seller = await bench.open_line(principal_fen=10_000)
        hold_ref = bench.new_ref()
        await _hold(bench, seller, 6_000, ref=hold_ref)
        released = await bench.carrier.release(
            ReleaseRequest(
                ref=bench.new_ref(),
                number=seller,
                amount_fen=6_000,
                hold=bench.carrier.capabilities.hold,
                hold_ref=hold_ref,
                hold_far_ref="",
            )
        )
        assert released.result is Result.SUCCEEDED
        assert await _free_fen(bench, seller) == 10_000

    # -- cards

    async def test_a_card_is_redeemed_at_its_face(self, bench: Bench) -> None:
        buyer = await bench.open_line(principal_fen=100)
        redeemed = await _redeem(bench, buyer, await bench.issue_card(face_fen=5_000), 5_000)
        assert (redeemed.result, redeemed.amount_fen) == (Result.SUCCEEDED, 5_000)
        assert await bench.balance_fen(buyer) == 5_100

    async def test_the_true_face_is_told_whatever_was_claimed(self, bench: Bench) -> None:
        buyer = await bench.open_line(principal_fen=0)
        redeemed = await _redeem(bench, buyer, await bench.issue_card(face_fen=3_000), 5_000)
        assert (redeemed.result, redeemed.amount_fen) == (Result.SUCCEEDED, 3_000)
        assert await bench.balance_fen(buyer) == 3_000

    async def test_bad_cards_are_refused_by_name(self, bench: Bench) -> None:
        buyer = await bench.open_line(principal_fen=0)
        for state, code in (("used", "card_used"), ("expired", "card_expired"), ("unknown", "card_unknown")):
            redeemed = await _redeem(bench, buyer, await bench.issue_card(face_fen=5_000, state=state), 5_000)
            assert (redeemed.result, redeemed.code) == (Result.FAILED, code)
        number, code = await bench.issue_card(face_fen=5_000)
        wrong = await _redeem(bench, buyer, (number, code[:-1] + str((int(code[-1]) + 1) % 10)), 5_000)
        assert (wrong.result, wrong.code) == (Result.FAILED, "card_unknown")
        assert await bench.balance_fen(buyer) == 0

    async def test_a_card_is_redeemed_once(self, bench: Bench) -> None:
        buyer = await bench.open_line(principal_fen=0)
        card = await bench.issue_card(face_fen=5_000)
        assert (await _redeem(bench, buyer, card, 5_000)).result is Result.SUCCEEDED
        again = await _redeem(bench, buyer, card, 5_000)
        assert (again.result, again.code) == (Result.FAILED, "card_used")
        assert await bench.balance_fen(buyer) == 5_000

    # -- asking

    async def test_a_reference_never_seen_is_not_found(self, bench: Bench) -> None:
        for kind in _KINDS:
            asked = await bench.carrier.ask(
                kind=kind, ref=bench.new_ref(), hold=bench.carrier.capabilities.hold
            )
            assert (asked.result, asked.code) == (Result.FAILED, "not_found")

    async def test_asking_tells_what_the_answer_told(self, bench: Bench) -> None:
        for done in await _one_of_each(bench):
            asked = await bench.carrier.ask(
                kind=done.kind, ref=done.ref, hold=bench.carrier.capabilities.hold
            )
            assert (asked.result, asked.amount_fen) == (Result.SUCCEEDED, done.outcome.amount_fen), done.kind
            assert asked.far_ref == done.outcome.far_ref

    async def test_asking_after_a_refusal_never_says_it_succeeded(self, bench: Bench) -> None:
        seller = await bench.open_line(principal_fen=10)
        ref = bench.new_ref()
        refused = await _hold(bench, seller, 1_000, ref=ref)
        asked = await bench.carrier.ask(kind=Kind.HOLD, ref=ref, hold=bench.carrier.capabilities.hold)
        assert asked.result is Result.FAILED
        assert asked.code in (refused.code, "not_found")

    async def test_a_repeated_reference_is_doubtful_and_executes_nothing(self, bench: Bench) -> None:
        seller, buyer = await bench.open_line(principal_fen=10_000), await bench.open_line(principal_fen=0)
        hold_ref, transfer_ref = bench.new_ref(), bench.new_ref()
        held = await _hold(bench, seller, 4_000, ref=hold_ref)
        repeated = await _hold(bench, seller, 4_000, ref=hold_ref)
        assert (repeated.result, repeated.code) == (Result.UNKNOWN, "reference_repeated")
        assert await _free_fen(bench, seller) == 6_000
        await _transfer(bench, seller, buyer, 1_000, hold_ref, held, ref=transfer_ref)
        repeated = await _transfer(bench, seller, buyer, 1_000, hold_ref, held, ref=transfer_ref)
        assert (repeated.result, repeated.code) == (Result.UNKNOWN, "reference_repeated")
        assert await bench.balance_fen(buyer) == 1_000

    # -- when things go wrong

    async def test_nobody_listening_is_not_sent(self, bench: Bench) -> None:
        number = await bench.open_line(principal_fen=10_000)
        held = await bench.unreachable.hold(
            HoldRequest(ref=bench.new_ref(), number=number, amount_fen=1, valid_until=bench.now() + _HOUR)
        )
        assert (held.result, held.code) == (Result.FAILED, "not_sent")
        asked = await bench.unreachable.ask(
            kind=Kind.HOLD, ref=bench.new_ref(), hold=bench.carrier.capabilities.hold
        )
        assert asked.result is Result.UNKNOWN  # not being able to ask is no answer

    async def test_a_lost_answer_is_unknown_until_asked(self, bench: Bench) -> None:
        seller, buyer = await bench.open_line(principal_fen=10_000), await bench.open_line(principal_fen=0)
        kind = bench.carrier.capabilities.hold
        hold_ref, transfer_ref, redeem_ref, release_ref = (bench.new_ref() for _ in range(4))

        await bench.misbehave(operation="hold", fault="answer_lost")
        lost = await _hold(bench, seller, 5_000, ref=hold_ref)
        assert (lost.result, lost.code) == (Result.UNKNOWN, "answer_lost")
        held = await bench.carrier.ask(kind=Kind.HOLD, ref=hold_ref, hold=kind)
        assert (held.result, held.amount_fen) == (Result.SUCCEEDED, 5_000)

        await bench.misbehave(operation="transfer", fault="answer_lost")
        lost = await _transfer(bench, seller, buyer, 3_000, hold_ref, held, ref=transfer_ref)
        assert lost.result is Result.UNKNOWN
        sent = await bench.carrier.ask(kind=Kind.TRANSFER, ref=transfer_ref, hold=kind)
        assert (sent.result, sent.amount_fen) == (Result.SUCCEEDED, 3_000)

        await bench.misbehave(operation="redeem", fault="answer_lost")
        lost = await _redeem(bench, buyer, await bench.issue_card(face_fen=1_000), 1_000, ref=redeem_ref)
        assert lost.result is Result.UNKNOWN
        redeemed = await bench.carrier.ask(kind=Kind.REDEEM, ref=redeem_ref)
        assert (redeemed.result, redeemed.amount_fen) == (Result.SUCCEEDED, 1_000)

        await bench.misbehave(operation="release", fault="answer_lost")
        lost = await _release(bench, seller, 2_000, hold_ref, held, ref=release_ref)
        assert lost.result is Result.UNKNOWN
        released = await bench.carrier.ask(kind=Kind.RELEASE, ref=release_ref, hold=kind)
        assert (released.result, released.amount_fen) == (Result.SUCCEEDED, 2_000)

        assert await bench.balance_fen(buyer) == 4_000
        assert await _free_fen(bench, seller) == 7_000

    async def test_a_request_that_was_lost_on_the_way_is_not_found(self, bench: Bench) -> None:
        seller = await bench.open_line(principal_fen=10_000)
        ref = bench.new_ref()
        await bench.misbehave(operation="hold", fault="outage")
        lost = await _hold(bench, seller, 5_000, ref=ref)
        assert lost.result is Result.UNKNOWN
        asked = await bench.carrier.ask(kind=Kind.HOLD, ref=ref, hold=bench.carrier.capabilities.hold)
        assert (asked.result, asked.code) == (Result.FAILED, "not_found")
        assert await _free_fen(bench, seller) == 10_000

    async def test_a_question_that_is_not_answered_leaves_it_unknown(self, bench: Bench) -> None:
        seller = await bench.open_line(principal_fen=10_000)
        ref = bench.new_ref()
        await _hold(bench, seller, 5_000, ref=ref)
        await bench.misbehave(operation="ask", fault="outage")
        asked = await bench.carrier.ask(kind=Kind.HOLD, ref=ref, hold=bench.carrier.capabilities.hold)
        assert asked.result is Result.UNKNOWN
        asked = await bench.carrier.ask(kind=Kind.HOLD, ref=ref, hold=bench.carrier.capabilities.hold)
        assert asked.result is Result.SUCCEEDED

    async def test_accepted_is_not_done(self, bench: Bench) -> None:
        seller = await bench.open_line(principal_fen=10_000)
        ref = bench.new_ref()
        await bench.misbehave(operation="hold", fault="processing", delay_ms=30_000)
        accepted = await _hold(bench, seller, 5_000, ref=ref)
        assert accepted.result in (Result.PROCESSING, Result.ACCEPTED)
        await bench.pass_time(31)
        asked = await bench.carrier.ask(kind=Kind.HOLD, ref=ref, hold=bench.carrier.capabilities.hold)
        assert (asked.result, asked.amount_fen) == (Result.SUCCEEDED, 5_000)
        assert await _free_fen(bench, seller) == 5_000

    async def test_another_amount_than_asked_for_is_told(self, bench: Bench) -> None:
        seller, buyer = await bench.open_line(principal_fen=10_000), await bench.open_line(principal_fen=0)
        hold_ref, ref = bench.new_ref(), bench.new_ref()
        held = await _hold(bench, seller, 5_000, ref=hold_ref)
        await bench.misbehave(operation="transfer", fault="wrong_amount", amount_ppm=900_000)
        sent = await _transfer(bench, seller, buyer, 5_000, hold_ref, held, ref=ref)
        assert (sent.result, sent.amount_fen) == (Result.SUCCEEDED, 4_500)
        asked = await bench.carrier.ask(kind=Kind.TRANSFER, ref=ref, hold=bench.carrier.capabilities.hold)
        assert asked.amount_fen == 4_500
        assert await bench.balance_fen(buyer) == 4_500

    async def test_a_refusal_is_a_failure_with_a_name_and_moves_nothing(self, bench: Bench) -> None:
        seller, buyer = await bench.open_line(principal_fen=10_000), await bench.open_line(principal_fen=0)
        hold_ref = bench.new_ref()
        held = await _hold(bench, seller, 5_000, ref=hold_ref)
        for operation in ("hold", "transfer", "redeem"):
            await bench.misbehave(operation=operation, fault="refusal")
        refused = [
            await _hold(bench, seller, 100),
            await _transfer(bench, seller, buyer, 100, hold_ref, held),
            await _redeem(bench, buyer, await bench.issue_card(face_fen=1_000), 1_000),
        ]
        assert [outcome.result for outcome in refused] == [Result.FAILED] * 3
        assert all(outcome.code in REFUSALS for outcome in refused)
        assert await bench.balance_fen(buyer) == 0
        assert await _free_fen(bench, seller) == 5_000

    # -- what is kept, and what the far side says at the end

    async def test_the_statement_agrees_with_what_was_done(self, bench: Bench) -> None:
        since = bench.now()
        done = await _one_of_each(bench)
        lines = await bench.carrier.statement(since=since, until=bench.now() + timedelta(seconds=1))
        told = {line.ref: line for line in lines}
        custody = bench.carrier.capabilities.hold is HoldKind.CUSTODY
        expected = [one for one in done if custody or one.kind in (Kind.TRANSFER, Kind.REDEEM)]
        for one in expected:
            line = told[one.ref]
            assert (line.kind, line.amount_fen, line.far_ref) == (
                one.kind,
                one.outcome.amount_fen,
                one.outcome.far_ref,
            )
            assert since <= line.at
        assert len([line for line in lines if line.ref in {one.ref for one in done}]) == len(expected)
        assert list(lines) == sorted(lines, key=lambda line: line.at)

    async def test_a_statement_of_an_empty_time_is_empty(self, bench: Bench) -> None:
        await _one_of_each(bench)
        later = bench.now() + timedelta(days=1)
        assert list(await bench.carrier.statement(since=later, until=later + _HOUR)) == []

    async def test_what_is_kept_of_an_exchange_holds_no_code_and_no_full_number(self, bench: Bench) -> None:
        buyer = await bench.open_line(principal_fen=0)
        number, code = await bench.issue_card(face_fen=1_000)
        ref = bench.new_ref()
        outcomes = [await _redeem(bench, buyer, (number, code), 1_000, ref=ref)]
        outcomes.append(await bench.carrier.ask(kind=Kind.REDEEM, ref=ref))
        await bench.misbehave(operation="redeem", fault="answer_lost")
        other_number, other_code = await bench.issue_card(face_fen=1_000)
        outcomes.append(await _redeem(bench, buyer, (other_number, other_code), 1_000))
        outcomes.append(
            await bench.unreachable.redeem(
                RedeemRequest(
                    ref=bench.new_ref(),
                    to_number=buyer,
                    card_number=other_number,
                    card_code=other_code,
                    face_fen=1_000,
                    purpose="fil_x",
                )
            )
        )
        for outcome in outcomes:
            assert outcome.exchanges, "every outcome keeps what was said"
            for secret in (code, other_code, number, other_number, buyer):
                assert secret not in repr(outcome)


class _Done:
    """An effect that succeeded, its reference and what was told."""

    def __init__(self, kind: Kind, ref: str, outcome: Outcome) -> None:
        self.kind, self.ref, self.outcome = kind, ref, outcome


async def _one_of_each(bench: Bench) -> list[_Done]:
    """A transfer, a redemption and a release out of one hold; then a hold that stays."""
    seller, buyer = await bench.open_line(principal_fen=10_000), await bench.open_line(principal_fen=0)
    hold_ref, transfer_ref, redeem_ref, release_ref, last_ref = (bench.new_ref() for _ in range(5))
    held = await _hold(bench, seller, 5_000, ref=hold_ref)
    sent = await _transfer(bench, seller, buyer, 3_050, hold_ref, held, ref=transfer_ref)
    redeemed = await _redeem(bench, buyer, await bench.issue_card(face_fen=1_000), 1_000, ref=redeem_ref)
    released = await _release(bench, seller, 1_950, hold_ref, held, ref=release_ref)
    last = await _hold(bench, seller, 1_000, ref=last_ref)
    done = [
        _Done(Kind.TRANSFER, transfer_ref, sent),
        _Done(Kind.REDEEM, redeem_ref, redeemed),
        _Done(Kind.RELEASE, release_ref, released),
        _Done(Kind.HOLD, last_ref, last),
    ]
    assert [one.outcome.result for one in done] == [Result.SUCCEEDED] * 4
    return done


async def _free_fen(bench: Bench, number: str) -> int:
    return await bench.balance_fen(number) - await bench.reserved_fen(number)


async def _hold(
    bench: Bench, number: str, fen: int, *, ref: str | None = None, valid_until: datetime | None = None
) -> Outcome:
    return await bench.carrier.hold(
        HoldRequest(
            ref=ref or bench.new_ref(),
            number=number,
            amount_fen=fen,
            valid_until=valid_until or bench.now() + _HOUR,
        )
    )


async def _transfer(
    bench: Bench, seller: str, buyer: str, fen: int, hold_ref: str, held: Outcome, *, ref: str | None = None
) -> Outcome:
    ref = ref or bench.new_ref()
    return await bench.carrier.transfer(
        TransferRequest(
            ref=ref,
            from_number=seller,
            to_number=buyer,
            amount_fen=fen,
            hold=bench.carrier.capabilities.hold,
            hold_ref=hold_ref,
            hold_far_ref=held.far_ref or "",
            purpose=f"fil_{ref}",
        )
    )


async def _redeem(
    bench: Bench, buyer: str, card: tuple[str, str], face_fen: int, *, ref: str | None = None
) -> Outcome:
    ref = ref or bench.new_ref()
    number, code = card
    return await bench.carrier.redeem(
        RedeemRequest(
            ref=ref,
            to_number=buyer,
            card_number=number,
            card_code=code,
            face_fen=face_fen,
            purpose=f"fil_{ref}",
        )
    )


async def _release(
    bench: Bench, seller: str, fen: int, hold_ref: str, held: Outcome, *, ref: str | None = None
) -> Outcome:
    return await bench.carrier.release(
        ReleaseRequest(
            ref=ref or bench.new_ref(),
            number=seller,
            amount_fen=fen,
            hold=bench.carrier.capabilities.hold,
            hold_ref=hold_ref,
            hold_far_ref=held.far_ref or "",
        )
    )
