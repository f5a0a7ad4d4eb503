"""verify: what must always hold, asked of a live database and of the far sides' own statements.

Everything of our own is read in one repeatable-read snapshot, so it may run while the platform works. Far sides are
asked for what they executed; what is still open between them and us is not a difference.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import asyncpg

from airback.domain import ids
from airback.domain.effects import Kind
from airback.domain.ports.carrier import Carrier, FarSideUnreachable, StatementLine
from airback.domain.ports.keys import KeyProvider
from airback.domain.ports.rail import Rail
from airback.domain.refusals import Refused
from airback.ledger.accounts import CLIENT_MONEY
from airback.orders.states import FINAL
from airback.pricing.quotes import check_quote, read_quote
from airback.store.named_sql import load

SQL: Final = load("verify.sql", package="airback.queries")

#: What each invariant is called in the answer, in the order of the design.
INVARIANTS: Final = {
    "1": "postings balance, balances are the sum of their entries, bounds hold",
    "2": "client money is safeguarded",
    "3": "nothing is delivered, paid or sold twice",
    "4": "nothing stays without a due time",
    "5": "every effect is final or asked about, every reference used once",
    "6": "the seller nets what the signed quote says",
    "7": "the log has no gap and hides no change",
    "8": "our ledger equals the far sides' statements",
}

_CHECKS: Final = (
    ("1", "posting_joins_accounts_of_one_asset"),
    ("1", "balance_is_the_sum_of_its_entries"),
    ("1", "earmark_is_settled_once"),
    ("1", "bound_holds"),
    ("2", "clients_money_is_safeguarded"),
    ("3", "delivered_is_within_held"),
    ("3", "delivered_is_what_far_sides_said"),
    ("3", "paid_is_within_credited"),
    ("3", "payout_is_the_sum_of_its_shares"),
    ("3", "payable_is_what_orders_say"),
    ("3", "recourse_is_what_corrections_say"),
    ("3", "card_belongs_to_one_order"),
    ("4", "open_order_has_a_due_time"),
    ("4", "ended_order_has_no_work"),
    ("4", "ended_order_holds_nothing"),
    ("4", "unresolved_payout_has_an_effect"),
    ("5", "effect_is_final_or_asked_about"),
    ("5", "open_effect_exists"),
    ("5", "reference_was_used_once"),
    ("7", "event_sequence_has_no_gap"),
    ("7", "leaf_is_the_hash_of_its_body"),
)
_PAGE: Final = 2000
_SHOWN: Final = 20


@dataclass(slots=True)
class Finding:
    """What one check found: how many violations, and the first of them as (subject, detail)."""

    invariant: str
    violations: int = 0
    found: list[tuple[str, str]] = field(default_factory=list)
    unchecked: str | None = None

    def add(self, subject: str, detail: str) -> None:
        """Count a violation; the first few are kept to be shown."""
        self.violations += 1
        if len(self.found) < _SHOWN:
            self.found.append((subject, detail))

    def as_json(self) -> dict[str, Any]:
        """JSON value of the finding."""
        shown = [{"subject": subject, "detail": detail} for subject, detail in self.found]
        answer: dict[str, Any] = {
            "invariant": int(self.invariant),
            "violations": self.violations,
            "found": shown,
        }
        if self.unchecked is not None:
            answer["unchecked"] = self.unchecked
        return answer


async def verify(
    pool: asyncpg.Pool,
    *,
    book: int,
    now: datetime,
    keys: KeyProvider,
    carriers: Mapping[str, Carrier],
    rails: Mapping[str, Rail],
    progress: Callable[[str, int, int], None] = lambda name, done, of: None,
) -> dict[str, Finding]:
    """Every check by name. `progress(name, done, of)` is called before each."""
    findings: dict[str, Finding] = {}
    total = len(_CHECKS) + 2
    # Statements first: what is executed after a statement was read is open or younger than it, never missing in it.
    async with pool.acquire() as conn:
        far_sides = await conn.fetch(SQL.far_sides, book)
    statements = await _statements(far_sides, carriers=carriers, rails=rails, until=now + timedelta(days=1))
    final = [str(state) for state in FINAL]
    arguments: dict[str, list[Any]] = {
        "clients_money_is_safeguarded": [list(CLIENT_MONEY)],
        "open_order_has_a_due_time": [final, now],
        "ended_order_has_no_work": [final],
        "ended_order_holds_nothing": [final],
    }
    async with pool.acquire() as conn, conn.transaction(isolation="repeatable_read", readonly=True):
        await conn.execute("SET LOCAL statement_timeout = 0")
        for done, (invariant, name) in enumerate(_CHECKS):
            progress(name, done, total)
            finding = findings[name] = Finding(invariant)
            for row in await conn.fetch(SQL[name], book, *arguments.get(name, [])):
                finding.add(row["subject"], row["detail"])
        progress("seller_nets_the_quote", total - 2, total)
        findings["seller_nets_the_quote"] = await _quotes(conn, book=book, keys=keys, now=now)
        progress("ledger_equals_statements", total - 1, total)
        findings["ledger_equals_statements"] = await _compare(conn, book=book, statements=statements)
    progress("", total, total)
    return findings


def summary(findings: Mapping[str, Finding]) -> dict[str, Any]:
    """`{"violations", "checks"}` as the command prints it."""
    return {
        "violations": sum(finding.violations for finding in findings.values()),
        "checks": {name: finding.as_json() for name, finding in findings.items()},
    }


async def _quotes(conn: Any, *, book: int, keys: KeyProvider, now: datetime) -> Finding:
    finding = Finding("6")
    after = 0
    while rows := await conn.fetch(SQL.credited_orders, book, after, _PAGE):
        after = rows[-1]["id"]
        for row in rows:
            subject = ids.public("ord", row["id"])
            try:
                quote = read_quote(row["quote"])
                check_quote(row["quote"], keys=keys, now=quote.issued_at, book=book)
            except Refused:
                finding.add(subject, "the quote's signature does not stand")
                continue
            if quote.face_fen != row["delivered_fen"]:
                finding.add(subject, f"quoted for {quote.face_fen}, delivered {row['delivered_fen']}")
            elif quote.net_fen != row["credited_fen"] or quote.net_fen != row["net_fen"]:
                finding.add(subject, f"the quote nets {quote.net_fen}, credited {row['credited_fen']}")
            elif row["posted_fen"] != row["credited_fen"]:
                finding.add(subject, f"credited {row['credited_fen']}, the ledger posted {row['posted_fen']}")
            elif row["state"] == "closed" and row["paid_fen"] != row["credited_fen"]:
                finding.add(subject, f"closed with {row['paid_fen']} of {row['credited_fen']} paid")
            elif row["state"] == "closed" and not row["receipted"]:
                finding.add(subject, "closed without a receipt")
    return finding


Statements = dict[str, "Sequence[StatementLine] | str"]


async def _statements(
    far_sides: Sequence[Any], *, carriers: Mapping[str, Carrier], rails: Mapping[str, Rail], until: datetime
) -> Statements:
    statements: Statements = {}
    for row in far_sides:
        port, _, name = row["far_side"].partition(":")
        since = row["since"] - timedelta(days=1)
        read: Callable[..., Awaitable[Sequence[StatementLine]]]
        if port == "carrier" and name in carriers:
            read = carriers[name].statement
        elif port == "rail" and name in rails:
            if not rails[name].capabilities.counted_by_far_side:
                continue
            read = rails[name].statement
        else:
            statements[row["far_side"]] = "not connected"
            continue
        try:
            statements[row["far_side"]] = await read(since=since, until=until)
        except FarSideUnreachable as error:
            statements[row["far_side"]] = error.reason
    return statements


async def _compare(conn: Any, *, book: int, statements: Statements) -> Finding:
    finding = Finding("8")
    explained = {row["subject"] for row in await conn.fetch(SQL.explained_differences, book)}
    for far_side, lines in statements.items():
        if isinstance(lines, str):
            finding.unchecked = f"{far_side}: {lines}"
            continue
        theirs: dict[str, StatementLine] = {}
        for line in lines:
            if line.reversed:
                continue
            if line.ref in theirs and line.ref not in explained:
                finding.add(line.ref, f"{far_side} lists it twice")
            theirs[line.ref] = line
        for row in await conn.fetch(SQL.executed_effects, book, far_side):
            line_there = theirs.pop(row["ref"], None)
            if row["ref"] in explained or row["result"] not in ("succeeded", "failed"):
                continue
            listed = row["kind"] not in (Kind.HOLD, Kind.RELEASE) or row["hold_kind"] == "custody"
            if row["result"] == "succeeded" and line_there is None and listed:
                finding.add(row["ref"], f"we say {row['kind']} succeeded, {far_side} does not list it")
            elif row["result"] == "failed" and line_there is not None:
                finding.add(row["ref"], f"we say {row['kind']} failed, {far_side} executed it")
            elif (
                line_there is not None
                and row["result"] == "succeeded"
                and line_there.amount_fen != row["amount_fen"]
            ):
                finding.add(
                    row["ref"], f"we say {row['amount_fen']} fen, {far_side} says {line_there.amount_fen}"
                )
        for ref in theirs:
            if ref not in explained:
                finding.add(ref, f"{far_side} lists it, we never sent it")
    return finding
