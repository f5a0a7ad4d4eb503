"""What is wrong with the database, said so that an operator can act: a code, where, why and the remedy."""

from typing import Final

import asyncpg

#: Everything that asking the database can raise when it is not the caller's own mistake.
TROUBLE: Final = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # the driver's own confusion when a connection dies in the midst of something
)

_AWAY: Final = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # shutting down, crashing, starting, or a statement that took too long
    asyncpg.InsufficientResourcesError,  # a full disk, no memory, no connection left
    asyncpg.ReadOnlySQLTransactionError,  # a standby that has not taken over yet
    # waited too long for others, or was chosen to give way: nothing was kept, and again may do better
    asyncpg.LockNotAvailableError,
    asyncpg.DeadlockDetectedError,
    asyncpg.InternalClientError,
    asyncpg.InterfaceError,
)


def away(error: BaseException) -> bool:
    """Whether an error tells of a database that cannot serve now but may later, not of a bug."""
    if isinstance(error, ValueError):  # the driver's word for a value that cannot be encoded
        return False
    return isinstance(error, (DatabaseProblem, *_AWAY))


class DatabaseProblem(Exception):
    """The database cannot be used. Text never holds a password.

    `code` is stable and made for machines; `where` is a path or `host:port/database`; `reason` says what was
    found; `remedy` says what to do about it.
    """

    code = "database_problem"

    def __init__(self, *, where: str, reason: str, remedy: str, code: str | None = None) -> None:
        super().__init__(f"{where}: {reason} {remedy}")
        if code is not None:
            self.code = code
        self.where = where
        self.reason = reason
        self.remedy = remedy
