"""Every text has its English; Chinese is set with Chinese points; every state and refusal has words."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from babel.messages.extract import extract_from_dir

from airback.domain.refusals import REFUSALS
from airback.orders.states import State
from airback.web.seller import wording
from airback.web.templates import WEB, environment, plain_yuan, signed_yuan, spaced, translations, typeset

SELLER = WEB / "seller"


def texts() -> Iterator[tuple[str, str]]:
    found = extract_from_dir(
        str(SELLER),
        method_map=[("**.py", "python"), ("templates/**.html", "jinja2.ext:babel_extract")],
        keywords={"_": None, "gettext": None, "ngettext": (1, 2), "N_": None},
    )
    for file, _, message, _, _ in found:
        assert isinstance(message, str), f"{file}: plural forms are not in use"
        yield file, message


def test_every_text_is_translated_and_no_translation_is_left_over() -> None:
    wanted = {text for _, text in texts()}
    english = {text for text in translations("seller", "en")._catalog if text}
    assert wanted - english == set()
    assert english - wanted == set()


def test_a_translation_fills_in_the_same_values() -> None:
    import re

    values = re.compile(r"%\((\w+)\)s|%%")
    catalogue = translations("seller", "en")._catalog
    wrong = [
        zh
        for zh, en in catalogue.items()
        if zh and sorted(values.findall(zh)) != sorted(values.findall(str(en)))
    ]
    assert wrong == []


@pytest.mark.parametrize("template", sorted(path.name for path in (SELLER / "templates").glob("*.html")))
@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_template_compiles_in_every_language(template: str, language: str) -> None:
    assert environment("seller", language).get_template(template)


def test_no_template_carries_code_or_style_of_its_own() -> None:
    for path in (SELLER / "templates").glob("*.html"):
        text = path.read_text("utf-8")
        assert " style=" not in text, path.name
        assert " onclick" not in text and " onload" not in text and "javascript:" not in text, path.name
        assert "| safe" not in text and "|safe" not in text, path.name


def test_nothing_is_loaded_from_anywhere_else() -> None:
    for path in [*(SELLER / "templates").glob("*.html"), *(Path(WEB) / "static" / "seller").iterdir()]:
        text = path.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text and "https://" not in text and "//" not in text.replace("// ", ""), (
            path.name
        )


@pytest.mark.parametrize("product", ["balance", "card"])
@pytest.mark.parametrize("state", list(State))
def test_every_state_has_words_for_both_products(product: str, state: State) -> None:
    for owed_again in (False, True):
        order = SimpleNamespace(product=product, state=state.value, owed_again=owed_again)
        said = wording.saying(order)  # type: ignore[arg-type]
        assert said.title and said.sentence and said.short
        assert said.tone in {"moving", "done", "asks", "ended", "failed"}


@pytest.mark.parametrize("code", sorted(REFUSALS))
def test_every_refusal_can_be_shown(code: str) -> None:
    refusal = REFUSALS[code]
    for language in ("zh", "en"):
        assert typeset(refusal.sentence(language)) and typeset(refusal.remedy(language))


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("先看报价,再决定", "先看报价\uff0c再决定"),
        ("拿不到 100%?", "拿不到 100%\uff1f"),
        ("赠送话费(不可卖)", "赠送话费\uff08不可卖\uff09"),
        ("不正确。 请重新输入。", "不正确。请重新输入。"),
        ("在 12:30 前", "在 12:30 前"),
        ("See it first, then decide?", "See it first, then decide?"),
    ],
)
def test_chinese_text_gets_chinese_points(typed: str, shown: str) -> None:
    assert typeset(typed) == shown


def test_amounts_and_numbers_are_written_as_people_read_them() -> None:
    assert [plain_yuan(fen) for fen in (5_000, 9_950, 1, 100_000)] == ["50", "99.5", "0.01", "1000"]
    assert [signed_yuan(fen) for fen in (9_000, -38, 0)] == ["+¥90.00", "−¥0.38", "¥0.00"]
    assert spaced("13800138000") == "138\u00a00013\u00a08000"
    assert spaced("<b>") == "&lt;b&gt;"
