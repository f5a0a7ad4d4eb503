"""Looking at a page as a person does: all of it in one picture, nothing cut off, nothing that shuts people out."""

from pathlib import Path
from typing import Any

from playwright.async_api import Page

from tests.browser.conftest import AXE, PATIENCE_MS

_CUT_OFF = """() => [...document.querySelectorAll('body *')]
    .filter(e => e.checkVisibility() && !e.closest('.scroll, .visually-hidden, .skip'))
    .filter(e => e.getBoundingClientRect().right > innerWidth + 1 || e.getBoundingClientRect().left < -1)
    .map(e => `${e.tagName}.${e.className}`)"""
_SMALL = """() => [...document.querySelectorAll('a, button, input:not([type=hidden]), summary')]
    .filter(e => e.checkVisibility() && !e.closest('p, li, .skip, .agree'))
    .map(e => [e.outerHTML.slice(0, 90), e.getBoundingClientRect()])
    .filter(([, box]) => box.height < 43.5 || box.width < 43.5)
    .map(([html, box]) => `${Math.round(box.width)}x${Math.round(box.height)} ${html}`)"""


async def look(page: Page, path: Path) -> None:
    """A picture of the whole page, and nothing of it cut off or too small for a thumb."""
    cut_off, small = await page.evaluate(_CUT_OFF), await page.evaluate(_SMALL)
    assert not cut_off, f"{path.name}: cut off: {cut_off}"
    assert not small, f"{path.name}: too small to tap: {small}"
    await photograph(page, path)


async def photograph(page: Page, path: Path) -> None:
    """A picture of the whole page as one tall window shows it, so that what is fixed stands where it belongs."""
    size = page.viewport_size
    assert size is not None
    height = await page.evaluate("document.documentElement.scrollHeight")
    if height > size["height"]:
        await page.set_viewport_size({"width": size["width"], "height": height})
    await page.screenshot(path=path, timeout=PATIENCE_MS, animations="disabled")
    if height > size["height"]:
        await page.set_viewport_size(size)


EVERYTHING = {
    "type": "tag",
    "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
}
CONTRAST = {"type": "rule", "values": ["color-contrast"]}


async def barriers(page: Page, only: dict[str, Any] = EVERYTHING) -> list[str]:
    """What axe finds against WCAG 2.2 A and AA. Raises when its file was not fetched."""
    if not AXE.exists():
        raise AssertionError(f"{AXE} is missing: run `make setup`, which fetches it")
    # evaluated by the debugger's protocol, so the page's own content policy stays as strict as it is
    await page.evaluate(AXE.read_text("utf-8"))
    found: dict[str, Any] = await page.evaluate("only => axe.run(document, {runOnly: only})", only)
    return [
        f"{one['id']}: {one['help']} {[node['html'][:120] for node in one['nodes']]}"
        for one in found["violations"]
    ]
