"""Cards: issued in numbers, bad in the share asked for, honoured as they are."""

import csv
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from airback.domain.assets import parse_carrier
from airback.domain.money import parse_yuan
from airback.domain.numbers import parse_card_code, parse_card_number
from airback.sandbox.cards import BAD, FACES_YUAN, issue, write_card_file
from tests.sandbox.running import RunningSandbox

NOW = datetime(2026, 11, 21, tzinfo=UTC)
PATH = "/tmf-api/prepayBalanceManagement/v4/topupBalance"


def redeem(sandbox: RunningSandbox, card: Any, *, to: str) -> tuple[int, Any]:
    """Redeem through the carrier's API."""
    body = {
        "amount": {"amount": card.face_fen / 100, "units": "CNY"},
        "usageType": "monetary",
        "bucket": {"id": f"{to}.principal"},
        "partyAccount": {"id": to},
        "voucher": card.code,
        "voucherNumber": card.number,
    }
    status, told, _ = sandbox.call("POST", PATH, body)
    return status, told


def test_the_share_of_bad_cards_is_exact_and_of_three_kinds(tmp_path: Path) -> None:
    seen: list[int] = []
    cards = issue(tmp_path, count=6_000, bad_ppm=150_000, seed=1, now=NOW, progress=seen.append)
    kinds = [card.state for card in cards if card.state != "fresh"]
    assert {kind: kinds.count(kind) for kind in BAD} == {"used": 300, "expired": 300, "unknown": 300}
    assert seen == [5_000, 6_000]
    assert len({card.number for card in cards}) == len({card.code for card in cards}) == 6_000
    assert {card.carrier for card in cards} == {"cmcc", "ctcc", "cucc", "cbn"}
    assert {card.face_fen for card in cards} == {face * 100 for face in FACES_YUAN}
    past = [card for card in cards if card.expires_on < NOW.date()]
    assert past
    assert {card.state for card in past} == {"expired"}
    assert {card.state for card in cards if card.expires_on >= NOW.date()} == {"fresh", *BAD}


def test_a_seed_makes_the_same_cards_and_none_makes_new_ones(tmp_path: Path) -> None:
    first = issue(tmp_path / "a", count=50, bad_ppm=200_000, seed=9, now=NOW)
    assert issue(tmp_path / "b", count=50, bad_ppm=200_000, seed=9, now=NOW) == first
    assert issue(tmp_path / "a", count=50, bad_ppm=200_000, seed=9, now=NOW) != first
    assert issue(tmp_path / "a", count=50, now=NOW) != issue(tmp_path / "a", count=50, now=NOW)


@pytest.mark.parametrize(
    ("file_format", "encoding", "headers"),
    [
        ("csv", "utf-8", ["card_number", "code", "face_yuan", "carrier", "expires"]),
        ("csv-gb18030", "gb18030", ["卡号", "卡密", "面值", "运营商", "有效期"]),
    ],
)
def test_the_file_reads_back(tmp_path: Path, file_format: str, encoding: str, headers: list[str]) -> None:
    cards = issue(tmp_path, count=100, seed=1, now=NOW)
    path = tmp_path / "cards.csv"
    assert write_card_file(path, cards, file_format=file_format) == 100
    assert path.stat().st_mode & 0o777 == 0o600
    rows = list(csv.reader(path.read_text(encoding).splitlines()))
    assert rows[0] == headers
    for row, card in zip(rows[1:], cards, strict=True):
        assert parse_card_number(row[0]) == card.number
        assert parse_card_code(row[1]) == card.code
        assert parse_yuan(row[2]) == card.face_fen
        assert parse_carrier(row[3]) == card.carrier
        assert row[4] == card.expires_on.isoformat()
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith(".")] == []


def test_a_file_that_cannot_be_finished_is_not_left_behind(tmp_path: Path) -> None:
    def broken() -> Any:
        yield from issue(tmp_path, count=3, now=NOW)
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_card_file(tmp_path / "cards.csv", broken())
    assert [one.name for one in tmp_path.iterdir()] == ["sandbox"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"count": 0},
        {"count": 1, "bad_ppm": -1},
        {"count": 1, "carriers": ["x"]},
        {"count": 1, "faces_yuan": []},
    ],
)
def test_what_cannot_be_issued_is_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"count|unknown"):
        issue(tmp_path, now=NOW, **wrong)
    with pytest.raises(ValueError, match="format"):
        write_card_file(tmp_path / "x", [], file_format="xlsx")


def test_cards_issued_beside_a_running_server_are_honoured_as_they_are(open_sandbox: RunningSandbox) -> None:
    cards = issue(open_sandbox.data_dir, count=60, bad_ppm=500_000, seed=4, carriers=["cmcc"])
    refusals = {"used": "voucher.used", "expired": "voucher.expired", "unknown": "voucher.unknown"}
    for card in cards:
        status, told = redeem(open_sandbox, card, to="13800138000")
        if card.state == "fresh":
            assert (status, told["amount"]["amount"]) == (201, card.face_fen / 100)
            assert "voucher" not in told
            assert card.code not in str(told)
        else:
            assert (status, told["code"]) == (409, refusals[card.state])
    fresh = next(card for card in cards if card.state == "fresh")
    assert redeem(open_sandbox, fresh, to="13800138000")[1]["code"] == "voucher.used"


def test_another_carriers_card_is_unknown_to_this_one(open_sandbox: RunningSandbox) -> None:
    (card,) = issue(open_sandbox.data_dir, count=1, carriers=["ctcc"])
    assert redeem(open_sandbox, card, to="13800138000")[1]["code"] == "voucher.unknown"
    assert redeem(open_sandbox, card, to="13300133000")[0] == 201


def test_the_book_keeps_no_code(tmp_path: Path) -> None:
    (card,) = issue(tmp_path, count=1, now=NOW)
    with sqlite3.connect(tmp_path / "sandbox" / "carriers.db") as connection:
        dump = "\n".join(str(row) for row in connection.execute("SELECT * FROM cards"))
    connection.close()
    assert card.number in dump
    assert card.code not in dump
    assert card.code not in repr(card)


def test_cards_of_ones_own_making_are_taken_once(open_sandbox: RunningSandbox) -> None:
    card = {
        "card_number": "9" * 17,
        "code": "8" * 18,
        "carrier": "cmcc",
        "face_fen": 5_000,
        "true_face_fen": 3_000,
    }
    assert open_sandbox.call("POST", "/sandbox/cards", {"cards": [card]})[0] == 201
    status, error, _ = open_sandbox.call("POST", "/sandbox/cards", {"cards": [card]})
    assert (status, error["message"]) == (400, "a card of that number or code exists")
