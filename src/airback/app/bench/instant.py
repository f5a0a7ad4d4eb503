"""Far sides in the worker's own process that answer at once, so that a bench measures the engine and nothing else.

They keep books of what they executed, as any far side does, and write them to a file when they close: `airback verify`
lays them beside ours afterwards.
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec

from airback.adapters.carrier.camara import CamaraSubscribers
from airback.adapters.carrier.capabilities import default_capabilities
from airback.adapters.carrier.tmf654 import Tmf654Carrier
from airback.adapters.rail.credit import CREDIT, CreditRail
from airback.app.far_sides import HOUSE_NUMBERS, Connected
from airback.domain.assets import CARRIERS
from airback.domain.effects import Kind, Outcome, Resend, Result
from airback.domain.ports.carrier import (
    Carrier,
    CarrierCapabilities,
    CodeCheck,
    HoldKind,
    HoldRequest,
    Line,
    LineStatus,
    RedeemRequest,
    ReleaseRequest,
    StatementLine,
    TransferRequest,
)
from airback.domain.ports.messenger import Message
from airback.domain.ports.rail import Notification, PayRequest, Rail, RailCapabilities
from airback.engine.policy import Policy
from airback.engine.senders import FarSides

#: What a far side without a limit of its own may be asked: more than any engine sends.
_REQUESTS_PER_S: Final = 1_000_000
#: Calls under way at one far side at once.
CONCURRENCY: Final = 64
_PLENTY_FEN: Final = 1_000_000

_RAIL: Final = RailCapabilities(
    name="alipay",
    resend=Resend.SAME_REFERENCE,
    least_fen=10,
    most_fen=100_000_000,
    name_checked=True,
    licence=None,
    counted_by_far_side=True,
    not_found_final_after_s=6,
    ask_every_s=1,
    ask_at_most_every_s=4,
    requests_per_s=_REQUESTS_PER_S,
    concurrency=CONCURRENCY,
    timeout_s=5,
)


#: What far sides leave: lines by far side.
FarBooks = dict[str, list[StatementLine]]


class _Books:
    """What one far side executed."""

    def __init__(self) -> None:
        self.lines: list[StatementLine] = []

    def done(self, kind: Kind, ref: str, amount_fen: int) -> Outcome:
        """Execute: put it into the books and say so."""
        self.lines.append(StatementLine(ref, kind, amount_fen, ref, datetime.now(UTC)))
        return Outcome(Result.SUCCEEDED, far_ref=ref, amount_fen=amount_fen)

    async def statement(self, *, since: datetime, until: datetime) -> Sequence[StatementLine]:
        """What was executed in [since, until)."""
        return [line for line in self.lines if since <= line.at < until]


class InstantCarrier(_Books):
    """A carrier that has what is asked for."""

    def __init__(self, carrier: str) -> None:
        super().__init__()
        self._capabilities = replace(
            default_capabilities(carrier), requests_per_s=_REQUESTS_PER_S, concurrency=CONCURRENCY
        )

    @property
    def capabilities(self) -> CarrierCapabilities:
        """A sandbox carrier's, without its limits of pace."""
        return self._capabilities

    async def hold(self, request: HoldRequest) -> Outcome:
        """Done."""
        if self._capabilities.hold is HoldKind.CUSTODY:
            return self.done(Kind.HOLD, request.ref, request.amount_fen)
        return Outcome(Result.SUCCEEDED, far_ref=request.ref, amount_fen=request.amount_fen)

    async def transfer(self, request: TransferRequest) -> Outcome:
        """Done."""
        return self.done(Kind.TRANSFER, request.ref, request.amount_fen)

    async def redeem(self, request: RedeemRequest) -> Outcome:
        """The card has the face it is said to have."""
        return self.done(Kind.REDEEM, request.ref, request.face_fen)

    async def release(self, request: ReleaseRequest) -> Outcome:
        """Done."""
        if self._capabilities.hold is HoldKind.CUSTODY:
            return self.done(Kind.RELEASE, request.ref, request.amount_fen)
        return Outcome(Result.SUCCEEDED, far_ref=request.ref, amount_fen=request.amount_fen)

    async def ask(self, *, kind: Kind, ref: str, hold: HoldKind = HoldKind.NONE) -> Outcome:
        """What the books say."""
        return _asked(self.lines, ref)


class InstantRail(_Books):
    """Pays at once."""

    capabilities = _RAIL

    async def pay(self, request: PayRequest) -> Outcome:
        """Done."""
        return self.done(Kind.PAY, request.ref, request.amount_fen)

    async def ask(self, *, ref: str) -> Outcome:
        """What the books say."""
        return _asked(self.lines, ref)

    def read_notification(
        self, *, headers: dict[str, str], body: bytes, now: datetime
    ) -> Notification | None:
        """Nobody notifies."""
        return None


class InstantSubscribers:
    """Every number lives, is one carrier's, and has more than anybody sells."""

    def __init__(self, carrier_of: Mapping[str, str]) -> None:
        self._carrier_of = carrier_of
        self._expires_at = datetime.now(UTC) + timedelta(days=365)

    async def inspect(self, number: str) -> Line | None:
        """The line, told by the number's first three digits."""
        carrier = self._carrier_of.get(number[:3])
        if carrier is None:
            return None
        return Line(
            number, carrier, LineStatus.ACTIVE, _PLENTY_FEN, 0, 0, _PLENTY_FEN, self._expires_at, None
        )

    async def send_code(self, *, number: str, text: str) -> str:
        """An authentication id; nothing is sent."""
        return number

    async def check_code(self, *, authentication_id: str, code: str) -> CodeCheck:
        """Every code is right."""
        return CodeCheck.RIGHT

    async def holds_number(self, *, number: str, device_token: str) -> bool | None:
        """The network cannot tell."""
        return None

    async def sim_swapped(self, *, number: str, within_hours: int) -> bool | None:
        """Never."""
        return False


class InstantMessenger:
    """Messages arrive at once."""

    async def send(self, message: Message) -> Outcome:
        """Done."""
        return Outcome(Result.SUCCEEDED)


class InstantFarSides:
    """All of them, and the books they leave."""

    def __init__(self) -> None:
        self._carriers = {carrier: InstantCarrier(carrier) for carrier in CARRIERS}
        self._rail = InstantRail()

    def connected(self, *, operator: str, stored: bool = False) -> Connected:
        """The far sides and the policy they go with, as `airback work` gets them from its settings. `stored`: sellers are
        paid into their stored balance instead of by the rail."""
        rails: dict[str, Rail] = {"credit": _credit()} if stored else {"alipay": self._rail}
        policy = _policy(operator, self._carriers, rails)
        subscribers = InstantSubscribers({number[:3]: carrier for carrier, number in HOUSE_NUMBERS.items()})
        return Connected(FarSides(subscribers, dict(self._carriers), rails, InstantMessenger()), policy)

    def connected_over_http(self, url: str, *, operator: str) -> Connected:
        """The carriers at `url`, through the adapters that an installation speaks to its carriers with; sellers are paid into
        their stored balance, messages arrive at once."""
        carriers = {
            name: Tmf654Carrier(base_url=url, capabilities=carrier.capabilities)
            for name, carrier in self._carriers.items()
        }
        rails: dict[str, Rail] = {"credit": _credit()}
        subscribers = CamaraSubscribers(base_url=url, concurrency=CONCURRENCY)
        return Connected(
            FarSides(subscribers, dict(carriers), rails, InstantMessenger()),
            _policy(operator, carriers, rails),
        )

    def write(self, file: Path) -> None:
        """Leave the books."""
        file.write_bytes(msgspec.json.encode({name: books.lines for name, books in self._books().items()}))

    def add(self, books: FarBooks, *, but: Container[str]) -> None:
        """Add books that others left, without the lines of these references."""
        for name, lines in books.items():
            self._books()[name].lines.extend(line for line in lines if line.ref not in but)

    def _books(self) -> dict[str, _Books]:
        return {"alipay": self._rail, **self._carriers}


def _credit() -> CreditRail:
    return CreditRail(capabilities=replace(CREDIT, requests_per_s=_REQUESTS_PER_S, concurrency=CONCURRENCY))


def _policy(operator: str, carriers: Mapping[str, Carrier], rails: Mapping[str, Rail]) -> Policy:
    policy = Policy(
        operator=operator,
        carriers={name: carrier.capabilities for name, carrier in carriers.items()},
        rails={name: rail.capabilities for name, rail in rails.items()},
        house_numbers=HOUSE_NUMBERS,
        messages_per_s=_REQUESTS_PER_S,
        messages_at_once=CONCURRENCY,
    )
    policy.check()
    return policy


def read_books(file: Path) -> FarBooks:
    """What a worker's far sides left."""
    return msgspec.json.decode(file.read_bytes(), type=FarBooks)


def _asked(lines: Sequence[StatementLine], ref: str) -> Outcome:
    for line in reversed(lines):
        if line.ref == ref:
            return Outcome(Result.SUCCEEDED, far_ref=line.far_ref, amount_fen=line.amount_fen)
    return Outcome(Result.FAILED, code="not_found")
