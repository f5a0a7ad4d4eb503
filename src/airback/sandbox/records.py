"""What the sandbox's carriers keep: subscribers, buckets, tasks, reservations, cards. The schema, and its rows.

Amounts are integer fen, times integer microseconds since 1970. A bucket's id is `<number>.principal`,
`<number>.promotional` or `custody.<carrier>` (the platform's own bucket at that carrier).
"""

import json
import sqlite3
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from airback.domain.assets import CARRIERS

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS subscribers (
  number           TEXT PRIMARY KEY,
  carrier          TEXT NOT NULL,
  status           TEXT NOT NULL CHECK (status IN ('active', 'suspended', 'dead')),
  province         TEXT,
  ported_from      TEXT,
  sim_changed_at   INTEGER,
  activated_at     INTEGER,
  keep_alive_fen   INTEGER NOT NULL DEFAULT 0 CHECK (keep_alive_fen >= 0),
  charges_due_fen  INTEGER NOT NULL DEFAULT 0 CHECK (charges_due_fen >= 0),
  messages         TEXT NOT NULL DEFAULT 'received' CHECK (messages IN ('received', 'barred', 'impossible')),
  sim_swap_served  INTEGER NOT NULL DEFAULT 1
);
CREATE TABLE IF NOT EXISTS buckets (
  id            TEXT PRIMARY KEY,
  carrier       TEXT NOT NULL,
  number        TEXT REFERENCES subscribers (number),
  name          TEXT NOT NULL CHECK (name IN ('principal', 'promotional', 'custody')),
  amount_fen    INTEGER NOT NULL CHECK (amount_fen >= 0),
  reserved_fen  INTEGER NOT NULL DEFAULT 0 CHECK (reserved_fen BETWEEN 0 AND amount_fen),
  opening_fen   INTEGER NOT NULL,
  expires_at    INTEGER
);
CREATE INDEX IF NOT EXISTS buckets_number ON buckets (number);
-- One row per request that was accepted or refused by name: what asking by reference tells from.
CREATE TABLE IF NOT EXISTS tasks (
  serial           INTEGER PRIMARY KEY,
  id               TEXT NOT NULL UNIQUE,
  resource         TEXT NOT NULL CHECK (resource IN ('reserveBalance', 'transferBalance', 'topupBalance', 'adjustBalance')),
  kind             TEXT NOT NULL CHECK (kind IN ('hold', 'deliver', 'custody', 'give_back', 'redeem', 'cash', 'adjust')),
  client_ref       TEXT,
  repeat           INTEGER NOT NULL DEFAULT 0,
  carrier          TEXT NOT NULL,
  status           TEXT NOT NULL CHECK (status IN ('created', 'failed', 'cancelled', 'completed')),
  failure          TEXT,
  asked_fen        INTEGER NOT NULL,
  moved_fen        INTEGER NOT NULL DEFAULT 0,
  amount_ppm       INTEGER NOT NULL DEFAULT 1000000,
  bucket           TEXT NOT NULL,
  number           TEXT,
  receiver_bucket  TEXT,
  receiver_number  TEXT,
  reservation      TEXT,
  releases         TEXT,
  purpose          TEXT,
  card_number      TEXT,
  voucher_hash     BLOB,
  before_fen       INTEGER,
  after_fen        INTEGER,
  said             TEXT NOT NULL,
  requested_at     INTEGER NOT NULL,
  complete_at      INTEGER,
  confirmed_at     INTEGER
);
CREATE UNIQUE INDEX IF NOT EXISTS tasks_client_ref ON tasks (client_ref) WHERE client_ref IS NOT NULL AND repeat = 0;
CREATE INDEX IF NOT EXISTS tasks_due ON tasks (complete_at) WHERE status = 'created';
CREATE INDEX IF NOT EXISTS tasks_resource ON tasks (resource, serial);
CREATE INDEX IF NOT EXISTS tasks_purpose ON tasks (purpose) WHERE purpose IS NOT NULL;
CREATE INDEX IF NOT EXISTS tasks_releases ON tasks (releases) WHERE releases IS NOT NULL;
CREATE TABLE IF NOT EXISTS reservations (
  task          TEXT PRIMARY KEY REFERENCES tasks (id) DEFERRABLE INITIALLY DEFERRED,
  bucket        TEXT NOT NULL,
  left_fen      INTEGER NOT NULL CHECK (left_fen >= 0),
  open          INTEGER NOT NULL,
  expires_at    INTEGER NOT NULL,
  ended         TEXT CHECK (ended IN ('released', 'expired', 'consumed')),
  ended_at      INTEGER,
  released_fen  INTEGER NOT NULL DEFAULT 0,
  release_ref   TEXT UNIQUE
);
CREATE INDEX IF NOT EXISTS reservations_open ON reservations (expires_at) WHERE open = 1;
-- `expires_on` is a date; a card used elsewhere has `used_by` without a task of ours.
CREATE TABLE IF NOT EXISTS cards (
  number      TEXT PRIMARY KEY,
  code_hash   BLOB NOT NULL UNIQUE,
  carrier     TEXT NOT NULL,
  face_fen    INTEGER NOT NULL CHECK (face_fen > 0),
  expires_on  TEXT NOT NULL,
  used_by     TEXT,
  used_at     INTEGER
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS hubs (
  id        TEXT PRIMARY KEY,
  callback  TEXT NOT NULL,
  query     TEXT
);
CREATE TABLE IF NOT EXISTS passcodes (
  id          TEXT PRIMARY KEY,
  number      TEXT NOT NULL,
  code        TEXT NOT NULL,
  sent_at     INTEGER NOT NULL,
  wrong       INTEGER NOT NULL DEFAULT 0,
  spent       INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS passcodes_number ON passcodes (number, sent_at);
"""

RESOURCES: Final = ("reserveBalance", "transferBalance", "topupBalance", "adjustBalance")

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def to_micros(moment: datetime) -> int:
    """Microseconds since 1970 of an aware time."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def from_micros(value: int) -> datetime:
    """The UTC time of so many microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=value)


def custody_bucket(carrier: str) -> str:
    """The id of the platform's own bucket at a carrier."""
    return f"custody.{carrier}"


def principal_bucket(number: str) -> str:
    """The id of a number's principal balance."""
    return f"{number}.principal"


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A subscriber to be. Times are aware; `ported_from` names the carrier whose prefix the number has."""

    number: str
    carrier: str
    principal_fen: int = 0
    promotional_fen: int = 0
    status: str = "active"
    province: str | None = None
    ported_from: str | None = None
    sim_changed_at: datetime | None = None
    activated_at: datetime | None = None
    expires_at: datetime | None = None
    keep_alive_fen: int = 0
    charges_due_fen: int = 0
    messages: str = "received"
    sim_swap_served: bool = True

    def __post_init__(self) -> None:
        if self.carrier not in CARRIERS:
            raise ValueError("unknown carrier")


@dataclass(slots=True)
class Task:
    """One row of `tasks`: a request that was accepted, or refused by name (`failure`)."""

    id: str
    resource: str
    kind: str
    client_ref: str | None
    carrier: str
    asked_fen: int
    bucket: str
    number: str | None
    requested_at: int
    receiver_bucket: str | None = None
    receiver_number: str | None = None
    reservation: str | None = None
    releases: str | None = None
    purpose: str | None = None
    card_number: str | None = None
    voucher_hash: bytes | None = field(default=None, repr=False)
    said: dict[str, Any] = field(default_factory=dict)
    amount_ppm: int = 1_000_000
    repeat: int = 0
    status: str = "created"
    failure: str | None = None
    moved_fen: int = 0
    before_fen: int | None = None
    after_fen: int | None = None
    complete_at: int | None = None
    confirmed_at: int | None = None

    def insert(self, connection: sqlite3.Connection) -> None:
        """Write the row."""
        values = {name: getattr(self, name) for name in _TASK_COLUMNS} | {
            "said": json.dumps(self.said, ensure_ascii=False)
        }
        connection.execute(_INSERT_TASK, values)

    def update(self, connection: sqlite3.Connection) -> None:
        """Write what execution changes."""
        connection.execute(
            "UPDATE tasks SET status = :status, failure = :failure, moved_fen = :moved_fen, before_fen = :before_fen,"
            " after_fen = :after_fen, confirmed_at = :confirmed_at, card_number = :card_number WHERE id = :id",
            {name: getattr(self, name) for name in _TASK_COLUMNS},
        )

    @classmethod
    def read(cls, row: sqlite3.Row) -> "Task":
        """A task from its row."""
        values = {name: row[name] for name in _TASK_COLUMNS}
        values["said"] = json.loads(values["said"])
        return cls(**values)


_TASK_COLUMNS: Final = tuple(Task.__slots__)
_INSERT_TASK: Final = f"INSERT INTO tasks ({', '.join(_TASK_COLUMNS)}) VALUES ({', '.join(f':{name}' for name in _TASK_COLUMNS)})"  # noqa: S608 -- column names of our own


class Denied(Exception):
    """A carrier refuses. `code` is the carrier's own name for why, as told in the answer."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


#: Everything the sandbox's carriers refuse for, and how they word it.
REASONS: Final = {
    "amount.missing": "An amount above zero is required",
    "balance.insufficient": "The balance that may be used is too small",
    "bucket.unknown": "No such bucket",
    "bucket.expired": "The bucket's validity has ended",
    "bucket.untransferable": "This bucket's balance cannot be moved",
    "line.suspended": "The line is suspended",
    "line.dead": "The number is not in service",
    "receiver.unknown": "No such receiving number",
    "receiver.refused": "The receiving number cannot be credited",
    "receiver.elsewhere": "The receiving number is another carrier's",
    "reference.repeated": "The client reference was used before",
    "reservation.unknown": "No such reservation",
    "reservation.closed": "The reservation has ended",
    "reservation.expired": "The reservation lapsed, and what was left of it is free again",
    "reservation.released": "The reservation was released before",
    "reservation.consumed": "Nothing is left of the reservation",
    "reservation.failed": "The reservation was never made",
    "reservation.cancelled": "The reservation was cancelled before it was made",
    "reservation.exceeded": "The reservation does not cover the amount",
    "reservation.foreign": "The reservation is of another bucket",
    "return.exceeded": "More than was taken cannot be given back",
    "voucher.unknown": "The voucher is not known",
    "voucher.used": "The voucher was used before",
    "voucher.expired": "The voucher has expired",
    "usage.unsupported": "Only monetary balances are kept here",
    "state.final": "The task has ended",
    "request.refused": "The request is refused",
}
