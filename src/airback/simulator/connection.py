"""A database connection that fails where it is told to: the worker dies between two statements, or a commit's answer is lost.

The statements themselves run on a real connection to a real server.
"""

from enum import StrEnum
from types import TracebackType
from typing import Any

import asyncpg


class WorkerDied(BaseException):
    """The worker process is gone. Nothing in the engine may catch it."""


class Commit(StrEnum):
    """What becomes of one commit."""

    DIES_BEFORE = "dies_before"  # the worker is gone before it asks for the commit
    DIES_AFTER = "dies_after"  # it is gone before it hears of it
    LOST = "lost"  # the connection breaks; the server never saw it
    UNKNOWN = "unknown"  # the connection breaks; the server did it


class FragileConnection:
    """What the engine uses of an asyncpg connection."""

    def __init__(self, real: asyncpg.Connection) -> None:
        self.real = real
        self.dies_in: int | None = None
        self.next_commit: Commit | None = None

    @property
    def troubled(self) -> bool:
        """Whether something is planned for it that has not happened yet."""
        return self.dies_in is not None or self.next_commit is not None

    async def fetch(self, query: str, *arguments: Any) -> list[Any]:
        """As asyncpg's."""
        self._count()
        rows: list[Any] = await self.real.fetch(query, *arguments)
        return rows

    async def fetchrow(self, query: str, *arguments: Any) -> Any:
        """As asyncpg's."""
        self._count()
        return await self.real.fetchrow(query, *arguments)

    async def fetchval(self, query: str, *arguments: Any) -> Any:
        """As asyncpg's."""
        self._count()
        return await self.real.fetchval(query, *arguments)

    async def execute(self, query: str, *arguments: Any) -> str:
        """As asyncpg's."""
        self._count()
        return str(await self.real.execute(query, *arguments))

    def transaction(self) -> "_Transaction":
        """As asyncpg's, with the planned end."""
        return _Transaction(self)

    async def close(self) -> None:
        """The end of it, without a word to the server."""
        self.real.terminate()

    def _count(self) -> None:
        if self.dies_in is not None:
            self.dies_in -= 1
            if self.dies_in < 0:
                self.dies_in = None
                raise WorkerDied


class _Transaction:
    def __init__(self, conn: FragileConnection) -> None:
        self._conn = conn
        self._real: Any = None

    async def __aenter__(self) -> None:
        self._real = self._conn.real.transaction()
        await self._real.start()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        planned, self._conn.next_commit = self._conn.next_commit, None
        if kind is not None:
            await self._real.rollback()
            return
        if planned in (Commit.DIES_BEFORE, Commit.LOST):
            await self._real.rollback()
        else:
            await self._real.commit()
        if planned in (Commit.DIES_BEFORE, Commit.DIES_AFTER):
            raise WorkerDied
        if planned is not None:
            raise asyncpg.ConnectionDoesNotExistError("the connection was lost")
