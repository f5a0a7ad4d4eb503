"""Jinja environments of the pages, one per reader (`seller`, `console`) and language.

Autoescape is always on and a name that is not defined fails, so a template can neither leak markup nor show a
hole. Texts in templates and code are Chinese; `locale/<language>/LC_MESSAGES/<reader>.po` translates them. The
catalogue is read from its text form once per process, so there is no compiled file to forget.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from functools import cache
from pathlib import Path
from typing import Any, Final

from babel.messages.pofile import read_po
from babel.support import Translations
from jinja2 import ChoiceLoader, Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from airback.domain.money import percent, yuan
from airback.domain.numbers import mask
from airback.web.static_files import static_url

WEB: Final = Path(__file__).parent
LANGUAGES: Final = ("zh", "en")
SOURCE_LANGUAGE: Final = "zh"
BEIJING: Final = timezone(timedelta(hours=8), "CST")
"""China has had one time and no summer time since 1991; pages show it whatever the server's zone."""

_CJK: Final = r"\u3400-\u9fff\uff00-\uff60\u3001-\u301b"
_WIDE: Final = {",": "，", ";": "；", ":": "：", "?": "？", "!": "！"}
_POINT: Final = re.compile(rf"(?<=[{_CJK}])([,;:?!])[ ]?|([,;:?!])(?=[{_CJK}])|([?!])$")
_BRACKET: Final = re.compile(rf"(?<=[{_CJK}])[ ]?\(([^()]*)\)")
_GAP: Final = re.compile(r"(?<=[。，；：？！]) +")
_YUAN: Final = re.compile(r"\B(?=(?:[0-9]{3})+(?![0-9]))")


@cache
def translations(reader: str, language: str) -> Translations:
    """The texts of a reader's pages in `language`; Chinese is the source, so its catalogue is empty."""
    catalogue = WEB / "locale" / language / "LC_MESSAGES" / f"{reader}.po"
    loaded = Translations(domain=reader)
    if language == SOURCE_LANGUAGE or not catalogue.exists():
        return loaded
    with catalogue.open("rb") as file:
        messages = read_po(file, locale=language, domain=reader)
    texts: dict[Any, str] = {}
    for message in messages:
        if not message.id or not message.string or message.fuzzy:
            continue
        if isinstance(message.id, str):
            key = f"{message.context}\x04{message.id}" if message.context else message.id
            texts[key] = str(message.string)
        else:
            for index, text in enumerate(message.string):
                texts[(message.id[0], index)] = text
    # gettext reads its compiled form only; the attribute below is what that form would have filled in
    loaded._catalog = texts
    return loaded


@cache
def environment(reader: str, language: str) -> Environment:
    """The environment of `templates/<reader>`: folders `web/<reader>/templates`, then `web/templates`."""
    made = Environment(
        loader=ChoiceLoader(
            [FileSystemLoader(WEB / reader / "templates"), FileSystemLoader(WEB / "templates")]
        ),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    texts = translations(reader, language)
    made.install_gettext_callables(  # type: ignore[attr-defined]
        typesetting(texts.gettext), texts.ngettext, newstyle=True
    )
    made.globals.update(static_url=static_url, language=language)
    made.filters.update(
        yuan=grouped_yuan,
        plain_yuan=plain_yuan,
        signed_yuan=signed_yuan,
        percent=percent,
        mask=mask,
        clock=clock,
        day=day,
        spaced=spaced,
        in_fours=in_fours,
        typeset=typeset,
    )
    return made


def render(
    reader: str, template: str, *, language: str, nonce: str, context: Mapping[str, Any] | None = None
) -> str:
    """The template as text. `nonce` goes into `<script nonce>`, the only inline code a page may carry."""
    return environment(reader, language).get_template(template).render({**(context or {}), "nonce": nonce})


def typeset(text: str) -> str:
    """Chinese text with Chinese punctuation: texts are typed with the keyboard's own commas; text without a Chinese
    character stays as it is."""
    if not re.search(rf"[{_CJK}]", text):
        return text
    pointed = _POINT.sub(lambda found: _WIDE[found[1] or found[2] or found[3]], text)
    return _GAP.sub("", _BRACKET.sub("（\\1）", pointed))


def typesetting(translate: Callable[[str], str]) -> Callable[[str], str]:
    """The translation, typeset."""

    def translated(text: str) -> str:
        return typeset(translate(text))

    return translated


def grouped_yuan(fen: int) -> str:
    """Yuan with a comma every three digits: `1234567` → `12,345.67`."""
    whole, _, part = yuan(fen).partition(".")
    return f"{_YUAN.sub(',', whole)}.{part}"


def plain_yuan(fen: int) -> str:
    """Yuan without needless zeros, as a form takes it back: `5000` → `50`, `9950` → `99.5`, `1` → `0.01`."""
    return yuan(fen).rstrip("0").rstrip(".")


def signed_yuan(fen: int) -> str:
    """An amount that is added or taken: `+¥90.00`, `−¥3.00`, `¥0.00`."""
    sign = "+" if fen > 0 else "−" if fen < 0 else ""
    return f"{sign}¥{grouped_yuan(abs(fen))}"


def clock(at: datetime, form: str = "%m-%d %H:%M:%S") -> str:
    """A time as Beijing's clock shows it."""
    return at.astimezone(BEIJING).strftime(form)


def day(at: datetime) -> str:
    """A date as Beijing's calendar shows it."""
    return clock(at, "%Y-%m-%d")


def spaced(digits: str) -> Markup:
    """A mobile number in the groups people read it in: `13800138000` → `138 0013 8000`; other text as it is."""
    if re.fullmatch(r"1[0-9*]{10}", digits):
        return Markup("{}\u00a0{}\u00a0{}").format(digits[:3], digits[3:7], digits[7:])
    return Markup("{}").format(digits)


def in_fours(digits: str) -> str:
    """A long number in groups of four, as it is printed on cards: `1000 0000 0000 0001`."""
    return " ".join(digits[place : place + 4] for place in range(0, len(digits), 4))
