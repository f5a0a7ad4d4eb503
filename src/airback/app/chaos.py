"""`airback chaos`: the real processes under load, each killed again and again; then what was promised is counted.

Worker, API, sandbox and PostgreSQL get SIGKILL in turn and are started again at once, while sellers go on selling. What
the API acknowledged is on the sellers' own record; afterwards each of those orders must have ended or be with a person,
the sandbox must have counted no second delivery or payment, and every invariant must hold.
"""

import asyncio
import os
import random
import secrets
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final

from airback.app.api_client import ApiClient, ApiUnreachable
from airback.app.opening import client_key
from airback.app.platform import Platform, open_platform, verified
from airback.app.processes import ProcessFailed
from airback.app.selling import Answer, Payee, Sale
from airback.app.settings import Settings
from airback.app.street import Attempt, DeskRefused, Street, plan
from airback.app.together import Running, everything
from airback.domain.assets import CARRIERS
from airback.orders.card_file import CardRow
from airback.orders.states import FINAL
from airback.queries.demo import SQL
from airback.queries.verify import summary
from airback.store.embedded import server_process
from airback.store.problems import TROUBLE

DEFAULT_SEED: Final = 20260102
#: One kill about every so many seconds: ten a minute.
_KILL_EVERY_S: Final = 6.0
#: Sales a minute that are aimed at: files of cards, and people one at a time.
_FILES_A_MINUTE: Final = 26
_CARDS_A_FILE: Final = 80
_PEOPLE: Final = 2
_PEOPLE_A_MINUTE: Final = 60
#: After the last kill promises have so long without any of them being kept, before the rest counts as lost.
_PATIENCE_S: Final = 45.0
_FACES_FEN: Final = (3_000, 5_000, 10_000)
#: How the parts are called in the report, and which process of the installation each is.
_PROCESSES: Final = {"worker": "work", "api": "serve", "sandbox": "sandbox"}
_PARTS: Final = (*_PROCESSES, "postgres")

Progress = Callable[[str, int, int], None]


class NotOurs(Exception):
    """Something that chaos would have to kill was not started by it."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} was not started by this command; chaos kills only what it started itself")


async def run(settings: Settings, *, minutes: int, seed: int, progress: Progress) -> dict[str, Any]:
    """Chaos for so many minutes, then the count. Raises NotOurs when something runs on the data directory already,
    or when the database is not the built-in one."""
    if settings.database_url is not None:
        raise NotOurs("the database of AIRBACK_DATABASE_URL")
    began = time.monotonic()
    async with everything(settings) as running:
        for name in _PROCESSES.values():
            if name not in running.children:
                raise NotOurs(f"airback {name}")
        async with (
            open_platform(settings, url=running.database_url, connections=2) as platform,
            street(running, minutes=minutes, seed=seed) as load,
        ):
            await load.prepare()
            until = time.monotonic() + 60 * minutes
            reaper = _Reaper(running, random.Random(seed))
            clock = asyncio.create_task(_tick(progress, minutes * 60, until))
            await asyncio.gather(reaper.reap(until), load.sell(until))
            clock.cancel()
            await reaper.all_up()
            ended = time.monotonic()
            lost = await converge(platform, load.acknowledged, progress)
            double = (await load.street.desk("GET", "/sandbox/counts"))["duplicates"]
            findings = await verified(platform, progress=progress)
    checked = summary(findings)
    return {
        "minutes": minutes,
        "kills": {part: reaper.kills[part] for part in _PARTS},
        "orders": len(load.acknowledged),
        "refused": dict(sorted(load.refused.items())),
        "given_up": load.given_up,
        "lost": lost,
        "double": double,
        "violations": checked["violations"],
        "found": {name: check["found"] for name, check in checked["checks"].items() if check["found"]},
        "seconds_after": round(time.monotonic() - ended, 1),
        "seconds": round(time.monotonic() - began, 1),
    }


class _Reaper:
    """Kills one part after the other, in a new order each round, and starts it again at once."""

    def __init__(self, running: Running, dice: random.Random) -> None:
        self._running = running
        self._dice = dice
        self._returning: dict[str, asyncio.Task[None]] = {}
        self.kills: Counter[str] = Counter()

    async def reap(self, until: float) -> None:
        """Kill until that time (of the monotonic clock)."""
        turn: list[str] = []
        due = time.monotonic()
        while True:
            due += _KILL_EVERY_S * self._dice.uniform(0.5, 1.5)
            await asyncio.sleep(max(0.0, min(due, until) - time.monotonic()))
            if time.monotonic() >= until:
                return
            turn = turn or self._dice.sample(_PARTS, len(_PARTS))
            # What is still coming back cannot be killed; whoever is up takes its turn.
            part = next((p for p in turn if self._up(p)), None)
            if part is None:
                turn = []
                continue
            turn.remove(part)
            await self._kill(part)

    async def all_up(self) -> None:
        """Wait until everything that was killed is back."""
        await asyncio.gather(*self._returning.values())

    def _up(self, part: str) -> bool:
        returning = self._returning.get(part)
        return returning is None or returning.done()

    async def _kill(self, part: str) -> None:
        if part == "postgres":
            server = await asyncio.to_thread(server_process, self._running.settings.data_dir)
            if server is None:
                return
            try:
                os.kill(server, signal.SIGKILL)  # its supervisor starts it again
            except ProcessLookupError:
                return  # dead already, and not yet back
        else:
            name = _PROCESSES[part]
            await asyncio.to_thread(self._running.children[name].kill)
            self._returning[part] = asyncio.create_task(self._return(name))
        self.kills[part] += 1

    async def _return(self, name: str) -> None:
        while True:
            try:
                await asyncio.to_thread(self._running.start, name)
                return
            except ProcessFailed:
                await asyncio.sleep(0.5)  # the database it needs may just have been killed as well


class Load:
    """Sellers who go on selling whatever is killed, and their own record of what was acknowledged."""

    def __init__(self, *, api: ApiClient, street: Street, dice: random.Random) -> None:
        self._api = api
        self.street = street
        self._dice = dice
        self._files: list[list[int]] = []
        self.refused: Counter[str] = Counter()
        self.given_up = 0

    @property
    def acknowledged(self) -> list[int]:
        """Orders that the API said it has."""
        return [*self.street.orders, *(order for file in self._files for order in file)]

    async def prepare(self) -> None:
        """Open the lines and issue the cards of the people."""
        await self.street.prepare()

    async def sell(self, until: float) -> None:
        """Sell until that time (of the monotonic clock)."""
        people = iter(self.street.attempts)
        await asyncio.gather(
            self._pace(until, _FILES_A_MINUTE, self._file),
            *(self._person(people, until) for _ in range(_PEOPLE)),
        )
        self.refused += self.street.refused

    async def _pace(self, until: float, a_minute: int, sell: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Begin so many a minute, however long each takes; end when all have ended."""
        under_way: set[asyncio.Task[None]] = set()
        due = time.monotonic()
        while due < until:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            under_way = {task for task in under_way if not task.done()}
            if len(under_way) < 4:  # more would only wait for what is dead
                under_way.add(asyncio.create_task(self._patiently(sell())))
            due = max(due + 60 / a_minute, time.monotonic() - 5)
        await asyncio.gather(*under_way)

    async def _person(self, people: Any, until: float) -> None:
        for attempt in people:
            began = time.monotonic()
            if began >= until:
                return
            await self._patiently(self.street.sell(attempt))
            rest = 60 * _PEOPLE / _PEOPLE_A_MINUTE - (time.monotonic() - began)
            await asyncio.sleep(max(0.0, rest))

    async def _patiently(self, sale: Coroutine[Any, Any, None]) -> None:
        try:
            await sale
        except (DeskRefused, ApiUnreachable):
            self.given_up += 1

    async def _file(self) -> None:
        rows = [
            CardRow(
                row=row,
                card_number=f"{self._dice.randrange(10**15, 10**16)}",
                code=f"{self._dice.randrange(10**17, 10**18)}",
                face_fen=self._dice.choice(_FACES_FEN),
                carrier=self._dice.choice(tuple(CARRIERS)),
                expires_on=None,
            )
            for row in range(1, _CARDS_A_FILE + 1)
        ]
        cards = [
            {
                "card_number": row.card_number,
                "code": row.code,
                "carrier": row.carrier,
                "face_fen": row.face_fen,
                "state": "fresh",
            }
            for row in rows
        ]
        await self.street.desk("POST", "/sandbox/cards", {"cards": cards})
        answers = [Answer(row.row, "") for row in rows]
        sale = Sale(
            client=self._api,
            run=f"chaos-{secrets.token_hex(6)}",
            payee=Payee("company@demo.example", "王小明"),
            language="zh",
            progress=lambda _stage, _done, _total: None,
        )
        file: list[int] = []
        self._files.append(file)
        try:
            await sale.submit([*rows], answers)
        finally:
            file += [order for answer in answers if (order := answer.order) is not None]
            self.refused += Counter(answer.code for answer in answers if answer.code)


@asynccontextmanager
async def street(running: Running, *, minutes: int, seed: int) -> AsyncIterator[Load]:
    """Sellers with enough to sell for so many minutes."""
    attempts: list[Attempt] = [
        attempt
        for attempt in plan(orders=minutes * _PEOPLE_A_MINUTE * 2, seed=seed)
        if attempt.fault
        not in ("twice", "quote_twice")  # these wait for an earlier sale, which may be given up
    ]
    key = client_key(running.settings, "seller")
    async with (
        ApiClient(url=running.sandbox_url, key=None) as sandbox,
        ApiClient(url=running.api_url, key=key) as api,
    ):
        # Cards must be new in every run on one data directory, so their numbers do not come from the seed.
        yield Load(
            api=api,
            street=Street(api=api, sandbox=sandbox, attempts=attempts),
            dice=random.SystemRandom(),
        )


async def converge(platform: Platform, orders: list[int], progress: Progress) -> int:
    """Wait until each order has ended or is with a person; how many have not when no more of them do."""
    until = time.monotonic() + _PATIENCE_S
    waiting = len(orders)
    while True:
        try:
            row = await platform.pool.fetchrow(
                SQL.promised, platform.book, orders, [str(state) for state in FINAL]
            )
            if row["waiting"] < waiting:
                waiting, until = int(row["waiting"]), time.monotonic() + _PATIENCE_S
        except TROUBLE:
            pass  # the server may be coming back from its last kill
        progress("converging", len(orders) - waiting, len(orders))
        if waiting == 0 or time.monotonic() >= until:
            return waiting
        await asyncio.sleep(0.2)


async def _tick(progress: Progress, total_s: int, until: float) -> None:
    while True:
        progress("chaos", min(total_s, round(total_s - until + time.monotonic())), total_s)
        await asyncio.sleep(0.5)
