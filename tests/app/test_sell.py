"""`airback sell`: a file of cards on a data directory where nothing runs."""

import csv
from collections import Counter
from pathlib import Path

import pytest

from tests.app.test_demo import airback, left_over

pytestmark = pytest.mark.timeout(1200)


def test_a_file_with_bad_cards_gets_an_answer_per_row_in_order(tmp_path: Path) -> None:
    data = tmp_path / "data"
    cards, answers = tmp_path / "cards.csv", tmp_path / "answers.csv"
    airback(
        "sandbox",
        "issue-cards",
        "60",
        "--out",
        str(cards),
        "--bad",
        "0.1",
        "--format",
        "csv-gb18030",
        data=data,
    )
    rows = list(csv.reader(cards.read_text("gb18030").splitlines()))
    header, good = rows[0], rows[1:]
    good.append(good[0])  # the same card twice in one file
    good.append(["=1+1", *good[1][1:]])
    good.append([good[2][0], good[2][1][:-1] + "x", *good[2][2:]])
    with cards.open("w", encoding="gb18030", newline="") as file:
        csv.writer(file).writerows([header, *good])
    report = airback("sell", "--file", str(cards), "--out", str(answers), data=data)
    assert report["rows"] == 63
    assert report["closed"] + sum(report["refused"].values()) == 63
    assert report["closed"] == 54
    assert report["refused"]["card_duplicate"] == 1
    assert report["refused"]["formula_cell"] == 1
    assert report["refused"]["card_code_malformed"] == 1
    with answers.open(encoding="utf-8-sig", newline="") as file:
        table = list(csv.DictReader(file))
    assert [int(row["row"]) for row in table] == list(range(1, 64))
    codes = {row[1] for row in good}
    text = answers.read_text("utf-8-sig")
    assert not any(code in text for code in codes if len(code) > 8)
    for row in table:
        assert "****" in row["card_number"] or set(row["card_number"]) <= {"*"}
        if row["status"] == "paid":
            assert int(row["paid_fen"]) > 0 and row["order_id"].startswith("ord_") and row["code"] == ""
        else:
            assert row["code"] and row["message"] and row["remedy"]
    again = airback("sell", "--file", str(cards), "--out", str(answers), data=data)
    assert again["closed"] == 0
    assert Counter(again["refused"])["card_duplicate"] >= 54
    assert left_over(data) == []
