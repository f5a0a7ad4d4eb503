"""Our TMF654 adapter against the sandbox's four carriers, over real HTTP, through the port's conformance suite."""

import secrets
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest

from airback.adapters.carrier.capabilities import default_capabilities
from airback.adapters.carrier.conformance import CarrierConformance
from airback.adapters.carrier.tmf654 import Tmf654Carrier
from airback.domain.ids import new_reference
from tests.sandbox.running import RunningSandbox

_PREFIX = {"cmcc": "138", "ctcc": "189", "cucc": "186", "cbn": "192"}


class SandboxBench:
    """The sandbox's carrier under test."""

    def __init__(self, sandbox: RunningSandbox, code: str) -> None:
        self._sandbox = sandbox
        self._code = code
        self._unreachable: Tmf654Carrier | None = None
        capabilities = default_capabilities(code)
        self.carrier = Tmf654Carrier(
            base_url=f"{sandbox.url}/carriers/{code}", capabilities=capabilities, token=sandbox.token
        )

    @property
    def unreachable(self) -> Tmf654Carrier:
        if self._unreachable is None:
            self._unreachable = Tmf654Carrier(
                base_url="http://127.0.0.1:1", capabilities=self.carrier.capabilities
            )
        return self._unreachable

    async def close(self) -> None:
        self._sandbox.call("DELETE", "/sandbox/faults")
        for one in (self.carrier, self._unreachable):
            if one is not None:
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
        assert self._sandbox.call("POST", "/sandbox/subscribers", {"subscribers": [line]})[1] == {"added": 1}
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
        assert self._sandbox.call("POST", "/sandbox/cards", {"cards": [card]})[0] == 201
        return number, code

    async def balance_fen(self, number: str) -> int:
        return int((await self._line(number))["principal_fen"])

    async def reserved_fen(self, number: str) -> int:
        return int((await self._line(number))["reserved_fen"])

    async def _line(self, number: str) -> dict[str, int]:
        (line,) = self._sandbox.call("GET", f"/sandbox/subscribers?number={number}")[1]["subscribers"]
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
        assert self._sandbox.call("POST", "/sandbox/faults", profile)[0] == 200


@pytest.mark.parametrize("code", ["cmcc", "ctcc", "cucc", "cbn"])
class TestSandboxCarriers(CarrierConformance):
    """Two carriers with reservations of their own, two through our bucket."""

    @pytest.fixture
    async def bench(self, sandbox: RunningSandbox, code: str) -> AsyncIterator[SandboxBench]:
        bench = SandboxBench(sandbox, code)
        yield bench
        await bench.close()
