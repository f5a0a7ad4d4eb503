"""Far sides of a simulation: they keep honest books, and know what they did whatever they say about it."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from airback.domain.effects import Kind, Outcome, Resend, Result
from airback.domain.ports.carrier import (
    CarrierCapabilities,
    HoldKind,
    HoldRequest,
    Line,
    LineStatus,
    RedeemRequest,
    ReleaseRequest,
    StatementLine,
    TransferRequest,
)
from airback.domain.ports.rail import PayRequest, RailCapabilities

HOLDS: Final = {
    "cmcc": HoldKind.NATIVE,
    "ctcc": HoldKind.NATIVE,
    "cucc": HoldKind.CUSTODY,
    "cbn": HoldKind.CUSTODY,
}
HOUSE_NUMBERS: Final = {
    "cmcc": "13900000001",
    "ctcc": "18900000001",
    "cucc": "18600000001",
    "cbn": "19200000001",
}
WRONG_NAME: Final = "错名"
#: After this, "not found" means that a request never arrived; and a delivery is no longer reversed.
NOT_FOUND_FINAL_S: Final = 30
FINAL_AFTER_S: Final = 600


def carrier_capabilities(carrier: str) -> CarrierCapabilities:
    """What a simulated carrier can do."""
    return CarrierCapabilities(
        carrier=carrier,
        contract_id=f"simulated-{carrier}",
        hold=HOLDS[carrier],
        custody_given_back=True,
        resend=Resend.NEVER,
        not_found_final_after_s=NOT_FOUND_FINAL_S,
        final_after_s=FINAL_AFTER_S,
        ask_every_s=4,
        ask_at_most_every_s=3600,
        requests_per_s=10_000,
        concurrency=64,
        timeout_s=20,
    )


def rail_capabilities() -> RailCapabilities:
    """What the simulated rail can do."""
    return RailCapabilities(
        name="alipay",
        resend=Resend.SAME_REFERENCE,
        least_fen=10,
        most_fen=100_000_000,
        name_checked=True,
        licence=None,
        counted_by_far_side=True,
        not_found_final_after_s=NOT_FOUND_FINAL_S,
        ask_every_s=4,
        ask_at_most_every_s=3600,
        requests_per_s=10_000,
        concurrency=64,
        timeout_s=20,
    )


@dataclass(slots=True)
class Execution:
    """One thing a far side really did. `purpose`: the fill or payout it was for; `target`: number or account."""

    ref: str
    kind: Kind
    amount_fen: int
    far_ref: str
    at: datetime
    purpose: str
    target: str
    reversed: bool = False


@dataclass(slots=True)
class Card:
    """A recharge card as its carrier knows it."""

    face_fen: int
    state: str = "fresh"


@dataclass(slots=True)
class FarSide:
    """One carrier, or the rail. `lied`: references that it refused although it had done what was asked."""

    name: str
    executions: list[Execution] = field(default_factory=list)
    answers: dict[str, Outcome] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    busy_until: dict[str, float] = field(default_factory=dict)
    holds: dict[str, int] = field(default_factory=dict)
    arrived: dict[str, Any] = field(default_factory=dict)
    lied: set[str] = field(default_factory=set)
    repeated: int = 0

    def answer_of(self, ref: str, *, at_s: float) -> Outcome:
        """What it says when it is asked about a reference."""
        if ref in self.silent:
            return Outcome(Result.UNKNOWN, code="carrier_unreachable")
        if self.busy_until.get(ref, 0.0) > at_s:
            return Outcome(Result.PROCESSING)
        return self.answers.get(ref, Outcome(Result.FAILED, code="not_found"))


class FarSides:
    """All of them, with the lines and cards they serve."""

    def __init__(self) -> None:
        self.sides: dict[str, FarSide] = {f"carrier:{carrier}": FarSide(carrier) for carrier in HOLDS}
        self.sides["rail:alipay"] = FarSide("alipay")
        self.lines: dict[str, Line] = {}
        self.principal: dict[str, int] = defaultdict(int)
        self.swapped: set[str] = set()
        self.cards: dict[str, Card] = {}
        self._count = 0

    def open_line(self, number: str, carrier: str, fen: int, status: LineStatus = LineStatus.ACTIVE) -> None:
        """A number comes into being."""
        self.lines[number] = Line(number, carrier, status, fen, 0, 0, fen, None, None)
        self.principal[number] = fen

    def inspect(self, number: str) -> Outcome:
        """A line as its carrier sees it."""
        line = self.lines.get(number)
        if line is None:
            return Outcome(Result.SUCCEEDED, detail={"known": False})
        detail = {
            "known": True,
            "carrier": line.carrier,
            "status": str(line.status),
            "sellable_fen": self.principal[number],
            "sim_swapped": number in self.swapped,
        }
        return Outcome(Result.SUCCEEDED, detail=detail)

    def execute(
        self, far_side: str, kind: Kind, request: Any, *, at: datetime, short_fen: int = 0
    ) -> Outcome:
        """Do what is asked, honestly, and remember it. A repeated reference is a second order where that is not documented."""
        side = self.sides[far_side]
        if request.ref in side.arrived:
            side.repeated += 1
            if far_side.startswith("rail:"):
                return side.answers[request.ref]
        side.arrived[request.ref] = request
        outcome = self._carry_out(side, kind, request, at=at, short_fen=short_fen)
        side.answers[request.ref] = outcome
        return outcome

    def reverse(self, far_side: str, ref: str) -> bool:
        """Undo a delivery: the target loses it, the seller's number or the card's issuer has it back."""
        side = self.sides[far_side]
        found = [e for e in side.executions if e.ref == ref and not e.reversed]
        if not found:
            return False
        found[0].reversed = True
        done = side.answers[ref]
        side.answers[ref] = Outcome(
            Result.REVERSED, far_ref=done.far_ref, amount_fen=done.amount_fen, detail=done.detail
        )
        return True

    def statement(self, far_side: str) -> Sequence[StatementLine]:
        """Everything it did, reversed or not."""
        return [
            StatementLine(e.ref, e.kind, e.amount_fen, e.far_ref, e.at, e.reversed)
            for e in self.sides[far_side].executions
        ]

    def _carry_out(self, side: FarSide, kind: Kind, request: Any, *, at: datetime, short_fen: int) -> Outcome:
        match request:
            case HoldRequest():
                if self.principal[request.number] < request.amount_fen:
                    return Outcome(Result.FAILED, code="balance_insufficient")
                self.principal[request.number] -= request.amount_fen
                side.holds[request.ref] = request.amount_fen
                return self._done(side, kind, request, request.amount_fen, "", request.number, at)
            case TransferRequest():
                amount = request.amount_fen - short_fen
                if side.holds.get(request.hold_ref, 0) < amount:
                    return Outcome(Result.FAILED, code="hold_unknown")
                side.holds[request.hold_ref] -= amount
                return self._done(side, kind, request, amount, request.purpose, request.to_number, at)
            case RedeemRequest():
                card = self.cards.get(request.card_code)
                if card is None:
                    return Outcome(Result.FAILED, code="card_unknown")
                if card.state != "fresh":
                    return Outcome(Result.FAILED, code=card.state)
                card.state = "card_used"
                return self._done(side, kind, request, card.face_fen, request.purpose, request.to_number, at)
            case ReleaseRequest():
                left = side.holds.get(request.hold_ref, 0)
                if left <= 0:
                    return Outcome(Result.FAILED, code="hold_unknown")
                given = left if request.hold is HoldKind.NATIVE else min(left, request.amount_fen)
                side.holds[request.hold_ref] = left - given
                self.principal[request.number] += given
                return self._done(side, kind, request, given, "", request.number, at)
            case PayRequest():
                if request.payee_name == WRONG_NAME:
                    return Outcome(Result.FAILED, code="payee_name_mismatch")
                return self._done(
                    side, kind, request, request.amount_fen, request.purpose, request.payee_account, at
                )
        raise TypeError(type(request))

    def _done(
        self,
        side: FarSide,
        kind: Kind,
        request: Any,
        amount_fen: int,
        purpose: str,
        target: str,
        at: datetime,
    ) -> Outcome:
        self._count += 1
        far_ref = f"{side.name}-{self._count}"
        side.executions.append(Execution(request.ref, kind, amount_fen, far_ref, at, purpose, target))
        detail = {"before_fen": 0, "after_fen": amount_fen}
        return Outcome(Result.SUCCEEDED, far_ref=far_ref, amount_fen=amount_fen, detail=detail)


class Statements:
    """The simulated far sides as the ports that verification asks for statements."""

    def __init__(self, far_sides: FarSides, name: str, capabilities: Any) -> None:
        self._far_sides = far_sides
        self._name = name
        self.capabilities = capabilities

    async def statement(self, *, since: datetime, until: datetime) -> Sequence[StatementLine]:
        """Everything executed in [since, until)."""
        return [line for line in self._far_sides.statement(self._name) if since <= line.at < until]


LOOK_BACK: Final = timedelta(days=3650)
