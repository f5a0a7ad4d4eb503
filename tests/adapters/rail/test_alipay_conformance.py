"""The Alipay rail against the sandbox Alipay over real HTTP."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.adapters.rail.rail_conformance import FarRailConformance
from tests.adapters.rail.sandbox_alipay import AlipayStage, alipay_stage

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def one_stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[AlipayStage]:
    async with alipay_stage(tmp_path_factory.mktemp("alipay")) as stage:
        yield stage


class TestAlipayRail(FarRailConformance):
    @pytest.fixture
    def stage(self, one_stage: AlipayStage) -> AlipayStage:
        return one_stage

    @pytest.fixture
    def far(self, one_stage: AlipayStage) -> AlipayStage:
        return one_stage
