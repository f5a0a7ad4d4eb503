"""A stage per test."""

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from tests.engine.street import open_street
from tests.web.seller.stage import Browser, Stage, open_stage


@pytest.fixture
async def stage(database_url: str, pool: asyncpg.Pool, tmp_path: Path) -> Stage:
    street = await open_street(database_url, pool, tmp_path / "keys")
    for carrier in street.carriers:
        await street.demands(carrier, *[30_000] * 4)
    return open_stage(street)


@pytest.fixture
async def browser(stage: Stage) -> AsyncIterator[Browser]:
    async with stage.browser() as opened:
        yield opened
