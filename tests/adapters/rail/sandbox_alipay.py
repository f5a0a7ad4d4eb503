"""The sandbox Alipay over real HTTP, and the stage that the conformance suite plays on."""

import asyncio
import contextlib
import dataclasses
import functools
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

from airback.adapters.http.client import HttpFarSide
from airback.adapters.rail.alipay import ALIPAY, AlipayRail
from airback.adapters.rail.alipay_keys import ensure_merchant_keys, load_public_key
from airback.sandbox.alipay_keys import APP_ID, ensure_alipay_keys
from airback.sandbox.server import serve


def utc_now() -> datetime:
    return datetime.now(UTC)


@functools.cache
def _made_once() -> Path:
    """Both sides' keys, made once a run: making RSA keys takes longer than any test here."""
    folder = Path(tempfile.mkdtemp(prefix="airback-test-keys-"))
    ensure_merchant_keys(folder)
    ensure_alipay_keys(folder)
    return folder


def with_keys(data_dir: Path) -> Path:
    """The data directory, with both sides' keys in it."""
    shutil.copytree(_made_once(), data_dir, dirs_exist_ok=True)
    return data_dir


class AlipayStage:
    """One sandbox, one rail."""

    def __init__(self, *, rail: AlipayRail, http: HttpFarSide, address: str) -> None:
        self.rail = rail
        self.http = http
        self.address = address
        self.forgeries: list[Callable[[bytes], bytes]] = [
            lambda body: _changed(body, "biz_content", lambda text: text + " "),
            lambda body: _changed(body, "biz_content", lambda text: text.replace('"43.21"', '"93.21"')),
            lambda body: _changed(body, "sign", lambda text: text[:-8] + "AAAAAA=="),
            lambda body: _changed(body, "sign", lambda _: ""),
            lambda body: _changed(body, "sign_type", lambda _: "RSA"),
            lambda body: _changed(body, "utc_timestamp", lambda text: str(int(text) + 1)),
            lambda body: _changed(body, "app_id", lambda _: "2021000000000000"),
            lambda body: _changed(body, "notify_id", lambda text: text + "0"),
            lambda body: body + b"&extra=1",
            lambda body: body + b"&app_id=" + APP_ID.encode(),
        ]

    def now(self) -> datetime:
        return utc_now()

    async def tell(self, path: str, document: Any) -> Any:
        """Tell the sandbox something; what it says."""
        answer = await self.http.call("POST", path, json=document)
        assert answer.status == 200, answer.body
        return answer.json()

    async def show(self, path: str) -> Any:
        """Read something of the sandbox."""
        return (await self.http.call("GET", path)).json()

    async def paid(self) -> tuple[int, int]:
        counts = await self.show("/sandbox/counts")
        assert counts["duplicates"] == 0
        return counts["payments"], counts["paid_fen"]

    async def open_account(self, *, account: str, name: str) -> None:
        await self.tell("/sandbox/alipay/accounts", {"accounts": [{"identity": account, "name": name}]})

    async def misbehave(self, what: str) -> None:
        await self.fault(what, operation="transfer")

    async def misbehave_when_asked(self, what: str) -> None:
        await self.fault(what, operation="query")

    async def fault(self, what: str, *, operation: str, **more: Any) -> None:
        kind = {
            "lose_answer": "answer_lost",
            "spoil_signature": "bad_signature",
            "refuse": "refusal",
            "take_time": "processing",
        }.get(what, what)
        profile = {"far_side": "alipay", "operation": operation, "fault": kind, "next": 1}
        await self.tell("/sandbox/faults", profile | {"delay_ms": 500_000} | more)

    async def let_time_take_its_course(self) -> None:
        await self.tell("/sandbox/alipay/settle", {})

    async def notification(self, ref: str) -> tuple[dict[str, str], bytes]:
        answer = await self.http.call("GET", "/sandbox/alipay/notification", query=[("out_biz_no", ref)])
        assert answer.status == 200
        return dict(answer.headers), answer.body


def _changed(body: bytes, name: str, change: Callable[[str], str]) -> bytes:
    pairs = parse_qsl(body.decode(), keep_blank_values=True)
    return urlencode([(key, change(value) if key == name else value) for key, value in pairs]).encode()


@contextlib.asynccontextmanager
async def sandbox(data_dir: Path) -> AsyncIterator[str]:
    """The address of a sandbox over `data_dir`."""
    stop = asyncio.Event()
    address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    server = asyncio.create_task(serve("127.0.0.1:0", data_dir, ready=address.set_result, stop=stop))
    server.add_done_callback(lambda _: address.cancel())
    try:
        yield await address
    finally:
        stop.set()
        await server


@contextlib.asynccontextmanager
async def alipay_stage(data_dir: Path, *, timeout_s: int = 5) -> AsyncIterator[AlipayStage]:
    """A sandbox and a rail that know each other's keys by the files in `data_dir` alone."""
    with_keys(data_dir)
    async with (
        sandbox(data_dir) as address,
        HttpFarSide(name="sandbox", base_url=address, timeout_s=5, concurrency=8) as http,
    ):
        rail = AlipayRail(
            gateway=f"{address}/alipay/gateway.do",
            app_id=APP_ID,
            merchant_key=ensure_merchant_keys(data_dir).private,
            alipay_key=load_public_key((data_dir / "sandbox" / "alipay-public.pem").read_bytes()),
            now=utc_now,
            capabilities=dataclasses.replace(ALIPAY, timeout_s=timeout_s),
        )
        try:
            yield AlipayStage(rail=rail, http=http, address=address)
        finally:
            await rail.close()
