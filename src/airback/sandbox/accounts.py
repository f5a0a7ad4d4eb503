"""The carriers' books: what each request does to buckets, reservations and cards, each in one transaction.

A request's reference is recorded in the transaction that executes it, so asking by reference tells the truth even
after a kill. A refusal for a business reason is recorded too, as a failed task. Tasks accepted for later, and
reservations whose time is up, are dealt with at the beginning of the next transaction.
"""

import hashlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final

from airback.domain.assets import CARRIERS
from airback.sandbox.records import (
    SCHEMA,
    Denied,
    Subscriber,
    Task,
    custody_bucket,
    principal_bucket,
    to_micros,
)
from airback.sandbox.sqlite import connect
from airback.sandbox.wire import Counts

_PPM: Final = 1_000_000

#: How long a reservation holds when the request does not say.
_DEFAULT_HOLD_US: Final = 30 * 60 * 1_000_000


def voucher_hash(code: str) -> bytes:
    """What the book keeps of a card's code."""
    return hashlib.sha256(b"airback voucher " + code.encode()).digest()


class Accounts:
    """The books of all four carriers in one SQLite file."""

    def __init__(self, folder: Path, *, now: Callable[[], datetime]) -> None:
        self._connection = connect(folder / "carriers.db", SCHEMA)
        self._connection.row_factory = sqlite3.Row
        self._connection.isolation_level = None
        self._now = now
        with self.transaction():
            self._connection.executemany(
                "INSERT OR IGNORE INTO buckets (id, carrier, name, amount_fen, opening_fen) VALUES (?, ?, 'custody', 0, 0)",
                [(custody_bucket(carrier), carrier) for carrier in CARRIERS],
            )

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """One transaction on the books, after what is due; rolled back when the block raises."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            self._due(to_micros(self._now()))
            yield self._connection
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    # -- subscribers

    def add_subscribers(self, subscribers: Iterable[Subscriber]) -> int:
        """Open lines with their balances; a number that exists is left as it is. How many were new."""
        added = 0
        with self.transaction() as connection:
            for one in subscribers:
                done = connection.execute(
                    "INSERT OR IGNORE INTO subscribers (number, carrier, status, province, ported_from, sim_changed_at,"
                    " activated_at, keep_alive_fen, charges_due_fen, messages, sim_swap_served)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        one.number,
                        one.carrier,
                        one.status,
                        one.province,
                        one.ported_from,
                        _micros(one.sim_changed_at),
                        _micros(one.activated_at),
                        one.keep_alive_fen,
                        one.charges_due_fen,
                        one.messages,
                        int(one.sim_swap_served),
                    ),
                )
                if done.rowcount == 0:
                    continue
                added += 1
                connection.executemany(
                    "INSERT INTO buckets (id, carrier, number, name, amount_fen, opening_fen, expires_at)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?)",
                    [
                        (
                            f"{one.number}.{name}",
                            one.carrier,
                            one.number,
                            name,
                            fen,
                            fen,
                            _micros(one.expires_at),
                        )
                        for name, fen in (
                            ("principal", one.principal_fen),
                            ("promotional", one.promotional_fen),
                        )
                    ],
                )
        return added

    def subscriber(self, number: str) -> sqlite3.Row | None:
        """A line with its principal, promotional and reserved amounts, or None."""
        row: sqlite3.Row | None = self._connection.execute(
            "SELECT s.*, p.amount_fen AS principal_fen, p.reserved_fen, p.expires_at, f.amount_fen AS promotional_fen"
            " FROM subscribers s JOIN buckets p ON p.id = s.number || '.principal'"
            " JOIN buckets f ON f.id = s.number || '.promotional' WHERE s.number = ?",
            (number,),
        ).fetchone()
        return row

    def subscribers(self, *, carrier: str | None, offset: int, limit: int) -> list[sqlite3.Row]:
        """A page of lines, as `subscriber` tells each, by number."""
        return self._connection.execute(
            "SELECT s.*, p.amount_fen AS principal_fen, p.reserved_fen, p.expires_at, f.amount_fen AS promotional_fen"
            " FROM subscribers s JOIN buckets p ON p.id = s.number || '.principal'"
            " JOIN buckets f ON f.id = s.number || '.promotional'"
            " WHERE (:carrier IS NULL OR s.carrier = :carrier) ORDER BY s.number LIMIT :limit OFFSET :offset",
            {"carrier": carrier, "offset": offset, "limit": limit},
        ).fetchall()

    # -- reading

    def bucket(self, bucket: str) -> sqlite3.Row | None:
        """A bucket with its line's status, province and dues, or None."""
        row: sqlite3.Row | None = self._connection.execute(_BUCKETS + " WHERE b.id = ?", (bucket,)).fetchone()
        return row

    def buckets(
        self, *, number: str | None, carrier: str | None, offset: int, limit: int
    ) -> tuple[list[sqlite3.Row], int]:
        """A page of subscribers' buckets by id, and how many there are."""
        given = {"number": number, "carrier": carrier, "limit": limit, "offset": offset}
        if number is not None:
            rows = self._connection.execute(
                _BUCKETS
                + " WHERE b.number = :number AND (:carrier IS NULL OR b.carrier = :carrier) ORDER BY b.name",
                given,
            ).fetchall()
            return rows[offset : offset + limit], len(rows)
        rows = self._connection.execute(
            _BUCKETS
            + " WHERE :carrier IS NULL OR b.carrier = :carrier ORDER BY b.id LIMIT :limit OFFSET :offset",
            given,
        ).fetchall()
        (total,) = self._connection.execute(
            "SELECT count(*) FROM buckets b WHERE :carrier IS NULL OR b.carrier = :carrier", given
        ).fetchone()
        return rows, total

    def settle(self) -> None:
        """Execute what is due, so that what is read next is true now."""
        now = to_micros(self._now())
        if self._is_due(now):
            with self.transaction():
                pass

    def _is_due(self, now: int) -> bool:
        found = self._connection.execute(
            "SELECT EXISTS (SELECT 1 FROM tasks WHERE status = 'created' AND complete_at <= :now)"
            " OR EXISTS (SELECT 1 FROM reservations WHERE open = 1 AND expires_at <= :now)",
            {"now": now},
        ).fetchone()
        return bool(found[0])

    def task(self, resource: str, task: str, *, carrier: str | None = None) -> Task | None:
        """A task by the carrier's own id."""
        row = self._connection.execute(
            "SELECT * FROM tasks WHERE resource = ? AND id = ? AND (? IS NULL OR carrier = ?)",
            (resource, task, carrier, carrier),
        ).fetchone()
        return None if row is None else Task.read(row)

    def tasks_by_reference(self, resource: str, reference: str, *, carrier: str | None) -> list[Task]:
        """What a client reference led to: one task, none, or (a duplicated execution) several."""
        rows = self._connection.execute(
            "SELECT * FROM tasks WHERE client_ref = ? AND resource = ? AND (? IS NULL OR carrier = ?) ORDER BY serial",
            (reference, resource, carrier, carrier),
        )
        return [Task.read(row) for row in rows]

    def task_released_by(self, reference: str, *, carrier: str | None) -> list[Task]:
        """The reservation that a release's client reference ended."""
        rows = self._connection.execute(
            "SELECT t.* FROM reservations r JOIN tasks t ON t.id = r.task"
            " WHERE r.release_ref = ? AND (? IS NULL OR t.carrier = ?)",
            (reference, carrier, carrier),
        )
        return [Task.read(row) for row in rows]

    def page(
        self,
        resource: str | None,
        *,
        carrier: str | None = None,
        number: str | None = None,
        status: str | None = None,
        since: int = 0,
        until: int = 1 << 62,
        offset: int = 0,
        limit: int = 100,
    ) -> tuple[list[Task], int]:
        """Tasks confirmed (or, when never, requested) in [since, until), oldest first, and how many there are."""
        given = {
            "resource": resource,
            "carrier": carrier,
            "number": number,
            "status": status,
            "since": since,
            "until": until,
            "offset": offset,
            "limit": limit,
        }
        rows = self._connection.execute(_PAGE_ROWS, given)
        (total,) = self._connection.execute(_PAGE_COUNT, given).fetchone()
        return [Task.read(row) for row in rows], total

    def reservation(self, task: str) -> sqlite3.Row | None:
        """What is left of a reservation and how it ended, or None before it was made."""
        row: sqlite3.Row | None = self._connection.execute(
            "SELECT * FROM reservations WHERE task = ?", (task,)
        ).fetchone()
        return row

    def counts(self) -> Counts:
        """Deliveries and redemptions, and those beyond one for the same purpose."""
        self.settle()
        executions, delivered, duplicates = self._connection.execute(
            "SELECT count(*), coalesce(sum(moved_fen), 0), count(purpose) - count(DISTINCT purpose) FROM tasks"
            " WHERE kind IN ('deliver', 'redeem') AND status = 'completed'"
        ).fetchone()
        return Counts(executions=executions, delivered_fen=delivered, duplicates=duplicates)

    # -- changing

    def execute(self, task: Task, *, delay_us: int = 0, twice: bool = False) -> Task:
        """Accept a request: execute it now, or `delay_us` later, once or (a faulty far side) twice.

        Raises `Denied`; a refusal is recorded under the reference, except that the reference was used before.
        """
        denied: Denied | None = None
        with self.transaction() as connection:
            if task.client_ref is not None and self._reference_taken(task.client_ref):
                raise Denied("reference.repeated")
            try:
                self._measure(task)
                if delay_us:
                    task.complete_at = task.requested_at + delay_us
                else:
                    self._apply(task, task.requested_at)
            except Denied as error:
                denied = error
                task.status, task.failure, task.moved_fen = "failed", error.code, 0
            task.insert(connection)
            if twice and denied is None:
                self._again(task)
        if denied is not None:
            raise denied
        return task

    def refuse(self, task: Task, code: str) -> None:
        """Record that the request was refused by name without looking at it."""
        with self.transaction() as connection:
            if task.client_ref is not None and self._reference_taken(task.client_ref):
                raise Denied("reference.repeated")
            task.status, task.failure = "failed", code
            task.insert(connection)

    def release(self, task: str, *, reference: str | None, at: int) -> Task:
        """End a reservation and give back what is left of it. Raises `Denied`."""
        with self.transaction() as connection:
            if reference is not None and self._reference_taken(reference):
                raise Denied("reference.repeated")
            row = connection.execute(
                "SELECT * FROM tasks WHERE resource = 'reserveBalance' AND id = ?", (task,)
            ).fetchone()
            if row is None:
                raise Denied("reservation.unknown")
            held = self.reservation(task)
            if held is None or not held["open"]:
                if row["status"] == "created":  # not reserved yet: nothing to give back
                    connection.execute(
                        "UPDATE tasks SET status = 'cancelled', confirmed_at = ? WHERE id = ?", (at, task)
                    )
                    connection.execute(
                        "INSERT INTO reservations (task, bucket, left_fen, open, expires_at, ended, ended_at, release_ref)"
                        " VALUES (?, ?, 0, 0, ?, 'released', ?, ?)",
                        (task, row["bucket"], at, at, reference),
                    )
                    return Task.read(
                        connection.execute("SELECT * FROM tasks WHERE id = ?", (task,)).fetchone()
                    )
                raise Denied(f"reservation.{row['status'] if held is None else held['ended']}")
            self._end(held, "released", at, reference)
            return Task.read(connection.execute("SELECT * FROM tasks WHERE id = ?", (task,)).fetchone())

    def cancel(self, resource: str, task: str, *, at: int) -> Task:
        """Cancel a task that was accepted for later. Raises `Denied` when it has ended."""
        with self.transaction() as connection:
            done = connection.execute(
                "UPDATE tasks SET status = 'cancelled', confirmed_at = ? WHERE resource = ? AND id = ? AND status = 'created'",
                (at, resource, task),
            )
            if done.rowcount == 0:
                raise Denied("state.final")
            return Task.read(connection.execute("SELECT * FROM tasks WHERE id = ?", (task,)).fetchone())

    def _reference_taken(self, reference: str) -> bool:
        found = self._connection.execute(
            "SELECT EXISTS (SELECT 1 FROM tasks WHERE client_ref = :ref) OR EXISTS"
            " (SELECT 1 FROM reservations WHERE release_ref = :ref)",
            {"ref": reference},
        ).fetchone()
        return bool(found[0])

    def _measure(self, task: Task) -> None:
        """Set what would move, and raise `Denied` when it cannot."""
        if task.failure is not None:
            raise Denied(task.failure)
        task.moved_fen = task.asked_fen * task.amount_ppm // _PPM or task.asked_fen
        _CHECKS[task.kind](self, task)

    def _apply(self, task: Task, at: int) -> None:
        """Move what `_measure` allowed."""
        connection = self._connection
        moved = task.moved_fen
        if task.kind == "hold":
            until = int(task.said["expires_at"]) if "expires_at" in task.said else at + _DEFAULT_HOLD_US
            connection.execute(
                "UPDATE buckets SET reserved_fen = reserved_fen + ? WHERE id = ?", (moved, task.bucket)
            )
            connection.execute(
                "INSERT INTO reservations (task, bucket, left_fen, open, expires_at) VALUES (?, ?, ?, 1, ?)",
                (task.id, task.bucket, moved, until),
            )
        elif task.kind in ("redeem", "cash", "adjust"):
            if task.kind == "redeem":
                connection.execute(
                    "UPDATE cards SET used_by = ?, used_at = ? WHERE number = ?",
                    (task.receiver_number, at, task.card_number),
                )
            task.before_fen, task.after_fen = self._credit(task.bucket, moved)
        else:
            if task.reservation is not None:
                held = connection.execute(
                    "SELECT * FROM reservations WHERE task = ?", (task.reservation,)
                ).fetchone()
                left = held["left_fen"] - moved
                connection.execute(
                    "UPDATE reservations SET left_fen = :left, open = :left > 0,"
                    " ended = CASE WHEN :left = 0 THEN 'consumed' END, ended_at = CASE WHEN :left = 0 THEN :at END"
                    " WHERE task = :task",
                    {"left": left, "at": at, "task": task.reservation},
                )
                connection.execute(
                    "UPDATE buckets SET reserved_fen = reserved_fen - ? WHERE id = ?", (moved, task.bucket)
                )
            self._credit(task.bucket, -moved)
            task.before_fen, task.after_fen = self._credit(str(task.receiver_bucket), moved)
        task.status, task.confirmed_at = "completed", at

    def _again(self, task: Task) -> None:
        """Execute a request a second time, as a faulty far side would."""
        second = replace(task, id=f"{task.id}-2", repeat=1, status="created")
        try:
            self._measure(second)
        except Denied:
            return
        self._apply(second, task.requested_at)
        second.insert(self._connection)

    def _credit(self, bucket: str, fen: int) -> tuple[int, int]:
        """Add to a bucket (or take from it); its amount before and after."""
        (after,) = self._connection.execute(
            "UPDATE buckets SET amount_fen = amount_fen + ? WHERE id = ? RETURNING amount_fen", (fen, bucket)
        ).fetchone()
        return after - fen, after

    def _end(self, held: sqlite3.Row, how: str, at: int, reference: str | None = None) -> None:
        """Give back what is left of an open reservation."""
        self._connection.execute(
            "UPDATE buckets SET reserved_fen = reserved_fen - ? WHERE id = ?",
            (held["left_fen"], held["bucket"]),
        )
        self._connection.execute(
            "UPDATE reservations SET open = 0, ended = ?, ended_at = ?, released_fen = left_fen, left_fen = 0, release_ref = ?"
            " WHERE task = ?",
            (how, at, reference, held["task"]),
        )
        self._connection.execute("UPDATE tasks SET status = 'cancelled' WHERE id = ?", (held["task"],))

    def _due(self, now: int) -> None:
        if not self._is_due(now):
            return
        connection = self._connection
        for row in connection.execute(
            "SELECT * FROM tasks WHERE status = 'created' AND complete_at <= ? ORDER BY complete_at, serial",
            (now,),
        ).fetchall():
            task = Task.read(row)
            try:
                self._measure(task)
                self._apply(task, int(task.complete_at or now))
            except Denied as error:
                task.status, task.failure, task.moved_fen, task.confirmed_at = (
                    "failed",
                    error.code,
                    0,
                    task.complete_at,
                )
            task.update(connection)
        for held in connection.execute(
            "SELECT * FROM reservations WHERE open = 1 AND expires_at <= ?", (now,)
        ).fetchall():
            self._end(held, "expired", held["expires_at"])

    # -- what each kind of request needs

    def _line(self, task: Task, number: str | None) -> sqlite3.Row:
        row: sqlite3.Row | None = self._connection.execute(
            "SELECT s.*, b.amount_fen, b.reserved_fen, b.expires_at FROM subscribers s"
            " JOIN buckets b ON b.id = s.number || '.principal' WHERE s.number = ?",
            (number,),
        ).fetchone()
        if row is None or (row["carrier"] != task.carrier and task.kind != "deliver"):
            raise Denied("bucket.unknown")
        return row

    def _check_source(self, task: Task) -> None:
        """A subscriber's own principal balance, free of what is reserved, due or keeps the line alive."""
        line = self._line(task, task.number)
        if line["carrier"] != task.carrier:
            raise Denied("bucket.unknown")
        if task.bucket != principal_bucket(line["number"]):
            raise Denied(
                "bucket.untransferable" if self.bucket(task.bucket) is not None else "bucket.unknown"
            )
        if line["status"] != "active":
            raise Denied(f"line.{line['status']}")
        if line["expires_at"] is not None and line["expires_at"] <= task.requested_at:
            raise Denied("bucket.expired")
        kept = line["reserved_fen"] + line["charges_due_fen"] + line["keep_alive_fen"]
        if line["amount_fen"] - kept < task.moved_fen:
            raise Denied("balance.insufficient")

    def _check_receiver(self, task: Task) -> None:
        line = self._connection.execute(
            "SELECT * FROM subscribers WHERE number = ?", (task.receiver_number,)
        ).fetchone()
        if line is None or task.receiver_bucket != principal_bucket(line["number"]):
            raise Denied("receiver.unknown")
        if line["carrier"] != task.carrier:
            raise Denied("receiver.elsewhere")
        if line["status"] == "dead":
            raise Denied("receiver.refused")

    def _check_hold(self, task: Task) -> None:
        self._check_source(task)

    def _check_deliver(self, task: Task) -> None:
        self._check_receiver(task)
        if task.bucket == custody_bucket(task.carrier):
            self._check_custody(task)
        elif task.reservation is None:
            self._check_source(task)
        else:
            held = self.reservation(task.reservation)
            if held is None:
                raise Denied("reservation.unknown")
            if held["bucket"] != task.bucket:
                raise Denied("reservation.foreign")
            if not held["open"] or held["expires_at"] <= task.requested_at:
                raise Denied("reservation.closed")
            if held["left_fen"] < task.moved_fen:
                raise Denied("reservation.exceeded")

    def _check_custody(self, task: Task) -> None:
        bucket = self.bucket(task.bucket)
        if bucket is None or bucket["amount_fen"] < task.moved_fen:
            raise Denied("balance.insufficient")

    def _check_into_custody(self, task: Task) -> None:
        if task.receiver_bucket != custody_bucket(task.carrier):
            raise Denied("receiver.elsewhere")
        self._check_source(task)

    def _check_give_back(self, task: Task) -> None:
        """Only what was taken from this very number, and only up to what was taken."""
        self._check_custody(task)
        taken = self._connection.execute(
            "SELECT * FROM tasks WHERE id = ? AND kind = 'custody' AND status = 'completed'", (task.releases,)
        ).fetchone()
        if (
            taken is None
            or taken["number"] != task.receiver_number
            or taken["bucket"] != task.receiver_bucket
        ):
            raise Denied("reservation.unknown")
        (given,) = self._connection.execute(
            "SELECT coalesce(sum(moved_fen), 0) FROM tasks WHERE releases = ? AND status = 'completed' AND id <> ?",
            (task.releases, task.id),
        ).fetchone()
        if given + task.moved_fen > taken["moved_fen"]:
            raise Denied("return.exceeded")

    def _check_redeem(self, task: Task) -> None:
        card = self._connection.execute(
            "SELECT * FROM cards WHERE code_hash = ?", (task.voucher_hash,)
        ).fetchone()
        if card is None or task.card_number not in (None, card["number"]):
            raise Denied("voucher.unknown")
        receiver = self._connection.execute(
            "SELECT carrier FROM subscribers WHERE number = ?", (task.number,)
        ).fetchone()
        if receiver is None:
            raise Denied("receiver.unknown")
        if card["carrier"] != receiver["carrier"]:
            raise Denied("voucher.unknown")
        if card["used_by"] is not None:
            raise Denied("voucher.used")
        if card["expires_on"] < self._now().date().isoformat():
            raise Denied("voucher.expired")
        self._check_receiver(task)
        task.card_number = card["number"]
        task.moved_fen = card["face_fen"] * task.amount_ppm // _PPM or card["face_fen"]

    def _check_cash(self, task: Task) -> None:
        self._check_receiver(task)

    def _check_adjust(self, task: Task) -> None:
        line = self._line(task, task.number)
        task.moved_fen = task.asked_fen
        if task.bucket != principal_bucket(line["number"]):
            raise Denied("bucket.untransferable")
        if line["amount_fen"] - line["reserved_fen"] + task.moved_fen < 0:
            raise Denied("balance.insufficient")


_CHECKS: Final[dict[str, Callable[[Accounts, Task], None]]] = {
    "hold": Accounts._check_hold,
    "deliver": Accounts._check_deliver,
    "custody": Accounts._check_into_custody,
    "give_back": Accounts._check_give_back,
    "redeem": Accounts._check_redeem,
    "cash": Accounts._check_cash,
    "adjust": Accounts._check_adjust,
}

_BUCKETS: Final = (
    "SELECT b.*, s.status AS line_status, s.province, s.ported_from, s.keep_alive_fen, s.charges_due_fen, s.activated_at"
    " FROM buckets b LEFT JOIN subscribers s ON s.number = b.number"
)
_PAGE: Final = (
    "FROM tasks WHERE (:resource IS NULL OR resource = :resource) AND (:carrier IS NULL OR carrier = :carrier)"
    " AND (:status IS NULL OR status = :status)"
    " AND (:number IS NULL OR number = :number OR receiver_number = :number)"
    " AND coalesce(confirmed_at, requested_at) >= :since AND coalesce(confirmed_at, requested_at) < :until"
)
_PAGE_ROWS: Final = "SELECT * " + _PAGE + " ORDER BY serial LIMIT :limit OFFSET :offset"
_PAGE_COUNT: Final = "SELECT count(*) " + _PAGE


def _micros(moment: datetime | None) -> int | None:
    return None if moment is None else to_micros(moment)
