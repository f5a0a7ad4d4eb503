"""What every adapter of the Messenger port must do. Subclass and provide the `stage` fixture."""

import asyncio
import secrets
from typing import Protocol

from airback.domain import refusals
from airback.domain.effects import Result
from airback.domain.ids import new_reference
from airback.domain.ports.messenger import Message, Messenger


class MessengerStage(Protocol):
    """A messenger, and what its far side does."""

    messenger: Messenger
    #: What must never be kept or shown.
    secret: str

    async def received(self, number: str) -> list[str]:
        """The texts a phone received, oldest first."""

    async def misbehave(self, what: str) -> None:
        """At the next message: `lose_answer` after sending it, `refuse` without sending it."""


def message(*, number: str, text: str = "您的话费已送达,款项 96.00 元正在转出。") -> Message:
    """A message with a reference of its own."""
    return Message(ref=new_reference(entropy=secrets.token_bytes), number=number, text=text)


class MessengerConformance:
    """Holds for every messenger. Each test writes to a number of its own."""

    async def test_a_message_arrives_as_it_was_written(self, stage: MessengerStage) -> None:
        text = '【回话】"引号" & <标签> 100% 😀'
        outcome = await stage.messenger.send(message(number="13711110001", text=text))
        assert (outcome.result, outcome.code) == (Result.SUCCEEDED, None)
        assert outcome.far_ref
        assert await stage.received("13711110001") == [text]

    async def test_the_same_message_again_is_read_once(self, stage: MessengerStage) -> None:
        once = message(number="13711110002")
        outcomes = await asyncio.gather(*(stage.messenger.send(once) for _ in range(4)))
        assert len({outcome.far_ref for outcome in outcomes}) == 1
        assert await stage.received("13711110002") == [once.text]

    async def test_a_refusal_is_an_outcome(self, stage: MessengerStage) -> None:
        await stage.misbehave("refuse")
        outcome = await stage.messenger.send(message(number="13711110003"))
        assert (outcome.result, outcome.code) == (Result.FAILED, "message_refused")
        assert outcome.code in refusals.REFUSALS
        assert await stage.received("13711110003") == []

    async def test_a_lost_answer_is_unknown(self, stage: MessengerStage) -> None:
        await stage.misbehave("lose_answer")
        outcome = await stage.messenger.send(message(number="13711110004"))
        assert (outcome.result, outcome.code) == (Result.UNKNOWN, "answer_lost")

    async def test_a_number_that_is_none_is_refused(self, stage: MessengerStage) -> None:
        outcome = await stage.messenger.send(message(number="not a number"))
        assert (outcome.result, outcome.code) == (Result.FAILED, "message_refused")

    async def test_what_is_kept_shows_neither_number_nor_credentials(self, stage: MessengerStage) -> None:
        one = message(number="13711110006")
        outcome = await stage.messenger.send(one)
        assert outcome.exchanges
        kept = repr(outcome) + repr(one) + repr(stage.messenger)
        assert "13711110006" not in kept
        assert stage.secret not in kept
