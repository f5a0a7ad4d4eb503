"""Claims, parties, orders and idempotency records, as accepting orders writes them: one statement per table.

A claim with `expires_at` set belongs to a request that is still under way (or crashed); the transaction that inserts
the order sets it to NULL, and from then on the order owns what is claimed.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import asyncpg

from airback.domain.ports.keys import KeyProvider
from airback.orders.intake import card_fingerprints
from airback.store.named_sql import load

SQL: Final = load("intake.sql")

QUOTE: Final = "quote"
CARD: Final = "card"


class Claim(NamedTuple):
    """One thing claimed for one order. `kind` is `quote` or `card`."""

    kind: str
    fingerprint: bytes
    order_id: int


class NewOrder(NamedTuple):
    """One row of `orders` at its beginning; `card_code` and `payee` are sealed, `quote` is JSON."""

    id: int
    client_ref: str | None
    seller: int
    lane: int
    product: str
    carrier: str
    number: str | None
    card_number: str | None
    card_code: bytes | None
    face_fen: int
    net_fen: int
    quote: str
    rail: str
    payee: bytes
    notify_number: str | None
    language: str
    agreement: str
    hold_kind: str

    def __repr__(self) -> str:
        return f"<NewOrder {self.id}>"


class Uncontested(NamedTuple):
    """A request whose every order is accepted unless somebody else has what it wants. `answer` is JSON: what its key
    will stand for. `sellers` are the client's names for the sellers, one for each order; `seller` of an order is then
    the id that the seller gets if there is none yet."""

    client: str
    key: str
    request_hash: bytes
    answer: str
    at: datetime
    sellers: list[str]
    orders: list[NewOrder]
    claims: list[Claim]


async def answer_of(
    conn: asyncpg.Connection, *, book: int, client: str, key: str
) -> tuple[bytes, Any] | None:
    """(request hash, answer) stored under a client's idempotency key, or None."""
    row = await conn.fetchrow(SQL.answer_of, book, client, key)
    return None if row is None else (row["request_hash"], row["answer"])


async def keep_answer(
    conn: asyncpg.Connection,
    *,
    book: int,
    client: str,
    key: str,
    request_hash: bytes,
    answer: Any,
    at: datetime,
) -> bool:
    """Store the answer; False when the key has one already."""
    return bool(await conn.fetchval(SQL.keep_answer, book, client, key, request_hash, answer, at))


async def taken_refs(conn: asyncpg.Connection, *, book: int, client: str, refs: Sequence[str]) -> set[str]:
    """Those of `refs` that already name an order of this client."""
    if not refs:
        return set()
    return {row["client_ref"] for row in await conn.fetch(SQL.taken_refs, book, client, refs)}


async def claim_quotes(
    conn: asyncpg.Connection, *, book: int, claims: Sequence[Claim], expires_at: datetime
) -> dict[bytes, tuple[int, bool]]:
    """(order id, whether this claim is new) by fingerprint of every quote that is ours now; an earlier try's id is taken
    over."""
    rows = await conn.fetch(
        SQL.claim_quotes, book, [c.fingerprint for c in claims], [c.order_id for c in claims], expires_at
    )
    return {row["fingerprint"]: (row["order_id"], row["fresh"]) for row in rows}


async def own_new_quotes(conn: Any, *, book: int, claims: Sequence[Claim]) -> None:
    """Claim quotes that were made for their orders a moment ago, for ever. For the engine, inside its transaction."""
    await conn.execute(
        SQL.own_new_quotes, book, [c.fingerprint for c in claims], [c.order_id for c in claims]
    )


async def claim_cards(
    conn: asyncpg.Connection, *, book: int, claims: Sequence[Claim], expires_at: datetime, now: datetime
) -> dict[bytes, bool]:
    """Whether the claim is new, by fingerprint of every card that is ours now."""
    if not claims:
        return {}
    rows = await conn.fetch(
        SQL.claim_cards, book, [c.fingerprint for c in claims], [c.order_id for c in claims], expires_at, now
    )
    return {row["fingerprint"]: row["fresh"] for row in rows}


async def let_go(conn: asyncpg.Connection, *, book: int, claims: Sequence[Claim]) -> None:
    """Give up claims that no order owns."""
    if claims:
        await conn.execute(SQL.let_go, book, *_columns(claims))


async def lock_claims(conn: asyncpg.Connection, *, book: int, claims: Sequence[Claim]) -> set[Claim]:
    """Lock those of `claims` that are still ours; the rest was taken over."""
    rows = await conn.fetch(SQL.lock_claims, book, *_columns(claims))
    return {Claim(row["kind"], row["fingerprint"], row["order_id"]) for row in rows}


async def own_claims(conn: asyncpg.Connection, *, book: int, claims: Sequence[Claim]) -> None:
    """Make locked claims their orders'."""
    await conn.execute(SQL.own_claims, book, [c.kind for c in claims], [c.fingerprint for c in claims])


async def forget_claims(conn: asyncpg.Connection, *, book: int, claims: Sequence[Claim]) -> None:
    """Undo `own_claims` for orders that were not inserted after all."""
    if claims:
        await conn.execute(SQL.forget_claims_of, book, *_columns(claims))


async def give_back_cards(
    conn: asyncpg.Connection, *, book: int, cards: Iterable[tuple[int, str]], keys: KeyProvider
) -> None:
    """Orders (`order id`, card code) that ended before any redemption was sent: the cards may be submitted again.

    For the engine, inside its persisting transaction."""
    claims = [
        Claim(CARD, fingerprint, order_id)
        for order_id, code in cards
        for fingerprint in card_fingerprints(card_code=code, keys=keys)
    ]
    if claims:
        await conn.execute(
            SQL.give_back_cards, book, [c.fingerprint for c in claims], [c.order_id for c in claims]
        )


async def sellers(
    conn: asyncpg.Connection, *, book: int, client: str, wanted: Mapping[str, int], at: datetime
) -> dict[str, int]:
    """Seller id by the client's reference; those not on record yet get the wanted id."""
    refs = sorted(wanted)
    known = {row["ref"]: row["id"] for row in await conn.fetch(SQL.sellers_by_ref, book, client, refs)}
    missing = [ref for ref in refs if ref not in known]
    if missing:
        await conn.execute(SQL.add_sellers, book, client, [wanted[ref] for ref in missing], missing, at)
        rows = await conn.fetch(SQL.sellers_by_ref, book, client, missing)
        known |= {row["ref"]: row["id"] for row in rows}
    return known


async def place_orders(
    conn: asyncpg.Connection, *, book: int, client: str, orders: Sequence[NewOrder], at: datetime
) -> set[int]:
    """Insert orders and their work, due at once; ids of those inserted. Missing: a client reference was taken."""
    rows = await conn.fetch(SQL.place_orders, book, client, at, *zip(*orders, strict=True))
    return {row["order_id"] for row in rows}


async def accept(conn: asyncpg.Connection, *, book: int, requests: Sequence[Uncontested]) -> set[int]:
    """Accept requests, each whole or not at all, in one statement and so in one transaction; places of those left out,
    because a key has its answer already, a thing is claimed or a reference taken.

    No two requests may want the same thing. When somebody takes one of the things at the same moment the statement fails
    (`asyncpg.UniqueViolationError`) and nothing is kept.
    """
    things = [(place, *claim) for place, one in enumerate(requests) for claim in one.claims]
    orders = [
        (place, seller, *order)
        for place, one in enumerate(requests)
        for seller, order in zip(one.sellers, one.orders, strict=True)
    ]
    rows = await conn.fetch(
        SQL.accept,
        book,
        *zip(*(one[:5] for one in requests), strict=True),
        *zip(*things, strict=True),
        *zip(*orders, strict=True),
    )
    return {row["place"] for row in rows}


def _columns(claims: Sequence[Claim]) -> tuple[list[str], list[bytes], list[int]]:
    return [c.kind for c in claims], [c.fingerprint for c in claims], [c.order_id for c in claims]
