"""Platform credit: a rail without a far side."""

from datetime import UTC, datetime

import pytest
from tests.adapters.rail.rail_conformance import RailConformance, pay_request

from airback.adapters.rail.credit import CreditRail
from airback.domain.effects import Result


class CreditStage:
    def __init__(self) -> None:
        self.rail = CreditRail()

    def now(self) -> datetime:
        return datetime.now(UTC)


class TestCreditRail(RailConformance):
    @pytest.fixture
    def stage(self) -> CreditStage:
        return CreditStage()

    async def test_it_is_licensed_and_counted_by_nobody_else(self, stage: CreditStage) -> None:
        capabilities = stage.rail.capabilities
        assert (capabilities.licence, capabilities.counted_by_far_side) == ("stored_balance", False)
        assert not capabilities.name_checked

    async def test_asking_before_paying_gives_the_answer_that_paying_will(self, stage: CreditStage) -> None:
        request = pay_request()
        asked = await stage.rail.ask(ref=request.ref)
        paid = await stage.rail.pay(request)
        assert asked.result is Result.SUCCEEDED
        assert asked.far_ref == paid.far_ref
