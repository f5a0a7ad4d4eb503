"""What every adapter of the Outlet port must do. Subclass and provide the `stage` fixture."""

import json
import secrets
from datetime import UTC, datetime, timedelta
from typing import Protocol

import pytest

from airback.domain import refusals
from airback.domain.effects import Result
from airback.domain.ids import new_reference, public
from airback.domain.ports.carrier import FarSideUnreachable
from airback.domain.ports.outlet import Notice, Outlet, StatementAsk

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class OutletStage(Protocol):
    """A way of telling outlets, and an outlet that is told."""

    outlet: Outlet
    #: Where that outlet is told.
    url: str

    def received(self) -> list[tuple[str, str]]:
        """(reference, body) of what it received, its signature held, oldest first."""

    def misbehave(self, what: str) -> None:
        """At the next notice: `lose_answer` after taking it, `refuse`, `gone`; asked for a statement also `silent` (takes it
        as any notice), `forged` (signed by somebody else), `replayed` (answers another question), `elsewhen` (of another
        time), `nonsense`."""

    def received_fill(self, fill: str, pays_fen: int, at: datetime, *, reversed: bool = False) -> None:
        """That outlet's own books say so from now on."""


def notice(stage: OutletStage, **changes: str) -> Notice:
    """A notice with a reference of its own."""
    values = {
        "ref": new_reference(entropy=secrets.token_bytes),
        "url": stage.url,
        "secret": SECRET,
        "body": json.dumps({"type": "fill.delivered", "data": {"名": '引号" <标签> 😀'}}, ensure_ascii=False),
    }
    return Notice(**(values | changes))


def statement_ask(stage: OutletStage, since: datetime, until: datetime) -> StatementAsk:
    """A question with a reference of its own."""
    return StatementAsk(new_reference(entropy=secrets.token_bytes), stage.url, SECRET, since, until)


class OutletConformance:
    """Holds for every way of telling outlets."""

    async def test_a_notice_arrives_signed_and_as_it_was_written(self, stage: OutletStage) -> None:
        one = notice(stage)
        outcome = await stage.outlet.tell(one)
        assert (outcome.result, outcome.code) == (Result.SUCCEEDED, None)
        assert (one.ref, one.body) in stage.received()

    async def test_the_same_notice_again_bears_the_same_reference(self, stage: OutletStage) -> None:
        one = notice(stage)
        for _ in range(2):
            await stage.outlet.tell(one)
        assert stage.received().count((one.ref, one.body)) == 2

    async def test_a_no_is_to_be_told_again(self, stage: OutletStage) -> None:
        stage.misbehave("refuse")
        outcome = await stage.outlet.tell(notice(stage))
        assert (outcome.result, outcome.code) == (Result.UNKNOWN, "hook_refused")
        assert outcome.code in refusals.REFUSALS

    async def test_a_lost_answer_is_to_be_told_again(self, stage: OutletStage) -> None:
        stage.misbehave("lose_answer")
        outcome = await stage.outlet.tell(notice(stage))
        assert (outcome.result, outcome.code) == (Result.UNKNOWN, "answer_lost")

    async def test_one_that_says_it_is_gone_is_told_no_more(self, stage: OutletStage) -> None:
        stage.misbehave("gone")
        outcome = await stage.outlet.tell(notice(stage))
        assert (outcome.result, outcome.code) == (Result.FAILED, "hook_refused")

    async def test_what_is_kept_shows_no_secret(self, stage: OutletStage) -> None:
        one = notice(stage)
        outcome = await stage.outlet.tell(one)
        assert outcome.exchanges
        assert SECRET.removeprefix("whsec_") not in repr(outcome) + repr(one) + repr(stage.outlet)

    async def test_a_statement_lists_what_the_outlet_received_in_that_time(self, stage: OutletStage) -> None:
        since = datetime(2026, 11, 1, 16, tzinfo=UTC)
        until = since + timedelta(days=1)
        before, first, last, after = (public("fil", 10**15 + n) for n in range(4))
        stage.received_fill(before, 1, since - timedelta(seconds=1))
        stage.received_fill(first, 9_800, since)
        stage.received_fill(last, 4_900, until - timedelta(seconds=1), reversed=True)
        stage.received_fill(after, 1, until)
        lines = await stage.outlet.statement(statement_ask(stage, since, until))
        assert [(line.ref, line.amount_fen, line.at, line.reversed) for line in lines] == [
            (first, 9_800, since, False),
            (last, 4_900, until - timedelta(seconds=1), True),
        ]
        later = statement_ask(stage, until + timedelta(days=1), until + timedelta(days=2))
        assert list(await stage.outlet.statement(later)) == []

    @pytest.mark.parametrize(
        "what", ["lose_answer", "refuse", "gone", "silent", "forged", "replayed", "elsewhen", "nonsense"]
    )
    async def test_what_is_no_statement_of_that_outlet_and_time_is_none(
        self, stage: OutletStage, what: str
    ) -> None:
        since = datetime(2026, 12, 1, 16, tzinfo=UTC)
        stage.misbehave(what)
        ask = statement_ask(stage, since, since + timedelta(days=1))
        with pytest.raises(FarSideUnreachable) as refused:
            await stage.outlet.statement(ask)
        assert SECRET.removeprefix("whsec_") not in repr(ask) + str(refused.value)
        assert list(await stage.outlet.statement(ask)) == []  # the next answer is a good one
