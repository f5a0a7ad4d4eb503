"""A sandbox SMS gateway: `POST /sms/v1/messages` with the sandbox's bearer token.

Request `{"ref", "number", "text"}`; the answer is HTTP 200 whatever was decided, as Chinese gateways have it:
`{"outcome": "sent", "message_id"}` or `{"outcome": "refused", "reason"}`. A reference that was sent before is
answered with its first message and not sent again. What phones received is read at `GET /sandbox/sms?number=`.
Faults strike the far side `sms`, operation `send`; a `refusal`'s code is the reason.
"""

import sqlite3
from typing import Final

from airback.domain.numbers import parse_mobile
from airback.sandbox.sqlite import connect
from airback.sandbox.wire import Frame, Plug, Reply, Request, Route, Unreadable

MOST_CHARACTERS: Final = 500

_SCHEMA: Final = "CREATE TABLE IF NOT EXISTS sent (ref TEXT PRIMARY KEY, message_id TEXT NOT NULL);"


class SandboxSms:
    """The gateway, apart from HTTP."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._sent: sqlite3.Connection = connect(frame.folder / "sms.db", _SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._sent.close()

    async def send(self, request: Request) -> Reply:
        """`POST /sms/v1/messages`."""
        told = request.json()
        if not isinstance(told, dict) or not all(
            isinstance(told.get(name), str) for name in ("ref", "number", "text")
        ):
            raise Unreadable("the body must be an object with ref, number and text")
        number = parse_mobile(told["number"])
        fault = await request.begin("sms", "send", key=number or "")
        if fault is not None and fault.kind == "refusal":
            return _refused(fault.code or "frequency_limited")
        if number is None:
            return _refused("number_malformed")
        if not 0 < len(told["text"]) <= MOST_CHARACTERS or not 0 < len(told["ref"]) <= 64:
            return _refused("text_refused")
        row = self._sent.execute("SELECT message_id FROM sent WHERE ref = ?", (told["ref"],)).fetchone()
        if row is None:
            message_id = self._frame.entropy(12).hex()
            with self._sent:
                self._sent.execute("INSERT INTO sent VALUES (?, ?)", (told["ref"], message_id))
            self._frame.messages.write(number=number, text=told["text"], code=None, at=request.now)
        else:
            message_id = row[0]
        return Reply.json(200, {"outcome": "sent", "message_id": message_id})


def _refused(reason: str) -> Reply:
    return Reply.json(200, {"outcome": "refused", "reason": reason})


def plug(frame: Frame) -> Plug:
    """The SMS gateway as a far side of the sandbox's server."""
    sms = SandboxSms(frame)
    return Plug(
        name="sms", routes=[Route("POST", "/sms/v1/messages", sms.send, bearer=True)], close=sms.close
    )
