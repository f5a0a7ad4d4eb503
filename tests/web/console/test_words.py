"""Both languages: every text of the templates is translated, every code has a word."""

import ast
import re
from pathlib import Path

import pytest

import airback.engine
import airback.web.console as package
from airback.domain.effects import Kind, Result
from airback.orders.corrections import Bearer, Settlement
from airback.orders.corrections import Kind as CorrectionKind
from airback.orders.corrections import State as CorrectionState
from airback.orders.states import FillState, State
from airback.payouts.states import State as PayoutState
from airback.reconciliation.breaks import Correction, Explanation
from airback.reconciliation.breaks import State as BreakState
from airback.staff.actions import ACTIONS
from airback.web.console.words import Words
from airback.web.templates import environment, translations

TEMPLATES = Path(str(package.__file__)).parent / "templates"
ENGINE = Path(str(airback.engine.__file__)).parent
CALLS = re.compile(r'(?<![a-z])_\("((?:[^"\\]|\\.)*)"')


def texts() -> set[str]:
    return {text for path in TEMPLATES.glob("*.html") for text in CALLS.findall(path.read_text("utf-8"))}


def test_every_text_is_translated_and_no_translation_is_left_over() -> None:
    catalogue = translations("console", "en")._catalog  # type: ignore[attr-defined]
    wanted = texts()
    known = {key for key in catalogue if key}
    assert wanted - known == set()
    assert known - wanted == set()
    assert all(re.findall("[\u4e00-\u9fff]", text) == [] for text in catalogue.values())


def test_placeholders_survive_translation() -> None:
    for key, text in translations("console", "en")._catalog.items():  # type: ignore[attr-defined]
        assert sorted(re.findall(r"%\([a-z]+\)s", key)) == sorted(re.findall(r"%\([a-z]+\)s", text)), key


@pytest.mark.parametrize("path", sorted(TEMPLATES.glob("*.html")), ids=lambda path: path.name)
def test_no_chinese_stands_outside_a_translated_text(path: Path) -> None:
    rest = CALLS.sub("", path.read_text("utf-8")).replace("中文", "")
    assert re.findall("[\u4e00-\u9fff]+", rest) == []


@pytest.mark.parametrize("path", sorted(TEMPLATES.glob("*.html")), ids=lambda path: path.name)
def test_templates_compile_and_carry_no_inline_code(path: Path) -> None:
    environment("console", "zh").get_template(path.name)
    text = path.read_text("utf-8")
    assert "| safe" not in text and "|safe" not in text and "autoescape" not in text
    assert not re.search(r"\s(on[a-z]+|style)=", text)
    assert not re.search(r"<script(?![^>]*\bsrc=)", text)


@pytest.mark.parametrize(
    ("table", "codes"),
    [
        ("order", State),
        ("fill", FillState),
        ("payout", PayoutState),
        ("result", Result),
        ("effect", Kind),
        ("action", ACTIONS),
        ("explanation", Explanation),
        ("break", BreakState),
        ("correction", Correction),
        ("taken_back", CorrectionKind),
        ("alarm", CorrectionKind),
        ("bearer", Bearer),
        ("settlement", Settlement),
        ("correction_state", CorrectionState),
    ],
)
def test_every_code_has_a_word_in_both_languages(table: str, codes: object) -> None:
    zh, en = Words("zh"), Words("en")
    for code in codes:  # type: ignore[attr-defined]
        assert zh.word(table, code) != str(code)
        assert zh.word(table, code) != en.word(table, code)


def test_an_unknown_code_is_shown_as_it_is() -> None:
    words = Words("en")
    assert words.word("order", "melted") == "melted"
    assert words.colour("order", "melted") == "secondary"
    assert words.refusal("melted") == "melted"
    assert words.event("a:b:c") == "a:b:c"
    assert words.event("odd") == "odd"
    assert words.far_side("moon:base") == "moon:base"
    assert words.source("moon:x:y") == "moon"
    assert words.asset("xx.yy") == "xx yy"


def test_events_are_named() -> None:
    words = Words("en")
    assert words.event("engine:order:held") == "Held"
    assert words.event("seller:order:cancel_asked") == "Cancellation asked"
    assert words.event("engine:payout:paid") == "paid"
    assert words.event("engine:correction:opened") == "Correction opened"
    assert words.event("engine:correction:settled") == "Correction settled in part or whole"
    assert words.event("finance:deposit:credit") == "Credit an outlet's deposit"
    assert words.far_side("carrier:cmcc") == "China Mobile"
    assert words.far_side("messenger:sms") == "Messenger sms"


def test_every_kind_of_posting_has_a_word_and_no_word_is_left_over() -> None:
    posted = {
        call.args[0].value
        for path in ENGINE.glob("*.py")
        for call in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr == "post"
        and call.args
        and isinstance(call.args[0], ast.Constant)
    }
    assert posted | {"recovery", "write_off"} == set(Words("zh").codes("posting"))
