"""How a process of the platform runs: its event loop, and how often it looks for garbage."""

import asyncio
import gc
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

import uvloop

T = TypeVar("T")

#: New objects before the youngest are looked through, and how many of these looks before the next older ones are. A
#: writer makes some thousand objects a batch and keeps most of them until their orders end; with Python's own 700 it spent
#: 30 % of its processor time looking (docs/performance.md).
_THRESHOLDS: Final = (50_000, 20, 20)


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a process's main coroutine to its end. What was loaded until now is never looked through."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(main)
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
