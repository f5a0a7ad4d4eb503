"""A batch in the making: the facts it started from and everything its verbs decided, in order.

Verbs change nothing but a `Batch` and the records in it. Nothing here reads a clock, draws a number or talks to
anybody: time, entropy and keys were given. `store.persist` writes a finished batch in one transaction.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from airback.domain import ids
from airback.domain.assets import airtime
from airback.domain.canonical import canonical
from airback.domain.effects import FINAL as FINAL_RESULTS
from airback.domain.effects import TRANSITIONS as RESULT_TRANSITIONS
from airback.domain.effects import Kind, Outcome
from airback.domain.ports.carrier import HoldKind
from airback.domain.ports.keys import KeyProvider
from airback.domain.ports.rail import RailCapabilities
from airback.engine.policy import Policy
from airback.engine.records import Fill, OpenBreak, OpenEffect, Order, OutletDesk, Payout
from airback.evidence.events import leaf
from airback.ledger.accounts import Account, account
from airback.ledger.postings import Balances, Phase, Transfer
from airback.ledger.split import Agreement
from airback.market import health as healths
from airback.market.channels import Channel
from airback.market.health import Health
from airback.market.matching import DemandBook
from airback.market.pauses import Pauses
from airback.orders.corrections import Correction, Settlement
from airback.orders.intake import FILES, PEOPLE
from airback.orders.states import FILL_TRANSITIONS, FINAL, TRANSITIONS, FillState, State
from airback.payouts.states import TRANSITIONS as PAYOUT_TRANSITIONS
from airback.payouts.states import State as PayoutState
from airback.pricing.cards import RateCard
from airback.store.intake import NewOrder
from airback.store.outlets import Hook


@dataclass(frozen=True, slots=True)
class Event:
    """One event of the book's log. `body` is canonical JSON; `leaf` hides it behind its salt."""

    seq: int
    action: str
    order_id: int | None
    at: datetime
    salt: bytes
    body: bytes
    leaf: bytes


@dataclass(frozen=True, slots=True)
class ResultRow:
    """One result of an effect as it is appended."""

    effect_id: int
    n: int
    applied: bool
    outcome: Outcome
    at: datetime


@dataclass(frozen=True, slots=True)
class Alarm:
    """Work for a person."""

    kind: str
    subject: str
    detail: dict[str, Any]
    due_at: datetime


#: A notice that was not taken is sent again after so long at first; the interval doubles up to an hour.
_TELL_EVERY_S: Final = 5


@dataclass(slots=True)
class Proof:
    """What a receipt shows of an order's past: deliveries' answers and its events' leaves."""

    deliveries: list[dict[str, Any]] = field(default_factory=list)
    events: list[tuple[int, str, datetime, bytes]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Met:
    """An offer that became an order, and the quote the order stands on."""

    offer_id: int
    client: str
    quote_id: str
    order: NewOrder


class IllegalTransition(Exception):
    """A verb tried a step that no transition table allows: a bug, never a bad order."""


@dataclass(slots=True)
class Batch:
    """Facts in, decisions out. One per pass of a book's writer.

    `redeemed`: orders whose card an earlier request may have used. `full`: far sides whose queue takes no more, of which lane.
    `sending`: whether effects may go out, as the book said when the batch was written. `restored_at`: when the
    book came out of a backup, while it still waits; `statements_awaited`: for some far side's statement since then. Both
    are read for a decision to resume. `channels`: of the outlets that have terms. `health`: of outlets that had fills, as
    the writer knows it; `health_changed` names those to be written. `notices`: how many wait for each outlet.
    """

    book: int
    epoch: int
    now: datetime
    entropy: Callable[[int], bytes]
    keys: KeyProvider
    policy: Policy
    rate_card: RateCard
    rate_cards_known: Mapping[int, RateCard]
    routing: bool
    next_seq: int
    orders: dict[int, Order] = field(default_factory=dict)
    channels: Sequence[Channel] = ()
    health: dict[str, Health] = field(default_factory=dict)
    demands: DemandBook = field(default_factory=DemandBook)
    balances: Balances = field(default_factory=Balances)
    licensed: frozenset[str] = frozenset()
    open_effects: dict[int, list[OpenEffect]] = field(default_factory=dict)
    by_ref: Mapping[str, OpenEffect] = field(default_factory=dict)
    redeemed: set[int] = field(default_factory=set)
    full: frozenset[tuple[str, int]] = frozenset()
    proofs: dict[int, Proof] = field(default_factory=dict)
    breaks: dict[int, OpenBreak] = field(default_factory=dict)
    caps_known: dict[int, int] = field(
        default_factory=dict
    )  # most rate by promotion, of caps that count or will
    restored_at: datetime | None = None
    statements_awaited: bool = False
    corrections_known: dict[int, Correction] = field(default_factory=dict)
    agreements: Mapping[str, Sequence[Agreement]] = field(default_factory=dict)
    pauses: Pauses = field(default_factory=Pauses)
    outlets: OutletDesk = field(default_factory=OutletDesk)
    hooks: Mapping[str, Hook] = field(default_factory=dict)
    notices: Counter[str] = field(default_factory=Counter)
    notices_again: dict[str, OpenEffect] = field(default_factory=dict)
    # decisions
    transfers: list[Transfer] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    events_of: dict[int, list[Event]] = field(default_factory=dict)
    effects: list[OpenEffect] = field(default_factory=list)
    requests: dict[int, Any] = field(default_factory=dict)
    results: list[ResultRow] = field(default_factory=list)
    touched_effects: dict[int, OpenEffect] = field(default_factory=dict)
    final_effects: set[int] = field(default_factory=set)
    resend: list[OpenEffect] = field(default_factory=list)
    payouts: dict[int, Payout] = field(default_factory=dict)
    receipts: dict[int, dict[str, Any]] = field(default_factory=dict)
    alarms: list[Alarm] = field(default_factory=list)
    alarms_closed: list[tuple[str, str]] = field(default_factory=list)
    corrections: list[Correction] = field(default_factory=list)
    corrections_settled: dict[int, Correction] = field(default_factory=dict)
    claims_kept: list[int] = field(default_factory=list)
    claims_freed: list[int] = field(default_factory=list)
    letters: list[int] = field(default_factory=list)
    rate_cards: list[dict[str, Any]] = field(default_factory=list)
    resolved: list[tuple[int, str, str]] = field(default_factory=list)
    licences: list[dict[str, Any]] = field(default_factory=list)
    caps: list[dict[str, Any]] = field(default_factory=list)
    agreed: list[dict[str, Any]] = field(default_factory=list)
    booked: list[dict[str, Any]] = field(default_factory=list)
    met: list[Met] = field(default_factory=list)
    switches: dict[str, tuple[bool, str | None]] = field(default_factory=dict)
    sending: bool = True
    to_pay: dict[int, Order] = field(default_factory=dict)
    licences_known: dict[str, dict[str, Any]] = field(default_factory=dict)
    health_changed: set[str] = field(default_factory=set)
    _ids: list[int] = field(default_factory=list)
    _at: str = ""

    def __post_init__(self) -> None:
        self._at = self.now.isoformat()

    # -- identifiers

    def new_id(self) -> int:
        """The next id of this batch's block."""
        if not self._ids:
            self._ids = ids.new_ids(now=self.now, entropy=self.entropy, count=4096)[::-1]
        return self._ids.pop()

    # -- log

    def record(self, action: str, *, order: Order | None = None, **facts: Any) -> None:
        """Append an event. Facts are JSON values without codes, names or full numbers."""
        body: dict[str, Any] = {
            "action": action,
            "at": self._at,
            "book": self.book,
            "seq": self.next_seq,
            **facts,
        }
        if order is not None:
            body["order"] = ids.public("ord", order.id)
        salt, plain = self.entropy(32), canonical(body)
        order_id = order.id if order else None
        event = Event(self.next_seq, action, order_id, self.now, salt, plain, leaf(salt=salt, body=plain))
        self.events.append(event)
        if order_id is not None:
            self.events_of.setdefault(order_id, []).append(event)
        self.next_seq += 1

    # -- orders

    def move(self, order: Order, to: State, *, code: str | None = None, **facts: Any) -> None:
        """Take an order to its next state and log it. Raises IllegalTransition for a step outside the table."""
        if to not in TRANSITIONS[order.state]:
            raise IllegalTransition(f"order {order.state} → {to}")
        body: dict[str, Any] = {"from": str(order.state), "to": str(to), **facts}
        if code is not None:
            body["code"] = code
        self.record(f"engine:order:{to}", order=order, **body)
        if to in (State.AWAITING_SELLER, State.IN_REVIEW):
            order.resume = str(order.state)
        order.state = to
        order.code = code
        order.attempts = 0
        order.changed = True
        if to in FINAL:
            order.closed_at = self.now
            order.due_at = None
            if to is not State.CLOSED and order.product == "card":
                (self.claims_kept if code == "card_used" else self.claims_freed).append(order.id)
        else:
            self.wait(order, self.policy.look_again)

    def wait(self, order: Order, span: timedelta) -> None:
        """Look at the order again after `span`, unless something happens before."""
        order.due_at = self.now + span
        order.changed = True

    def capabilities(self, order: Order) -> Any:
        """The capabilities of the order's carrier."""
        return self.policy.carriers[order.carrier]

    # -- fills and payouts

    def move_fill(self, fill: Fill, to: FillState) -> None:
        """Take a fill to its next state."""
        if to not in FILL_TRANSITIONS[fill.state]:
            raise IllegalTransition(f"fill {fill.state} → {to}")
        fill.state = to
        fill.changed = True

    def move_payout(self, payout: Payout, to: PayoutState, *, code: str | None = None) -> None:
        """Take a payout to its next state and log it beside each of its orders."""
        if to not in PAYOUT_TRANSITIONS[payout.state]:
            raise IllegalTransition(f"payout {payout.state} → {to}")
        payout.state = to
        payout.code = code
        payout.changed = True
        self.payouts[payout.id] = payout
        for order_id, share in payout.orders.items():
            order = self.orders.get(order_id)
            if order is not None:
                facts: dict[str, Any] = {
                    "payout": ids.public("pay", payout.id),
                    "amount_fen": share,
                    "rail": payout.rail,
                }
                if code is not None:
                    facts["code"] = code
                self.record(f"engine:payout:{to}", order=order, **facts)

    # -- ledger

    def post(
        self,
        kind: str,
        *,
        subject: int,
        debit: Account,
        credit: Account,
        amount_fen: int,
        phase: Phase = Phase.POSTED,
        leg: int = 0,
        order: Order | None = None,
        settles_fen: int = 0,
    ) -> None:
        """Post a transfer; a zero amount posts nothing. A fact that overdraws a bounded account raises an alarm."""
        if amount_fen == 0:
            return
        transfer = Transfer(
            subject=subject,
            kind=kind,
            leg=leg,
            phase=phase,
            debit=debit,
            credit=credit,
            amount_fen=amount_fen,
            order_id=order.id if order else None,
            settles_fen=settles_fen,
        )
        self.transfers.append(transfer)
        for short in self.balances.fold((transfer,)):
            self.alarms.append(
                Alarm(
                    "account_overdrawn",
                    short.code,
                    {"asset": short.asset, "kind": kind},
                    self.now + self.policy.review_within,
                )
            )
            if phase is Phase.PENDING:  # no fact: we set aside what was not there
                self.alarm("earmark_overdrawn", short.code, asset=short.asset, posting=kind)
            self.switches["routing"] = (False, "account_overdrawn")
            self.routing = False

    def airtime(self, code: str, order: Order) -> Account:
        """An airtime account of the order's asset."""
        return account(code, airtime(order.carrier, order.product))

    # -- effects

    def journal(
        self,
        kind: Kind,
        *,
        far_side: str,
        request: Any,
        ref: str,
        amount_fen: int = 0,
        order: Order | None = None,
        fill: Fill | None = None,
        payout: Payout | None = None,
        hold: HoldKind = HoldKind.NONE,
        send_within: timedelta | None = None,
    ) -> OpenEffect:
        """Write an effect into the journal; it goes out after the batch has committed, and not before."""
        effect_id = self.new_id()
        plain = msgspec.json.encode(request)
        effect = OpenEffect(
            id=effect_id,
            kind=kind,
            far_side=far_side,
            order_id=order.id if order else None,
            fill_id=fill.id if fill else None,
            payout_id=payout.id if payout else None,
            ref=ref,
            amount_fen=amount_fen,
            hold=hold,
            sealed=self.keys.seal(
                purpose="effect", plain=plain, where=f"effects/request/{effect_id}".encode()
            ),
            send_by=self.now + (send_within or self.policy.send_within),
            at=self.now,
            left_at=self.now,
            epoch=self.epoch,
            ask_at=self.now + self.policy.look_again,
            lane=FILES if kind is Kind.WEBHOOK else order.lane if order else PEOPLE,
        )
        self.effects.append(effect)
        if order is not None:
            self.open_effects.setdefault(order.id, []).append(effect)
        self.requests[effect_id] = request
        return effect

    def open_of(self, order: Order, *kinds: Kind) -> list[OpenEffect]:
        """The order's effects of these kinds that have no final result yet."""
        return [
            e
            for e in self.open_effects.get(order.id, ())
            if e.kind in kinds and e.result not in FINAL_RESULTS
        ]

    def open_by_ref(self, ref: str) -> OpenEffect | None:
        """The open effect with that client reference, if there is one."""
        effect = self.by_ref.get(ref)
        return effect if effect is not None and effect.result not in FINAL_RESULTS else None

    def new_ref(self) -> str:
        """A fresh random client reference."""
        return ids.new_reference(entropy=self.entropy)

    def settle(self, effect: OpenEffect, outcome: Outcome) -> bool:
        """Record a result. Returns whether the table of transitions allowed it, that is, whether it counts."""
        allowed = outcome.result in RESULT_TRANSITIONS[effect.result]
        self.results.append(ResultRow(effect.id, effect.n, allowed, outcome, self.now))
        effect.n += 1
        if allowed:
            effect.result = outcome.result
        if effect.result in FINAL_RESULTS:
            self.final_effects.add(effect.id)
            self.touched_effects.pop(effect.id, None)
        else:
            self.ask_later(effect)
        return allowed

    def ask_later(self, effect: OpenEffect) -> None:
        """Put the next question off by an interval that doubles within the far side's limits."""
        capabilities = self.policy.capabilities_of(effect.far_side)
        told = effect.kind is Kind.WEBHOOK
        every = capabilities.ask_every_s if capabilities else _TELL_EVERY_S if told else 60
        most = capabilities.ask_at_most_every_s if capabilities else 3600
        effect.ask_at = self.now + timedelta(seconds=min(every << min(effect.asks, 16), most))
        effect.asks = min(effect.asks + 1, 10_000)
        effect.asking = False
        self.touched_effects[effect.id] = effect

    def rail(self, name: str) -> RailCapabilities:
        """A rail's capabilities. Raises KeyError for a rail that is not wired."""
        return self.policy.rails[name]

    def alarm(self, kind: str, subject: str, **detail: Any) -> None:
        """Open work for a person, once per kind and subject."""
        self.alarms.append(Alarm(kind, subject, detail, self.now + self.policy.review_within))

    def close_alarm(self, kind: str, subject: str) -> None:
        """The work that an alarm asked for is done."""
        self.alarms_closed.append((kind, subject))

    # -- outlets

    def unwell(self) -> dict[str, int]:
        """The largest face that may go to each outlet which is not well, in fen."""
        return {
            name: healths.most_fen(health, self.policy.watch, now=self.now)
            for name, health in self.health.items()
            if health.state is not healths.State.WELL
        }

    def set_health(self, health: Health) -> None:
        """An outlet's health is this from now on, for the orders of this batch too."""
        self.health[health.outlet] = health
        self.health_changed.add(health.outlet)
        if health.state is healths.State.WELL:
            self.demands.unwell.pop(health.outlet, None)
        else:
            self.demands.unwell[health.outlet] = healths.most_fen(health, self.policy.watch, now=self.now)

    # -- corrections

    def settle_correction(
        self, correction: Correction, settlement: Settlement, amount_fen: int, *, order: Order, **facts: Any
    ) -> None:
        """So much of a correction was made good. The alarm that it is ends with the last of it."""
        after = correction.settled(settlement, amount_fen, now=self.now)
        self.corrections_known[after.id] = self.corrections_settled[after.id] = after
        public = ids.public("cor", after.id)
        self.record(
            "engine:correction:settled",
            order=order,
            correction=public,
            kind=str(after.kind),
            settlement=str(settlement),
            amount_fen=amount_fen,
            left_fen=after.left_fen,
            **facts,
        )
        if after.closed_at is not None:
            self.close_alarm(str(after.kind), public)

    def all_fills(self) -> Iterable[Fill]:
        """Every fill of the batch's orders."""
        for order in self.orders.values():
            yield from order.fills
