"""A receipt as one A4 page in PDF: the same in every place, whatever fonts the machine has.

`receipt.typ` is the page, `receipt_page` what stands on it. What came from people reaches the page as JSON text
values, so nothing in it can be read as markup. The same document gives the same bytes.
"""

import json
import threading
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal, cast

import typst

from airback.evidence.receipt_page import moment, page

FAMILY: Final = "Noto Sans SC"
_WEIGHTS: Final = frozenset({400, 700})
_TEMPLATE: Final = Path(__file__).with_name("receipt.typ")


class FontsMissing(Exception):
    """The Chinese font is not where it should be. The text says where, and what to run."""

    def __init__(self, fonts: Path) -> None:
        super().__init__(
            f"{fonts} lacks {FAMILY} in regular and bold, which receipts are printed in; run: make setup"
        )


def render(
    document: Mapping[str, Any],
    *,
    fonts: Path,
    check_url: str | None = None,
    language: str = "zh",
    form: Literal["pdf", "png"] = "pdf",
) -> bytes:
    """The page of a signed receipt (`evidence.receipts.sign_receipt`) as PDF, or as PNG at 144 dpi.

    `fonts` is the folder with the regular and bold TTF; no other font is used. `check_url` is where people check
    the receipt (http or https, at most 300 characters); the QR code holds it with the receipt's digest behind `#`,
    which browsers keep to themselves, or, without it, order and digest. Takes some 25 ms, now and then several
    hundred, and the first time in a process the reading of 20 MB of fonts: call it in a thread.

    Raises FontsMissing, and ValueError for another kind of URL.
    """
    data = json.dumps(page(document, language=language, check_url=check_url), ensure_ascii=False)
    return _printer(fonts).compile({"data": data}, form, moment(document["times"]["closed"]))


class _Printer:
    """A compiler that has read the fonts and the page once; used by one thread at a time."""

    def __init__(self, fonts: Path) -> None:
        found = typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=[fonts])
        if not {font.weight for font in found.fonts() if font.family == FAMILY} >= _WEIGHTS:
            raise FontsMissing(fonts)
        # The root is the folder of the template: the page can read nothing else.
        self._compiler = typst.Compiler(
            str(_TEMPLATE), root=str(_TEMPLATE.parent), font_paths=found, ignore_system_fonts=True
        )
        self._lock = threading.Lock()

    def compile(self, inputs: dict[str, str], form: Literal["pdf", "png"], at: datetime) -> bytes:
        with self._lock:
            printed = self._compiler.compile(format=form, sys_inputs=inputs, timestamp=at)
        return cast(bytes, printed[0] if isinstance(printed, list) else printed)


_printers: Final[dict[Path, _Printer]] = {}
_printers_lock: Final = threading.Lock()


def _printer(fonts: Path) -> _Printer:
    fonts = fonts.resolve()
    with _printers_lock:
        printer = _printers.get(fonts)
        if printer is None:
            if not fonts.is_dir():
                raise FontsMissing(fonts)
            printer = _printers[fonts] = _Printer(fonts)
        return printer
