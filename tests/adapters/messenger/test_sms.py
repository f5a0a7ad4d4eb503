"""SMS against the sandbox's gateway over real HTTP."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio
from tests.adapters.messenger.messenger_conformance import MessengerConformance, message
from tests.adapters.rail.sandbox_alipay import sandbox, with_keys

from airback.adapters.http.client import HttpFarSide
from airback.adapters.messenger.sms import SmsMessenger
from airback.domain.effects import Result
from airback.sandbox.tokens import access_token

pytestmark = pytest.mark.asyncio(loop_scope="module")


class SmsStage:
    def __init__(self, *, url: str, token: str) -> None:
        self.url = url
        self.secret = token
        self.messenger = self.with_token(token)
        self.http = HttpFarSide(name="sandbox", base_url=url, timeout_s=5, concurrency=2)

    def with_token(self, token: str) -> SmsMessenger:
        return SmsMessenger(base_url=self.url, token=token, now=lambda: datetime.now(UTC))

    async def received(self, number: str) -> list[str]:
        answer = await self.http.call("GET", "/sandbox/sms", query=[("number", number)])
        return [received["text"] for received in reversed(answer.json()["messages"])]

    async def misbehave(self, what: str) -> None:
        fault = {"lose_answer": "answer_lost", "refuse": "refusal"}.get(what, what)
        profile = {
            "far_side": "sms",
            "operation": "send",
            "fault": fault,
            "next": 1,
            "code": "number_blocked",
        }
        await self.http.call("POST", "/sandbox/faults", json=profile)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def one_stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SmsStage]:
    data_dir = with_keys(tmp_path_factory.mktemp("sms"))
    async with sandbox(data_dir) as url:
        stage = SmsStage(url=url, token=access_token(data_dir))
        yield stage
        await stage.messenger.close()
        await stage.http.close()


@pytest.fixture
def stage(one_stage: SmsStage) -> SmsStage:
    return one_stage


class TestSmsMessenger(MessengerConformance):
    async def test_the_gateways_reason_is_kept(self, stage: SmsStage) -> None:
        await stage.misbehave("refuse")
        outcome = await stage.messenger.send(message(number="13711110007"))
        assert outcome.detail == {"reason": "number_blocked"}

    async def test_a_wrong_token_is_a_refusal(self, stage: SmsStage) -> None:
        stranger = stage.with_token("another")
        outcome = await stranger.send(message(number="13711110008"))
        await stranger.close()
        assert (outcome.result, outcome.code) == (Result.FAILED, "message_refused")
        assert await stage.received("13711110008") == []

    async def test_a_text_beyond_what_a_phone_takes_is_refused(self, stage: SmsStage) -> None:
        outcome = await stage.messenger.send(message(number="13711110009", text="长" * 501))
        assert (outcome.result, outcome.detail) == (Result.FAILED, {"reason": "text_refused"})


async def test_nobody_at_home_is_not_sent(tmp_path: Path, unused_tcp_port: int) -> None:
    messenger = SmsMessenger(
        base_url=f"http://127.0.0.1:{unused_tcp_port}", token="t", now=lambda: datetime.now(UTC)
    )
    outcome = await messenger.send(message(number="13711110010"))
    await messenger.close()
    assert (outcome.result, outcome.code) == (Result.FAILED, "not_sent")
