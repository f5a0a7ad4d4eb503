"""Faults a far side can be told to show, by far side and operation, drawn from a seed or for the next N calls.

| fault | what happens |
|---|---|
| `outage` | the connection closes before anything is executed |
| `slow` | `delay_ms` pass before it is executed |
| `answer_lost` | it is executed, then the connection closes without an answer |
| `late` | it is executed, the answer comes after `delay_ms` |
| `refusal` | it is refused with `code` |
| `wrong_amount` | `amount_ppm` of the amount asked for is executed, and the answer says so |
| `processing` | it is accepted, and executed `delay_ms` later |
| `duplicated` | it is executed twice |
| `bad_signature` | it is executed, the answer's signature does not stand (where answers are signed) |
"""

import asyncio
import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from airback.sandbox.wire import Dropped, Plug, Reply, Request, Route, Unreadable

KINDS: Final = (
    "outage",
    "slow",
    "answer_lost",
    "late",
    "refusal",
    "wrong_amount",
    "processing",
    "duplicated",
    "bad_signature",
)
_PPM: Final = 1_000_000
_MOST_DELAY_MS: Final = 600_000


@dataclass(frozen=True, slots=True)
class Fault:
    """One misbehaviour that was drawn for one call."""

    kind: str
    delay_ms: int = 0
    code: str | None = None
    amount_ppm: int = _PPM


@dataclass(slots=True)
class Profile:
    """Which calls misbehave, and how. `*` stands for every far side or operation.

    With `next` the first so many calls are hit, then none; otherwise a share of `share_ppm` of them.
    """

    far_side: str
    operation: str
    fault: Fault
    share_ppm: int
    next: int | None
    seed: int
    dice: random.Random
    hits: int = 0

    def draws(self, far_side: str, operation: str, key: str) -> bool:
        """Whether this call is hit. A draw with a key depends on the seed and the key alone."""
        if self.far_side not in ("*", far_side) or self.operation not in ("*", operation):
            return False
        if self.next is not None:
            if self.next <= 0:
                return False
            self.next -= 1
        elif key:
            digest = hashlib.sha256(
                f"{self.seed}/{self.fault.kind}/{far_side}/{operation}/{key}".encode()
            ).digest()
            if int.from_bytes(digest[:8], "big") % _PPM >= self.share_ppm:
                return False
        elif self.dice.randrange(_PPM) >= self.share_ppm:
            return False
        self.hits += 1
        return True

    def shown(self) -> dict[str, Any]:
        """The profile as JSON, with how often it hit."""
        return {
            "far_side": self.far_side,
            "operation": self.operation,
            "fault": self.fault.kind,
            "delay_ms": self.fault.delay_ms,
            "code": self.fault.code,
            "amount_ppm": self.fault.amount_ppm,
            "share_ppm": self.share_ppm,
            "next": self.next,
            "seed": self.seed,
            "hits": self.hits,
        }


class Faults:
    """The profiles in force. They live as long as the server; a restart is well-behaved."""

    def __init__(self) -> None:
        self._profiles: list[Profile] = []

    def set(self, profiles: Sequence[Profile], *, replace: bool) -> None:
        """Put profiles in force, first match wins; with `replace` instead of those before."""
        self._profiles = [*profiles] if replace else [*self._profiles, *profiles]

    def shown(self) -> list[dict[str, Any]]:
        """All profiles as JSON."""
        return [profile.shown() for profile in self._profiles]

    def draw(self, far_side: str, operation: str, *, key: str = "") -> Fault | None:
        """The fault of one call, or None."""
        for profile in self._profiles:
            if profile.draws(far_side, operation, key):
                return profile.fault
        return None

    async def begin(self, far_side: str, operation: str, *, key: str = "") -> Fault | None:
        """Draw, and act on what happens before execution: `slow` sleeps, `outage` raises `Dropped`."""
        fault = self.draw(far_side, operation, key=key)
        if fault is not None:
            if fault.kind == "outage":
                raise Dropped
            if fault.kind == "slow":
                await asyncio.sleep(fault.delay_ms / 1000)
        return fault


def read_profile(document: Any) -> Profile:
    """A profile from JSON: `fault` required; `far_side`, `operation` (default `*`), `share_ppm` (default all),
    `next`, `delay_ms`, `code`, `amount_ppm`, `seed`. Raises `Unreadable`."""
    if not isinstance(document, dict) or document.get("fault") not in KINDS:
        raise Unreadable(f"fault must be one of {', '.join(KINDS)}")
    texts = {name: document.get(name, "*") for name in ("far_side", "operation")}
    if not all(isinstance(text, str) and 0 < len(text) <= 40 for text in texts.values()):
        raise Unreadable("far_side and operation must be names")
    limits = {"share_ppm": _PPM, "amount_ppm": 10 * _PPM, "delay_ms": _MOST_DELAY_MS, "seed": 1 << 62}
    defaults = {"share_ppm": _PPM, "amount_ppm": 900_000, "delay_ms": 1_000, "seed": 1}
    numbers = {name: document.get(name, default) for name, default in defaults.items()}
    count = document.get("next")
    for name, value in [*numbers.items(), *([("next", count)] if count is not None else [])]:
        if type(value) is not int or not 0 <= value <= limits.get(name, 1 << 31):
            raise Unreadable(f"{name} must be a whole number within its limits")
    code = document.get("code")
    if code is not None and not (isinstance(code, str) and len(code) <= 80):
        raise Unreadable("code must be a short text")
    return Profile(
        far_side=texts["far_side"],
        operation=texts["operation"],
        fault=Fault(
            kind=document["fault"], delay_ms=numbers["delay_ms"], code=code, amount_ppm=numbers["amount_ppm"]
        ),
        share_ppm=numbers["share_ppm"],
        next=count,
        seed=numbers["seed"],
        dice=random.Random(numbers["seed"]),
    )


def plug(faults: Faults) -> Plug:
    """`GET`, `POST` and `DELETE /sandbox/faults`."""

    async def show(_: Request) -> Reply:
        return Reply.json(200, {"profiles": faults.shown()})

    async def put(request: Request) -> Reply:
        document = request.json()
        several = isinstance(document, dict) and "profiles" in document
        listed = document["profiles"] if several else [document]
        if not isinstance(listed, list) or len(listed) > 100:
            raise Unreadable("profiles must be a list of at most 100")
        replace = several and document.get("replace", True) is True
        faults.set([read_profile(item) for item in listed], replace=replace)
        return Reply.json(200, {"profiles": faults.shown()})

    async def clear(_: Request) -> Reply:
        faults.set([], replace=True)
        return Reply.json(200, {"profiles": []})

    return Plug(
        name="faults",
        routes=[
            Route("GET", "/sandbox/faults", show, counted=False),
            Route("POST", "/sandbox/faults", put, counted=False),
            Route("DELETE", "/sandbox/faults", clear, counted=False),
        ],
    )
