"""Our TMF654 adapter against the sandbox's four carriers, over real HTTP, through the port's conformance suite."""

import secrets
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest

from airback.adapters.carrier.capabilities import default_capabilities
from airback.adapters.carrier.conformance import CarrierConformance
from airback.adapters.carrier.tmf654 import Tmf654Carrier
from airback.adapters.http.client import HttpFarSide
from airback.domain.ids import new_reference
from tests.sandbox.running import RunningSandbox

_PREFIX = {"cmcc": "138", "ctcc": "189", "cucc": "186", "cbn": "192"}


class SandboxBench:
    """The sandbox's carrier under test."""

    def __init__(self, sandbox: RunningSandbox, code: str) -> None:
        self._sandbox = sandbox
        self._code = code
        self._desk = HttpFarSide(name="desk", base_url=sandbox.url, timeout_s=20, concurrency=2)
        capabilities = default_capabilities(code)
        self.carrier = Tmf654Carrier(
            base_url=f"{sandbox.url}/carriers/{code}", capabilities=capabilities, token=sandbox.token
        )
        self.unreachable = Tmf654Carrier(base_url="http://127.0.0.1:1", capabilities=capabilities)

    async def close(self) -> None:
        await self._desk.call("DELETE", "/sandbox/faults")
        for one in (self._desk, self.carrier, self.unreachable):
            await one.close()

    def now(self) -> datetime:
        return self._sandbox.clock()

    async def pass_time(self, seconds: int) -> None:
        self._sandbox.clock.push(seconds)

    def new_ref(self) -> str:
        return new_reference(entropy=secrets.token_bytes)

    async def open_line(self, *, principal_fen: int, status: str = "active") -> str:
        number = f"{_PREFIX[self._code]}{secrets.randbelow(10**8):08d}"
        line = {"number": number, "carrier": self._code, "principal_fen": principal_fen, "status": status}
        answer = await self._desk.call("POST", "/sandbox/subscribers", json={"subscribers": [line]})
        assert answer.json() == {"added": 1}
        return number

    async def issue_card(self, *, face_fen: int, state: str = "fresh") -> tuple[str, str]:
        number = str(10**16 + secrets.randbelow(10**16))
        code = str(10**17 + secrets.randbelow(10**17))
        expires = self.now().date() + timedelta(days=-1 if state == "expired" else 300)
        card = {
            "card_number": number,
            "code": code,
            "carrier": self._code,
            "face_fen": face_fen,
            "state": state,
            "expires_on": expires.isoformat(),
        }
        answer = await self._desk.call("POST", "/sandbox/cards", json={"cards": [card]})
        assert answer.status == 201, answer.body
        return number, code

    async def balance_fen(self, number: str) -> int:
        return int((await self._line(number))["principal_fen"])

    async def reserved_fen(self, number: str) -> int:
        return int((await self._line(number))["reserved_fen"])

    async def _line(self, number: str) -> dict[str, int]:
        answer = await self._desk.call("GET", "/sandbox/subscribers", query=[("number", number)])
        (line,) = answer.json()["subscribers"]
        return dict(line)

    async def misbehave(
        self, *, operation: str, fault: str, times: int = 1, delay_ms: int = 0, amount_ppm: int = 1_000_000
    ) -> None:
        profile = {
            "far_side": self._code,
            "operation": operation,
            "fault": fault,
            "next": times,
            "delay_ms": delay_ms,
            "amount_ppm": amount_ppm,
        }
        answer = await self._desk.call("POST", "/sandbox/faults", json=profile)
        assert answer.status == 200, answer.body


@pytest.mark.parametrize("code", ["cmcc", "ctcc", "cucc", "cbn"])
class TestSandboxCarriers(CarrierConformance):
    """Two carriers with reservations of their own, two through our bucket."""

    @pytest.fixture
    async def bench(self, sandbox: RunningSandbox, code: str) -> AsyncIterator[SandboxBench]:
        bench = SandboxBench(sandbox, code)
        yield bench
        await bench.close()
