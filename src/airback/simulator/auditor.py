"""The auditor: a second model of what must hold, written apart from the engine and from `verify`.

It reads whole tables and the far sides' own books, knows what each sale was planned to come to, and is told nothing
about what was done to the engine.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import asyncpg

from airback.domain import ids
from airback.domain.ports.carrier import HoldKind
from airback.simulator.far_sides import HOLDS, FarSide, FarSides
from airback.simulator.faults import Fault
from airback.simulator.traffic import Plan
from airback.store.named_sql import load

SQL: Final = load("auditor.sql", package="airback.simulator")

_ENDS: Final = frozenset({"closed", "declined", "cancelled", "expired", "failed"})
_WITH_PEOPLE: Final = frozenset({"in_review", "awaiting_seller"})
_CLIENT_MONEY: Final = frozenset({"deposit", "proceeds", "payable", "stored"})
#: What we say of an effect that was carried out, whatever came of it later.
_DONE: Final = frozenset({"succeeded", "reversed"})


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that must hold and does not."""

    invariant: str
    subject: str
    detail: str
    order_id: int | None = None


class Auditor:
    """One look at a book, its far sides and the plans."""

    def __init__(self, *, book: int, far_sides: FarSides, plans: Sequence[Plan]) -> None:
        self._book = book
        self._far_sides = far_sides
        self._plans = plans
        self.violations: list[Violation] = []
        self._t: dict[str, list[asyncpg.Record]] = {}
        self._broken: dict[str, set[str]] = defaultdict(set)
        self._paid: Counter[int] = Counter()
        self._returned: Counter[int] = Counter()
        self._taken_back_unheard: set[int] = set()

    async def audit(self, conn: Any) -> list[Violation]:
        """Everything that does not hold at the end of a simulation."""
        for name in ("orders", "fills", "effects", "results", "open_effects", "payouts", "payout_orders"):
            self._t[name] = await conn.fetch(getattr(SQL, name), self._book)
        for name in ("transfers", "accounts", "events", "work", "alarms", "corrections", "breaks"):
            self._t[name] = await conn.fetch(getattr(SQL, name), self._book)
        if await conn.fetchval(SQL.inbox, self._book):
            self._find("4", "inbox", "letters were never folded")
        self._orders = {row["id"]: row for row in self._t["orders"]}
        self._plan_of = {plan.order_id: plan for plan in self._plans if plan.order_id is not None}
        self._effect_of = {row["ref"]: row for row in self._t["effects"]}
        self._last = {row["effect_id"]: row["result"] for row in self._t["results"] if row["applied"]}
        self._alarmed = {(row["kind"], row["subject"]) for row in self._t["alarms"]}
        for row in self._t["breaks"]:
            self._broken[row["explanation"]].add(row["reference"])
        self._ledger()
        self._safeguarded()
        self._deliveries()
        self._lines()
        self._payments()
        self._waiting()
        self._effects()
        self._prices()
        self._log()
        self._far_books()
        self._outcomes()
        return self.violations

    def _find(self, invariant: str, subject: str, detail: str, order_id: int | None = None) -> None:
        self.violations.append(Violation(invariant, subject, detail, order_id))

    # -- 1 and 2: the ledger

    def _ledger(self) -> None:
        sums: dict[int, Counter[str]] = defaultdict(Counter)
        assets = {row["id"]: row["asset"] for row in self._t["accounts"]}
        pending: dict[tuple[int, str, int], int] = {}
        settled: set[tuple[int, str, int]] = set()
        rows = sorted(self._t["transfers"], key=lambda r: r["phase"] != "pending")
        for row in rows:
            name = (row["subject"], row["kind"], row["leg"])
            for side in (row["debit"], row["credit"]):
                if assets.get(side) != row["asset"]:
                    self._find("1", str(name), "a posting joins an account of another asset")
            if row["phase"] == "pending":
                pending[name] = row["amount_fen"]
                sums[row["debit"]]["dp"] += row["amount_fen"]
                sums[row["credit"]]["cp"] += row["amount_fen"]
                continue
            if row["phase"] in ("post", "void"):
                if name not in pending:
                    self._find("1", str(name), "something was settled that was never earmarked")
                if name in settled:
                    self._find("1", str(name), "an earmark was settled twice")
                settled.add(name)
                sums[row["debit"]]["dp"] -= pending.get(name, 0)
                sums[row["credit"]]["cp"] -= pending.get(name, 0)
            if row["phase"] in ("post", "posted"):
                sums[row["debit"]]["d"] += row["amount_fen"]
                sums[row["credit"]]["c"] += row["amount_fen"]
        for row in self._t["alarms"]:
            # Facts may overdraw an account: a carrier delivers more than it was asked for. What the engine sets aside
            # of its own will may not.
            if row["kind"] == "earmark_overdrawn":
                self._find("1", row["subject"], f"overdrawn by {row['detail']['posting']}")
        for row in self._t["accounts"]:
            have = (
                row["debits_posted"],
                row["credits_posted"],
                row["debits_pending"],
                row["credits_pending"],
            )
            mine = tuple(sums[row["id"]][key] for key in ("d", "c", "dp", "cp"))
            if have != mine:
                self._find("1", f"{row['code']} {row['asset']}", f"balance {have}, entries {mine}")
            net = have[1] - have[0] if row["side"] == "credit" else have[0] - have[1]
            if row["bounded"] and net < 0 and ("account_overdrawn", row["code"]) not in self._alarmed:
                self._find("1", f"{row['code']} {row['asset']}", f"stands at {net} fen")

    def _standing(self, code: str, asset: str = "CNY") -> int:
        for row in self._t["accounts"]:
            if (row["code"], row["asset"]) == (code, asset):
                net = int(row["debits_posted"] - row["credits_posted"])
                return net if row["side"] == "debit" else -net
        return 0

    def _safeguarded(self) -> None:
        owed = sum(
            row["credits_posted"] - row["debits_posted"]
            for row in self._t["accounts"]
            if row["code"].partition(":")[0] in _CLIENT_MONEY and row["asset"] == "CNY"
        )
        on_its_way = self._standing("clearing:alipay")
        cash = self._standing("cash:safeguarded")
        if cash - on_its_way < owed:
            self._find("2", "cash:safeguarded", f"{cash} − {on_its_way} is less than {owed} owed")

    # -- 3: nothing twice

    def _deliveries(self) -> None:
        fills = {ids.public("fil", row["id"]) for row in self._t["fills"]}
        by_order: Counter[int] = Counter()
        times: Counter[str] = Counter()
        for name, side in self._far_sides.sides.items():
            if side.repeated:
                self._find("3", name, f"{side.repeated} references were sent again")
            for done in side.executions:
                if done.kind not in ("transfer", "redeem"):
                    continue
                effect = self._effect_of.get(done.ref)
                if effect is None or self._ours(effect) not in _DONE:
                    continue  # `_effects` asks why
                order_id = effect["order_id"]
                if done.purpose not in fills:
                    self._find("3", done.ref, "a delivery for a fill that does not exist", order_id)
                by_order[order_id] += done.amount_fen
                times[done.purpose] += 1
                if times[done.purpose] > 1:
                    self._find("3", done.purpose, "delivered twice", order_id)
        for order_id, row in self._orders.items():
            if by_order[order_id] != row["delivered_fen"]:
                self._find(
                    "3",
                    ids.public("ord", order_id),
                    f"far sides delivered {by_order[order_id]} fen, we say {row['delivered_fen']}",
                    order_id,
                )

    def _lines(self) -> None:
        """No number gives more than its seller sold, whatever references it was taken under."""
        taken: Counter[str] = Counter()
        for side in self._far_sides.sides.values():
            for done in side.executions:
                if done.kind == "transfer" and not done.reversed:
                    taken[side.arrived[done.ref].from_number] += done.amount_fen
        for plan in self._plans:
            if plan.number is not None and taken[plan.number] > plan.face_fen:
                self._find(
                    "3",
                    f"sale {plan.index}",
                    f"{taken[plan.number]} fen were taken where {plan.face_fen} were sold",
                    plan.order_id,
                )

    def _payments(self) -> None:
        shares: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for row in self._t["payout_orders"]:
            shares[row["payout_id"]].append((row["order_id"], row["amount_fen"]))
        payouts = {ids.public("pay", row["id"]): row for row in self._t["payouts"]}
        times: Counter[str] = Counter()
        to: Counter[str] = Counter()
        for done in self._far_sides.sides["rail:alipay"].executions:
            to[done.target] += not done.reversed
            effect = self._effect_of.get(done.ref)
            if effect is None or self._ours(effect) not in _DONE:
                continue  # `_effects` asks why
            payout = payouts.get(done.purpose)
            if payout is None:
                self._find("3", done.ref, "a payment for a payout that does not exist", effect["order_id"])
                continue
            times[done.purpose] += 1
            if times[done.purpose] > 1:
                self._find("3", done.purpose, "paid twice", effect["order_id"])
            if done.amount_fen != payout["amount_fen"]:
                self._find("3", done.purpose, "another amount was paid than planned", effect["order_id"])
            for order_id, share in shares[payout["id"]]:
                self._paid[order_id] += share
                if self._ours(effect) == "reversed":
                    self._returned[order_id] += share
        for order_id, row in self._orders.items():
            paid = self._paid[order_id] - self._returned[order_id]
            if paid != row["paid_fen"]:
                self._find(
                    "3",
                    ids.public("ord", order_id),
                    f"the rail paid {paid} fen, we say {row['paid_fen']}",
                    order_id,
                )
        for plan in self._plans:
            if plan.lane == 0 and to[plan.payee_account] > 1:
                self._find(
                    "3",
                    f"sale {plan.index}",
                    f"its seller was paid {to[plan.payee_account]} times",
                    plan.order_id,
                )

    # -- 4 and 5: nothing forgotten

    def _waiting(self) -> None:
        due = {row["order_id"] for row in self._t["work"]}
        for order_id, row in self._orders.items():
            if row["state"] in _ENDS:
                if order_id in due:
                    self._find("4", ids.public("ord", order_id), "has ended and is still looked at", order_id)
            elif row["state"] not in _WITH_PEOPLE or order_id not in due:
                self._find("4", ids.public("ord", order_id), f"stays {row['state']} for ever", order_id)

    def _ours(self, effect: Mapping[str, Any]) -> str:
        return str(self._last.get(effect["id"], "open"))

    def _effects(self) -> None:
        for row in self._t["open_effects"]:
            self._find("5", str(row["effect_id"]), "an effect never came to an end")
        refs = Counter(row["ref"] for row in self._t["effects"])
        for ref, times in refs.items():
            if times > 1:
                self._find("5", ref, "one reference, two requests")
        corrected = Counter(row["effect_id"] for row in self._t["corrections"])
        for row in self._t["effects"]:
            side = self._far_sides.sides.get(row["far_side"])
            if side is None:
                continue
            said = side.answers.get(row["ref"])
            truth = str(said.result) if said is not None else "failed"
            ours = self._ours(row)
            if ours != truth and not self._explained(side, row["ref"], ours, truth):
                self._find(
                    "5",
                    row["ref"],
                    f"{row['kind']}: we say {ours}, the far side {truth}",
                    row["order_id"],
                )
            if ours == "reversed" and not corrected[row["id"]]:
                self._find("5", row["ref"], "taken back, and nothing corrects it", row["order_id"])

    def _explained(self, side: FarSide, ref: str, ours: str, truth: str) -> bool:
        """Whether a person has before them why we say another thing than the far side."""
        if (truth, ours) == ("succeeded", "failed"):
            # It refused, and did it: that is found out, and is a person's work.
            return ref in side.lied and (
                ("done_after_failure", ref) in self._alarmed or ref in self._broken["missing_here"]
            )
        if truth == "reversed":
            if ours == "failed":
                self._taken_back_unheard.add(self._effect_of[ref]["order_id"])
            # Taken back before we heard that it was done: it came to nothing. Afterwards it is corrected, or a
            # statement told of it.
            return ours == "failed" or (ours == "succeeded" and ref in self._broken["reversed"])
        return False

    # -- 6: the price

    def _prices(self) -> None:
        for order_id, row in self._orders.items():
            quote: Mapping[str, Any] = row["quote"]
            net = quote["gross_fen"] - quote["fee_fen"] - quote["rail_cost_fen"]
            gross = quote["face_fen"] * quote["rate_ppm"] // 1_000_000
            if row["state"] != "closed":
                continue
            # What came back after the end was paid once all the same.
            paid = self._paid[order_id] if self._returned[order_id] else row["paid_fen"]
            if quote["face_fen"] != row["delivered_fen"]:
                self._find("6", ids.public("ord", order_id), "paid by a quote for another face", order_id)
            if quote["gross_fen"] != gross or paid not in (net, net + self._returned[order_id]):
                self._find(
                    "6",
                    ids.public("ord", order_id),
                    f"paid {paid}, the quote says {net}",
                    order_id,
                )

    # -- 7: the log

    def _log(self) -> None:
        expected = 1
        told: Counter[int] = Counter()
        for row in self._t["events"]:
            if row["seq"] != expected:
                self._find("7", str(row["seq"]), f"the sequence jumps over {expected}")
            expected = row["seq"] + 1
            inner = hashlib.sha256(row["salt"] + row["body"]).digest()
            if hashlib.sha256(b"\x00\x01" + inner).digest() != row["leaf"]:
                self._find("7", str(row["seq"]), "an event was changed", row["order_id"])
            if row["order_id"] is not None:
                told[row["order_id"]] += 1
        for order_id, row in self._orders.items():
            if row["state"] in _ENDS and not told[order_id]:
                self._find("7", ids.public("ord", order_id), "ended without a word in the log", order_id)

    # -- 8: the far sides' books

    def _far_books(self) -> None:
        """What a far side did is known here or stands as a break; it holds nothing for an order that has ended."""
        for name, side in self._far_sides.sides.items():
            native = HOLDS.get(name.partition(":")[2]) is HoldKind.NATIVE
            for done in side.executions:
                if done.ref in self._effect_of or done.ref in self._broken["missing_here"]:
                    continue
                if done.reversed and done.ref in self._broken["reversed"]:
                    continue
                if not (
                    native and done.kind in ("hold", "release")
                ):  # which lapse, and stand on no statement
                    self._find("8", done.ref, f"{name} did a {done.kind} of which the book knows nothing")
        for order_id, row in self._orders.items():
            if row["state"] not in _ENDS or row["hold_ref"] is None:
                continue
            left = self._far_sides.sides[f"carrier:{row['carrier']}"].holds.get(row["hold_ref"], 0)
            if left:
                self._find(
                    "8", ids.public("ord", order_id), f"ended, and {left} fen are still held", order_id
                )

    # -- the plans

    def _outcomes(self) -> None:
        for plan in self._plans:
            if plan.order_id is None:
                self._find("plan", f"sale {plan.index}", "was never accepted")
                continue
            row = self._orders.get(plan.order_id)
            if row is None:
                # A restore loses what was accepted after the backup; what far sides did for it stands as a break.
                if Fault.RESTORED not in plan.befell:
                    self._find("plan", f"sale {plan.index}", "was accepted and is gone", plan.order_id)
                continue
            ended = row["state"] if row["code"] is None else f"{row['state']}:{row['code']}"
            if not self._as_planned(plan, row["state"], row["code"]):
                befell = ", ".join(sorted(plan.befell)) or "nothing"
                self._find(
                    "plan",
                    ids.public("ord", plan.order_id),
                    f"sale {plan.index} ended {ended}; planned {plan.bad or 'closed'}; befell it: {befell}",
                    plan.order_id,
                )

    def _as_planned(self, plan: Plan, state: str, code: str | None) -> bool:
        if Fault.CANCEL_RACE in plan.befell and state == "cancelled":
            return True
        if Fault.RESTORED in plan.befell:
            return (
                state in _ENDS | _WITH_PEOPLE
            )  # it was stopped; the other checks say that nothing was done twice
        if plan.bad is not None:
            return code == plan.bad and state in ("declined", "failed")
        if Fault.REFUSED_YET_DONE in plan.befell:
            return state in ("closed", "in_review", "failed")
        if state == "in_review" and self._shares_a_lie(plan):
            return True
        if plan.order_id in self._taken_back_unheard:
            return state in ("closed", "in_review", "failed")  # a card is used up by it
        return state == "closed"

    def _shares_a_lie(self, plan: Plan) -> bool:
        """A file's orders share a payout: what the rail refused and did befell all of them."""
        lied = self._far_sides.sides["rail:alipay"].lied
        refused = {row["payout_id"] for row in self._t["effects"] if row["ref"] in lied}
        return any(
            row["order_id"] == plan.order_id and row["payout_id"] in refused
            for row in self._t["payout_orders"]
        )
