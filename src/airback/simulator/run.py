"""Runs: one seed to its end and its audit; a plant to its discovery; the shortest story of what went wrong."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import asyncpg

from airback.domain import ids
from airback.engine.batch import IllegalTransition
from airback.engine.persist import RowMissing
from airback.simulator.auditor import Auditor, Violation
from airback.simulator.database import database_for
from airback.simulator.faults import Fault
from airback.simulator.plants import PLANTS
from airback.simulator.world import BOOK, Progress, Stuck, World
from airback.store.named_sql import load
from airback.store.pool import connect_once

SQL: Final = load("story.sql", package="airback.simulator")

#: Sales a plant is looked for among, a seed each, fewest first: most of what a small run costs does not depend on them.
_SIZES: Final = (150, 400, 1000, 3000)
_MOST_LINES: Final = 60


@dataclass(frozen=True, slots=True)
class Run:
    """What one simulation came to."""

    world: World
    violations: list[Violation]
    events_hash: str
    seconds: float
    story: list[str]


async def simulate(server_url: str, *, seed: int, orders: int, progress: Progress) -> dict[str, Any]:
    """Run one seed and audit it: `{"seed", "orders", "events_hash", "faults", "crashes", "violations",
    "outcomes_as_planned", "seconds", "found", "story"}`. `found` names the first violations."""
    run = await _run(server_url, seed=seed, orders=orders, progress=progress)
    report: dict[str, Any] = {
        "seed": seed,
        "orders": orders,
        "events_hash": run.events_hash,
        "faults": {str(fault): run.world.faults[fault] for fault in Fault},
        "crashes": run.world.crashes,
        "violations": len(run.violations),
        "outcomes_as_planned": not any(v.invariant == "plan" for v in run.violations),
        "seconds": round(run.seconds, 1),
    }
    if run.violations:
        report["found"] = [f"{v.invariant}: {v.subject}: {v.detail}" for v in run.violations[:20]]
        report["story"] = run.story
    return report


async def find_plant(server_url: str, *, name: str, seed: int, progress: Progress) -> dict[str, Any]:
    """Look for a planted bug among ever more sales: `{"plant", "caught", "seed", "orders", "story", "seconds"}`."""
    began = time.monotonic()
    for found_by, orders in enumerate(_SIZES, start=seed):
        with PLANTS[name]():
            run = await _run(server_url, seed=found_by, orders=orders, progress=progress)
        if run.violations:
            break
    return {
        "plant": name,
        "caught": bool(run.violations),
        "seed": found_by,
        "orders": orders,
        "story": run.story,
        "seconds": round(time.monotonic() - began, 1),
    }


async def _run(server_url: str, *, seed: int, orders: int, progress: Progress) -> Run:
    async with database_for(server_url, seed=seed) as database:
        world = World(database, seed=seed, orders=orders)
        began = time.monotonic()
        trouble: Exception | None = None
        try:
            await world.run(progress)
        except (
            Stuck,
            IllegalTransition,
            RowMissing,
            asyncpg.PostgresError,
            AssertionError,
            ArithmeticError,
            LookupError,
            ValueError,
        ) as error:
            trouble = error
        seconds = time.monotonic() - began
        conn = await connect_once(database.url, connect_timeout_s=60)
        try:
            auditor = Auditor(book=BOOK, far_sides=world.far_sides, plans=world.plans)
            violations = await auditor.audit(conn)
            if trouble is not None:
                violations.insert(0, Violation("run", type(trouble).__name__, str(trouble)[:300]))
            story = await _story(conn, world, violations)
        finally:
            await conn.close()
        return Run(world, violations, await world.events_hash(), seconds, story)


async def _story(conn: Any, world: World, violations: Sequence[Violation]) -> list[str]:
    """What was found, and everything that happened to the first order it concerns."""
    if not violations:
        return []
    lines = [f"{v.invariant}: {v.subject}: {v.detail}" for v in violations[:5]]
    concerned = next((v.order_id for v in violations if v.order_id is not None), None)
    if concerned is None:
        return lines
    plan = world.by_order.get(concerned)
    if plan is not None:
        befell = ", ".join(sorted(plan.befell)) or "nothing"
        lines.append(
            f"{ids.public('ord', concerned)} sells {plan.product} {plan.carrier} {plan.face_fen} fen; befell it: {befell}"
        )
    for row in await conn.fetch(SQL.happened, BOOK, concerned):
        lines.append(f"{row['at']:%H:%M:%S} {row['what']}")
    return lines[:_MOST_LINES]
