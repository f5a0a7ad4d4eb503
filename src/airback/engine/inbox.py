"""What everyone but the writer may do to a book: put a letter into its inbox, to be folded in order.

Bodies: `cancel` {}; `callback` the far side's redacted word, a hint that makes the engine ask; `payee` {"payee":
base64 of the sealed account and name}; `decision` as approved by two people; `withdraw` {"outlet": …}.
Append inside the transaction that needs it; nothing is read here.
"""

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import asyncpg

from airback.domain.canonical import canonical
from airback.domain.ports.keys import KeyProvider
from airback.store import inbox


async def append_cancel(conn: asyncpg.Connection, *, book: int, order_id: int, at: datetime) -> None:
    """The seller wants the order cancelled."""
    await inbox.append(conn, book=book, kind="cancel", order_id=order_id, ref=None, body={}, at=at)


async def append_callback(
    conn: asyncpg.Connection, *, book: int, ref: str, body: Mapping[str, Any], at: datetime
) -> None:
    """A far side spoke unasked about the effect with reference `ref`; `body` is already redacted."""
    await inbox.append(conn, book=book, kind="callback", order_id=None, ref=ref, body=body, at=at)


async def append_payee(
    conn: asyncpg.Connection, *, book: int, order_id: int, sealed: bytes, at: datetime
) -> None:
    """A new account to pay an order to, sealed by `seal_payee`."""
    body = {"payee": base64.b64encode(sealed).decode()}
    await inbox.append(conn, book=book, kind="payee", order_id=order_id, ref=None, body=body, at=at)


async def append_decision(
    conn: asyncpg.Connection, *, book: int, body: Mapping[str, Any], at: datetime
) -> None:
    """Two people decided; the writer executes it. `body`: {"proposal", "action", "subject", "before", "after",
    "reason", "proposed_by", "decided_by"}."""
    await inbox.append(conn, book=book, kind="decision", order_id=None, ref=None, body=body, at=at)


async def append_statement(
    conn: asyncpg.Connection, *, book: int, body: Mapping[str, Any], at: datetime
) -> None:
    """A statement was imported; the writer settles the far side's clearing account with it. `body`: {"statement" (an
    id), "far_side", "day", "sha256", "rows", "matched", "out_fen", "in_fen", "fee_fen"}."""
    await inbox.append(conn, book=book, kind="statement", order_id=None, ref=None, body=body, at=at)


async def append_withdraw(
    conn: asyncpg.Connection, *, book: int, demand_id: int, outlet: str, at: datetime
) -> None:
    """The outlet takes back what is still open of a demand; fills already reserved stand."""
    await inbox.append(
        conn, book=book, kind="withdraw", order_id=None, ref=str(demand_id), body={"outlet": outlet}, at=at
    )


def seal_payee(*, order_id: int, account: str, name: str, keys: KeyProvider) -> bytes:
    """Account and name, sealed for the column `orders.payee` of that order."""
    plain = canonical({"account": account, "name": name})
    return keys.seal(purpose="payee", plain=plain, where=f"orders/payee/{order_id}".encode())
