"""A book with outlets, demands, a price list and far sides, and a way to sell into it: what engine tests stand on."""

import asyncio
import secrets
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg

from airback.adapters.keys.files import FileKeys
from airback.domain.ids import new_ids, new_reference
from airback.domain.ports.carrier import HoldKind
from airback.domain.refusals import Refused
from airback.engine.inbox import append_decision
from airback.engine.policy import Policy
from airback.engine.senders import FarSides
from airback.engine.submit import AGREEMENT, Accepted, OrderAsk, submit
from airback.engine.tenure import Pace, Tenure
from airback.orders.proofs import make_proof
from airback.pricing.cards import parse_card
from airback.pricing.default_card import DEFAULT_CARD
from airback.pricing.quotes import QuoteAsk, make_quote, sign_quote
from airback.store import books
from tests.engine.far_sides import HOLDS, FakeCarrier, FakeMessenger, FakeOutlet, FakeRail, FakeSubscribers

BOOK = 1
CARD = parse_card(DEFAULT_CARD)


@dataclass
class Street:
    """One test's whole world."""

    url: str
    pool: asyncpg.Pool
    keys: FileKeys
    subscribers: FakeSubscribers
    cards: dict[str, tuple[int, str]]
    carriers: dict[str, FakeCarrier]
    rails: dict[str, FakeRail]
    messenger: FakeMessenger
    policy: Policy
    outlet: FakeOutlet = field(default_factory=FakeOutlet)
    pace: Pace = field(
        default_factory=lambda: Pace(batch=200, idle_s=0.005, lease=timedelta(seconds=1), beat_s=0.1)
    )
    _cards: int = 0

    def writer(self, worker: str = "w1") -> Tenure:
        return Tenure(
            url=self.url,
            book=BOOK,
            worker=worker,
            far_sides=FarSides(self.subscribers, self.carriers, self.rails, self.messenger, self.outlet),
            policy=self.policy,
            keys=self.keys,
            clock=lambda: datetime.now(UTC),
            entropy=secrets.token_bytes,
            pace=self.pace,
        )

    def line(self, number: str, carrier: str = "cmcc", fen: int = 100_000) -> str:
        return self.subscribers.line(number, carrier, fen)

    def card(
        self, carrier: str = "cmcc", face_fen: int = 10_000, state: str = "fresh", true_fen: int | None = None
    ) -> tuple[str, str, int, str]:
        """(card number, code, face, carrier) of a card the carrier knows in that state."""
        self._cards += 1
        number, code = f"{10**15 + self._cards}", f"{10**17 + self._cards * 7919}"
        self.cards[code] = (true_fen or face_fen, state)
        return number, code, face_fen, carrier

    def quote(
        self,
        *,
        product: str,
        carrier: str,
        face_fen: int,
        number: str | None,
        card_number: str | None,
        seller: str,
        rail: str = "alipay",
    ) -> dict[str, Any]:
        body = make_quote(
            book=BOOK,
            card=CARD,
            ask=QuoteAsk(
                product=product,
                carrier=carrier,
                face_fen=face_fen,
                number=number,
                card_number=card_number,
                expires_on=None,
                province=None,
                rail=rail,
                seller=f"test/{seller}",
            ),
            quote_id=new_reference(entropy=secrets.token_bytes),
            issued_at=datetime.now(UTC),
        )
        return sign_quote(body, keys=self.keys)

    def ask_card(
        self,
        card: tuple[str, str, int, str],
        *,
        seller: str = "s1",
        payee: str = "张三",
        lane: int = 0,
        rail: str = "alipay",
        **changes: Any,
    ) -> OrderAsk:
        number, code, face, carrier = card
        quote = self.quote(
            product="card",
            carrier=carrier,
            face_fen=face,
            number=None,
            card_number=number,
            seller=seller,
            rail=rail,
        )
        return self._ask(quote, seller, payee, code=code, lane=lane, **changes)

    def ask_balance(
        self,
        number: str,
        face_fen: int,
        *,
        carrier: str | None = None,
        seller: str = "s1",
        payee: str = "张三",
        lane: int = 0,
        **changes: Any,
    ) -> OrderAsk:
        carrier = carrier or self.subscribers.lines[number].carrier
        quote = self.quote(
            product="balance",
            carrier=carrier,
            face_fen=face_fen,
            number=number,
            card_number=None,
            seller=seller,
        )
        return self._ask(
            quote, seller, payee, proof=make_proof(number, datetime.now(UTC), self.keys), lane=lane, **changes
        )

    def _ask(
        self,
        quote: dict[str, Any],
        seller: str,
        payee: str,
        *,
        proof: str | None = None,
        code: str | None = None,
        lane: int = 0,
        notify_number: str | None = None,
        client_ref: str | None = None,
    ) -> OrderAsk:
        return OrderAsk(
            quote=quote,
            seller_ref=seller,
            proof=proof,
            card_code=code,
            payee_account=f"{seller}@example.com",
            payee_name=payee,
            client_ref=client_ref,
            notify_number=notify_number,
            language="zh",
            agreement=AGREEMENT,
            lane=lane,
        )

    async def submit(self, *asks: OrderAsk) -> list[Accepted | Refused]:
        return await submit(
            self.pool,
            book=BOOK,
            client="test",
            asks=asks,
            now=datetime.now(UTC),
            entropy=secrets.token_bytes,
            keys=self.keys,
            idempotency=None,
            rails={name: rail.capabilities for name, rail in self.rails.items()},
            hold_kinds={carrier: HoldKind(kind) for carrier, kind in HOLDS.items()},
        )

    async def sell(self, *asks: OrderAsk) -> list[int]:
        """Order ids of asks that must all be accepted."""
        answers = await self.submit(*asks)
        assert all(isinstance(a, Accepted) for a in answers), answers
        return [a.order_id for a in answers if isinstance(a, Accepted)]

    async def demands(
        self, carrier: str, *amounts_fen: int, price_ppm: int = 980_000, outlet: str = "shop", hours: int = 2
    ) -> list[int]:
        now = datetime.now(UTC)
        ids = new_ids(now=now, entropy=secrets.token_bytes, count=len(amounts_fen))
        for demand_id, amount in zip(ids, amounts_fen, strict=True):
            number = f"199{demand_id % 10**8:08d}"
            deadline = now + timedelta(hours=hours)
            await self.pool.execute(
                "INSERT INTO demands (book,id,outlet,carrier,number,amount_fen,price_ppm,deadline_at,created_at) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9)",
                BOOK,
                demand_id,
                outlet,
                carrier,
                number,
                amount,
                price_ppm,
                deadline,
                now,
            )
            await self.pool.execute(
                "INSERT INTO open_demands (book,id,outlet,carrier,number,price_ppm,open_fen,deadline_at) VALUES ($1,$2,$3,$4,$5,$6,$7,$8)",
                BOOK,
                demand_id,
                outlet,
                carrier,
                number,
                price_ppm,
                amount,
                deadline,
            )
        return ids

    async def deposit(
        self, fen: int, *, outlet: str = "shop", action: str = "finance:deposit:credit"
    ) -> None:
        body = {
            "proposal": new_reference(entropy=secrets.token_bytes),
            "action": action,
            "subject": outlet,
            "before": {},
            "after": {"outlet": outlet, "amount_fen": fen},
            "reason": "paid in",
            "proposed_by": "fin1",
            "decided_by": "fin2",
        }
        await append_decision(self.pool, book=BOOK, body=body, at=datetime.now(UTC))

    async def run(self, until: Any, *, writer: Tenure | None = None, timeout_s: float = 60) -> None:
        """Run a writer until the coroutine function `until` answers true."""
        stop = asyncio.Event()
        writer = writer or self.writer()
        task = asyncio.create_task(writer.run(stop))
        try:
            async with asyncio.timeout(timeout_s):
                while not await until():
                    if task.done():
                        task.result()
                    await asyncio.sleep(0.01)
        finally:
            stop.set()
            await task

    async def settle(self, *, timeout_s: float = 60) -> Counter[str]:
        """Run until no order is under way but those that wait for a person, and nobody was asked who has not answered;
        how many stand where."""

        async def quiet() -> bool:
            return not await self.pool.fetchval(
                "SELECT count(*) FROM orders WHERE state NOT IN ('closed','declined','cancelled','expired','failed','awaiting_seller','in_review')"
            ) and not await self.pool.fetchval(
                "SELECT (SELECT count(*) FROM inbox) + (SELECT count(*) FROM open_effects o JOIN effects e"
                " ON e.book = o.book AND e.id = o.effect_id WHERE e.kind = 'notify' OR o.result = 'journalled')"
            )

        await self.run(quiet, timeout_s=timeout_s)
        return await self.states()

    async def states(self) -> Counter[str]:
        rows = await self.pool.fetch("SELECT state, code, count(*) AS n FROM orders GROUP BY 1, 2")
        return Counter({f"{r['state']}" + (f":{r['code']}" if r["code"] else ""): r["n"] for r in rows})

    async def order(self, order_id: int) -> asyncpg.Record:
        return await self.pool.fetchrow("SELECT * FROM orders WHERE id = $1", order_id)

    async def balance(self, code: str, asset: str = "CNY") -> int:
        """Posted balance on the account's own side, in fen."""
        row = await self.pool.fetchrow("SELECT * FROM accounts WHERE code=$1 AND asset=$2", code, asset)
        if row is None:
            return 0
        net = row["debits_posted"] - row["credits_posted"]
        return net if row["side"] == "debit" else -net


async def open_street(url: str, pool: asyncpg.Pool, keys_dir: Path, **policy: Any) -> Street:
    now = datetime.now(UTC)
    keys = FileKeys(keys_dir)
    await books.create(pool, book=BOOK, name="test", now=now)
    await pool.execute(
        "INSERT INTO rate_cards (book,version,document,effective_at,proposed_by,approved_by,created_at) VALUES ($1,1,$2,$3,'a','b',$3)",
        BOOK,
        DEFAULT_CARD,
        now - timedelta(days=1),
    )
    for outlet in ("shop", "shop2"):
        await pool.execute(
            "INSERT INTO outlets (book,outlet,name,created_at) VALUES ($1,$2,$2,$3)", BOOK, outlet, now
        )
    cards: dict[str, tuple[int, str]] = {}
    carriers = {carrier: FakeCarrier(carrier, cards=cards) for carrier in HOLDS}
    rails = {"alipay": FakeRail()}
    values: dict[str, Any] = {
        "operator": "Test",
        "carriers": {name: carrier.capabilities for name, carrier in carriers.items()},
        "rails": {name: rail.capabilities for name, rail in rails.items()},
        "house_numbers": dict.fromkeys(HOLDS, "19900000000"),
        "outlet_patience": timedelta(0),
        "outlet_patience_files": timedelta(0),
        "retry_after": timedelta(milliseconds=20),
    }
    street = Street(
        url=url,
        pool=pool,
        keys=keys,
        subscribers=FakeSubscribers(),
        cards=cards,
        carriers=carriers,
        rails=rails,
        messenger=FakeMessenger(),
        policy=Policy(**(values | policy)),
    )
    await street.deposit(100_000_000)
    await street.deposit(10_000_000, action="finance:float:credit", outlet="float")
    return street
