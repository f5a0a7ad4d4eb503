"""Whether the carriers' books are right: what the buckets hold against where it came from."""

from collections.abc import Sequence

from airback.sandbox.accounts import Accounts


def total_fen(accounts: Accounts) -> tuple[int, int]:
    """(what all buckets hold, what they should hold): the opening balances, card faces, cash and adjustments.

    The two are equal as long as the books are right; tests and `GET /sandbox/books` compare them.
    """
    with accounts.transaction() as connection:
        (held,) = connection.execute("SELECT coalesce(sum(amount_fen), 0) FROM buckets").fetchone()
        (opened,) = connection.execute("SELECT coalesce(sum(opening_fen), 0) FROM buckets").fetchone()
        (brought,) = connection.execute(
            "SELECT coalesce(sum(moved_fen), 0) FROM tasks WHERE status = 'completed' AND kind IN ('redeem', 'cash', 'adjust')"
        ).fetchone()
    return held, opened + brought


def reserved_fen(accounts: Accounts) -> Sequence[tuple[int, int]]:
    """For each bucket (what it says is reserved, what its open reservations come to); equal while the books are right."""
    with accounts.transaction() as connection:
        rows = connection.execute(
            "SELECT b.reserved_fen, coalesce((SELECT sum(left_fen) FROM reservations r WHERE r.bucket = b.id AND r.open = 1), 0)"
            " FROM buckets b"
        ).fetchall()
    return [(row[0], row[1]) for row in rows]
