"""A platform of fakes on a real database, and the API in front of it."""

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from tests.api.desk import SELLER, Api, Desk, open_desk


@pytest.fixture
def desk(pool: asyncpg.Pool, tmp_path: Path) -> Desk:
    made = open_desk(pool, tmp_path / "keys")
    made.subscribers.add(SELLER)
    return made


@pytest.fixture
async def api(desk: Desk) -> AsyncIterator[Api]:
    """The API with the key of the company `acme`."""
    made = Api(desk, key=await desk.client())
    async with made.http:
        yield made


@pytest.fixture
async def outlet(desk: Desk) -> AsyncIterator[Api]:
    """The API with the key of the outlet `north`, whose deposit is 10 000 yuan."""
    made = Api(desk, key=await desk.client("north", kind="outlet", outlet="north"))
    await desk.deposit("north", 1_000_000)
    async with made.http:
        yield made
