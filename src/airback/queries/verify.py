"""verify: what must always hold, asked of a live database and of the far sides' own statements.

Everything of our own is read in one repeatable-read snapshot, so it may run while the platform works. Far sides are
asked for what they executed; what is still open between them and us is not a difference.

A run that finds nothing may leave a mark (`airback.store.verify_marks`). The next one may then look only at what came
since: events, entries and effects after the mark, orders and payouts they touch, everything that was under way then or
is now, all accounts' balances, and the far sides' statements. It does not see a row from before the mark that was
changed by hand afterwards, unless a balance shows it; a full run does.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
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
from airback.store.verify_marks import Mark, mark_of, set_mark

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
    ("3", "split_is_within_the_operators_part"),
    ("3", "card_belongs_to_one_order"),
    ("4", "open_order_has_a_due_time"),
    ("4", "ended_order_has_no_work"),
    ("4", "ended_order_holds_nothing"),
    ("4", "unresolved_payout_has_an_effect"),
    ("5", "effect_is_final_or_asked_about"),
    ("5", "open_effect_exists"),
    ("5", "reference_was_used_once"),
    ("6", "offer_became_one_order"),
    ("7", "event_sequence_has_no_gap"),
    ("7", "leaf_is_the_hash_of_its_body"),
)
_PAGE: Final = 2000
_SHOWN: Final = 20
_PAYABLE: Final = "payable:"

#: A mark reaches back from its run by this much: longer than any transaction lasts or two machines' clocks differ.
OVERLAP: Final = timedelta(hours=1)
#: A far side may list what it did under a time that is earlier by this much than when we asked for it.
LATENESS: Final = timedelta(days=1)

Progress = Callable[[str, int, int], None]


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


@dataclass(frozen=True, slots=True)
class Verification:
    """What a run found by check, and how far it looked.

    `since` is the mark whose past it took for granted, None for a full run. `mistrusted` says why a mark that was there
    did not count. `marked` is the log's sequence number on which this run left a mark, None when it left none.
    """

    findings: Mapping[str, Finding]
    at: datetime
    since: Mark | None
    mistrusted: str | None
    marked: int | None
    rows_read: int

    def as_json(self) -> dict[str, Any]:
        """`summary`, and how far the run looked."""
        return {
            **summary(self.findings),
            "since": None if self.since is None else _place(self.since.seq, self.since.at),
            "mistrusted": self.mistrusted,
            "marked": None if self.marked is None else _place(self.marked, self.at),
            "rows_read": self.rows_read,
        }


@dataclass(frozen=True, slots=True)
class _Scope:
    """What a run looks at: what came since the mark, or everything (`_Scope()`)."""

    seq: int = 0
    since: datetime | None = None
    orders: Sequence[int] | None = None
    payouts: Sequence[int] | None = None
    effects: Sequence[int] | None = None
    payables: Sequence[str] | None = None
    sellers: Sequence[int] | None = None


async def verify(
    pool: asyncpg.Pool,
    *,
    book: int,
    now: datetime,
    keys: KeyProvider,
    carriers: Mapping[str, Carrier],
    rails: Mapping[str, Rail],
    progress: Progress = lambda name, done, of: None,
) -> Mapping[str, Finding]:
    """Every check of everything, by name; leaves no mark. `progress(name, done, of)` is called before each."""
    far_sides = await _far_sides(pool, book=book, mark=None)
    statements = await _statements(far_sides, carriers=carriers, rails=rails, until=now + LATENESS)
    async with pool.acquire() as conn, conn.transaction(isolation="repeatable_read", readonly=True):
        findings, _ = await _check(
            conn, _Scope(), statements, book=book, now=now, keys=keys, progress=progress
        )
    return findings


async def verify_since_mark(
    pool: asyncpg.Pool,
    *,
    book: int,
    now: datetime,
    keys: KeyProvider,
    carriers: Mapping[str, Carrier],
    rails: Mapping[str, Rail],
    full: bool = False,
    overlap: timedelta = OVERLAP,
    progress: Progress = lambda name, done, of: None,
) -> Verification:
    """Every check of what came since the last run that found nothing, or of everything when `full`, or when there is no
    mark to be trusted. Leaves a new mark when nothing is found."""
    async with pool.acquire() as conn:
        mark, _ = await _trusted(conn, book=book, now=now, full=full)
    far_sides = await _far_sides(pool, book=book, mark=mark)
    statements = await _statements(far_sides, carriers=carriers, rails=rails, until=now + LATENESS)
    async with pool.acquire() as conn, conn.transaction(isolation="repeatable_read"):
        # Another run may have left a mark meanwhile: what counts is the one beside the balances this snapshot sees.
        mark, mistrusted = await _trusted(conn, book=book, now=now, full=full)
        before = await conn.fetchval(SQL.rows_read)
        scope = _Scope() if mark is None else await _since(conn, mark, book=book)
        findings, again = await _check(
            conn, scope, statements, book=book, now=now, keys=keys, progress=progress
        )
        rows_read = await conn.fetchval(SQL.rows_read) - before
        marked = None
        if not any(finding.violations for finding in findings.values()):
            compared = {} if mark is None else dict(mark.statements)
            compared |= {
                side: now - overlap for side, lines in statements.items() if not isinstance(lines.lines, str)
            }
            for row in await conn.fetch(SQL.oldest_open, book):
                again[row["far_side"]] = min(row["at"], again.get(row["far_side"], row["at"]))
            compared = {side: min(since, again.get(side, since)) for side, since in compared.items()}
            try:
                async with conn.transaction():
                    marked = await set_mark(conn, book=book, at=now, since=now - overlap, statements=compared)
            except (asyncpg.SerializationError, asyncpg.ReadOnlySQLTransactionError):
                marked = (
                    None  # another run has just left its own, or this is a standby: the next run reads more
                )
    return Verification(findings, now, mark, mistrusted, marked, rows_read)


def summary(findings: Mapping[str, Finding]) -> dict[str, Any]:
    """`{"violations", "checks"}` as the command prints it."""
    return {
        "violations": sum(finding.violations for finding in findings.values()),
        "checks": {name: finding.as_json() for name, finding in findings.items()},
    }


def _place(seq: int, at: datetime) -> dict[str, Any]:
    return {"seq": seq, "at": at.isoformat()}


async def _trusted(conn: Any, *, book: int, now: datetime, full: bool) -> tuple[Mark | None, str | None]:
    """The mark to start from, or None; and why one that is there is not trusted."""
    mark = None if full else await mark_of(conn, book=book)
    if mark is not None and not mark.stands:
        return (
            None,
            f"the log does not have event {mark.seq} as it was at the last clean run: it is of another past",
        )
    if mark is not None and mark.at > now:
        return None, "the last clean run was later than now: the clock was set back"
    return mark, None


async def _since(conn: Any, mark: Mark, *, book: int) -> _Scope:
    """What came since the mark, and what was under way then."""
    first = ids.lowest_id(mark.since)
    orders = await conn.fetchval(SQL.orders_since, book, mark.seq, first, mark.open_orders) or []
    payables = [row["code"] for row in await conn.fetch(SQL.payables_since, book, orders, mark.since)]
    return _Scope(
        seq=mark.seq,
        since=mark.since,
        orders=orders,
        payouts=await conn.fetchval(SQL.payouts_since, book, orders, first) or [],
        effects=await conn.fetchval(SQL.effects_since, book, orders, first, mark.open_effects) or [],
        payables=payables,
        sellers=[int(seller) for code in payables if (seller := code.removeprefix(_PAYABLE)).isdecimal()],
    )


async def _check(
    conn: Any,
    scope: _Scope,
    statements: "Mapping[str, _Statement]",
    *,
    book: int,
    now: datetime,
    keys: KeyProvider,
    progress: Progress,
) -> tuple[dict[str, Finding], dict[str, datetime]]:
    """Every check within the scope; and by far side from when on its statement must be compared again, because it was
    read before something of ours was answered."""
    findings: dict[str, Finding] = {}
    total = len(_CHECKS) + 2
    await conn.execute("SET LOCAL statement_timeout = 0")
    # One plan for one run: made for the values, so that a scope of a few orders is looked up and everything is scanned.
    await conn.execute("SET LOCAL plan_cache_mode = force_custom_plan")
    final = [str(state) for state in FINAL]
    arguments: dict[str, list[Any]] = {
        "posting_joins_accounts_of_one_asset": [scope.since],
        "balance_is_the_sum_of_its_entries": [scope.since],
        "earmark_is_settled_once": [scope.since],
        "clients_money_is_safeguarded": [list(CLIENT_MONEY)],
        "delivered_is_within_held": [scope.orders],
        "offer_became_one_order": [scope.orders],
        "delivered_is_what_far_sides_said": [scope.orders],
        "paid_is_within_credited": [scope.orders],
        "payout_is_the_sum_of_its_shares": [scope.payouts],
        "payable_is_what_orders_say": [scope.payables, scope.sellers],
        "split_is_within_the_operators_part": [scope.orders],
        "card_belongs_to_one_order": [scope.orders],
        "open_order_has_a_due_time": [final, now, scope.orders],
        "ended_order_has_no_work": [final],
        "ended_order_holds_nothing": [final, scope.orders],
        "unresolved_payout_has_an_effect": [scope.payouts],
        "effect_is_final_or_asked_about": [scope.effects],
        "reference_was_used_once": [scope.effects],
        "event_sequence_has_no_gap": [scope.seq],
        "leaf_is_the_hash_of_its_body": [scope.seq],
    }
    for done, (invariant, name) in enumerate(_CHECKS):
        progress(name, done, total)
        finding = findings[name] = Finding(invariant)
        for row in await conn.fetch(SQL[name], book, *arguments.get(name, [])):
            finding.add(row["subject"], row["detail"])
    progress("seller_nets_the_quote", total - 2, total)
    findings["seller_nets_the_quote"] = await _quotes(conn, scope.orders, book=book, keys=keys)
    progress("ledger_equals_statements", total - 1, total)
    findings["ledger_equals_statements"], again = await _compare(conn, statements, book=book, now=now)
    progress("", total, total)
    return findings, again


async def _credited(conn: Any, orders: Sequence[int] | None, *, book: int) -> AsyncIterator[Any]:
    """Orders that were credited, page by page: of these, or of all."""
    if orders is not None:
        for start in range(0, len(orders), _PAGE):
            for row in await conn.fetch(SQL.credited_orders, book, 0, _PAGE, orders[start : start + _PAGE]):
                yield row
        return
    after = 0
    while rows := await conn.fetch(SQL.credited_orders, book, after, _PAGE, None):
        after = rows[-1]["id"]
        for row in rows:
            yield row


async def _quotes(conn: Any, orders: Sequence[int] | None, *, book: int, keys: KeyProvider) -> Finding:
    finding = Finding("6")
    async for row in _credited(conn, orders, book=book):
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
        elif row["state"] == "closed" and row["paid_fen"] + row["returned_fen"] != row["credited_fen"]:
            finding.add(subject, f"closed with {row['paid_fen']} of {row['credited_fen']} paid")
        elif row["state"] == "closed" and not row["receipted"]:
            finding.add(subject, "closed without a receipt")
    return finding


@dataclass(frozen=True, slots=True)
class _Statement:
    """A far side's lines, or why there are none; to be compared with our effects from `since` on, None: with all."""

    lines: "Sequence[StatementLine] | str"
    since: datetime | None


async def _far_sides(
    pool: asyncpg.Pool, *, book: int, mark: Mark | None
) -> dict[str, tuple[datetime, datetime | None]]:
    """By far side the time of our first effect there, and from when on its statement was not compared yet."""
    async with pool.acquire() as conn:
        rows = await conn.fetch(SQL.far_sides, book)
    compared: Mapping[str, datetime] = {} if mark is None else mark.statements
    return {row["far_side"]: (row["since"], compared.get(row["far_side"])) for row in rows}


async def _statements(
    far_sides: Mapping[str, tuple[datetime, datetime | None]],
    *,
    carriers: Mapping[str, Carrier],
    rails: Mapping[str, Rail],
    until: datetime,
) -> dict[str, _Statement]:
    """Asked for before our own snapshot: what it lists was journalled before, so the snapshot has it."""
    statements: dict[str, _Statement] = {}
    for far_side, (first, since) in far_sides.items():
        port, _, name = far_side.partition(":")
        read: Callable[..., Awaitable[Sequence[StatementLine]]]
        if port == "carrier" and name in carriers:
            read = carriers[name].statement
        elif port == "rail" and name in rails:
            if not rails[name].capabilities.counted_by_far_side:
                continue
            read = rails[name].statement
        else:
            statements[far_side] = _Statement("not connected", since)
            continue
        try:
            lines = await read(since=(since or first) - LATENESS, until=until)
            statements[far_side] = _Statement(lines, since)
        except FarSideUnreachable as error:
            statements[far_side] = _Statement(error.reason, since)
    return statements


async def _compare(
    conn: Any, statements: Mapping[str, _Statement], *, book: int, now: datetime
) -> tuple[Finding, dict[str, datetime]]:
    finding = Finding("8")
    again: dict[str, datetime] = {}
    explained = {row["subject"] for row in await conn.fetch(SQL.explained_differences, book)}
    for far_side, statement in statements.items():
        if isinstance(statement.lines, str):
            finding.unchecked = f"{far_side}: {statement.lines}"
            continue
        theirs: dict[str, StatementLine] = {}
        for line in statement.lines:
            if line.reversed:
                continue
            if line.ref in theirs and line.ref not in explained:
                finding.add(line.ref, f"{far_side} lists it twice")
            theirs[line.ref] = line
        first = None if statement.since is None else ids.lowest_id(statement.since)
        named = None if first is None else list(theirs)
        for row in await conn.fetch(SQL.executed_effects, book, far_side, first, named):
            line_there = theirs.pop(row["ref"], None)
            if row["ref"] in explained or row["result"] not in ("succeeded", "failed"):
                continue
            listed = row["kind"] not in (Kind.HOLD, Kind.RELEASE) or row["hold_kind"] == "custody"
            if row["result"] == "succeeded" and line_there is None and listed:
                if row["answered_at"] >= now:  # done after the statement was read
                    again[far_side] = min(row["at"], again.get(far_side, row["at"]))
                else:
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
    return finding, again
