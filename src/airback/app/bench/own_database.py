"""Each measure has a database of its own, so that none finds what another left."""

import contextlib
import secrets
from collections.abc import AsyncIterator

from airback.store import pool as pools


@contextlib.asynccontextmanager
async def own_database(server_url: str, purpose: str) -> AsyncIterator[str]:
    """A database of its own, dropped afterwards. Yields its address."""
    name = f"bench_{purpose}_{secrets.token_hex(4)}"
    server = await pools.connect_once(server_url)
    try:
        await server.execute(f"CREATE DATABASE {name}")
        try:
            yield server_url.rpartition("/")[0] + f"/{name}"
        finally:
            await server.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await server.close()
