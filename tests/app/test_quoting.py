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
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loggers keep the stream they first wrote to: the one of a captured test would be closed for those after it."""
    monkeypatch.setattr("airback.cli.main._logs", lambda: None)
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


def test_what_is_no_quote_no_card_or_no_key_is_told(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, card: Path
) -> None:
    data, quote = tmp_path / "data", tmp_path / "quote.json"
    run(capsys, *ASK, "--card", card, "--data", data, "--out", quote)
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
    status, _, told = run(capsys, "quote", "verify", tmp_path / "missing.json", "--data", data)
    assert status == 1 and "document_unreadable" in told
    status, _, told = run(capsys, "quote", "verify", quote, "--data", tmp_path / "none")
    assert status == 1 and "public_key_missing" in told
