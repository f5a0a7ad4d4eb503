"""A console per test."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.web.console.world import World, open_world


@pytest.fixture
async def world(pool: asyncpg.Pool) -> AsyncIterator[World]:
    opened = await open_world(pool)
    yield opened
    for client in opened.clients:
        await client.aclose()
