"""Recharge cards: issued into the carriers' book, and written to a file as a company would send it.

A share of them is bad on purpose: used elsewhere, past their validity, or unknown to every carrier.
"""

import csv
import hashlib
import io
import os
import random
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

from airback.domain.assets import CARRIERS
from airback.domain.money import yuan
from airback.sandbox.accounts import Accounts, voucher_hash
from airback.sandbox.records import to_micros

FACES_YUAN: Final = (10, 20, 30, 50, 100, 200, 300, 500)

#: Digits of a card's number and of its code, as the carriers print them.
_FORMS: Final = {"cmcc": (17, 18), "ctcc": (19, 18), "cucc": (15, 19), "cbn": (16, 18)}

BAD: Final = ("used", "expired", "unknown")

_HEADERS_EN: Final = ("card_number", "code", "face_yuan", "carrier", "expires")
_HEADERS_ZH: Final = ("卡号", "卡密", "面值", "运营商", "有效期")
FORMATS: Final = ("csv", "csv-gb18030")
_PPM: Final = 1_000_000
_CHUNK: Final = 5_000


@dataclass(frozen=True, slots=True)
class IssuedCard:
    """A card as printed. `state` is the truth: `fresh` or one of `BAD`; `true_face_fen` what redeeming it gives."""

    number: str
    code: str = field(repr=False)
    carrier: str
    face_fen: int
    expires_on: date
    state: str
    true_face_fen: int


def issue(
    data_dir: Path,
    *,
    count: int,
    bad_ppm: int = 0,
    seed: int | None = None,
    now: datetime | None = None,
    carriers: Sequence[str] = tuple(CARRIERS),
    faces_yuan: Sequence[int] = FACES_YUAN,
    progress: Callable[[int], None] | None = None,
) -> list[IssuedCard]:
    """Put `count` cards into the sandbox's book below `data_dir` (its server may be running) and return them.

    Exactly `count × bad_ppm` (rounded) are bad, spread at random, the three kinds alike. The same seed on a new
    data directory makes the same cards. `progress` is told how many are done. Raises ValueError.
    """
    now = now or datetime.now(UTC)
    accounts = Accounts(data_dir / "sandbox", now=lambda: now)
    try:
        return issue_into(
            accounts,
            count=count,
            bad_ppm=bad_ppm,
            seed=seed,
            now=now,
            carriers=carriers,
            faces_yuan=faces_yuan,
            progress=progress,
        )
    finally:
        accounts.close()


def issue_into(
    accounts: Accounts,
    *,
    count: int,
    bad_ppm: int = 0,
    seed: int | None = None,
    now: datetime,
    carriers: Sequence[str] = tuple(CARRIERS),
    faces_yuan: Sequence[int] = FACES_YUAN,
    progress: Callable[[int], None] | None = None,
) -> list[IssuedCard]:
    """As `issue`, into books that are open."""
    if not 0 < count <= 5_000_000 or not 0 <= bad_ppm <= _PPM:
        raise ValueError("count must be from 1 to 5 000 000, bad_ppm from 0 to 1 000 000")
    if not carriers or set(carriers) - set(CARRIERS) or not faces_yuan or min(faces_yuan) < 1:
        raise ValueError("unknown carrier or face value")
    with accounts.transaction() as connection:
        (before,) = connection.execute("SELECT count(*) FROM cards").fetchone()
    dice = random.Random(secrets.token_bytes(16) if seed is None else f"cards {seed} {before}")
    bad = (count * bad_ppm + _PPM // 2) // _PPM
    states = [BAD[at % len(BAD)] for at in range(bad)] + ["fresh"] * (count - bad)
    dice.shuffle(states)
    issued: list[IssuedCard] = []
    for start in range(0, count, _CHUNK):
        chunk = [
            _make(dice, state, now.date(), carriers, faces_yuan) for state in states[start : start + _CHUNK]
        ]
        _keep(accounts, chunk, now)
        issued += chunk
        if progress is not None:
            progress(len(issued))
    return issued


def write_card_file(
    path: Path,
    cards: Iterable[IssuedCard],
    *,
    file_format: str = "csv",
    progress: Callable[[int], None] | None = None,
) -> int:
    """Write cards as a file for `airback sell`; how many rows. The file is its owner's alone, and whole or absent.

    `csv` is UTF-8 with English headers, `csv-gb18030` has Chinese headers and carriers' Chinese names.
    """
    if file_format not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}")
    chinese = file_format == "csv-gb18030"
    beside = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    rows = 0
    try:
        with os.fdopen(descriptor, "w", encoding="gb18030" if chinese else "utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(_HEADERS_ZH if chinese else _HEADERS_EN)
            for rows, card in enumerate(cards, start=1):
                writer.writerow(_row(card, chinese=chinese))
                if progress is not None and rows % _CHUNK == 0:
                    progress(rows)
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    return rows


def card_file_text(cards: Iterable[IssuedCard]) -> str:
    """The UTF-8 file as text."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(_HEADERS_EN)
    writer.writerows(_row(card, chinese=False) for card in cards)
    return text.getvalue()


def _row(card: IssuedCard, *, chinese: bool) -> tuple[str, ...]:
    carrier = CARRIERS[card.carrier].zh if chinese else card.carrier
    return (
        card.number,
        card.code,
        yuan(card.face_fen).removesuffix(".00"),
        carrier,
        card.expires_on.isoformat(),
    )


def _make(
    dice: random.Random, state: str, today: date, carriers: Sequence[str], faces_yuan: Sequence[int]
) -> IssuedCard:
    carrier = carriers[dice.randrange(len(carriers))]
    number_digits, code_digits = _FORMS[carrier]
    printed = today + timedelta(days=dice.randrange(60, 900))
    if state == "expired" and dice.randrange(2):
        # Every other one says so on its face; the rest were ended by their carrier before the printed date.
        printed = today - timedelta(days=dice.randrange(1, 700))
    face_fen = faces_yuan[dice.randrange(len(faces_yuan))] * 100
    return IssuedCard(
        number=_digits(dice, number_digits),
        code=_digits(dice, code_digits),
        carrier=carrier,
        face_fen=face_fen,
        expires_on=printed,
        state=state,
        true_face_fen=face_fen,
    )


def _digits(dice: random.Random, count: int) -> str:
    return str(dice.randrange(10 ** (count - 1), 10**count))


def _keep(accounts: Accounts, cards: Sequence[IssuedCard], now: datetime) -> None:
    at = to_micros(now)
    with accounts.transaction() as connection:
        connection.executemany(
            "INSERT INTO cards (number, code_hash, carrier, face_fen, expires_on, used_by, used_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
            _rows(cards, now.date(), at),
        )


def _rows(cards: Sequence[IssuedCard], today: date, at: int) -> Iterator[tuple[object, ...]]:
    for card in cards:
        if card.state == "unknown":
            continue
        ends = card.expires_on
        if card.state == "expired" and ends >= today:
            ends = today - timedelta(days=1 + int(hashlib.sha256(card.number.encode()).hexdigest(), 16) % 300)
        used = card.state == "used"
        yield (
            card.number,
            voucher_hash(card.code),
            card.carrier,
            card.true_face_fen,
            ends.isoformat(),
            "elsewhere" if used else None,
            at if used else None,
        )


def add_cards(accounts: Accounts, cards: Sequence[IssuedCard], *, now: datetime) -> None:
    """Put cards of one's own making into the book. Raises sqlite3.IntegrityError when a number or code exists."""
    _keep(accounts, cards, now)
