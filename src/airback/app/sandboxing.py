"""`airback sandbox`: the far sides to practise with, and the reseller who keeps demands coming."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from airback.app import presence, processes
from airback.app.far_sides import HOUSE_NUMBERS
from airback.app.opening import client_key
from airback.app.settings import Settings
from airback.domain.assets import CARRIERS
from airback.sandbox import cards, reseller, server

#: What the reseller keeps open at each carrier, in fen of face value.
_OPEN_TARGET_FEN: Final = 3_000_000
_RESELLER_SEED: Final = 7


async def serve(
    settings: Settings,
    *,
    listen: str,
    auth: bool,
    notices: bool,
    stop: asyncio.Event,
    ready: Callable[[str], None],
) -> None:
    """Serve until `stop`. The reseller begins as soon as an API runs on the same data directory; with `notices` it asks
    to be told of its fills."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as announced:
        up: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def accepting(url: str) -> None:
            announced.enter_context(presence.announce(settings.run_dir, "sandbox", url=url))
            up.set_result(url)
            ready(url)

        selling = asyncio.create_task(_resell(settings, up, stop, notices=notices))
        try:
            await server.serve(listen, settings.data_dir, auth=auth, ready=accepting, stop=stop)
        finally:
            stop.set()
            selling.cancel()
            await asyncio.gather(selling, return_exceptions=True)


async def _resell(settings: Settings, up: asyncio.Future[str], stop: asyncio.Event, *, notices: bool) -> None:
    sandbox_url = await up
    while not stop.is_set():
        found = presence.find(settings.run_dir, "serve")
        if found is not None and "url" in found:
            gone = asyncio.Event()
            watch = asyncio.create_task(_until_gone(settings, str(found["url"]), stop, gone))
            try:
                await reseller.run(
                    api_url=str(found["url"]),
                    api_key=client_key(settings, "reseller"),
                    sandbox_url=sandbox_url,
                    carriers=tuple(CARRIERS),
                    seed=_RESELLER_SEED,
                    open_target_fen=_OPEN_TARGET_FEN,
                    stop=gone,
                    told=notices,
                )
            finally:
                watch.cancel()
        await asyncio.sleep(0.2)


async def _until_gone(settings: Settings, url: str, stop: asyncio.Event, gone: asyncio.Event) -> None:
    while not stop.is_set():
        found = presence.find(settings.run_dir, "serve")
        if found is None or found.get("url") != url:
            break
        await asyncio.sleep(1)
    gone.set()


def issue_cards(
    settings: Settings,
    *,
    count: int,
    out: Path,
    file_format: str,
    bad_ppm: int,
    seed: int | None,
    progress: Callable[[str, int, int], None],
) -> int:
    """Issue cards into the sandbox's own book and write them to a file; how many rows."""
    issued = cards.issue(
        settings.data_dir,
        count=count,
        bad_ppm=bad_ppm,
        seed=seed,
        progress=lambda done: progress("issuing", done, count),
    )
    return cards.write_card_file(
        out, issued, file_format=file_format, progress=lambda done: progress("writing", done, count)
    )


@contextlib.asynccontextmanager
async def beside(settings: Settings) -> AsyncIterator[None]:
    """A sandbox for as long as the block lasts, unless one runs."""
    if presence.find(settings.run_dir, "sandbox") is not None:
        yield
        return
    child = await asyncio.to_thread(
        processes.start, "sandbox", ["sandbox", "--listen", "127.0.0.1:0"], data_dir=settings.data_dir
    )
    try:
        yield
    finally:
        await asyncio.to_thread(child.stop)


def plain(value: Any) -> Any:
    """A JSON value of any view."""
    return msgspec.json.decode(msgspec.json.encode(value, enc_hook=_text))


def _text(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime | date) else str(value)


def line_of(entry: Any) -> str:
    """One line of an order's timeline."""
    return " ".join(str(plain(getattr(entry, name))) for name in ("at", "action") if hasattr(entry, name))


__all__ = ["HOUSE_NUMBERS", "beside", "issue_cards", "line_of", "plain", "serve"]
