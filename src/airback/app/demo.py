"""`airback demo`: airtime becomes money before one's eyes, over real wires, with a share of sellers who should fail.

The seed draws who sells what and which attempts are bad; numbers and cards are new each time. So two runs of one seed
end in the same figures, also when the worker is killed on the way.
"""

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import asyncpg

from airback.adapters.http.client import HttpFarSide
from airback.app.api_client import ApiClient
from airback.app.opening import client_key, demo_people
from airback.app.platform import open_platform
from airback.app.settings import Settings
from airback.app.together import Running, everything
from airback.domain import ids
from airback.domain.assets import CARRIERS
from airback.orders.states import FINAL
from airback.queries.demo import SQL
from airback.queries.verify import summary, verify

DEFAULT_SEED: Final = 20260101
_AT_ONCE: Final = 8
_BAD_PPM: Final = 150_000
_FACES_FEN: Final = (3_000, 5_000, 10_000, 20_000, 30_000)
_KILLS: Final = 3

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One seller's attempt: what they sell, and what is wrong with it, if anything."""

    index: int
    product: str
    carrier: str
    fen: int
    fault: str | None


_BALANCE_FAULTS: Final = ("dead", "suspended", "wrong_code", "too_much", "tampered", "swapped", "zero")
_REPEATS: Final = ("twice", "quote_twice")
_CARD_FAULTS: Final = ("used", "expired", "unknown", "twice", "quote_twice", "malformed", "too_large")


def plan(*, orders: int, seed: int) -> list[Attempt]:
    """Half balances, half cards, every carrier in turn, 10–20 % of them bad in every way in turn."""
    dice = random.Random(seed)
    # The first ones are good, so that somebody can come back with what they sold.
    later = range(min(2 * len(CARRIERS), orders), orders)
    bad = set(dice.sample(later, min(orders * _BAD_PPM // 1_000_000, len(later))))
    faults = {"balance": 0, "card": 0}
    attempts = []
    for index in range(orders):
        product = ("balance", "card")[index % 2]
        carrier = tuple(CARRIERS)[index // 2 % len(CARRIERS)]
        fen = dice.choice(_FACES_FEN)
        if product == "balance":
            fen += dice.randrange(0, 4_000)
        fault = None
        if index in bad:
            kinds = _BALANCE_FAULTS if product == "balance" else _CARD_FAULTS
            fault = kinds[faults[product] % len(kinds)]
            faults[product] += 1
        attempts.append(Attempt(index, product, carrier, fen, fault))
    return attempts


class Street:
    """The sellers of one run, and what became of each attempt: a refusal's code, or an order."""

    def __init__(self, *, api: ApiClient, sandbox: HttpFarSide, attempts: list[Attempt]) -> None:
        self._api = api
        self._sandbox = sandbox
        self.attempts = attempts
        self.refused: Counter[str] = Counter()
        self.orders: list[int] = []
        self.done = 0
        self._lines: dict[int, str] = {}
        self._cards: dict[int, dict[str, Any]] = {}
        good = [a for a in attempts if a.product == "card" and a.fault is None]
        self._sold: dict[int, asyncio.Future[dict[str, Any]]] = {a.index: asyncio.Future() for a in good}

    async def prepare(self) -> None:
        """Open the lines and issue the cards that will be sold."""
        dice = random.SystemRandom()
        lines, cards = [], []
        for attempt in self.attempts:
            if attempt.product == "balance":
                number = f"1{dice.choice('3578')}{dice.randrange(10**9):09d}"
                self._lines[attempt.index] = number
                line = {
                    "number": number,
                    "carrier": attempt.carrier,
                    "principal_fen": attempt.fen + 5_000 if attempt.fault != "too_much" else 1_000,
                    "status": {"suspended": "suspended"}.get(attempt.fault or "", "active"),
                }
                if attempt.fault == "swapped":
                    line["sim_changed_at"] = datetime.now(UTC).isoformat()
                if attempt.fault != "dead":
                    lines.append(line)
            elif attempt.fault not in _REPEATS:
                state = attempt.fault if attempt.fault in ("used", "expired", "unknown") else "fresh"
                card = {
                    "card_number": f"{dice.randrange(10**15, 10**16)}",
                    "code": f"{dice.randrange(10**17, 10**18)}",
                    "carrier": attempt.carrier,
                    "face_fen": attempt.fen,
                    "state": state,
                }
                self._cards[attempt.index] = card
                cards.append(card)
        for start in range(0, max(len(lines), len(cards)), 1000):
            if lines[start : start + 1000]:
                await self.desk("POST", "/sandbox/subscribers", {"subscribers": lines[start : start + 1000]})
            if cards[start : start + 1000]:
                await self.desk("POST", "/sandbox/cards", {"cards": cards[start : start + 1000]})

    async def desk(self, method: str, path: str, body: Any = None, **query: str) -> Any:
        """The sandbox's own desk."""
        answer = await self._sandbox.call(method, path, json=body, query=list(query.items()))
        if answer.status >= 400:
            raise RuntimeError(f"sandbox: {path}: {answer.body[:200]!r}")
        return answer.json()

    async def sell(self, attempt: Attempt) -> None:
        """One attempt, from the first question to the submitted order."""
        key = f"demo-{os.urandom(8).hex()}"
        problem, order = await (
            self._balance(attempt, key) if attempt.product == "balance" else self._card(attempt, key)
        )
        if order is not None:
            self.orders.append(order)
        else:
            self.refused[problem] += 1
        self.done += 1

    async def _balance(self, attempt: Attempt, key: str) -> tuple[str, int | None]:
        number = self._lines[attempt.index]
        status, answer = await self._api.call("POST", "/v1/verifications", {"number": number}, key=f"{key}-v")
        if status >= 400:
            return answer["code"], None
        sent = await self._code_of(number)
        code = sent if attempt.fault != "wrong_code" else f"{(int(sent) + 1) % 10 ** len(sent):0{len(sent)}d}"
        status, proof = await self._api.call(
            "POST", f"/v1/verifications/{answer['id']}/check", {"code": code}
        )
        if status >= 400:
            return proof["code"], None
        ask = {
            "product": "balance",
            "carrier": attempt.carrier,
            "number": number,
            "face_fen": 0 if attempt.fault == "zero" else attempt.fen,
            "seller_ref": number,
        }
        status, quoted = await self._api.call("POST", "/v1/quotes", ask)
        if status >= 400:
            return quoted["code"], None
        quote = quoted["quote"]
        if attempt.fault == "tampered":
            quote = {**quote, "net_fen": quote["net_fen"] + 1}
        order = self._order(quote, quoted["agreement"], seller=number) | {
            "proof": proof["proof"],
            "notify_number": number,
        }
        return await self._submit(order, key)

    async def _card(self, attempt: Attempt, key: str) -> tuple[str, int | None]:
        if attempt.fault in _REPEATS:
            return await self._again(attempt, key)
        card = self._cards[attempt.index]
        seller = f"person-{attempt.index}"
        ask = {
            "product": "card",
            "carrier": attempt.carrier,
            "card_number": "12x" if attempt.fault == "malformed" else card["card_number"],
            "face_fen": 10**9 if attempt.fault == "too_large" else card["face_fen"],
            "seller_ref": seller,
        }
        status, quoted = await self._api.call("POST", "/v1/quotes", ask)
        if status >= 400:
            return quoted["code"], None
        order = self._order(quoted["quote"], quoted["agreement"], seller=seller) | {"card_code": card["code"]}
        answer = await self._submit(order, key)
        if attempt.index in self._sold:
            self._sold[attempt.index].set_result(order)
        return answer

    async def _again(self, attempt: Attempt, key: str) -> tuple[str, int | None]:
        """Somebody comes back with what an earlier attempt has sold: the same card, or the same quote."""
        earlier = max(i for i in self._sold if i < attempt.index)
        order = await self._sold[earlier]
        if attempt.fault == "twice":
            card = self._cards[earlier]
            ask = {
                "product": "card",
                "carrier": card["carrier"],
                "card_number": card["card_number"],
                "face_fen": card["face_fen"],
                "seller_ref": order["seller_ref"],
            }
            _, quoted = await self._api.call("POST", "/v1/quotes", ask)
            again = {**order, "quote": quoted["quote"]}
        else:
            again = {**order, "card_code": order["card_code"][::-1]}
        return await self._submit(again, f"{key}-again")

    def _order(self, quote: dict[str, Any], agreement: str, *, seller: str) -> dict[str, Any]:
        return {
            "quote": quote,
            "seller_ref": seller,
            "payee_account": f"{seller}@demo.example",
            "payee_name": "王小明",
            "agreement": agreement,
        }

    async def _submit(self, order: dict[str, Any], key: str) -> tuple[str, int | None]:
        status, answer = await self._api.call("POST", "/v1/orders", order, key=key)
        if status >= 400:
            return answer["code"], None
        return "", ids.parse_public("ord", answer["id"])

    async def _code_of(self, number: str) -> str:
        for _ in range(100):
            messages = (await self.desk("GET", "/sandbox/sms", number=number))["messages"]
            if messages and messages[-1].get("code"):
                return str(messages[-1]["code"])
            await asyncio.sleep(0.05)
        raise RuntimeError("no code arrived")


async def run(
    settings: Settings,
    *,
    orders: int,
    seed: int,
    fault: str | None,
    progress: Progress,
    stay: Callable[[Running, dict[str, str], dict[str, Any]], Any] | None = None,
) -> dict[str, Any]:
    """Run the demonstration and return its figures. `stay` is awaited before everything is stopped."""
    began = time.monotonic()
    async with everything(settings) as running, open_platform(settings, url=running.database_url) as platform:
        since = platform.now()
        async with platform.pool.acquire() as conn:
            people = await demo_people(conn, settings, now=since)
        sandbox = HttpFarSide(
            name="sandbox", base_url=running.sandbox_url, timeout_s=60, concurrency=_AT_ONCE * 2
        )
        try:
            async with ApiClient(url=running.api_url, key=client_key(settings, "seller")) as api:
                street = Street(api=api, sandbox=sandbox, attempts=plan(orders=orders, seed=seed))
                before = await street.desk("GET", "/sandbox/counts")
                await street.prepare()
                await _enough_demands(platform.pool, progress)
                kills = await _traffic(running, street, platform.pool, settings.book, orders, fault, progress)
                counts = await street.desk("GET", "/sandbox/counts")
            report = await _report(platform.pool, settings.book, street, orders, since)
            report["kills"] = kills
            figures = {name: counts[name] - before[name] for name in counts}
            report["http_calls"] = figures.pop("http_calls")
            report["far_side"] = figures
            report["seconds"] = round(time.monotonic() - began, 1)
            progress("verify", 0, 1)
            findings = await verify(
                platform.pool,
                book=settings.book,
                now=platform.now(),
                keys=platform.keys,
                carriers=platform.carriers,
                rails=platform.connected.far_sides.rails,
                progress=progress,
            )
            report["verify"] = summary(findings)
            if stay is not None:
                await stay(running, people, report)
        finally:
            await sandbox.close()
    return report


async def _enough_demands(pool: asyncpg.Pool, progress: Progress) -> None:
    """Wait until the reseller wants airtime of every carrier."""
    for _ in range(600):
        have = await pool.fetchval(SQL.carriers_wanted)
        progress("demands", have, len(CARRIERS))
        if have >= len(CARRIERS):
            return
        await asyncio.sleep(0.1)
    raise RuntimeError("the sandbox's reseller placed no demands")


async def _traffic(
    running: Running,
    street: Street,
    pool: asyncpg.Pool,
    book: int,
    orders: int,
    fault: str | None,
    progress: Progress,
) -> int:
    kills = 0
    thresholds = [orders * share // 100 for share in (15, 45, 75)] if fault == "kill" else []
    queue = iter(street.attempts)

    async def seller() -> None:
        for attempt in queue:
            await street.sell(attempt)
            progress("selling", street.done, orders)

    async def reaper() -> int:
        killed = 0
        for threshold in thresholds:
            while street.done < threshold:
                await asyncio.sleep(0.02)
            await _kill_worker(running)
            killed += 1
        return killed

    killing = asyncio.create_task(reaper())
    await asyncio.gather(*(seller() for _ in range(_AT_ONCE)))
    kills = await killing
    while True:
        row = await pool.fetchrow(SQL.still_open, book, street.orders, [str(state) for state in FINAL])
        progress("paying", len(street.orders) - row["still_open"], len(street.orders))
        if not row["still_open"]:
            return kills
        await asyncio.sleep(0.1)


async def _kill_worker(running: Running) -> None:
    child = running.children.get("work")
    if child is None:
        raise RuntimeError("the worker is not ours to kill")
    await asyncio.to_thread(child.kill)
    await asyncio.to_thread(running.start, "work")


async def _report(
    pool: asyncpg.Pool, book: int, street: Street, orders: int, since: datetime
) -> dict[str, Any]:
    refused = Counter(street.refused)
    closed = paid_fen = 0
    for row in await pool.fetch(SQL.outcomes, book, street.orders):
        if row["state"] == "closed" and row["receipted"]:
            closed += 1
            paid_fen += row["paid_fen"]
        else:
            refused[row["code"] or row["state"]] += 1
    effects: dict[str, dict[str, int]] = {}
    for row in await pool.fetch(SQL.effects_since, book, since):
        effects.setdefault(row["kind"], {})[row["result"]] = row["n"]
    return {
        "orders": orders,
        "closed": closed,
        "refused": dict(sorted(refused.items())),
        "effects": effects,
        "http_calls": 0,
        "paid_fen": paid_fen,
        "kills": 0,
        "far_side": {},
    }
