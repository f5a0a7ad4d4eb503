"""The sandbox's outlet as a receiver of webhooks: `POST /outlet/hook`. It checks each signature as Standard Webhooks says
and keeps its own account of what it was told, in its own file; a notice that comes twice counts once. Asked by a notice
`statement.asked` it answers with that account of the time, signed in the same way.

`POST /sandbox/outlet/secret` `{"secret"}` tells it what notices are signed with (the reseller does, when it has
registered); `GET /sandbox/outlet/notices` reads its account: `{"notices", "fills", "delivered_fen", "pays_fen",
"last"}`. Faults strike the far side `outlet`, operation `hook`.
"""

import json
import sqlite3
from datetime import datetime
from typing import Any, Final

from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from airback.sandbox.sqlite import connect
from airback.sandbox.wire import Frame, Plug, Reply, Request, Route, Unreadable

PATH: Final = "/outlet/hook"
SECRET_PATH: Final = "/sandbox/outlet/secret"  # noqa: S105 - an address
_LAST: Final = 20

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS secrets (id INTEGER PRIMARY KEY CHECK (id = 1), secret TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS notices (
  ref           TEXT PRIMARY KEY,
  type          TEXT NOT NULL,
  fill          TEXT,
  delivered_fen INTEGER NOT NULL,
  pays_fen      INTEGER NOT NULL,
  at            TEXT NOT NULL
);
"""


class NoticeDesk:
    """The receiver, apart from HTTP."""

    def __init__(self, frame: Frame) -> None:
        self._book: sqlite3.Connection = connect(frame.folder / "outlet.db", _SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._book.close()

    async def learn(self, request: Request) -> Reply:
        """`POST /sandbox/outlet/secret`."""
        told = request.json()
        secret = told.get("secret") if isinstance(told, dict) else None
        if not isinstance(secret, str) or not secret.startswith("whsec_"):
            raise Unreadable("the body must be an object with a secret")
        with self._book:
            self._book.execute("INSERT OR REPLACE INTO secrets VALUES (1, ?)", (secret,))
        return Reply.json(200, {"outcome": "known"})

    async def take(self, request: Request) -> Reply:
        """`POST /outlet/hook`."""
        fault = await request.begin("outlet", "hook")
        if fault is not None and fault.kind == "refusal":
            return Reply.json(503, {"outcome": "busy"})
        row = self._book.execute("SELECT secret FROM secrets").fetchone()
        if row is None:
            return Reply.json(401, {"outcome": "no secret is known here"})
        try:
            said = Webhook(row[0]).verify(request.body, dict(request.headers))
        except (WebhookVerificationError, ValueError):  # a header of another form raises ValueError
            return Reply.json(401, {"outcome": "not genuine"})
        data = said.get("data", {})
        if said.get("type") == "statement.asked":
            return self._statement(row[0], request, data)
        with self._book:
            self._book.execute(
                "INSERT OR IGNORE INTO notices VALUES (?, ?, ?, ?, ?, ?)",
                (
                    request.headers["webhook-id"],
                    str(said.get("type")),
                    data.get("fill"),
                    int(data.get("delivered_fen", 0)),
                    int(data.get("pays_fen", 0)),
                    request.now.isoformat(),
                ),
            )
        return Reply.json(200, {"outcome": "taken"})

    def _statement(self, secret: str, request: Request, data: dict[str, Any]) -> Reply:
        """Its own account of what it was told, signed with the same secret under the id it was asked with."""
        try:
            since, until = (datetime.fromisoformat(str(data[name])) for name in ("since", "until"))
        except (KeyError, ValueError):
            raise Unreadable("a statement is asked for with since and until") from None
        rows = self._book.execute(
            "SELECT fill, pays_fen, at FROM notices WHERE fill IS NOT NULL ORDER BY at, fill"
        )
        fills = [
            {"fill": fill, "pays_fen": pays_fen, "at": at}
            for fill, pays_fen, at in rows
            if since <= datetime.fromisoformat(at) < until
        ]
        body = json.dumps({"since": data["since"], "until": data["until"], "fills": fills})
        ref = request.headers["webhook-id"]
        signed = {
            "webhook-id": ref,
            "webhook-timestamp": str(int(request.now.timestamp())),
            "webhook-signature": Webhook(secret).sign(ref, request.now, body),
        }
        return Reply(200, body.encode(), (("content-type", "application/json"), *signed.items()))

    async def show(self, request: Request) -> Reply:
        """`GET /sandbox/outlet/notices`."""
        totals = self._book.execute(
            "SELECT count(*), count(fill), coalesce(sum(delivered_fen), 0), coalesce(sum(pays_fen), 0) FROM notices"
        ).fetchone()
        rows = self._book.execute(
            "SELECT ref, type, fill, delivered_fen, pays_fen, at FROM notices ORDER BY rowid DESC LIMIT ?",
            (_LAST,),
        )
        names = ("ref", "type", "fill", "delivered_fen", "pays_fen", "at")
        last: list[dict[str, Any]] = [dict(zip(names, row, strict=True)) for row in rows]
        account = dict(zip(("notices", "fills", "delivered_fen", "pays_fen"), totals, strict=True))
        return Reply.json(200, {**account, "last": last})


def plug(frame: Frame) -> Plug:
    """The receiver as a part of the sandbox's server."""
    desk = NoticeDesk(frame)
    routes = [
        Route("POST", PATH, desk.take),
        Route("POST", SECRET_PATH, desk.learn, counted=False),
        Route("GET", "/sandbox/outlet/notices", desk.show, counted=False),
    ]
    return Plug(name="outlet", routes=routes, close=desk.close)
