"""`airback allocate` as somebody at a terminal uses it."""

import json
from pathlib import Path
from typing import Any

import pytest

from airback.cli.main import main

ORDERS = "order,carrier,face_yuan,least_percent\na,cmcc,100,90\nb,电信,100,\nc,cucc,100,99.9\n"
OUTLETS = (
    "outlet,carriers,price_percent,deposit_yuan,order_most_yuan,daily_yuan,fills\n"
    "narrow,,99,5000,500,100,\nmobile,cmcc 移动,98,5000,500,5000,3\n"
)


def run(
    capsys: pytest.CaptureFixture[str], folder: Path, orders: str = ORDERS, outlets: str = OUTLETS
) -> tuple[int, dict[str, Any], str]:
    (folder / "orders.csv").write_text(orders, "utf-8")
    (folder / "outlets.csv").write_text(outlets, "utf-8")
    files = ["--orders", str(folder / "orders.csv"), "--outlets", str(folder / "outlets.csv")]
    with pytest.raises(SystemExit) as ended:
        main(["allocate", *files, "--out", str(folder / "placed.csv"), "--json"])
    said = capsys.readouterr()
    lines = said.out.splitlines()
    return int(str(ended.value.code)), json.loads(lines[-1]) if lines else {}, " ".join(said.err.split())


def test_each_order_is_placed_with_its_reason(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    status, report, _ = run(capsys, tmp_path)
    assert (status, report["method"], report["placed"]) == (0, "plan", 2)
    assert (report["worth_fen"], report["in_turn_fen"]) == (19_700, 9_900)
    assert [(one["order"], one["outlet"], one["best"]) for one in report["orders"]] == [
        ("a", "mobile", "narrow"),
        ("b", "narrow", "narrow"),
        ("c", None, None),
    ]
    assert len((tmp_path / "placed.csv").read_text("utf-8").splitlines()) == 4


@pytest.mark.parametrize(
    ("change", "code", "where"),
    [
        (
            {"orders": ORDERS.replace("a,cmcc,100", "a,cmcc,0")},
            "amount_not_positive",
            "row 1, field face_yuan",
        ),
        ({"orders": ORDERS.replace("b,", "a,")}, "field_invalid", "row 2, field order"),
        ({"outlets": OUTLETS.replace("cmcc 移动", "nobody")}, "carrier_unknown", "row 2, field carriers"),
        ({"outlets": OUTLETS.replace(",3", ",many")}, "field_invalid", "row 2, field fills"),
        ({"outlets": OUTLETS.replace("99,", "199,")}, "percent_malformed", "row 1, field price_percent"),
        ({"outlets": "outlet,price_percent\n"}, "columns_missing", "field deposit_yuan"),
    ],
)
def test_what_cannot_be_read_is_refused_by_row_and_field(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, change: dict[str, str], code: str, where: str
) -> None:
    status, report, said = run(capsys, tmp_path, **change)
    assert (status, report) == (1, {})
    assert code in said
    assert where in said
