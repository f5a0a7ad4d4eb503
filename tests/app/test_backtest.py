"""`airback backtest`: what it says happened is what the ledger says, and a stranger's file is refused by name."""

import copy
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from airback.cli.main import main
from airback.domain.refusals import Refused
from airback.pricing.cards import parse_card
from airback.pricing.default_card import DEFAULT_CARD
from airback.pricing.preview import report
from airback.queries.preview import replayed
from tests.engine.street import BOOK, CARD, Street, open_street


@pytest.fixture
async def street(database_url: str, pool: asyncpg.Pool, tmp_path: Path) -> Street:
    """A day's sales, to the end: balances and cards, one of another face, one that no outlet wants."""
    street = await open_street(database_url, pool, tmp_path / "keys")
    for carrier in ("cmcc", "ctcc"):
        await street.demands(carrier, *[30_000] * 6)
    asks = [
        street.ask_balance(street.line(f"1380013800{n}"), 5_000 + 1_000 * n, seller=f"s{n}") for n in range(4)
    ]
    asks += [street.ask_card(street.card("ctcc", 10_000), seller=f"c{n}") for n in range(3)]
    asks.append(street.ask_card(street.card("cmcc", 10_000, true_fen=5_000), seller="other-face"))
    asks.append(street.ask_card(street.card("cbn", 10_000), seller="unwanted"))
    await street.sell(*asks)
    assert (await street.settle())["closed"] == 8
    return street


def lower(points: int) -> dict[str, Any]:
    document = copy.deepcopy(DEFAULT_CARD)
    rates = document["factors"]["base"]["rates_ppm"]
    document["factors"]["base"]["rates_ppm"] = {asset: rate - points for asset, rate in rates.items()}
    return document


async def told(street: Street, document: dict[str, Any] = DEFAULT_CARD, **over: Any) -> dict[str, Any]:
    over = {"days": 1, "now": datetime.now(UTC)} | over
    async with street.pool.acquire() as conn:
        found = await replayed(conn, book=BOOK, card=parse_card(document), **over)
    return report(found.replay)


async def test_what_happened_is_what_the_ledger_says(street: Street) -> None:
    found = await told(street)
    assert found["happened"] == found["would_be"] and found["sellers_same"] == found["orders"] == 8
    happened = found["happened"]
    for key, code in (("fee_fen", "fee"), ("spread_fen", "spread"), ("rail_cost_fen", "rail_cost")):
        assert happened[key] == await street.balance(code), key
    paid = await street.pool.fetchval("SELECT sum(credited_fen) FROM orders")
    assert happened["sellers_fen"] == paid and happened["refused"] == {"no_outlet": 1}
    pays = await street.pool.fetchval("SELECT sum(pays_fen) FROM fills WHERE state = 'delivered'")
    assert happened["proceeds_fen"] == pays


async def test_a_point_less_for_sellers_is_a_point_more_for_the_operator(street: Street) -> None:
    found = await told(street, lower(10_000))
    assert (found["sellers_worse"], found["would_be"]["orders"]) == (8, 8)
    difference = found["difference"]
    assert difference["proceeds_fen"] == 0 and difference["profit_fen"] > 0
    assert difference["sellers_fen"] + difference["rail_cost_fen"] + difference["profit_fen"] == 0
    dear = await told(street, lower(-60_000), margin_ppm=30_000)
    assert 0 < dear["would_be"]["refused"]["no_outlet"] <= 9


async def test_the_newest_count_when_there_are_more_than_are_asked_for(street: Street) -> None:
    async with street.pool.acquire() as conn:
        found = await replayed(conn, book=BOOK, card=CARD, days=1, now=datetime.now(UTC), most=3)
        assert (
            found.cut
            and sum((found.replay.whole.happened.orders, found.replay.whole.happened.refused.total())) == 3
        )
        whole = await replayed(conn, book=BOOK, card=CARD, days=1, now=datetime.now(UTC), most=9)
        assert not whole.cut and whole.replay.whole.happened.orders == 8


async def test_pages_of_the_history_are_read_without_a_gap(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = await told(street, lower(5_000))
    for page in (1, 2, 4, 8, 9):
        monkeypatch.setattr("airback.queries.preview._PAGE", page)
        assert await told(street, lower(5_000)) == once, page


async def test_a_time_without_sales_is_refused_by_name(street: Street) -> None:
    for over, code in (
        ({"now": datetime.now(UTC) + timedelta(days=3)}, "preview_without_history"),
        ({"days": 0}, "field_invalid"),
        ({"days": 367}, "field_invalid"),
    ):
        with pytest.raises(Refused) as refused:
            await told(street, **over)
        assert (refused.value.code, refused.value.field) == (code, "days")


def run(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    out, err = capsys.readouterr()
    return int(str(ended.value.code)), out, err


@pytest.fixture
def installation(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, Path]:
    """A database in the environment, and a data directory."""
    monkeypatch.setenv("AIRBACK_DATABASE_URL", database_url)
    return database_url, tmp_path / "data"


def test_the_command_refuses_a_book_without_history_and_files_that_are_no_card(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, installation: tuple[str, Path]
) -> None:
    card, wrong = tmp_path / "card.json", tmp_path / "wrong.json"
    card.write_text(json.dumps(DEFAULT_CARD))
    wrong.write_text(json.dumps({**DEFAULT_CARD, "fee": {**DEFAULT_CARD["fee"], "rate_ppm": 1_000_001}}))
    data = ("--data", installation[1])
    for words, said in (
        (("--card", card), "preview_without_history"),
        (("--card", wrong), "card_rate_above_whole, field fee.rate_ppm"),
        (("--card", tmp_path / "none.json"), "document_unreadable"),
    ):
        status, out, err = run(capsys, "backtest", *words, "--days", "3", "--json", *data)
        assert (status, out) == (1, "") and said in " ".join(err.split()), words
    for words in (("--days", "0"), ("--days", "367"), ("--margin-ppm", "-1"), ("--margin-ppm", "1000001")):
        assert run(capsys, "backtest", "--card", card, *words, *data)[0] == 2


async def test_the_command_tells_people_and_machines(
    street: Street, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import argparse

    from airback.cli.commands import backtest

    monkeypatch.setenv("AIRBACK_DATABASE_URL", street.url)
    card = tmp_path / "card.json"
    card.write_text(json.dumps(lower(10_000)))
    words = {"data": str(tmp_path / "data"), "card": str(card), "days": 2, "margin_ppm": 0}
    assert await backtest.run(argparse.Namespace(**words, json=True)) == 0
    made = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert {"orders", "days", "happened", "would_be", "difference", "segments"} <= made.keys()
    assert (made["orders"], made["days"], made["margin_ppm"], made["card_version"]) == (8, 2, 0, 1)
    figures = [
        made[side][key] for side in ("happened", "would_be", "difference") for key in made["difference"]
    ]
    assert all(type(figure) is int for figure in figures)
    assert await backtest.run(argparse.Namespace(**words, json=False)) == 0
    shown = capsys.readouterr().err
    assert "8 would get less" in shown and "refused no_outlet: 1 then, 1 would be" in shown
