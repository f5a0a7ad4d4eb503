"""A street per test: a fresh book with outlets, demands and far sides."""

from pathlib import Path

import asyncpg
import pytest

from tests.engine.street import Street, open_street


@pytest.fixture
async def street(database_url: str, pool: asyncpg.Pool, tmp_path: Path) -> Street:
    opened = await open_street(database_url, pool, tmp_path / "keys")
    for carrier in opened.carriers:
        await opened.demands(carrier, *[30_000] * 12)
    return opened
