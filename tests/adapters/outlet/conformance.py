"""What every adapter of the Outlet port must do. Subclass and provide the `stage` fixture."""

import json
import secrets
from typing import Protocol

from airback.domain import refusals
from airback.domain.effects import Result
from airback.domain.ids import new_reference
from airback.domain.ports.outlet import Notice, Outlet

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class OutletStage(Protocol):
    """A way of telling outlets, and an outlet that is told."""

    outlet: Outlet
    #: Where that outlet is told.
    url: str

    def received(self) -> list[tuple[str, str]]:
        """(reference, body) of what it received, its signature held, oldest first."""

    def misbehave(self, what: str) -> None:
        """At the next notice: `lose_answer` after taking it, `refuse`, `gone`."""


def notice(stage: OutletStage, **changes: str) -> Notice:
    """A notice with a reference of its own."""
    values = {
        "ref": new_reference(entropy=secrets.token_bytes),
        "url": stage.url,
        "secret": SECRET,
        "body": json.dumps({"type": "fill.delivered", "data": {"名": '引号" <标签> 😀'}}, ensure_ascii=False),
    }
    return Notice(**(values | changes))


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
