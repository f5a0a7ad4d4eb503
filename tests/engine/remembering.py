"""Holds what a writer remembers against what the database has, after each of its steps."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

import pytest

from airback.engine import gather
from airback.engine.memory import Memory
from airback.engine.records import Order
from airback.engine.writer import Writer


class Differs(AssertionError):
    """The writer remembers something else than the database has."""


@contextmanager
def every_step_compared() -> Iterator[list[int]]:
    """While this stands, every writer's step ends with a comparison. Yields the number of orders compared, as one item."""
    step, compared = Writer.step, [0]

    async def checked(self: Writer, conn: Any) -> bool:
        did = await step(self, conn)
        if did:
            # A simulated connection dies now and then: the comparison is not what it should die of.
            compared[0] += await compare(self, getattr(conn, "real", conn))
        return did

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Writer, "step", checked)
        yield compared


async def compare(writer: Writer, conn: Any) -> int:
    """Raise Differs when they differ; how many orders are remembered."""
    memory: Memory = writer._memory
    fresh = writer._new_batch(writer._clock())
    await gather.facts(conn, fresh, Memory(), order_ids=set(memory.orders), payout_ids=[])
    if fresh.orders.keys() != memory.orders.keys():
        raise Differs(f"orders {sorted(memory.orders.keys() ^ fresh.orders.keys())}")
    for order_id, remembered in memory.orders.items():
        for name in (f.name for f in fields(Order)):
            has, knows = getattr(fresh.orders[order_id], name), getattr(remembered, name)
            if has != knows:
                raise Differs(f"order {order_id}: {name} is {has!r}, remembered as {knows!r}")
        for payout in remembered.payouts:
            if memory.payouts.get(payout.id) is not payout:
                raise Differs(f"payout {payout.id} is remembered twice")
    for account_id, standing in fresh.balances.standings.items():
        if account_id in memory.standings and memory.standings[account_id] != standing:
            raise Differs(f"account {account_id}: {standing}, remembered as {memory.standings[account_id]}")
    return len(fresh.orders)
