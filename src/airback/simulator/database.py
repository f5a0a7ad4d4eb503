"""The database of one simulation, and a backup of it: an older copy that it can be taken back to."""

import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from airback.store.pool import connect_once


@dataclass(slots=True)
class Database:
    """A database of its own on a server. While a copy is made or brought back, nobody may be connected to it."""

    server_url: str
    name: str
    url: str
    _copies: list[str] = field(default_factory=list)

    async def back_up(self) -> None:
        """Keep a copy of everything as it is now, instead of any earlier one."""
        copy = f"{self.name}_backup"
        await self._on_server(
            f'DROP DATABASE IF EXISTS "{copy}" WITH (FORCE)',
            f'CREATE DATABASE "{copy}" TEMPLATE "{self.name}" STRATEGY FILE_COPY',
        )
        self._copies = [copy]

    async def restore(self) -> None:
        """Everything is as it was when it was backed up."""
        await self._on_server(
            f'DROP DATABASE "{self.name}" WITH (FORCE)',
            f'ALTER DATABASE "{self._copies.pop()}" RENAME TO "{self.name}"',
        )

    async def drop(self) -> None:
        """Leave nothing on the server."""
        for name in (self.name, *self._copies):
            await self._on_server(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    async def _on_server(self, *statements: str) -> None:
        conn = await connect_once(self.server_url, connect_timeout_s=60)
        try:
            for statement in statements:
                await conn.execute(statement)
        finally:
            await conn.close()


@contextlib.asynccontextmanager
async def database_for(server_url: str, *, seed: int) -> AsyncIterator[Database]:
    """A fresh database on the server, gone afterwards."""
    name = f"airback_simulation_{seed}_{time.monotonic_ns()}"
    base, _, query = server_url.partition("?")
    url = f"{base.rpartition('/')[0]}/{name}" + (f"?{query}" if query else "")
    database = Database(server_url, name, url)
    await database._on_server(f"CREATE DATABASE \"{name}\" TEMPLATE template0 ENCODING 'UTF8'")
    try:
        yield database
    finally:
        await database.drop()
