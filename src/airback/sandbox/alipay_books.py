"""The sandbox Alipay's own books: accounts with their holders' names, the merchant's money, transfers.

They are kept in a SQLite file of their own, so that reconciling against them means something, and survive the
sandbox's restart. Times are milliseconds since 1970 UTC.
"""

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Final

from airback.domain.canonical import canonical
from airback.sandbox.sqlite import connect

CHINA: Final = timezone(timedelta(hours=8))
OPENING_BALANCE_FEN: Final = 1_000_000_000_00

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS accounts (identity TEXT PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS transfers (
    n           INTEGER PRIMARY KEY AUTOINCREMENT,
    out_biz_no  TEXT NOT NULL UNIQUE,
    terms       BLOB NOT NULL,              -- hash of the parameters: the same reference means the same ones
    identity    TEXT NOT NULL,
    amount_fen  INTEGER NOT NULL CHECK (amount_fen > 0),
    title       TEXT NOT NULL,
    remark      TEXT NOT NULL,
    status      TEXT NOT NULL CHECK (status IN ('DEALING', 'SUCCESS')),
    accepted_at INTEGER NOT NULL,
    due_at      INTEGER NOT NULL,           -- when it succeeds, or did
    balance_fen INTEGER NOT NULL            -- the merchant's, after it
);
CREATE INDEX IF NOT EXISTS transfers_dealing ON transfers (due_at) WHERE status = 'DEALING';
CREATE INDEX IF NOT EXISTS transfers_succeeded ON transfers (due_at, n) WHERE status = 'SUCCESS';
"""

_COLUMNS: Final = (
    "SELECT out_biz_no, n, identity, (SELECT name FROM accounts a WHERE a.identity = t.identity),"
    " amount_fen, remark, status, due_at, balance_fen, accepted_at FROM transfers t "
)
_BY_REFERENCE: Final = _COLUMNS + "WHERE out_biz_no = ?"
_PAGE: Final = (
    _COLUMNS + "WHERE status = 'SUCCESS' AND due_at >= ? AND due_at < ? ORDER BY due_at, n LIMIT ? OFFSET ?"
)


@dataclass(frozen=True, slots=True)
class Transfer:
    """One transfer as Alipay knows it."""

    out_biz_no: str
    order_id: str
    fund_order_id: str
    identity: str = field(repr=False)
    name: str = field(repr=False)
    amount_fen: int
    remark: str
    status: str
    due_at: int
    balance_fen: int

    @property
    def paid_at(self) -> str:
        """China time of the payment."""
        return china_time(self.due_at)


@dataclass(frozen=True, slots=True)
class Wish:
    """A transfer somebody asks for. `terms` are its parameters as they were sent."""

    out_biz_no: str
    identity: str = field(repr=False)
    name: str = field(repr=False)
    amount_fen: int
    title: str
    remark: str
    terms: dict[str, Any] = field(repr=False)


class AlipayBooks:
    """The books in one file; one process has them open."""

    def __init__(self, path: Path) -> None:
        self._db = connect(path, _SCHEMA)
        self._db.isolation_level = None

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def setting(self, name: str) -> str | None:
        """A stored setting."""
        row = self._db.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def set(self, name: str, value: str | None) -> None:
        """Store or forget a setting."""
        if value is None:
            self._db.execute("DELETE FROM settings WHERE name = ?", (name,))
        else:
            self._db.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (name, value))

    @property
    def balance_fen(self) -> int:
        """What the merchant's account holds."""
        return int(self.setting("balance_fen") or OPENING_BALANCE_FEN)

    def open_account(self, *, identity: str, name: str) -> None:
        """Register an account, or give it another holder's name."""
        self._db.execute("INSERT OR REPLACE INTO accounts VALUES (?, ?)", (identity, name))

    def transfer(
        self, wish: Wish, *, amount_fen: int, now: int, settles_after_ms: int
    ) -> tuple[Transfer | None, str | None]:
        """Pay, once per reference: (transfer, None), or (None, sub-code of the refusal).

        An account is registered under the name it is first paid by, unless it was opened before; one whose
        identity begins with `unknown` does not exist unless it was opened. A refusal leaves no trace. `amount_fen`
        is what really moves.
        """
        terms = hashlib.sha256(canonical(wish.terms)).digest()
        self.settle(now=now)
        row = self._db.execute(
            "SELECT terms FROM transfers WHERE out_biz_no = ?", (wish.out_biz_no,)
        ).fetchone()
        if row is not None:
            if row[0] != terms:
                return None, "PAYMENT_INFO_INCONSISTENCY"
            return self.find(wish.out_biz_no, now=now), None
        holder = self._db.execute("SELECT name FROM accounts WHERE identity = ?", (wish.identity,)).fetchone()
        if holder is None and wish.identity.startswith("unknown"):
            return None, "PAYEE_NOT_EXIST"
        if holder is not None and holder[0] != wish.name:
            return None, "PAYEE_USER_INFO_ERROR"
        left = self.balance_fen - amount_fen
        if left < 0:
            return None, "PAYER_BALANCE_NOT_ENOUGH"
        status = "DEALING" if settles_after_ms > 0 else "SUCCESS"
        self._db.execute("BEGIN IMMEDIATE")
        with self._db:
            if holder is None:
                self._db.execute("INSERT INTO accounts VALUES (?, ?)", (wish.identity, wish.name))
            self.set("balance_fen", str(left))
            self._db.execute(
                "INSERT INTO transfers (out_biz_no, terms, identity, amount_fen, title, remark, status, accepted_at,"
                " due_at, balance_fen) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    wish.out_biz_no,
                    terms,
                    wish.identity,
                    amount_fen,
                    wish.title,
                    wish.remark,
                    status,
                    now,
                    now + settles_after_ms,
                    left,
                ),
            )
        return self.find(wish.out_biz_no, now=now), None

    def settle(self, *, now: int, early: bool = False) -> int:
        """Let what is due succeed, or with `early` whatever is being processed; how many that were."""
        if early:
            self._db.execute(
                "UPDATE transfers SET due_at = ? WHERE status = 'DEALING' AND due_at > ?", (now, now)
            )
        done = self._db.execute(
            "UPDATE transfers SET status = 'SUCCESS' WHERE status = 'DEALING' AND due_at <= ?", (now,)
        )
        return done.rowcount

    def find(self, out_biz_no: str, *, now: int) -> Transfer | None:
        """The transfer under a reference."""
        self.settle(now=now)
        rows = self._read(_BY_REFERENCE, (out_biz_no,))
        return rows[0] if rows else None

    def log(self, *, since: int, until: int, now: int, page: int, size: int) -> tuple[list[Transfer], int]:
        """A page (from 1) of what succeeded in [since, until), and how many there are in all."""
        self.settle(now=now)
        (total,) = self._db.execute(
            "SELECT count(*) FROM transfers WHERE status = 'SUCCESS' AND due_at >= ? AND due_at < ?",
            (since, until),
        ).fetchone()
        return self._read(_PAGE, (since, until, size, (page - 1) * size)), int(total)

    def counts(self, *, now: int) -> dict[str, int]:
        """`payments` and `paid_fen` that succeeded; `duplicates` = those beyond one for the same remark."""
        self.settle(now=now)
        payments, paid_fen = self._db.execute(
            "SELECT count(*), coalesce(sum(amount_fen), 0) FROM transfers WHERE status = 'SUCCESS'"
        ).fetchone()
        (duplicates,) = self._db.execute(
            "SELECT coalesce(sum(n - 1), 0) FROM (SELECT count(*) AS n FROM transfers"
            " WHERE status = 'SUCCESS' GROUP BY remark HAVING count(*) > 1)"
        ).fetchone()
        return {"payments": payments, "paid_fen": paid_fen, "duplicates": duplicates}

    def _read(self, query: str, values: tuple[object, ...]) -> list[Transfer]:
        rows = self._db.execute(query, values).fetchall()
        return [
            Transfer(
                out_biz_no=row[0],
                order_id=f"{_day(row[9])}110070000006{row[1]:012d}",
                fund_order_id=f"{_day(row[9])}110070001506{row[1]:012d}",
                identity=row[2],
                name=row[3],
                amount_fen=row[4],
                remark=row[5],
                status=row[6],
                due_at=row[7],
                balance_fen=row[8],
            )
            for row in rows
        ]


def china_time(milliseconds: int) -> str:
    """`2026-11-21 20:34:47` in China."""
    return _moment(milliseconds).strftime("%Y-%m-%d %H:%M:%S")


def milliseconds(china: str) -> int:
    """The moment of a China time. Raises ValueError for anything else."""
    return int(datetime.strptime(china, "%Y-%m-%d %H:%M:%S").replace(tzinfo=CHINA).timestamp() * 1000)


def _day(at: int) -> str:
    return _moment(at).strftime("%Y%m%d")


def _moment(at: int) -> datetime:
    return datetime.fromtimestamp(at / 1000, tz=UTC).astimezone(CHINA)
