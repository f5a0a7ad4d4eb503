"""The desk behind the sandbox's carriers: opening lines, issuing cards, looking into the books.

    GET  /sandbox/subscribers[?number= | carrier= & offset= & limit=]
    POST /sandbox/subscribers   {"subscribers": [{number, carrier, principal_fen, …}]} or {"make": {"count", "seed", …}}
    POST /sandbox/cards         {"count", "bad_ppm", "seed", "carriers", "faces_yuan"} or {"cards": [{number, code, …}]}
    GET  /sandbox/books         what the buckets hold against where it came from

Amounts in fen, times RFC 3339. `make_subscribers` draws plausible people from a seed.
"""

import random
import re
import sqlite3
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final

from airback.domain.assets import CARRIERS
from airback.domain.numbers import parse_card_code, parse_card_number, parse_mobile
from airback.sandbox.accounts import Accounts
from airback.sandbox.balance_sheet import reserved_fen, total_fen
from airback.sandbox.cards import IssuedCard, add_cards, issue_into
from airback.sandbox.records import Subscriber
from airback.sandbox.tmf654_documents import moment
from airback.sandbox.wire import Frame, Plug, Reply, Request, Route, Unreadable

PREFIXES: Final = {
    "cmcc": (
        134,
        135,
        136,
        137,
        138,
        139,
        147,
        150,
        151,
        152,
        157,
        158,
        159,
        178,
        182,
        183,
        184,
        187,
        188,
        195,
        198,
    ),
    "ctcc": (133, 149, 153, 173, 177, 180, 181, 189, 190, 191, 193, 199),
    "cucc": (130, 131, 132, 145, 155, 156, 166, 171, 175, 176, 185, 186, 196),
    "cbn": (192,),
}
PROVINCES: Final = (
    "北京",
    "上海",
    "广东",
    "江苏",
    "浙江",
    "山东",
    "四川",
    "河南",
    "湖北",
    "福建",
    "陕西",
    "云南",
)

_MOST: Final = 20_000


def make_subscribers(
    *,
    count: int,
    seed: int | str,
    now: datetime,
    carriers: Sequence[str] = tuple(CARRIERS),
    ported_ppm: int = 80_000,
    dead_ppm: int = 0,
    suspended_ppm: int = 0,
    swapped_ppm: int = 0,
    principal_fen: tuple[int, int] = (5_000, 60_000),
) -> Iterator[Subscriber]:
    """`count` people drawn from a seed: their numbers differ, shares of them are ported, dead, suspended, or have
    changed their SIM within a day. Principal balances are whole yuan between the two bounds."""
    dice = random.Random(f"people {seed}")
    seen: set[str] = set()
    while len(seen) < count:
        carrier = carriers[dice.randrange(len(carriers))]
        ported = dice.randrange(1_000_000) < ported_ppm
        of = dice.choice([other for other in CARRIERS if other != carrier]) if ported else carrier
        number = f"{dice.choice(PREFIXES[of])}{dice.randrange(10**8):08d}"
        share = dice.randrange(1_000_000)
        status = "dead" if share < dead_ppm else "suspended" if share < dead_ppm + suspended_ppm else "active"
        swapped = dice.randrange(1_000_000) < swapped_ppm
        low, high = principal_fen
        person = Subscriber(
            number=number,
            carrier=carrier,
            principal_fen=dice.randrange(low // 100, high // 100 + 1) * 100,
            promotional_fen=dice.randrange(0, 51) * 100,
            status=status,
            province=dice.choice(PROVINCES),
            ported_from=of if ported else None,
            sim_changed_at=now - timedelta(hours=dice.randrange(1, 24)) if swapped else None,
            activated_at=now - timedelta(days=dice.randrange(200, 4_000)),
            expires_at=now + timedelta(days=dice.randrange(60, 700)),
        )
        if number not in seen:
            seen.add(number)
            yield person


def first_lines(now: datetime) -> list[Subscriber]:
    """The lines a new sandbox has, so that there is somebody to try things on."""
    activated, expires = now - timedelta(days=900), now + timedelta(days=400)
    fixed = (
        ("13800138000", "cmcc", {"province": "北京"}),
        ("13900139000", "cmcc", {"province": "广东"}),
        ("13300133000", "ctcc", {"province": "上海"}),
        ("18900189000", "ctcc", {"province": "江苏"}),
        ("13000130000", "cucc", {"province": "山东"}),
        ("18600186000", "cucc", {"province": "四川"}),
        ("19200192000", "cbn", {"province": "浙江"}),
        ("19212345678", "cbn", {"province": "福建"}),
        ("13812345678", "ctcc", {"ported_from": "cmcc", "province": "河南"}),
        ("13500000001", "cmcc", {"status": "suspended"}),
        ("13500000002", "cmcc", {"status": "dead", "principal_fen": 0, "promotional_fen": 0}),
        ("13500000003", "cmcc", {"sim_changed_at": now - timedelta(hours=5)}),
        ("13500000004", "cmcc", {"messages": "barred"}),
        ("13500000005", "cmcc", {"messages": "impossible"}),
        ("13500000006", "cmcc", {"sim_swap_served": False}),
        ("13500000007", "cmcc", {"keep_alive_fen": 1_000, "charges_due_fen": 500}),
        # The operator's own lines, where airtime goes that no outlet takes any more.
        ("13900000001", "cmcc", {"principal_fen": 0, "promotional_fen": 0}),
        ("18900000001", "ctcc", {"principal_fen": 0, "promotional_fen": 0}),
        ("18600000001", "cucc", {"principal_fen": 0, "promotional_fen": 0}),
        ("19200000001", "cbn", {"principal_fen": 0, "promotional_fen": 0}),
    )
    return [
        Subscriber(
            number=number,
            carrier=carrier,
            activated_at=activated,
            expires_at=expires,
            **{"principal_fen": 50_000, "promotional_fen": 2_000, **more},  # type: ignore[arg-type]
        )
        for number, carrier, more in fixed
    ]


def plug(frame: Frame, accounts: Accounts) -> Plug:
    """The desk's routes."""

    async def show(request: Request) -> Reply:
        accounts.settle()
        asked = request.first("number")
        if asked is not None:
            row = accounts.subscriber(parse_mobile(asked) or "")
            return Reply.json(200, {"subscribers": [] if row is None else [_document(row)]})
        offset, limit = (
            _whole(request.first(name) or default, 0, _MOST)
            for name, default in (("offset", "0"), ("limit", "100"))
        )
        rows = accounts.subscribers(carrier=request.first("carrier"), offset=offset, limit=limit)
        return Reply.json(200, {"subscribers": [_document(row) for row in rows]})

    async def open_lines(request: Request) -> Reply:
        document = _object(request.json())
        if "make" in document:
            people = list(_made(_object(document["make"]), frame.now()))
        else:
            listed = document.get("subscribers")
            if not isinstance(listed, list) or len(listed) > _MOST:
                raise Unreadable(f"subscribers must be a list of at most {_MOST}")
            people = [_read_subscriber(item) for item in listed]
        added = accounts.add_subscribers(people)
        if "make" in document:
            return Reply.json(
                201, {"added": added, "numbers": [[person.number, person.carrier] for person in people]}
            )
        return Reply.json(201, {"added": added})

    async def issue_cards(request: Request) -> Reply:
        document = _object(request.json())
        try:
            if "cards" in document:
                listed = document["cards"]
                if not isinstance(listed, list) or len(listed) > _MOST:
                    raise Unreadable(f"cards must be a list of at most {_MOST}")
                cards = [_read_card(item) for item in listed]
                add_cards(accounts, cards, now=frame.now())
            else:
                cards = issue_into(
                    accounts,
                    count=_whole(document.get("count"), 1, _MOST),
                    bad_ppm=_whole(document.get("bad_ppm", 0), 0, 1_000_000),
                    seed=None if document.get("seed") is None else _whole(document["seed"], 0, 1 << 62),
                    now=frame.now(),
                    carriers=_texts(document.get("carriers"), tuple(CARRIERS)),
                    faces_yuan=[
                        _whole(face, 1, 10_000) for face in document.get("faces_yuan", (30, 50, 100))
                    ],
                )
        except sqlite3.IntegrityError as error:
            raise Unreadable("a card of that number or code exists") from error
        except ValueError as error:
            raise Unreadable(str(error)) from error
        return Reply.json(201, {"cards": [_card_document(card) for card in cards]})

    async def show_books(_: Request) -> Reply:
        held, expected = total_fen(accounts)
        wrong = sum(said != open_fen for said, open_fen in reserved_fen(accounts))
        return Reply.json(
            200,
            {
                "held_fen": held,
                "expected_fen": expected,
                "buckets_with_wrong_reserve": wrong,
                "right": held == expected and not wrong,
            },
        )

    return Plug(
        name="desk",
        routes=[
            Route("GET", "/sandbox/subscribers", show, counted=False),
            Route("POST", "/sandbox/subscribers", open_lines, counted=False),
            Route("POST", "/sandbox/cards", issue_cards, counted=False),
            Route("GET", "/sandbox/books", show_books, counted=False),
        ],
        close=accounts.close,
    )


def _document(row: sqlite3.Row) -> dict[str, Any]:
    times = ("sim_changed_at", "activated_at", "expires_at")
    document = {name: row[name] for name in row.keys() if name not in times}  # noqa: SIM118 -- a Row iterates values
    return document | {name: None if row[name] is None else moment(row[name]) for name in times}


def _card_document(card: IssuedCard) -> dict[str, Any]:
    return {
        "card_number": card.number,
        "code": card.code,
        "carrier": card.carrier,
        "face_fen": card.face_fen,
        "true_face_fen": card.true_face_fen,
        "expires_on": card.expires_on.isoformat(),
        "state": card.state,
    }


def _made(document: dict[str, Any], now: datetime) -> Iterator[Subscriber]:
    seed = document.get("seed", 1)
    if not isinstance(seed, int | str):
        raise Unreadable("seed must be a number or a text")
    bounds = document.get("principal_fen", [5_000, 60_000])
    if not isinstance(bounds, list) or len(bounds) != 2:
        raise Unreadable("principal_fen must be two amounts")
    low, high = (_whole(bound, 0, 10_000_000) for bound in bounds)
    if low > high:
        raise Unreadable("principal_fen must be two amounts, the smaller first")
    carriers = _texts(document.get("carriers"), tuple(CARRIERS))
    if set(carriers) - set(CARRIERS):
        raise Unreadable("unknown carrier")
    return make_subscribers(
        count=_whole(document.get("count"), 1, _MOST),
        seed=seed,
        now=now,
        carriers=carriers,
        principal_fen=(low, high),
        **{
            name: _whole(document.get(name, default), 0, 1_000_000)
            for name, default in (
                ("ported_ppm", 80_000),
                ("dead_ppm", 0),
                ("suspended_ppm", 0),
                ("swapped_ppm", 0),
            )
        },
    )


def _read_subscriber(item: Any) -> Subscriber:
    document = _object(item)
    number = parse_mobile(str(document.get("number", "")))
    if number is None or document.get("carrier") not in CARRIERS:
        raise Unreadable("a subscriber needs a mobile number and a carrier")
    for name, allowed in (
        ("status", ("active", "suspended", "dead")),
        ("messages", ("received", "barred", "impossible")),
    ):
        if document.get(name, allowed[0]) not in allowed:
            raise Unreadable(f"{name} must be one of {', '.join(allowed)}")
    if document.get("ported_from") is not None and document["ported_from"] not in CARRIERS:
        raise Unreadable("ported_from must be a carrier")
    unknown = document.keys() - set(Subscriber.__slots__)
    if unknown:
        raise Unreadable(f"unknown field {min(unknown)!r}")
    amounts: dict[str, Any] = {
        name: _whole(document.get(name, 0), 0, 10_000_000_000)
        for name in ("principal_fen", "promotional_fen", "keep_alive_fen", "charges_due_fen")
    }
    times: dict[str, Any] = {
        name: _time(document.get(name)) for name in ("sim_changed_at", "activated_at", "expires_at")
    }
    province = document.get("province")
    if province is not None and not (isinstance(province, str) and len(province) <= 40):
        raise Unreadable("province must be a short text")
    return Subscriber(
        number=number,
        carrier=document["carrier"],
        status=document.get("status", "active"),
        messages=document.get("messages", "received"),
        province=province,
        ported_from=document.get("ported_from"),
        sim_swap_served=document.get("sim_swap_served", True) is True,
        **amounts,
        **times,
    )


def _read_card(item: Any) -> IssuedCard:
    document = _object(item)
    number = parse_card_number(str(document.get("card_number", "")))
    code = parse_card_code(str(document.get("code", "")))
    if number is None or code is None or document.get("carrier") not in CARRIERS:
        raise Unreadable("a card needs a number, a code and a carrier")
    face_fen = _whole(document.get("face_fen"), 1, 10_000_000)
    state = document.get("state", "fresh")
    if state not in ("fresh", "used", "expired", "unknown"):
        raise Unreadable("state must be fresh, used, expired or unknown")
    try:
        expires_on = date.fromisoformat(str(document.get("expires_on", "2099-12-31")))
    except ValueError as error:
        raise Unreadable("expires_on must be a date") from error
    return IssuedCard(
        number=number,
        code=code,
        carrier=document["carrier"],
        face_fen=face_fen,
        expires_on=expires_on,
        state=state,
        true_face_fen=_whole(document.get("true_face_fen", face_fen), 1, 10_000_000),
    )


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Unreadable("an object is required")
    return value


def _whole(value: Any, least: int, most: int) -> int:
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,15}", value, re.ASCII):
        value = int(value)
    if type(value) is not int or not least <= value <= most:
        raise Unreadable(f"a whole number from {least} to {most} is required")
    return value


def _texts(value: Any, default: tuple[str, ...]) -> tuple[str, ...]:
    if value is None:
        return default
    if not isinstance(value, list) or not value or not all(isinstance(item, str) for item in value):
        raise Unreadable("a list of texts is required")
    return tuple(value)


def _time(value: Any) -> datetime | None:
    if value is None:
        return None
    try:
        moment_given = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment_given = None
    if moment_given is None or moment_given.tzinfo is None:
        raise Unreadable("a time with a time zone is required")
    return moment_given
