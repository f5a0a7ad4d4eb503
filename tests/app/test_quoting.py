"""`airback quote` and `airback quote verify` as somebody at a terminal uses them."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from airback.cli.main import main
from airback.pricing.default_card import DEFAULT_CARD

ASK = ("quote", "--carrier", "cmcc", "--face-yuan", "100", "--validity-days", "90", "--city-tier", "3")


@pytest.fixture(autouse=True)
def _no_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRBACK_DATABASE_URL", raising=False)


@pytest.fixture
def card(tmp_path: Path) -> Path:
    """The default card in a file: with it no database is needed."""
    path = tmp_path / "card.json"
    path.write_text(json.dumps(DEFAULT_CARD))
    return path


def run(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, dict[str, Any], str]:
    """Exit status, the last line's JSON, and what people were told."""
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    told = capsys.readouterr()
    lines = told.out.splitlines()
    return int(str(ended.value.code)), json.loads(lines[-1]) if lines else {}, told.err


def test_a_fresh_directory_gives_a_price_and_its_proof(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    data, quote, rates, keys = (tmp_path / name for name in ("data", "quote.json", "card.json", "keys.json"))
    status, made, told = run(
        capsys, *ASK, "--rail", "alipay", "--json", "--data", data, "--out", quote, "--card-out", rates, "--key-out", keys
    )  # fmt: skip
    assert status == 0 and json.loads(quote.read_text()) == made
    assert made["card_version"] == 1 and made["valid_until"] and made["signature"]
    assert sum(line["fen"] for line in made["components"]) == made["pays_fen"] > 0
    assert "Face value" in told and "Remaining validity" in told and "Paid" in told
    assert run(capsys, "quote", "verify", quote, "--data", data, "--json")[:2] == (
        0,
        {"holds": True, "faults": []},
    )
    # A stranger with the published card and keys, and nothing of ours.
    words = ("quote", "verify", quote, "--data", tmp_path / "none", "--card", rates, "--key", keys)
    assert run(capsys, *words)[0] == 0
    assert not (tmp_path / "none").exists()
    quote.write_text(re.sub(r'"pays_fen": 7', '"pays_fen": 8', quote.read_text()))
    status, found, told = run(capsys, "quote", "verify", quote, "--data", data, "--json")
    assert status == 1 and not found["holds"] and "pays_fen" in told


@pytest.fixture
def quoted(capsys: pytest.CaptureFixture[str], tmp_path: Path, card: Path) -> tuple[Path, Path]:
    """A data directory, and a quote it signed."""
    data, quote = tmp_path / "data", tmp_path / "quote.json"
    assert run(capsys, *ASK, "--card", card, "--data", data, "--out", quote)[0] == 0
    return data, quote


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("quote", "--face-yuan", "100"), "field_missing"),
        (("quote", "--carrier", "cmcc"), "field_missing"),
        (("quote", "--carrier", "cmcc", "--face-yuan", "ten"), "amount_not_a_number"),
        (("quote", "--carrier", "cmcc", "--face-yuan", "0"), "amount_not_positive"),
        (("quote", "--carrier", "cmcc", "--face-yuan", "100000"), "amount_above_limit"),
        (("quote", "--carrier", "cmcc", "--face-yuan", "100", "--rail", "wechat"), "rail_unavailable"),
    ],
)
def test_what_cannot_be_priced_is_told_in_a_sentence(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, card: Path, words: tuple[str, ...], code: str
) -> None:
    status, made, told = run(capsys, *words, "--card", card, "--data", tmp_path / "data", "--json")
    flat = " ".join(told.split())
    assert (status, made) == (1, {}) and f"({code}" in flat and ". " in flat


@pytest.mark.parametrize("place", [("--city-tier", "9"), ("--place", "tierX"), ("--place", "abc")])
def test_a_place_nobody_knows_is_not_priced(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, card: Path, place: tuple[str, str]
) -> None:
    words = ("quote", "--carrier", "cmcc", "--face-yuan", "100", *place, "--card", card, "--data", tmp_path)
    status, _, told = run(capsys, *words)
    assert status == 1 and "field_invalid" in told


def test_a_card_that_is_over_prices_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, card: Path
) -> None:
    card.write_text(json.dumps({**DEFAULT_CARD, "effective_until": "2026-02-01T00:00:00Z"}))
    status, _, told = run(capsys, *ASK, "--card", card, "--data", tmp_path / "data")
    assert status == 1 and "not_bought" in told


def test_what_is_said_before_verify_counts(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, card: Path, quoted: tuple[Path, Path]
) -> None:
    data, quote = quoted
    other = tmp_path / "other.json"
    other.write_text(json.dumps({**DEFAULT_CARD, "version": 2}))
    status, found, _ = run(capsys, "quote", "--card", other, "--data", data, "--json", "verify", quote)
    assert status == 1 and "card_version: 1 in the quote, 2 given" in found["faults"]
    status, _, told = run(capsys, "quote", "--carrier", "cmcc", "verify", quote, "--data", data)
    assert status == 1 and "field_invalid" in told


def test_a_price_by_another_card_says_which_card_to_name(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, card: Path
) -> None:
    data, quote = tmp_path / "data", tmp_path / "quote.json"
    dearer = json.loads(card.read_text())
    dearer["fee"]["rate_ppm"] = 40_000
    card.write_text(json.dumps(dearer))
    run(capsys, *ASK, "--card", card, "--data", data, "--out", quote)
    status, found, _ = run(capsys, "quote", "verify", quote, "--data", data, "--json")
    assert status == 1 and "--card" in found["faults"][-1]
    assert run(capsys, "quote", "verify", quote, "--data", data, "--card", card)[0] == 0


def test_no_text_of_a_file_moves_the_terminal(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, card: Path, quoted: tuple[Path, Path]
) -> None:
    data, quote = quoted
    bad = tmp_path / "bad.json"
    bad.write_text(
        json.dumps({**json.loads(quote.read_text()), "\n\x1b[2Jsignature, price and breakdown hold": 1})
    )
    status, _, told = run(capsys, "quote", "verify", bad, "--data", data)
    assert status == 1 and "\x1b[2J" not in told
    bad.write_text(json.dumps({**DEFAULT_CARD, "\x1b[2J": 1}))
    status, _, told = run(capsys, *ASK, "--card", bad, "--data", data)
    assert status == 1 and "\x1b[2J" not in told


def test_damaged_keys_are_told_in_a_sentence(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, card: Path, quoted: tuple[Path, Path]
) -> None:
    data, quote = quoted
    (data / "keys" / "quote.key.json").write_text("{}")
    status, _, told = run(capsys, "quote", "verify", quote, "--data", data)
    assert status == 1 and "Traceback" not in told and told.startswith("airback quote: ")


def test_what_is_no_quote_no_card_or_no_key_is_told(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, card: Path, quoted: tuple[Path, Path]
) -> None:
    data, quote = quoted
    bad = tmp_path / "bad.json"
    for content, words, code in (
        ("{}", ("--key", bad, quote), "signature"),
        ('{"a": "x"}', ("--key", bad, quote), "document_unreadable"),
        ('{"a": "QUJD"}', ("--key", bad, quote), "document_unreadable"),
        ("[1", ("--card", bad, quote), "document_unreadable"),
        ("nonsense", (bad,), "document_unreadable"),
        ("7", (bad,), "shape"),
    ):
        bad.write_text(content)
        status, _, told = run(capsys, "quote", "verify", *words, "--data", data)
        assert status == 1 and code in told, content
    held = quote.read_text()
    for content in (b'{"a":"\xff"}', b'"\xed\xa0\x80"', b"[" * 100_000, b'{"a": NaN}', b"9" * 5000):
        bad.write_bytes(content)
        status, _, told = run(capsys, "quote", "verify", bad, "--data", data)
        assert status == 1 and "document_unreadable" in told, content[:20]
    for twice in ('"pays_fen": 9999999, ', '"quote": 1, '):
        bad.write_text(held.replace("{", "{" + twice, 1))
        status, _, told = run(capsys, "quote", "verify", bad, "--data", data)
        assert status == 1 and "document_unreadable" in told
    status, _, told = run(capsys, "quote", "verify", tmp_path / "missing.json", "--data", data)
    assert status == 1 and "document_unreadable" in told
    status, _, told = run(capsys, "quote", "verify", quote, "--data", tmp_path / "none")
    assert status == 1 and "public_key_missing" in told


def test_facts_named_at_the_terminal_move_the_price_and_stand_on_the_quote(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, card: Path
) -> None:
    data, quote = tmp_path / "data", tmp_path / "quote.json"
    plain = run(capsys, *ASK, "--card", card, "--data", data, "--json")[1]
    assert plain["facts"]["seller_class"] is None
    neutral = {line["name"]: line for line in plain["components"]}
    for name in ("standing", "demand", "cap", "outlet"):
        assert neutral[name]["fen"] == 0 and "no data" in neutral[name]["en"]
    words = ("--seller-class", "gold", "--demand-yuan", "2000000", "--card", card, "--data", data)
    better = run(capsys, *ASK, *words, "--json", "--out", quote)[1]
    assert better["pays_fen"] > plain["pays_fen"]
    assert (better["facts"]["seller_class"], better["facts"]["demand_fen"]) == ("gold", 200_000_000)
    assert run(capsys, "quote", "verify", quote, "--data", data)[0] == 0
    quote.write_text(quote.read_text().replace('"gold"', '"silver"'))
    assert run(capsys, "quote", "verify", quote, "--data", data)[0] == 1
    bounds = ("--outlet-ppm", "700000", "--cap-ppm", "720000", "--cap-promotion", "双十一")
    bound = run(capsys, *ASK, *words, *bounds, "--json")[1]
    lines = {line["name"]: line for line in bound["components"]}
    assert lines["cap"]["fen"] < 0 and "双十一" in lines["cap"]["zh"] and lines["outlet"]["ppm"] == -30_000
    assert bound["quote"]["rate_ppm"] == 690_000


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--seller-class", "platinum"), "field_invalid, --seller-class"),
        (("--demand-yuan", "much"), "amount_not_a_number, --demand-yuan"),
        (("--outlet-ppm", "1000001"), "field_invalid, --outlet-ppm"),
        (("--outlet-ppm", "-1"), "field_invalid, --outlet-ppm"),
        (("--cap-ppm", "900000"), "field_missing, --cap-promotion"),
        (("--cap-ppm", "1000001", "--cap-promotion", "x"), "field_invalid, --cap-ppm"),
        (("--cap-ppm", "1", "--cap-promotion", "x" * 61), "field_invalid, --cap-promotion"),
    ],
)
def test_facts_of_another_form_are_told_by_name(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, card: Path, words: tuple[str, ...], code: str
) -> None:
    status, made, told = run(capsys, *ASK, *words, "--card", card, "--data", tmp_path / "data", "--json")
    flat = " ".join(told.split())
    assert (status, made) == (1, {}) and all(part in flat for part in code.split(", ")), flat
