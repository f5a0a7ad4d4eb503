"""`airback reconcile --live --far-side outlet:NAME --day DAY`: the outlet is asked, and what differs becomes work."""

import asyncio
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from standardwebhooks import Webhook

from airback.adapters.keys.files import FileKeys
from airback.app.live_reconciling import reconcile_live
from airback.app.opening import open_installation
from airback.app.settings import read
from airback.domain.refusals import Refused
from airback.engine.tell import hook_place
from airback.reconciliation.rows import CHINA
from airback.store import outlets
from airback.store.outlets import Hook

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Shop:
    """An outlet whose books hold one fill that ours do not."""

    def __init__(self) -> None:
        self.asked = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:] if line)}
        said = Webhook(SECRET).verify(await reader.readexactly(int(headers["content-length"])), headers)
        self.asked += 1
        data = said["data"]
        at = datetime.fromisoformat(data["since"]) + timedelta(hours=12)
        fill = {"fill": "fil_0AM863TE8WXD7", "pays_fen": 9_800, "at": at.isoformat()}
        body, now, ref = json.dumps({**data, "fills": [fill]}), datetime.now(UTC), headers["webhook-id"]
        writer.write(
            f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\nwebhook-id: {ref}\r\n"
            f"webhook-timestamp: {int(now.timestamp())}\r\n"
            f"webhook-signature: {Webhook(SECRET).sign(ref, now, body)}\r\n\r\n{body}".encode()
        )
        await writer.drain()
        writer.close()


async def test_an_outlet_is_asked_once_and_the_same_answer_changes_nothing(
    pool: asyncpg.Pool, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRBACK_DATABASE_URL", database_url)
    settings = read(data=str(tmp_path))
    await open_installation(settings, url=database_url, now=datetime.now(UTC))
    today = datetime.now(CHINA).date()
    yesterday = today - timedelta(days=1)

    async def reconcile(day: date | None, outlet: str = "north") -> dict[str, Any]:
        return await reconcile_live(
            data=str(tmp_path),
            statement=None,
            far_side=f"outlet:{outlet}",
            day=day,
            progress=lambda name, done, of: None,
        )

    shop = Shop()
    async with await asyncio.start_server(shop.serve, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
        sealed = FileKeys(settings.keys_dir).seal(
            purpose="webhook", plain=SECRET.encode(), where=hook_place("north")
        )
        async with pool.acquire() as conn:
            hook = Hook("north", url, sealed, datetime.now(UTC))
            await outlets.set_hook(conn, book=1, hook=hook)
        first, again = await reconcile(yesterday), await reconcile(yesterday)
        refused = []
        for day, outlet in ((None, "north"), (today, "north"), (yesterday, "south")):
            with pytest.raises(Refused) as one:
                await reconcile(day, outlet)
            refused.append((one.value.code, one.value.field))
    assert shop.asked == 2
    assert first["breaks"]["missing_here"] == 1
    assert first["statement"]["layout"] == "outlet"
    assert (first["already"], again["already"]) == (False, True)
    assert [(each["explanation"], each["left_fen"], each["owner"]) for each in again["open"]] == [
        ("missing_here", -9_800, "operations")
    ]
    assert refused == [
        ("field_missing", "day"),
        ("statement_day_open", "day"),
        ("statement_not_given", "far_side"),
    ]
    with pytest.raises(Refused) as gone:
        await reconcile(yesterday - timedelta(days=1))
    assert gone.value.code == "statement_not_given"  # nobody answers there any more
