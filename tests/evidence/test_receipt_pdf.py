"""The printed receipt: one page, Chinese that is there, hostile text that stays text."""

import copy
import io
import re
import threading
import time
from pathlib import Path
from typing import Any

import pypdf
import pytest

from airback.adapters.keys.files import FileKeys
from airback.evidence import receipt_page
from airback.evidence.receipt_pdf import FontsMissing, render
from airback.evidence.receipts import Delivery, digest
from tests.evidence.desk import balance_facts, card_facts, signed

FONTS = Path(__file__).parents[2] / "src/airback/web/static/vendor/fonts"
URL = "https://airback.example/receipts/ord_08M2K4T9QZ5XW"
HOSTILE = (
    '#panic("x") $1/0$ \\ "quotes" *b* _i_ `raw` <lab> @ref // c /* 😀 \u202eevil\x00\n = h #{sys.inputs}'
)


@pytest.fixture
def receipt(keys: FileKeys) -> dict[str, Any]:
    return signed(balance_facts(keys), keys)


def text_of(pdf: bytes) -> str:
    (page,) = pypdf.PdfReader(io.BytesIO(pdf)).pages
    return page.extract_text()


def test_the_page_says_in_chinese_what_the_receipt_says(receipt: dict[str, Any]) -> None:
    text = text_of(render(receipt, fonts=FONTS, check_url=URL))
    for words in (
        "交易凭证", "示范话费回收有限公司", "中国移动 话费余额", "人民币柒佰玖拾肆元伍角陆分", "支付通道费(支付宝)", "138****8000",
        "139****2222", "欧***", "CMCC-TB-918273", "2026112122001418331428736501", "ord_08M2K4T9QZ5XW", digest(receipt),
        receipt["signature"], receipt["key_id"], "7H3K9QW2MZ4XV6T8RBN5CPYD0E", "4711 – 4719",
    ):  # fmt: skip
        assert words in text, words
    for figure in ("1,000.00", "900.00", "−72.00", "828.00", "−30.00", "−3.44", "794.56", "600.00", "400.00"):
        assert figure in text, figure
    assert "2026-11-21\n20:01:12" in text  # Beijing time


def test_the_page_is_printed_in_english_too(keys: FileKeys) -> None:
    text = text_of(render(signed(card_facts(keys), keys), fonts=FONTS, language="en"))
    for words in (
        "Receipt",
        "China Telecom recharge card",
        "Platform credit",
        "Buy-back price",
        "123****4567",
    ):
        assert words in text
    assert "Held" not in text  # a card is not held


def test_only_the_fonts_of_the_setup_are_used(receipt: dict[str, Any]) -> None:
    pdf = render(receipt, fonts=FONTS)
    names = set(re.findall(rb"/BaseFont\s*/([A-Z]{6}\+)?([A-Za-z-]+)", pdf))
    assert {name.decode() for _, name in names} == {"NotoSansSC-Regular", "NotoSansSC-Bold"}


def test_the_same_receipt_gives_the_same_bytes(receipt: dict[str, Any]) -> None:
    assert render(receipt, fonts=FONTS, check_url=URL) == render(receipt, fonts=FONTS, check_url=URL)


def test_hostile_text_is_printed_as_text_on_one_page(keys: FileKeys) -> None:
    facts = balance_facts(
        keys,
        operator=HOSTILE,
        payee=HOSTILE + "长" * 200,
        agreement=HOSTILE[::-1],
        rail_refs=["$x$" + "W" * 400, HOSTILE],
        deliveries=[Delivery(f"fil_{n}", 2_500, HOSTILE * 3, "13911112222") for n in range(40)],
    )
    text = text_of(render(signed(facts, keys), fonts=FONTS))
    assert '#panic("x") $1/0$ \\ "quotes" *b* _i_' in text
    assert "\u202e" not in text
    assert "另有 36 笔,合计 900.00 元" in text


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_fullest_receipt_still_fits_one_page(receipt: dict[str, Any], language: str) -> None:
    full = copy.deepcopy(receipt)
    line = {
        **full["price"]["components"][0],
        "zh": "长" * 200,
        "en": "W" * 400,
        "amount_fen": 1,
        "rate_ppm": 123_456,
    }
    lines = full["price"]["components"]
    full["price"]["components"] = lines[:-2] + [line] * 20 + lines[-2:] + [{**line, "name": "charge:x"}] * 20
    full["deductions"] = [{"name": "tax", "zh": "代扣" * 99, "en": "Tax" * 99, "amount_fen": 100}] * 9
    full["deliveries"] = full["deliveries"] * 20
    full["payment"]["rail_refs"] = ["A" * 60] * 9
    full["payment"]["payee"] = full["operator"] = "国" * 300
    text = text_of(render(full, fonts=FONTS, language=language))
    assert ("其他 17 项" if language == "zh" else "17 more lines") in text
    assert full["key_id"] in text


def test_the_code_to_scan_holds_the_address_with_the_digest(
    receipt: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    targets: list[str] = []

    def drawn(target: str) -> str:
        targets.append(target)
        return "<svg/>"

    monkeypatch.setattr(receipt_page, "_qr", drawn)
    receipt_page.page(receipt, language="zh", check_url=URL)
    receipt_page.page(receipt, language="zh", check_url=None)
    assert targets == [f"{URL}#{digest(receipt)}", f"airback:ord_08M2K4T9QZ5XW:{digest(receipt)}"]


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "https://x y", "", "https://" + "x" * 301, "https://x\n"]
)
def test_an_address_that_is_none_is_refused(receipt: dict[str, Any], url: str) -> None:
    with pytest.raises(ValueError, match="check_url"):
        render(receipt, fonts=FONTS, check_url=url)


def test_without_the_font_the_remedy_is_named(receipt: dict[str, Any], tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(FontsMissing, match="make setup"):
            render(receipt, fonts=folder)


def test_with_one_weight_only_the_remedy_is_named(receipt: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "NotoSansSC-Regular.ttf").symlink_to(FONTS / "NotoSansSC-Regular.ttf")
    with pytest.raises(FontsMissing, match="bold"):
        render(receipt, fonts=tmp_path)


def test_fonts_that_come_later_are_found(receipt: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(FontsMissing):
        render(receipt, fonts=tmp_path)
    for name in ("NotoSansSC-Regular.ttf", "NotoSansSC-Bold.ttf"):
        (tmp_path / name).symlink_to(FONTS / name)
    assert render(receipt, fonts=tmp_path).startswith(b"%PDF")


def test_threads_may_print_at_the_same_time(keys: FileKeys) -> None:
    receipts = [signed(balance_facts(keys, order=f"ord_{n:013d}"), keys) for n in range(6)]
    printed: dict[int, str] = {}

    def run(n: int) -> None:
        printed[n] = text_of(render(receipts[n], fonts=FONTS))

    threads = [threading.Thread(target=run, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for n in range(6):
        assert f"ord_{n:013d}" in printed[n]


def test_a_page_costs_far_less_than_half_a_second_of_work(keys: FileKeys) -> None:
    receipts = [signed(balance_facts(keys, order=f"ord_{n:013d}"), keys) for n in range(5)]
    render(receipts[0], fonts=FONTS)
    costs = []
    for receipt in receipts:
        started = time.thread_time()
        render(receipt, fonts=FONTS)
        costs.append(time.thread_time() - started)
    assert sorted(costs)[len(costs) // 2] < 0.5


def test_a_picture_is_made_of_the_same_page(receipt: dict[str, Any]) -> None:
    assert render(receipt, fonts=FONTS, form="png").startswith(b"\x89PNG")
