"""A console to visit: a platform with a clock that tests move, people who sign in, and a book full of rows."""

import copy
import html
import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
from litestar import Litestar

from airback.domain import ids
from airback.domain.canonical import canonical
from airback.engine import sign_in
from airback.ledger.accounts import account
from airback.market.pauses import Pauses
from airback.market.profiles import PROFILES
from airback.market.terms import ChannelKind
from airback.pricing.cards import RateCard, parse_card
from airback.pricing.default_card import DEFAULT_CARD
from airback.pricing.facts import Market
from airback.staff import passwords
from airback.store import pauses
from airback.store import staff as store
from airback.web.console.routes import CONSOLE_ROUTERS
from airback.web.static_files import serve_static
from tests.web.console.market_rows import furnish_market

BOOK = 1
START = datetime(2026, 11, 20, 4, 0, tzinfo=UTC)
PASSWORD = "copper kettle on seven hills"
CARD = parse_card(DEFAULT_CARD)


@dataclass
class StillPlatform:
    """What the console needs of a platform; the clock stands still until a test moves it."""

    pool: asyncpg.Pool
    book: int = BOOK
    clock: datetime = START
    card: RateCard = CARD
    keys: Any = None
    settings: Any = None
    subscribers: Any = None
    carriers: dict[str, Any] = field(default_factory=dict)
    rails: dict[str, Any] = field(default_factory=dict)
    messenger: Any = None

    async def rate_card(self) -> RateCard:
        return self.card

    async def rate_cards(self) -> list[RateCard]:
        return [self.card]

    async def price_facts(self) -> Market:
        return Market()

    async def pauses(self) -> Pauses:
        return await pauses.standing(self.pool, book=BOOK, now=self.now())

    def now(self) -> datetime:
        return self.clock

    def entropy(self, count: int) -> bytes:
        return secrets.token_bytes(count)


def application(platform: StillPlatform) -> Litestar:
    """The console alone, as the application mounts it."""
    app = Litestar(route_handlers=[*CONSOLE_ROUTERS, serve_static], openapi_config=None)
    app.state.platform = platform
    return app


@dataclass
class Person:
    """A browser with a person before it."""

    client: httpx.AsyncClient
    name: str

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.client.get(path, headers=headers)

    async def token(self, path: str = "/console") -> str:
        """The token that the forms of this session carry."""
        return csrf(await self.client.get(path))

    async def post(self, path: str, /, **fields: str | Sequence[str]) -> httpx.Response:
        """Send a form of one of our own pages."""
        data: dict[str, Any] = {"csrf": await self.token(), **fields}
        return await self.client.post(path, data=data)


def csrf(answer: httpx.Response) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', answer.text)
    assert found is not None, answer.text[:2000]
    return html.unescape(found[1])


@dataclass
class World:
    """The console of one test."""

    platform: StillPlatform
    app: Litestar
    clients: list[httpx.AsyncClient] = field(default_factory=list)

    @property
    def pool(self) -> asyncpg.Pool:
        return self.platform.pool

    def pass_by(self, **span: float) -> None:
        """Let time go by."""
        self.platform.clock += timedelta(**span)

    def browser(self) -> httpx.AsyncClient:
        """A browser that has never been here."""
        client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app=self.app),
            base_url="http://console.test",
            follow_redirects=False,
        )
        self.clients.append(client)
        return client

    async def appoint(self, name: str, *roles: str) -> str:
        """A member of staff, written straight into the table with the one password, sealed once per run."""
        async with self.pool.acquire() as conn:
            await conn.execute(
                "INSERT INTO staff (book, name, password, roles, created_at) VALUES ($1, $2, $3, $4, $5)",
                BOOK,
                name,
                sealed(),
                list(roles),
                self.platform.now(),
            )
        return name

    async def sign_in(
        self, name: str, password: str = PASSWORD, client: httpx.AsyncClient | None = None
    ) -> Person:
        client = client or self.browser()
        answer = await try_sign_in(client, name, password)
        assert answer.status_code == 303, answer.text[:2000]
        return Person(client, name)

    async def person(self, name: str, *roles: str) -> Person:
        """Somebody new with these roles and a session, without the slow password check."""
        await self.appoint(name, *roles)
        client, token = self.browser(), sign_in.new_token(secrets.token_bytes)
        async with self.pool.acquire() as conn:
            await store.insert_session(
                conn,
                book=BOOK,
                token=token,
                name=name,
                csrf=sign_in.new_token(secrets.token_bytes),
                now=self.platform.now(),
                lasts=sign_in.LASTS,
            )
        client.cookies.set("airback_console", token, domain="console.test", path="/console")
        return Person(client, name)

    async def inbox(self) -> list[dict[str, Any]]:
        """The bodies in the writer's inbox, in order."""
        async with self.pool.acquire() as conn:
            return [
                row["body"]
                for row in await conn.fetch("SELECT body FROM inbox WHERE book = $1 ORDER BY id", BOOK)
            ]


async def try_sign_in(
    client: httpx.AsyncClient, name: str, password: str, to: str = "/console"
) -> httpx.Response:
    door = await client.get("/console/sign-in")
    return await client.post(
        "/console/sign-in", data={"csrf": csrf(door), "next": to, "name": name, "password": password}
    )


_SEALED: list[str] = []


def sealed() -> str:
    """The one test password as it is stored."""
    if not _SEALED:
        _SEALED.append(passwords.seal(password=PASSWORD, salt=bytes(passwords.SALT_BYTES)))
    return _SEALED[0]


async def open_world(pool: asyncpg.Pool) -> World:
    async with pool.acquire() as conn:
        await conn.execute(
            "INSERT INTO books (book, name, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            BOOK,
            "城南话费回收",
            START,
        )
    platform = StillPlatform(pool)
    return World(platform, application(platform))


# -- a book full of rows

_COMPONENTS = [
    {
        "name": "base",
        "zh": "基准回收率",
        "en": "Base rate",
        "rate_ppm": 900_000,
        "amount_fen": 9000,
        "source": "S1",
    },
    {
        "name": "validity",
        "zh": "剩余有效期",
        "en": "Remaining validity",
        "rate_ppm": -20_000,
        "amount_fen": -200,
        "source": "S1",
    },
    {
        "name": "fee",
        "zh": "平台服务费",
        "en": "Platform fee",
        "rate_ppm": -10_000,
        "amount_fen": -100,
        "source": "own",
    },
    {
        "name": "rail",
        "zh": "付款渠道成本",
        "en": "Cost of payment",
        "rate_ppm": -1_000,
        "amount_fen": -9,
        "source": "own",
    },
]


def order_id(minutes_ago: int, n: int = 0, *, now: datetime = START) -> int:
    """An id as it would have been made then."""
    return ids.new_ids(
        now=now - timedelta(minutes=minutes_ago), entropy=lambda count: bytes(count - 1) + bytes([n])
    )[0]


def ref(n: int) -> str:
    return f"{n:026d}".translate(str.maketrans("0123456789", "0123456789"))


async def insert_order(
    conn: asyncpg.Connection, *, id: int, state: str, now: datetime = START, **over: Any
) -> int:
    """One order; any column may be given."""
    card = over.get("product") == "card"
    row: dict[str, Any] = {
        "book": BOOK,
        "id": id,
        "client": "street",
        "client_ref": None,
        "seller": 7,
        "lane": 0,
        "product": "balance",
        "carrier": "cmcc",
        "number": None if card else "13800138000",
        "card_number": "1234567890123456" if card else None,
        "face_fen": 10_000,
        "net_fen": 8_691,
        "quote": {"id": ref(id % 10**9), "card_version": 1, "components": _COMPONENTS},
        "rail": "alipay",
        "payee": b"sealed",
        "notify_number": None,
        "language": "zh",
        "agreement": "2026-11",
        "state": state,
        "hold_kind": "none" if card else "native",
        "submitted_at": now - timedelta(minutes=30),
        "updated_at": now,
        **over,
    }
    columns = list(row)
    await conn.execute(
        f"INSERT INTO orders ({', '.join(columns)}) VALUES ({', '.join(f'${n}' for n in range(1, len(columns) + 1))})",
        *row.values(),
    )
    return id


async def insert_event(
    conn: asyncpg.Connection, *, seq: int, action: str, order: int | None, at: datetime, **facts: Any
) -> None:
    body = {"action": action, "at": at.isoformat(), "book": BOOK, "seq": seq, **facts}
    await conn.execute(
        "INSERT INTO events (book, seq, action, order_id, at, salt, body, leaf) VALUES ($1,$2,$3,$4,$5,$6,$7,$8)",
        BOOK,
        seq,
        action,
        order,
        at,
        bytes(32),
        canonical(body),
        bytes(32),
    )


async def insert_effect(
    conn: asyncpg.Connection,
    *,
    id: int,
    kind: str,
    far_side: str,
    at: datetime,
    order: int | None = None,
    payout: int | None = None,
    amount_fen: int = 10_000,
    open_as: str | None = None,
    asks: int = 2,
) -> str:
    """An effect; `open_as` leaves it open with that result. Its reference."""
    name = ref(id % 10**12)
    await conn.execute(
        "INSERT INTO effects (book,id,kind,far_side,order_id,payout_id,ref,amount_fen,request,send_by,epoch,at) "
        "VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,1,$11)",
        BOOK,
        id,
        kind,
        far_side,
        order,
        payout,
        name,
        amount_fen,
        b"sealed",
        at + timedelta(minutes=2),
        at,
    )
    if open_as is not None:
        await conn.execute(
            "INSERT INTO open_effects (book, effect_id, result, epoch, asks, ask_at) VALUES ($1,$2,$3,1,$4,$5)",
            BOOK,
            id,
            open_as,
            asks,
            at + timedelta(minutes=8),
        )
    return name


async def insert_result(
    conn: asyncpg.Connection,
    *,
    effect: int,
    n: int,
    result: str,
    at: datetime,
    applied: bool = True,
    **over: Any,
) -> None:
    row = {"code": None, "far_ref": None, "amount_fen": None, "detail": {}, "exchanges": [], **over}
    await conn.execute(
        "INSERT INTO effect_results (book,effect_id,n,result,applied,code,far_ref,amount_fen,detail,exchanges,at) "
        "VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11)",
        BOOK,
        effect,
        n,
        result,
        applied,
        row["code"],
        row["far_ref"],
        row["amount_fen"],
        row["detail"],
        row["exchanges"],
        at,
    )


async def insert_account(
    conn: asyncpg.Connection,
    code: str,
    asset: str = "CNY",
    *,
    debits: int = 0,
    credits: int = 0,
    pending: int = 0,
) -> int:
    """A ledger account with these posted sums; `pending` on the side that takes from it."""
    made = account(code, asset)
    on_debit = made.side == "credit"
    await conn.execute(
        "INSERT INTO accounts (book,id,code,asset,side,bounded,debits_posted,credits_posted,debits_pending,credits_pending) "
        "VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10)",
        BOOK,
        made.id,
        code,
        asset,
        made.side,
        made.bounded,
        debits,
        credits,
        pending if on_debit else 0,
        0 if on_debit else pending,
    )
    return made.id


async def furnish_outlet(conn: asyncpg.Connection, *, now: datetime) -> None:
    """Terms of one outlet, where it is told, two notices, and a pause."""
    document = PROFILES[ChannelKind.VERTICAL].draft()
    document |= {"daily_fen": 20_000_000, "funds": "bank", "per_minute": 60}
    document |= {"settle_from_days": 0, "settle_to_days": 1}
    await conn.execute(
        "INSERT INTO outlet_terms (book,outlet,version,document,effective_at,proposed_by,approved_by,created_at) "
        "VALUES ($1,'yida',1,$2,$3,'wang.fang','liu.yang',$3)",
        BOOK,
        document,
        now - timedelta(days=9),
    )
    await conn.execute(
        "INSERT INTO outlet_hooks (book,outlet,url,secret,created_at) VALUES ($1,'yida','https://yida.example/',$2,$3)",
        BOOK,
        b"sealed",
        now,
    )
    for n, (result, status) in enumerate((("succeeded", 200), ("failed", 410))):
        at = now - timedelta(hours=n + 1)
        effect = order_id(60 * (n + 1), 7, now=now)
        await insert_effect(conn, id=effect, kind="webhook", far_side="outlet:yida", at=at, amount_fen=0)
        code = None if result == "succeeded" else "hook_refused"
        await insert_result(
            conn, effect=effect, n=0, result=result, at=at, code=code, detail={"status": status}
        )
    await conn.execute(
        "INSERT INTO standing_bids (book,id,outlet,carrier,numbers,price_ppm,order_fen,daily_fen,speed,created_at) "
        "VALUES ($1,9,'yida','cmcc',$2,940000,10000,500000,'slow',$3)",
        BOOK,
        ["13900139000", "13900139001"],
        now - timedelta(days=2),
    )
    for n, (net_fen, face_fen) in enumerate(((9_120, 10_000), (4_558, 5_000), (9_300, 10_000)), start=1):
        await conn.execute(
            "INSERT INTO offers (book,id,client,seller,seller_ref,carrier,number,face_fen,net_fen,net_ppm,rail,payee,language,"
            "agreement,proved_at,deadline_at,state,created_at,changed_at) VALUES ($1,$2,'web',7,$3,'cmcc',$3,$4,$5,$6,'alipay',"
            "$7,'zh','2026-11',$8,$9,'resting',$8,$8)",
            BOOK,
            n,
            f"1391234000{n}",
            face_fen,
            net_fen,
            net_fen * 1_000_000 // face_fen,
            b"sealed",
            now - timedelta(hours=1),
            now + timedelta(minutes=30),
        )
    await conn.execute(
        "INSERT INTO pauses (book,id,kind,subject,reason_zh,reason_en,since,begun_by) "
        "VALUES ($1,3,'province','65','该地区运营商系统升级','The carrier there is being upgraded',$2,'wang.fang')",
        BOOK,
        now - timedelta(hours=3),
    )


async def furnish(pool: asyncpg.Pool, *, now: datetime = START, mark: str = "") -> dict[str, Any]:
    """A day's business in every table the console reads. `mark` is put into every free text (for canaries)."""
    made: dict[str, Any] = {}
    async with pool.acquire() as conn, conn.transaction():
        await conn.execute(
            "INSERT INTO writers (book, worker, seen_at) VALUES ($1, $2, $3)",
            BOOK,
            f"w1{mark}",
            now - timedelta(seconds=2),
        )
        await conn.execute(
            "INSERT INTO parties (book,id,client,ref,created_at) VALUES ($1,7,'street',$2,$3)",
            BOOK,
            f"seller-7{mark}",
            now,
        )
        for client in ("street", "acme"):
            await conn.execute(
                "INSERT INTO clients (book,client,kind,created_at) VALUES ($1,$2,'seller',$3)",
                BOOK,
                client,
                now,
            )

        # orders in every state
        states = [
            ("closed", 240),
            ("closed", 200),
            ("closed", 170),
            ("closed", 160),
            ("declined", 150),
            ("cancelled", 140),
            ("expired", 130),
            ("failed", 120),
            ("credited", 30),
            ("delivered", 25),
            ("awaiting_seller", 90),
            ("in_review", 80),
            ("routed", 20),
            ("held", 12),
            ("verified", 6),
            ("screened", 4),
            ("cancelling", 9),
            ("submitted", 1),
        ]
        carriers = ("cmcc", "ctcc", "cucc", "cbn")
        orders = []
        for n, (state, ago) in enumerate(states):
            card = n % 3 == 2
            over: dict[str, Any] = {"carrier": carriers[n % 4], "client_ref": f"ORD-2026-{n:04d}{mark}"}
            if card:
                over |= {"product": "card", "card_number": f"8011{n:012d}"}
            else:
                over |= {"number": f"138001380{n:02d}"}
            held = state in (
                "held",
                "routed",
                "delivered",
                "credited",
                "closed",
                "awaiting_seller",
                "in_review",
            )
            delivered = state in ("delivered", "credited", "closed", "awaiting_seller")
            if held and not card:
                over["held_fen"] = 10_000
            if delivered:
                over |= {"delivered_fen": 10_000, "delivered_at": now - timedelta(minutes=ago - 1)}
            if state in ("credited", "closed", "awaiting_seller"):
                over["credited_fen"] = 8_691
            if state == "closed":
                over |= {"paid_fen": 8_691, "closed_at": now - timedelta(minutes=ago - 3)}
            code = {
                "declined": "no_outlet",
                "cancelled": "cancelled",
                "failed": "delivery_failed",
                "expired": "order_expired",
                "awaiting_seller": "payee_name_mismatch",
                "in_review": "answer_lost",
            }.get(state)
            over |= {"code": code, "submitted_at": now - timedelta(minutes=ago), "seller": 7}
            id = await insert_order(conn, id=order_id(ago, n, now=now), state=state, now=now, **over)
            orders.append((state, id))
            if state not in ("closed", "declined", "cancelled", "expired", "failed"):
                due = now + timedelta(minutes=5) if state != "in_review" else now - timedelta(minutes=10)
                await conn.execute(
                    "INSERT INTO work (book,order_id,lane,seller,due_at) VALUES ($1,$2,0,7,$3)", BOOK, id, due
                )
        made["orders"] = orders
        main = next(id for state, id in orders if state == "in_review")
        done = next(id for state, id in orders if state == "closed")
        made |= {"main": main, "done": done}

        # outlets, demands
        for outlet, name, house in (
            ("house", "平台自营", True),
            ("yida", f"易达充值{mark}", False),
            ("suxin", "速信通", False),
        ):
            await conn.execute(
                "INSERT INTO outlets (book,outlet,name,house,created_at) VALUES ($1,$2,$3,$4,$5)",
                BOOK,
                outlet,
                name,
                house,
                now,
            )
        await conn.execute(
            "INSERT INTO outlet_health (book,outlet,state,since,until,rests,probes_taken,taken,refused,taken_before,refused_before) "
            "VALUES ($1,'yida','resting',$2,$3,1,0,2,6,0,0)",
            BOOK,
            now - timedelta(minutes=2),
            now + timedelta(minutes=6),
        )
        for n, (carrier, price) in enumerate(
            (("cmcc", 955_000), ("cmcc", 948_000), ("ctcc", 940_000), ("cucc", 937_500), ("cbn", 905_000))
        ):
            await conn.execute(
                "INSERT INTO open_demands (book,id,outlet,carrier,number,price_ppm,open_fen,deadline_at) VALUES ($1,$2,$3,$4,$5,$6,$7,$8)",
                BOOK,
                100 + n,
                ("yida", "suxin")[n % 2],
                carrier,
                "13900139000",
                price,
                50_000 * (n + 1),
                now + timedelta(minutes=40 + n),
            )
        await furnish_outlet(conn, now=now)
        # ledger
        cash = await insert_account(conn, "cash:safeguarded", debits=5_200_000, credits=100_000)
        await insert_account(conn, "cash:own", debits=3_000_000)
        await insert_account(conn, "float", credits=1_000_000, pending=20_000)
        yida = await insert_account(conn, "deposit:yida", debits=420_000, credits=3_000_000, pending=30_000)
        await insert_account(conn, "deposit:suxin", debits=150_000, credits=2_000_000)
        proceeds = await insert_account(conn, "proceeds", debits=38_000, credits=47_500)
        payable = await insert_account(conn, "payable:7", debits=34_764, credits=52_146)
        clearing = await insert_account(conn, "clearing:alipay", credits=34_764)
        fee = await insert_account(conn, "fee", credits=2_300)
        held = await insert_account(conn, "held", "cmcc.balance", debits=60_000, credits=40_000)
        source = await insert_account(conn, "source:cmcc", "cmcc.balance", credits=60_000)
        delivered = await insert_account(conn, "delivered", "cmcc.balance", debits=40_000)
        at = now - timedelta(minutes=78)
        for n, (kind, phase, asset, debit, credit, amount) in enumerate(
            (
                ("hold", "posted", "cmcc.balance", held, source, 10_000),
                ("earmark", "pending", "CNY", yida, proceeds, 9_550),
                ("earmark", "post", "CNY", yida, proceeds, 9_550),
                ("deliver", "posted", "cmcc.balance", delivered, held, 10_000),
                ("credit", "posted", "CNY", proceeds, payable, 8_691),
                ("fee", "posted", "CNY", proceeds, fee, 100),
                ("payout", "posted", "CNY", payable, clearing, 8_691),
            )
        ):
            await conn.execute(
                "INSERT INTO transfers (book,subject,kind,leg,phase,asset,debit,credit,amount_fen,order_id,event_at,created_at) "
                "VALUES ($1,$2,$3,0,$4,$5,$6,$7,$8,$9,$10,$10)",
                BOOK,
                main + n // 2,
                kind,
                phase,
                asset,
                debit,
                credit,
                amount,
                main,
                at + timedelta(seconds=n),
            )
        assert cash
        # the main order's story
        at = now - timedelta(minutes=80)
        steps = [
            ("seller:order:submitted", {"product": "balance", "carrier": "cmcc", "face_fen": 10_000}),
            ("engine:order:screened", {"from": "submitted", "to": "screened"}),
            ("engine:order:verified", {"from": "screened", "to": "verified"}),
            ("engine:order:held", {"from": "verified", "to": "held", "amount_fen": 10_000}),
            ("engine:order:routed", {"from": "held", "to": "routed", "fills": 1}),
            ("engine:order:in_review", {"from": "routed", "to": "in_review", "code": "answer_lost"}),
        ]
        for n, (action, facts) in enumerate(steps):
            await insert_event(
                conn, seq=n + 1, action=action, order=main, at=at + timedelta(seconds=4 * n), **facts
            )
        exchange = {
            "method": "POST",
            "path": f"/tmf-api/prepayBalanceManagement/v4/reserveBalance{mark}",
            "request": json.dumps(
                {"amount": {"amount": 100.0, "units": "CNY"}, "logicalResource": {"value": "138****8011"}},
                indent=2,
            )
            + mark,
            "status": 201,
            "response": json.dumps({"id": "rb-2217", "status": "confirmed"}, indent=2) + mark,
            "started_at": at.isoformat(),
            "milliseconds": 84,
        }
        await insert_effect(
            conn, id=main + 1, kind="hold", far_side="carrier:cmcc", at=at + timedelta(seconds=9), order=main
        )
        await insert_result(
            conn,
            effect=main + 1,
            n=0,
            result="succeeded",
            at=at + timedelta(seconds=10),
            far_ref=f"rb-2217{mark}",
            amount_fen=10_000,
            exchanges=[exchange],
            detail={"before_fen": 25_000, "after_fen": 15_000},
        )
        made["brk"] = ids.public("brk", 77)
        await conn.execute(
            "INSERT INTO breaks (book, id, statement, far_side, day, explanation, state, owner, due_at, confidence_ppm,"
            " reference, far_reference, kind, direction, our_amount_fen, their_amount_fen, left_fen, at, opened_at)"
            " VALUES ($1, 77, 1, $2, $3, 'amount', 'open', 'finance', $4, 1000000, $5, $5, $5, 'out', 500, 700, -200, $6, $6)",
            BOOK,
            f"rail:alipay{mark}",
            now.date(),
            now + timedelta(days=1),
            f"REF{mark}",
            now,
        )
        made["cor"], made["settled"] = ids.public("cor", 91), ids.public("cor", 94)
        for n, (kind, bearer, amount, claim, recovered, written_off, days, closed) in enumerate(
            (
                ("delivery_reversed", "platform", 9_550, 0, 3_000, 0, 9, None),
                ("delivery_reversed", "seller", 9_550, 8_691, 0, 0, 1, None),
                ("payment_returned", "seller", 8_691, 0, 0, 0, 0, None),
                ("delivery_reversed", "seller", 4_775, 4_345, 4_000, 345, 20, now - timedelta(days=3)),
            )
        ):
            await conn.execute(
                "INSERT INTO corrections (book, id, order_id, effect_id, kind, bearer, amount_fen, claim_fen,"
                " recovered_fen, written_off_fen, opened_at, closed_at) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12)",
                BOOK,
                91 + n,
                done,
                main + 1,
                kind,
                bearer,
                amount,
                claim,
                recovered,
                written_off,
                now - timedelta(days=days, hours=3),
                closed,
            )
        made["ref"] = await insert_effect(
            conn,
            id=main + 2,
            kind="transfer",
            far_side="carrier:cmcc",
            at=at + timedelta(seconds=17),
            order=main,
            open_as="unknown",
            asks=6,
        )
        await insert_result(
            conn,
            effect=main + 2,
            n=0,
            result="unknown",
            at=at + timedelta(seconds=47),
            code="answer_lost",
            exchanges=[
                {
                    **exchange,
                    "path": "/tmf-api/prepayBalanceManagement/v4/transferBalance",
                    "status": None,
                    "response": "",
                    "milliseconds": 30_000,
                }
            ],
        )
        await conn.execute(
            "INSERT INTO fills (book,id,order_id,demand_id,outlet,number,face_fen,price_ppm,pays_fen,state,created_at,routed) "
            "VALUES ($1,$2,$3,100,'yida','13900139000',10000,955000,9550,'delivering',$4,"
            '\'{"worth": 948200, "passed": [["lingshou", 951000, "resting"], ["gold-card", 949000, "daily_limit"]]}\')',
            BOOK,
            main + 3,
            main,
            at,
        )
        # a paid one
        await conn.execute(
            "INSERT INTO payouts (book,id,seller,rail,amount_fen,payee,state,far_ref,created_at,updated_at) VALUES ($1,$2,7,'alipay',8691,'x','paid',$3,$4,$4)",
            BOOK,
            done + 5,
            f"2026112022001{mark}",
            now - timedelta(minutes=237),
        )
        await conn.execute(
            "INSERT INTO payout_orders (book,payout_id,order_id,amount_fen) VALUES ($1,$2,$3,8691)",
            BOOK,
            done + 5,
            done,
        )
        for n, (action, facts) in enumerate(
            (
                ("seller:order:submitted", {}),
                ("engine:order:credited", {"amount_fen": 8691}),
                ("engine:payout:paid", {"amount_fen": 8691, "rail": "alipay"}),
                ("engine:order:closed", {}),
            )
        ):
            await insert_event(
                conn, seq=100 + n, action=action, order=done, at=now - timedelta(minutes=240 - n), **facts
            )
        # other open effects
        for n, (kind, far_side, result) in enumerate(
            (
                ("pay", "rail:alipay", "processing"),
                ("hold", "carrier:ctcc", "accepted"),
                ("notify", "messenger:sms", "journalled"),
                ("redeem", "carrier:cucc", "unknown"),
            )
        ):
            await insert_effect(
                conn,
                id=main + 50 + n,
                kind=kind,
                far_side=far_side,
                at=now - timedelta(minutes=9 - n),
                open_as=result,
            )
        # alarms
        await conn.execute(
            "INSERT INTO alarms (book,id,kind,subject,detail,owner,due_at,opened_at) VALUES ($1,1,'effect_unresolved',$2,$3,NULL,$4,$5)",
            BOOK,
            ids.public("ord", main),
            {"ref": made["ref"], "asked": f"6{mark}"},
            now + timedelta(hours=3),
            now - timedelta(minutes=30),
        )
        await conn.execute(
            "INSERT INTO alarms (book,id,kind,subject,detail,owner,due_at,opened_at) VALUES ($1,2,'account_overdrawn',$2,'{}',$3,$4,$5)",
            BOOK,
            f"deposit:suxin{mark}",
            f"wang{mark}",
            now - timedelta(minutes=5),
            now - timedelta(hours=2),
        )
        # prices, licences, the market
        await conn.execute(
            "INSERT INTO rate_cards (book,version,document,effective_at,proposed_by,approved_by,created_at) VALUES ($1,1,$2,$3,$4,$5,$3)",
            BOOK,
            DEFAULT_CARD,
            datetime(2026, 1, 1, tzinfo=UTC),
            f"chen{mark}",
            f"liu{mark}",
        )
        changed = copy.deepcopy(DEFAULT_CARD)
        changed["factors"]["base"]["rates_ppm"]["cmcc.balance"] = 895_000
        changed["factors"]["promotion"]["on"] = True
        changed["factors"]["base"]["note"] = f"S1, S2{mark}"
        await conn.execute(
            "INSERT INTO rate_card_drafts (book,id,name,based_on,document,created_by,created_at,changed_by,changed_at)"
            " VALUES ($1,$2,$3,1,$4,$5,$6,$5,$6)",
            BOOK,
            main + 400,
            f"11.11 CMCC{mark}",
            changed,
            f"chen{mark}",
            now - timedelta(minutes=50),
        )
        made["draft"] = ids.public("rcd", main + 400)
        await conn.execute(
            "INSERT INTO licences (book,number,issuer,capabilities,valid_from,valid_until,recorded_by) VALUES ($1,$2,$3,$4,$5,$6,$7)",
            BOOK,
            f"Z2026-031{mark}",
            f"中国人民银行{mark}",
            ["stored_balance"],
            now - timedelta(days=300),
            now + timedelta(days=60),
            f"liu{mark}",
        )
        made |= await furnish_market(conn, book=BOOK, now=now, mark=mark)
    return made
