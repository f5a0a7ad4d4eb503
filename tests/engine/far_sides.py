"""Far sides in the test's own process: honest books, told when to misbehave, counting what they did."""

from collections import Counter, defaultdict, deque
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from airback.domain.assets import CARRIERS
from airback.domain.effects import Kind, Outcome, Resend, Result
from airback.domain.ports.carrier import (
    CarrierCapabilities,
    CodeCheck,
    FarSideUnreachable,
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
from airback.domain.ports.outlet import Notice
from airback.domain.ports.rail import Notification, PayRequest, RailCapabilities

HOLDS = {"cmcc": HoldKind.NATIVE, "ctcc": HoldKind.NATIVE, "cucc": HoldKind.CUSTODY, "cbn": HoldKind.CUSTODY}

UNKNOWN = Outcome(Result.UNKNOWN, code="answer_lost")
NOT_SENT = Outcome(Result.FAILED, code="not_sent")


def capabilities(carrier: str, **changes: Any) -> CarrierCapabilities:
    values: dict[str, Any] = {
        "carrier": carrier,
        "contract_id": f"test-{carrier}",
        "hold": HOLDS[carrier],
        "custody_given_back": True,
        "resend": Resend.NEVER,
        "not_found_final_after_s": 0,
        "final_after_s": 0,
        "ask_every_s": 0,
        "ask_at_most_every_s": 1,
        "requests_per_s": 10_000,
        "concurrency": 8,
        "timeout_s": 1,
    }
    return CarrierCapabilities(**(values | changes))


def rail_capabilities(name: str = "alipay", **changes: Any) -> RailCapabilities:
    values: dict[str, Any] = {
        "name": name,
        "resend": Resend.SAME_REFERENCE,
        "least_fen": 10,
        "most_fen": 100_000_000,
        "name_checked": True,
        "licence": None,
        "counted_by_far_side": True,
        "not_found_final_after_s": 0,
        "ask_every_s": 0,
        "ask_at_most_every_s": 1,
        "requests_per_s": 10_000,
        "concurrency": 8,
        "timeout_s": 1,
    }
    return RailCapabilities(**(values | changes))


class Misbehaving:
    """Keeps what was done by reference; `plan[kind]` lists what to do to the next calls of that kind.

    `"lost"`: done, answered with unknown. `"unsent"`: not done, answered as surely not sent. `"vanish"`: not done,
    answered with unknown. An `Outcome`: not done, answered with it. A callable gets the true outcome and changes it.
    """

    def __init__(self) -> None:
        self.done: dict[str, Outcome] = {}
        self.taken: dict[str, Outcome] = {}  # under way: what asking says of them, until a test ends them
        self.calls: Counter[str] = Counter()
        self.plan: dict[Kind, deque[Any]] = defaultdict(deque)
        self.lines: list[StatementLine] = []

    def act(self, kind: Kind, ref: str, amount_fen: int, outcome: Outcome) -> Outcome:
        self.calls[str(kind)] += 1
        assert ref not in self.done, "a reference was used for a second request"
        trick = self.plan[kind].popleft() if self.plan[kind] else None
        if trick == "unsent":
            return NOT_SENT
        if trick == "vanish":
            return UNKNOWN
        if isinstance(trick, Outcome):
            if trick.result is Result.PROCESSING:
                self.taken[ref] = trick
            return trick
        if callable(trick):
            outcome = trick(outcome)
        self.done[ref] = outcome
        if outcome.result is Result.SUCCEEDED:
            self.lines.append(
                StatementLine(
                    ref, kind, outcome.amount_fen or amount_fen, outcome.far_ref or "", datetime.now(UTC)
                )
            )
        return UNKNOWN if trick == "lost" else outcome

    def asked(self, ref: str) -> Outcome:
        self.calls["ask"] += 1
        if ref in self.taken:
            return self.taken[ref]
        return self.done.get(ref, Outcome(Result.FAILED, code="not_found"))


class FakeCarrier(Misbehaving):
    def __init__(self, carrier: str, *, cards: dict[str, tuple[int, str]], **changes: Any) -> None:
        super().__init__()
        self.capabilities = capabilities(carrier, **changes)
        self.cards = cards

    async def hold(self, request: HoldRequest) -> Outcome:
        return self.act(
            Kind.HOLD, request.ref, request.amount_fen, self._fine(request.ref, request.amount_fen)
        )

    async def transfer(self, request: TransferRequest) -> Outcome:
        return self.act(
            Kind.TRANSFER, request.ref, request.amount_fen, self._fine(request.ref, request.amount_fen)
        )

    async def redeem(self, request: RedeemRequest) -> Outcome:
        face, state = self.cards.get(request.card_code, (0, "card_unknown"))
        if state != "fresh":
            return self.act(Kind.REDEEM, request.ref, 0, Outcome(Result.FAILED, code=state))
        outcome = self.act(Kind.REDEEM, request.ref, face, self._fine(request.ref, face))
        if request.ref in self.done:
            self.cards[request.card_code] = (face, "card_used")
        return outcome

    async def release(self, request: ReleaseRequest) -> Outcome:
        return self.act(
            Kind.RELEASE, request.ref, request.amount_fen, self._fine(request.ref, request.amount_fen)
        )

    async def ask(self, *, kind: Kind, ref: str, hold: HoldKind = HoldKind.NONE) -> Outcome:
        return self.asked(ref)

    async def statement(self, *, since: datetime, until: datetime) -> Sequence[StatementLine]:
        return list(self.lines)

    def _fine(self, ref: str, amount_fen: int) -> Outcome:
        return Outcome(
            Result.SUCCEEDED,
            far_ref=f"far-{ref[:8]}",
            amount_fen=amount_fen,
            detail={"before_fen": 0, "after_fen": amount_fen},
        )


class FakeRail(Misbehaving):
    def __init__(self, name: str = "alipay", **changes: Any) -> None:
        super().__init__()
        self.capabilities = rail_capabilities(name, **changes)
        self.paid: dict[str, int] = {}
        self.purposes: Counter[str] = Counter()

    async def pay(self, request: PayRequest) -> Outcome:
        if request.ref in self.done:  # documented: the same request under the same reference answers the same
            assert self.paid[request.ref] == request.amount_fen
            return self.done[request.ref]
        if request.ref in self.taken:
            return self.taken[request.ref]
        self.paid[request.ref] = request.amount_fen
        fine = Outcome(Result.SUCCEEDED, far_ref=f"rail-{request.ref[:8]}", amount_fen=request.amount_fen)
        if request.payee_name == "错名":
            fine = Outcome(Result.FAILED, code="payee_name_mismatch")
        outcome = self.act(Kind.PAY, request.ref, request.amount_fen, fine)
        if self.done.get(request.ref, UNKNOWN).result is Result.SUCCEEDED:
            self.purposes[request.purpose] += 1
        return outcome

    async def ask(self, *, ref: str) -> Outcome:
        return self.asked(ref)

    def read_notification(
        self, *, headers: dict[str, str], body: bytes, now: datetime
    ) -> Notification | None:
        return None

    async def statement(self, *, since: datetime, until: datetime) -> Sequence[StatementLine]:
        return list(self.lines)


class FakeSubscribers:
    def __init__(self) -> None:
        self.lines: dict[str, Line] = {}
        self.swapped: set[str] = set()
        self.away = 0

    def line(self, number: str, carrier: str, fen: int, status: LineStatus = LineStatus.ACTIVE) -> str:
        expires = datetime.now(UTC) + timedelta(days=90)
        self.lines[number] = Line(number, carrier, status, fen, 0, 0, fen, expires, None)
        return number

    async def inspect(self, number: str) -> Line | None:
        if self.away > 0:
            self.away -= 1
            raise FarSideUnreachable(far_side="subscribers", reason="refused")
        return self.lines.get(number)

    async def send_code(self, *, number: str, text: str) -> str:
        return "auth"

    async def check_code(self, *, authentication_id: str, code: str) -> CodeCheck:
        return CodeCheck.RIGHT

    async def holds_number(self, *, number: str, device_token: str) -> bool | None:
        return None

    async def sim_swapped(self, *, number: str, within_hours: int) -> bool | None:
        return number in self.swapped


class FakeMessenger:
    def __init__(self) -> None:
        self.texts: list[tuple[str, str]] = []

    async def send(self, message: Message) -> Outcome:
        self.texts.append((message.number, message.text))
        return Outcome(Result.SUCCEEDED)


class FakeOutlet:
    """Takes notices, or answers with what `plan` holds first."""

    def __init__(self) -> None:
        self.told: list[Notice] = []
        self.plan: deque[Outcome] = deque()

    async def tell(self, notice: Notice) -> Outcome:
        self.told.append(notice)
        return self.plan.popleft() if self.plan else Outcome(Result.SUCCEEDED, detail={"status": 200})


ALL_CARRIERS = tuple(CARRIERS)
