"""A street of sellers: attempts drawn from a seed, each made over the API as a person or a shop would make it.

The seed draws who sells what and which attempts are bad; numbers and cards are new each time.
"""

import asyncio
import os
import random
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from airback.app.api_client import ApiClient
from airback.domain import ids
from airback.domain.assets import CARRIERS

_BAD_PPM: Final = 150_000
_FACES_FEN: Final = (3_000, 5_000, 10_000, 20_000, 30_000)


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


class DeskRefused(Exception):
    """The sandbox did not do what the street asked of it."""


class Street:
    """The sellers of one run, and what became of each attempt: a refusal's code, or an order."""

    def __init__(self, *, api: ApiClient, sandbox: ApiClient, attempts: list[Attempt]) -> None:
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
        """The sandbox's own desk. Raises DeskRefused, ApiUnreachable."""
        status, answer = await self._sandbox.call(method, path, body, query=query)
        if status >= 400:
            raise DeskRefused(f"sandbox: {path}: {status}")
        return answer

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
        raise DeskRefused("no code arrived")
