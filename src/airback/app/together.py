"""Everything an installation needs to run, started where it does not run yet and stopped when the block ends."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from airback.app import presence, processes
from airback.app.opening import open_installation
from airback.app.platform import database
from airback.app.processes import Child
from airback.app.settings import Settings


@dataclass(slots=True)
class Running:
    """What runs: addresses, and the children that are ours to stop. `environment`: settings of theirs beside our own."""

    settings: Settings
    database_url: str = ""
    children: dict[str, Child] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def sandbox_url(self) -> str:
        """Where the sandbox answers."""
        return str((presence.find(self.settings.run_dir, "sandbox") or {})["url"])

    @property
    def api_url(self) -> str:
        """Where API and pages answer."""
        return str((presence.find(self.settings.run_dir, "serve") or {})["url"])

    def start(self, name: str) -> Child:
        """Start one process of the installation, at the address it had before if any. Raises ProcessFailed."""
        before = self.children.get(name)
        at = None if before is None else urlsplit(before.where.get("url", "")).port
        arguments = {
            "sandbox": ["sandbox", "--listen", f"127.0.0.1:{at or 0}"],
            "serve": ["serve"] if at is None else ["serve", "--port", str(at)],
            "work": ["work"],
        }[name]
        child = self.children[name] = processes.start(
            name, arguments, data_dir=self.settings.data_dir, environment=self.environment
        )
        return child

    def stop(self, name: str) -> None:
        """Stop one process if it is ours, and wait until it is gone."""
        child = self.children.get(name)
        if child is not None:
            child.stop()


@contextlib.asynccontextmanager
async def everything(settings: Settings, *, progress: Any = None) -> AsyncIterator[Running]:
    """Database, sandbox, API and worker: those that do not run on this data directory are started, side by side."""
    running = Running(settings)
    sandbox = asyncio.create_task(_begin(running, "sandbox"))  # it needs no database
    try:
        async with database(settings, progress=progress) as url:
            running.database_url = url
            await open_installation(settings, url=url, now=datetime.now(UTC))
            try:
                await _all_of(sandbox, _begin(running, "work"), _begin(running, "serve"))
                yield running
            finally:
                await _all_of(*(asyncio.to_thread(running.stop, name) for name in ("serve", "work")))
    finally:
        await asyncio.wait([sandbox])
        await asyncio.to_thread(running.stop, "sandbox")


async def _begin(running: Running, name: str) -> None:
    run_dir = running.settings.run_dir
    runs = presence.any_of(run_dir, "work-") if name == "work" else presence.find(run_dir, name) is not None
    if not runs:
        await asyncio.to_thread(running.start, name)


async def _all_of(*doing: Awaitable[None]) -> None:
    """Wait for all of them, also when one fails: what a thread has begun must be there to be stopped."""
    for result in await asyncio.gather(*doing, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
