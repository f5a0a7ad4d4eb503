"""The register of licences in PostgreSQL."""

from typing import Final

import asyncpg

from airback.compliance.licences import Licence
from airback.store import named_sql

_SQL: Final = named_sql.load("licences.sql")


async def list_licences(conn: asyncpg.Connection, *, book: int) -> list[Licence]:
    """Every recorded licence of the book, those that end first at the top."""
    return [
        Licence(
            number=row["number"],
            issuer=row["issuer"],
            capabilities=frozenset(row["capabilities"]),
            valid_from=row["valid_from"],
            valid_until=row["valid_until"],
            recorded_by=row["recorded_by"],
        )
        for row in await conn.fetch(_SQL.list_licences, book)
    ]


async def record_licence(conn: asyncpg.Connection, *, book: int, licence: Licence) -> None:
    """Write a licence, or replace the one recorded under its number. Only the book's writer calls this."""
    await conn.execute(
        _SQL.record_licence,
        book,
        licence.number,
        licence.issuer,
        sorted(licence.capabilities),
        licence.valid_from,
        licence.valid_until,
        licence.recorded_by,
    )
