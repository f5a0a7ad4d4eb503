"""What a far side of the sandbox is made of: requests, replies, routes, and the plug that adds them to the server.

A far side is a module with `plug(frame) -> Plug`. Its handlers are `async def handler(request) -> Reply`; the
server finds the route, checks the bearer token where the route wants one, counts the call and applies faults.
"""

import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

if TYPE_CHECKING:
    from airback.sandbox.faults import Fault, Faults
    from airback.sandbox.messages import MessageBook

#: Largest request body that is read, in bytes.
MOST_BODY_BYTES: Final = 4 << 20


class Unreadable(ValueError):
    """A body is not the JSON it should be."""


class Dropped(Exception):
    """The connection is closed without an answer, as a far side's outage or a broken line would do."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer. `body` are bytes as they go out."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()

    @staticmethod
    def json(status: int, value: Any, headers: Sequence[tuple[str, str]] = ()) -> "Reply":
        """A JSON answer; a `Decimal` becomes a number with its digits."""
        body = json.dumps(value, ensure_ascii=False, default=_number).encode()
        return Reply(status=status, body=body, headers=(("content-type", "application/json"), *headers))


@dataclass(slots=True)
class Caller:
    """Who a bearer token stands for. `number` is the device's own number (a three-legged token), else None."""

    scopes: frozenset[str] | None = None
    number: str | None = None
    by_network: bool = False

    def may(self, scope: str) -> bool:
        """Whether the token bears the scope; one without a list bears all."""
        return self.scopes is None or scope in self.scopes


@dataclass(slots=True)
class Request:
    """One request. Header names in lower case; `params` from the route's `{names}`.

    `carrier` is the carrier whose own address was used (`/carriers/cmcc/…`), None at the shared one.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    now: datetime
    faults: "Faults"
    params: Mapping[str, str] = field(default_factory=dict)
    carrier: str | None = None
    caller: Caller = field(default_factory=Caller)
    fault: "Fault | None" = None

    def json(self) -> Any:
        """The body as JSON, numbers with a point as `Decimal`. Raises `Unreadable`."""
        try:
            return json.loads(self.body.decode("utf-8"), parse_float=Decimal, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            raise Unreadable("the body is no JSON in UTF-8") from error

    def first(self, name: str) -> str | None:
        """The first query parameter of that name."""
        return next((value for key, value in self.query if key == name), None)

    async def begin(self, far_side: str, operation: str, *, key: str = "") -> "Fault | None":
        """Draw the fault for this operation, once the handler knows what it is.

        A `slow` far side sleeps here and an `outage` raises `Dropped`, both before anything is executed.
        `answer_lost` and `late` are applied by the server after the handler. What is left for the handler:
        `refusal`, `wrong_amount`, `processing`, `duplicated`. A `key` (a number, a card) makes the draw the same
        in every run of one seed, whatever the order of calls.
        """
        self.fault = await self.faults.begin(far_side, operation, key=key)
        return self.fault


Handler = Callable[[Request], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Route:
    """One address. `path` may hold `{names}`, each standing for one segment.

    `bearer`: the server asks for the sandbox's token. `counted`: the call is one to a far side.
    `refuse(request, status, code, message)` words the server's own refusals in the far side's manner.
    """

    method: str
    path: str
    handler: Handler
    bearer: bool = False
    counted: bool = True
    refuse: "Callable[[Request, int, str, str], Reply] | None" = None

    def pattern(self) -> re.Pattern[str]:
        """The path as a pattern with named groups."""
        parts = re.split(r"\{([a-z_]+)\}", self.path)
        return re.compile(
            "".join(f"(?P<{part}>[^/]+)" if at % 2 else re.escape(part) for at, part in enumerate(parts))
        )


@dataclass(frozen=True, slots=True)
class Counts:
    """A far side's own account of what it did: deliveries, payments, and those beyond one for one purpose."""

    executions: int = 0
    payments: int = 0
    duplicates: int = 0
    delivered_fen: int = 0
    paid_fen: int = 0


@dataclass(frozen=True, slots=True)
class Plug:
    """A far side added to the server. `run` (if any) is a task that lives as long as the server does."""

    name: str
    routes: Sequence[Route]
    counts: Callable[[], Counts] | None = None
    run: Callable[[], Awaitable[None]] | None = None
    close: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """What every far side gets: its folder, the clock, randomness, the fault profiles, the messages' book."""

    folder: Path
    now: Callable[[], datetime]
    entropy: Callable[[int], bytes]
    faults: "Faults"
    messages: "MessageBook"
    auth: bool = True


def _number(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    raise TypeError(type(value).__name__)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")
