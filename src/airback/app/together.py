"""Everything an installation needs to run, started where it does not run yet and stopped when the block ends."""

import contextlib
from collections.abc import AsyncIterator
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
    """What runs: addresses, and the children that are ours to stop."""

    settings: Settings
    database_url: str
    children: dict[str, Child] = field(default_factory=dict)

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
        child = self.children[name] = processes.start(name, arguments, data_dir=self.settings.data_dir)
        return child


@contextlib.asynccontextmanager
async def everything(settings: Settings, *, progress: Any = None) -> AsyncIterator[Running]:
    """Database, sandbox, API and worker: those that do not run on this data directory are started."""
    async with database(settings, progress=progress) as url:
        await open_installation(settings, url=url, now=datetime.now(UTC))
        running = Running(settings, url)
        try:
            if presence.find(settings.run_dir, "sandbox") is None:
                running.start("sandbox")
            if not presence.any_of(settings.run_dir, "work-"):
                running.start("work")
            if presence.find(settings.run_dir, "serve") is None:
                running.start("serve")
            yield running
        finally:
            for name in ("serve", "work", "sandbox"):
                child = running.children.get(name)
                if child is not None:
                    child.stop()
