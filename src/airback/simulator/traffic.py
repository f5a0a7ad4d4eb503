"""Who sells what, what befalls each sale, and how each must end: drawn from the seed before anything happens."""

from dataclasses import dataclass, field
from random import Random
from typing import Final

from airback.domain.assets import BALANCE, CARD, CARRIERS
from airback.domain.effects import Kind
from airback.domain.ports.carrier import LineStatus
from airback.simulator.chance import Chance
from airback.simulator.far_sides import WRONG_NAME, Card, FarSides
from airback.simulator.faults import BEFALLS, Fault

#: Parts per thousand of sales that are bad from the start, by what is bad.
_BAD_PPT: Final = {
    "card_used": 15,
    "card_expired": 10,
    "card_unknown": 10,
    "number_dead": 10,
    "number_suspended": 10,
    "balance_insufficient": 15,
    "sim_swapped": 10,
}
_WRONG_PAYEE_PPT: Final = 15
_OTHER_FACE_PPT: Final = 15
#: Of cancellations and, for each kind of effect, of faults there are so many in a large simulation; in a smaller one
#: so many more that each kind of fault still befalls somebody.
_CANCELS_PPT: Final = 40
_FAULT_PPT: Final = 25
_MORE_FOR_FEW: Final = 60_000
_MOST_PPT: Final = 300
#: When a seller thinks better of it, in seconds: while it is looked at, while the hold is on its way, and too late.
_CANCELS_AFTER_S: Final = (0.0, 1.0, 2.0, 3.0, 3.0, 3.0, 4.0, 30.0)
#: A seller whose hold gets no answer often gives up waiting.
_GIVES_UP_PPT: Final = 400
_GIVES_UP_AFTER_S: Final = 15.0
_NO_ANSWER: Final = frozenset({Fault.VANISHED, Fault.LOST, Fault.LATE, Fault.HOURS, Fault.REORDERED})
_FACES_FEN: Final = (1_000, 2_000, 3_000, 5_000, 10_000, 20_000, 30_000)
_FILES: Final = 8
_PREFIX: Final = {"cmcc": "138", "ctcc": "133", "cucc": "130", "cbn": "192"}
_WITH_CARDS: Final = ("cmcc", "ctcc", "cucc")


@dataclass(slots=True)
class Plan:
    """One sale. `bad` is the code it must be refused with; `script` what befalls the first effect of each kind."""

    index: int
    product: str
    carrier: str
    face_fen: int
    delivers_fen: int
    number: str | None
    card_number: str | None
    card_code: str | None
    seller: str
    lane: int
    payee_account: str
    payee_name: str
    bad: str | None
    cancel_after_s: float | None
    script: dict[Kind, Fault] = field(default_factory=dict)
    befell: set[Fault] = field(default_factory=set)
    order_id: int | None = None


def draw(chance: Chance, far_sides: FarSides, *, orders: int) -> list[Plan]:
    """The plans of a simulation, with the lines and cards they need at the far sides."""
    random = chance.stream("traffic")
    more = _MORE_FOR_FEW // max(orders, 1)
    fault_ppt = min(_MOST_PPT, max(_FAULT_PPT, more))
    cancel_ppt = min(_MOST_PPT, max(_CANCELS_PPT, more))
    return [_draw_one(random, far_sides, index, fault_ppt, cancel_ppt) for index in range(orders)]


def _draw_one(random: Random, far_sides: FarSides, index: int, fault_ppt: int, cancel_ppt: int) -> Plan:
    product = random.choice((BALANCE, CARD))
    carrier = random.choice(tuple(CARRIERS) if product == BALANCE else _WITH_CARDS)
    face = random.choice(_FACES_FEN)
    in_file = random.random() < 0.4
    plan = Plan(
        index=index,
        product=product,
        carrier=carrier,
        face_fen=face,
        delivers_fen=face,
        number=None,
        card_number=None,
        card_code=None,
        seller=f"file-{index % _FILES}" if in_file else f"person-{index}",
        lane=1 if in_file else 0,
        payee_account=f"file-{index % _FILES}@example.com" if in_file else f"p{index}@example.com",
        payee_name=WRONG_NAME if not in_file and random.randrange(1000) < _WRONG_PAYEE_PPT else "张三",
        bad=None,
        cancel_after_s=random.choice(_CANCELS_AFTER_S) if random.randrange(1000) < cancel_ppt else None,
    )
    draws = random.randrange(1000)
    for code, share in _BAD_PPT.items():
        if draws < share and (code.startswith("card") == (product == CARD)):
            plan.bad = code
            break
        draws -= share
    if product == BALANCE:
        _with_line(random, far_sides, plan)
    else:
        _with_card(random, far_sides, plan)
    for kind, faults in BEFALLS.items():
        fault = random.choice(faults)
        if random.randrange(1000) < fault_ppt:
            plan.script[kind] = fault
    if plan.script.get(Kind.HOLD) in _NO_ANSWER and random.randrange(1000) < _GIVES_UP_PPT:
        plan.cancel_after_s = _GIVES_UP_AFTER_S
    return plan


def _with_line(random: Random, far_sides: FarSides, plan: Plan) -> None:
    plan.number = f"{_PREFIX[plan.carrier]}{plan.index:08d}"
    status = {"number_dead": LineStatus.DEAD, "number_suspended": LineStatus.SUSPENDED}.get(
        plan.bad or "", LineStatus.ACTIVE
    )
    fen = plan.face_fen - 1 if plan.bad == "balance_insufficient" else plan.face_fen + random.randrange(5_000)
    far_sides.open_line(plan.number, plan.carrier, fen, status)
    if plan.bad == "sim_swapped":
        far_sides.swapped.add(plan.number)


def _with_card(random: Random, far_sides: FarSides, plan: Plan) -> None:
    plan.card_number = f"{10**15 + plan.index}"
    plan.card_code = f"{10**17 + plan.index * 7919}"
    if random.randrange(1000) < _OTHER_FACE_PPT:
        plan.delivers_fen = random.choice(_FACES_FEN)
    if plan.bad == "card_unknown":
        return
    far_sides.cards[plan.card_code] = Card(plan.delivers_fen, plan.bad or "fresh")
