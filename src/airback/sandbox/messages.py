"""The messages that phones of the sandbox received: one-time codes and notices, read by whoever plays the person."""

import sqlite3
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from airback.domain.numbers import parse_mobile
from airback.sandbox.sqlite import connect
from airback.sandbox.wire import Plug, Reply, Request, Route

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS messages (
  id     INTEGER PRIMARY KEY,
  number TEXT NOT NULL,
  text   TEXT NOT NULL,
  code   TEXT,
  at     TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS messages_number ON messages (number, id);
"""


class MessageBook:
    """Every message ever received, by number. `number` is eleven digits, `at` an aware time."""

    def __init__(self, folder: Path) -> None:
        self._connection: sqlite3.Connection = connect(folder / "messages.db", _SCHEMA)

    def write(self, *, number: str, text: str, code: str | None, at: datetime) -> None:
        """Record that a phone received a text; `code` is the one-time code in it, if it has one."""
        with self._connection:
            self._connection.execute(
                "INSERT INTO messages (number, text, code, at) VALUES (?, ?, ?, ?)",
                (number, text, code, at.isoformat()),
            )

    def read(self, *, number: str, limit: int = 20) -> list[dict[str, Any]]:
        """The newest messages of a number, newest first."""
        rows = self._connection.execute(
            "SELECT number, text, code, at FROM messages WHERE number = ? ORDER BY id DESC LIMIT ?",
            (number, limit),
        )
        return [dict(zip(("number", "text", "code", "at"), row, strict=True)) for row in rows]

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


def plug(book: MessageBook) -> Plug:
    """`GET /sandbox/sms?number=`."""

    async def show(request: Request) -> Reply:
        number = parse_mobile(request.first("number") or "")
        if number is None:
            return Reply.json(
                400, {"code": "number_malformed", "message": "number must be a mainland mobile number"}
            )
        return Reply.json(200, {"messages": book.read(number=number)})

    return Plug(name="messages", routes=[Route("GET", "/sandbox/sms", show, counted=False)], close=book.close)
