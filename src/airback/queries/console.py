"""What the operator's pages show beyond single orders: switches, counts, alarms, effects, money, outlets, prices.

Reads only. Amounts are fen, rates ppm, times UTC.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import asyncpg

from airback.domain import ids
from airback.ledger.accounts import CLIENT_MONEY
from airback.orders.corrections import Bearer, Correction, Kind
from airback.store import named_sql

_SQL: Final = named_sql.load("console.sql", package="airback.queries")
RECENT: Final = timedelta(hours=24)
WRITER_QUIET: Final = timedelta(seconds=15)
_RANDOM_BITS: Final = 22


@dataclass(frozen=True, slots=True)
class BookNow:
    """The book's switches. `worker` and `seen_at` are None when no writer ever held it."""

    name: str
    epoch: int
    sending: bool
    routing: bool
    pause_reason: str | None
    worker: str | None
    seen_at: datetime | None

    def written(self, *, now: datetime) -> bool:
        """Whether a writer is at work."""
        return self.seen_at is not None and now - self.seen_at < WRITER_QUIET


@dataclass(frozen=True, slots=True)
class StateCount:
    """Orders in one state. `recent` were accepted in the last 24 hours; `open` are not at their end."""

    state: str
    open: int
    open_fen: int
    recent: int
    recent_fen: int
    paid_fen: int


@dataclass(frozen=True, slots=True)
class OpenAlarm:
    """Work that waits for a person."""

    id: int
    kind: str
    subject: str
    detail: dict[str, Any]
    owner: str | None
    due_at: datetime
    opened_at: datetime


@dataclass(frozen=True, slots=True)
class EffectCount:
    """Effects of one far side and kind that stand at one result; `since` is the oldest."""

    far_side: str
    kind: str
    result: str
    effects: int
    amount_fen: int
    since: datetime


@dataclass(frozen=True, slots=True)
class OpenEffect:
    """An effect without a final result, with its next question."""

    id: int
    kind: str
    far_side: str
    order_id: int | None
    payout_id: int | None
    ref: str
    amount_fen: int
    send_by: datetime
    at: datetime
    result: str
    asks: int
    ask_at: datetime


@dataclass(frozen=True, slots=True)
class CorrectionRow:
    """A correction with the effect that was taken back: at which far side, under which reference."""

    correction: Correction
    far_side: str
    ref: str


@dataclass(frozen=True, slots=True)
class KindBalance:
    """The sum of all CNY accounts of one kind (the first part of their code)."""

    kind: str
    side: str
    accounts: int
    balance_fen: int
    earmarked_fen: int
    overdrawn_fen: int


@dataclass(frozen=True, slots=True)
class Money:
    """Client money against what is owed. `leaving_fen` went out through rails and is not yet on a statement."""

    safeguarded_fen: int
    leaving_fen: int
    owed: tuple[KindBalance, ...]
    kinds: tuple[KindBalance, ...]

    @property
    def owed_fen(self) -> int:
        """What belongs to clients."""
        return sum(kind.balance_fen for kind in self.owed)

    @property
    def cover_fen(self) -> int:
        """What is there for them."""
        return self.safeguarded_fen - self.leaving_fen

    @property
    def spare_fen(self) -> int:
        """Cover beyond what is owed; negative is a shortfall."""
        return self.cover_fen - self.owed_fen


@dataclass(frozen=True, slots=True)
class AccountRow:
    """One ledger account. The balance is positive on the account's own side."""

    id: int
    code: str
    asset: str
    side: str
    bounded: bool
    balance_fen: int
    earmarked_fen: int
    overdrawn_fen: int


@dataclass(frozen=True, slots=True)
class OutletRow:
    """An outlet, its deposit and its open demands. `health` None: it had no fill yet, which is well."""

    outlet: str
    name: str
    house: bool
    created_at: datetime
    deposit_fen: int
    earmarked_fen: int
    overdrawn_fen: int
    demands: int
    open_fen: int
    best_ppm: int | None
    health: str | None
    resting_until: datetime | None


@dataclass(frozen=True, slots=True)
class DemandCount:
    """What the market wants of one carrier."""

    carrier: str
    demands: int
    open_fen: int
    best_ppm: int
    least_ppm: int
    outlets: int
    next_deadline: datetime


@dataclass(frozen=True, slots=True)
class CardRow:
    """One published rate card, with the proposal it came from where that is known."""

    version: int
    document: dict[str, Any]
    effective_at: datetime
    proposed_by: str
    approved_by: str
    created_at: datetime
    proposal: int | None = None
    subject: str | None = None
    reason: str | None = None
    decision_reason: str | None = None

    @property
    def effective_until(self) -> datetime | None:
        """When it ends by itself; None when it stays until another takes effect."""
        until = self.document.get("effective_until")
        return None if until is None else datetime.fromisoformat(until)


@dataclass(frozen=True, slots=True)
class TransferRow:
    """One ledger transfer of an order: `amount_fen` from `credit` to `debit`."""

    subject: int
    kind: str
    leg: int
    phase: str
    asset: str
    debit: str
    credit: str
    amount_fen: int
    event_at: datetime
    created_at: datetime


async def book_now(conn: asyncpg.Connection, *, book: int) -> BookNow | None:
    """The book's switches, or None when there is no such book."""
    row = await conn.fetchrow(_SQL.book_now, book)
    return None if row is None else BookNow(**dict(row))


async def orders_by_state(conn: asyncpg.Connection, *, book: int, now: datetime) -> list[StateCount]:
    """Open orders, and those accepted in the last 24 hours, by state; states without either are left out."""
    open_rows = {row["state"]: row for row in await conn.fetch(_SQL.open_orders, book)}
    since = int((now - RECENT - ids.EPOCH).total_seconds() * 1000) << _RANDOM_BITS
    recent_rows = {row["state"]: row for row in await conn.fetch(_SQL.recent_orders, book, max(since, 0))}
    return [
        StateCount(
            state=state,
            open=open_rows[state]["orders"] if state in open_rows else 0,
            open_fen=open_rows[state]["face_fen"] if state in open_rows else 0,
            recent=recent_rows[state]["orders"] if state in recent_rows else 0,
            recent_fen=recent_rows[state]["face_fen"] if state in recent_rows else 0,
            paid_fen=recent_rows[state]["paid_fen"] if state in recent_rows else 0,
        )
        for state in {**open_rows, **recent_rows}
    ]


async def open_alarms(conn: asyncpg.Connection, *, book: int, limit: int = 200) -> list[OpenAlarm]:
    """Open alarms, those due first at the top."""
    return [OpenAlarm(**dict(row)) for row in await conn.fetch(_SQL.open_alarms, book, limit)]


async def count_open_alarms(conn: asyncpg.Connection, *, book: int) -> int:
    """How many alarms are open."""
    return int(await conn.fetchval(_SQL.count_open_alarms, book))


async def count_open_effects(conn: asyncpg.Connection, *, book: int) -> list[EffectCount]:
    """Effects without a final result, by far side, kind and result."""
    return [EffectCount(**dict(row)) for row in await conn.fetch(_SQL.count_open_effects, book)]


async def open_effects(
    conn: asyncpg.Connection,
    *,
    book: int,
    result: str | None = None,
    after: int | None = None,
    limit: int = 50,
) -> list[OpenEffect]:
    """Effects without a final result, the oldest first, after a cursor."""
    rows = await conn.fetch(_SQL.open_effects, book, result, after, limit)
    return [OpenEffect(**dict(row)) for row in rows]


async def effect_by_ref(conn: asyncpg.Connection, *, book: int, ref: str) -> OpenEffect | None:
    """The open effect with that reference, or None."""
    row = await conn.fetchrow(_SQL.effect_by_ref, book, ref)
    return None if row is None else OpenEffect(**dict(row))


async def orders_in_review(
    conn: asyncpg.Connection, *, book: int, order_id: int | None = None, limit: int = 50
) -> list[dict[str, Any]]:
    """Orders that wait for two people's decision, the oldest first, as a proposal shows them; amounts in fen."""
    rows = await conn.fetch(_SQL.orders_in_review, book, order_id, limit)
    return [{"order": ids.public("ord", row["id"]), **dict(list(row.items())[1:])} for row in rows]


async def order_to_decide(conn: asyncpg.Connection, *, book: int, order_id: int) -> dict[str, Any]:
    """One order, in review or still under way, or nothing when it has ended."""
    found = await orders_in_review(conn, book=book, order_id=order_id, limit=1)
    return found[0] if found else {}


async def corrections(
    conn: asyncpg.Connection, *, book: int, open_only: bool = True, limit: int = 200
) -> list[CorrectionRow]:
    """Open corrections, the oldest first; with `open_only` false the settled ones after them, the last first."""
    rows = await conn.fetch(_SQL.corrections, book, None, open_only, limit)
    return [_correction_row(row) for row in rows]


async def correction(conn: asyncpg.Connection, *, book: int, correction_id: int) -> CorrectionRow | None:
    """One correction, open or settled, or None."""
    row = await conn.fetchrow(_SQL.corrections, book, correction_id, False, 1)
    return None if row is None else _correction_row(row)


async def count_open_corrections(conn: asyncpg.Connection, *, book: int) -> int:
    """How many corrections are open."""
    return int(await conn.fetchval(_SQL.count_open_corrections, book))


def _correction_row(row: asyncpg.Record) -> CorrectionRow:
    values = dict(row)
    far_side, ref = values.pop("far_side"), values.pop("ref")
    values["kind"], values["bearer"] = Kind(values["kind"]), Bearer(values["bearer"])
    return CorrectionRow(Correction(**values), far_side, ref)


async def order_of(conn: asyncpg.Connection, *, book: int, text: str) -> int | None:
    """The order that a reference, a payout's or a fill's public id belongs to, or None."""
    payout, fill = ids.parse_public("pay", text), ids.parse_public("fil", text)
    found: int | None
    if payout is not None:
        found = await conn.fetchval(_SQL.payout_place, book, payout)
    elif fill is not None:
        found = await conn.fetchval(_SQL.fill_place, book, fill)
    else:
        row = await conn.fetchrow(_SQL.effect_place, book, text)
        found = None if row is None else row["order_id"] or row["paid_order"]
    return found


async def money(conn: asyncpg.Connection, *, book: int) -> Money:
    """Client money in the bank against what is owed to clients, and every kind of account."""
    kinds = tuple(KindBalance(**dict(row)) for row in await conn.fetch(_SQL.money, book))
    by_kind = {kind.kind: kind for kind in kinds}
    empty = [KindBalance(kind, "credit", 0, 0, 0, 0) for kind in CLIENT_MONEY]
    return Money(
        safeguarded_fen=int(await conn.fetchval(_SQL.safeguarded, book)),
        leaving_fen=by_kind["clearing"].balance_fen if "clearing" in by_kind else 0,
        owed=tuple(by_kind.get(kind.kind, kind) for kind in empty),
        kinds=kinds,
    )


async def accounts(
    conn: asyncpg.Connection,
    *,
    book: int,
    prefix: str = "",
    after: tuple[str, str] | None = None,
    limit: int = 100,
) -> list[AccountRow]:
    """Accounts whose code begins with `prefix`, by code and asset, after a cursor (code, asset)."""
    code, asset = after if after is not None else (None, None)
    rows = await conn.fetch(_SQL.accounts, book, prefix, code, asset, limit)
    return [AccountRow(**dict(row)) for row in rows]


async def balance_fen(conn: asyncpg.Connection, *, book: int, code: str) -> int:
    """A CNY account's posted balance; 0 for one that was never used."""
    return int(await conn.fetchval(_SQL.account_balance, book, code) or 0)


async def outlets(conn: asyncpg.Connection, *, book: int) -> list[OutletRow]:
    """Every outlet, the house first."""
    return [OutletRow(**dict(row)) for row in await conn.fetch(_SQL.outlets, book)]


async def demand_book(conn: asyncpg.Connection, *, book: int) -> list[DemandCount]:
    """Open demands by carrier."""
    return [DemandCount(**dict(row)) for row in await conn.fetch(_SQL.demand_book, book)]


async def rate_cards(conn: asyncpg.Connection, *, book: int, limit: int = 50) -> list[CardRow]:
    """Published rate cards, the latest version first."""
    return [CardRow(**dict(row)) for row in await conn.fetch(_SQL.rate_cards, book, limit, None)]


async def rate_card(conn: asyncpg.Connection, *, book: int, version: int) -> CardRow | None:
    """The published rate card of that version, or None."""
    row = await conn.fetchrow(_SQL.rate_cards, book, 1, version)
    return None if row is None else CardRow(**dict(row))


def in_force(cards: Sequence[CardRow], *, now: datetime) -> CardRow | None:
    """Of published cards, the one that prices now: of those that have not ended, the latest to have taken effect."""
    past = [
        card
        for card in cards
        if card.effective_at <= now and (card.effective_until is None or now < card.effective_until)
    ]
    return max(past, key=lambda card: (card.effective_at, card.version), default=None)


async def order_transfers(conn: asyncpg.Connection, *, book: int, order_id: int) -> list[TransferRow]:
    """An order's ledger transfers in order of time."""
    return [TransferRow(**dict(row)) for row in await conn.fetch(_SQL.order_transfers, book, order_id)]


async def order_due(conn: asyncpg.Connection, *, book: int, order_id: int) -> datetime | None:
    """When the engine looks at the order again; None for one at its end."""
    due: datetime | None = await conn.fetchval(_SQL.order_due, book, order_id)
    return due


async def order_open_effects(conn: asyncpg.Connection, *, book: int, order_id: int) -> list[OpenEffect]:
    """Effects of an order and of its payouts that have no final result."""
    return [OpenEffect(**dict(row)) for row in await conn.fetch(_SQL.order_open_effects, book, order_id)]
