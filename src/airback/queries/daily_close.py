"""The daily close: each clearing account explained to zero, or what of it stands open."""

from dataclasses import dataclass
from typing import Any

from airback.store.statements import SQL


@dataclass(frozen=True, slots=True)
class Clearing:
    """One clearing account. In fen, credit positive: `balance_fen` = `open_fen` (open breaks) + `not_stated_fen` (paid on
    days whose statement is not in yet) + `settling_fen` (imported, and about to be posted by the book's writer)
    + `unexplained_fen`, which should be zero."""

    account: str
    balance_fen: int
    open_breaks: int
    open_fen: int
    not_stated_fen: int
    settling_fen: int

    @property
    def unexplained_fen(self) -> int:
        """What nobody can account for."""
        return self.balance_fen - self.open_fen - self.not_stated_fen - self.settling_fen

    def as_json(self) -> dict[str, Any]:
        """JSON value."""
        return {
            "account": self.account,
            "balance_fen": self.balance_fen,
            "open_breaks": self.open_breaks,
            "open_fen": self.open_fen,
            "not_stated_fen": self.not_stated_fen,
            "settling_fen": self.settling_fen,
            "unexplained_fen": self.unexplained_fen,
        }


async def clearing(conn: Any, *, book: int) -> list[Clearing]:
    """Every clearing account of the book, in order of its code."""
    rows = await conn.fetch(SQL.clearing, book)
    return [
        Clearing(
            account=row["code"],
            balance_fen=row["balance_fen"],
            open_breaks=row["open_breaks"],
            open_fen=row["open_fen"],
            not_stated_fen=row["not_stated_fen"],
            settling_fen=row["settling_fen"],
        )
        for row in rows
    ]
