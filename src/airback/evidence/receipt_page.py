"""What stands on a receipt's page: every text, figure and line, ready to be set.

People's text is cut to the page and freed of control and direction characters here; that it is never read as markup
is the printer's business. The page has room for a bounded number of rows; what has none is summed in one.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

import segno

from airback.domain.assets import CARRIERS
from airback.domain.money import percent, yuan
from airback.evidence.amount_words import in_capitals
from airback.evidence.receipt_words import WORDS, Words
from airback.evidence.receipts import digest

_CHINA: Final = timezone(timedelta(hours=8))
_URL: Final = re.compile(r"https?://[\x21-\x7e]{1,300}", re.ASCII)
_MOST_DELIVERIES: Final = 4
_MOST_LINES: Final = 7
_MOST_COSTS: Final = 4
_MOST_DEDUCTIONS: Final = 3
_ROOMY_ROWS: Final = 15


def page(document: Mapping[str, Any], *, language: str, check_url: str | None) -> dict[str, Any]:
    """What the page of a signed receipt says, as JSON values; `receipt.typ` names each.

    Raises ValueError when `check_url` is neither http nor https, or longer than 300 characters.
    """
    if check_url is not None and not _URL.fullmatch(check_url):
        raise ValueError("check_url is no http address")
    words = WORDS["zh" if language.startswith("zh") else "en"]
    order, name = document["order"], digest(document)
    target = f"airback:{order}:{name}" if check_url is None else f"{check_url}#{name}"
    payment, times = document["payment"], document["times"]
    lines, deliveries = _lines(document, words), document["deliveries"][:_MOST_DELIVERIES]
    rows = len(lines) + len(deliveries)
    return {
        "lang": words.language,
        "title": words.title,
        "subtitle": words.subtitle,
        "scan": list(words.scan),
        "order": _plain(order, 40),
        "operator": _plain(document["operator"], 60),
        "qr": _qr(target),
        "paid_label": words.paid,
        "paid": f"¥ {_money(payment['paid_fen'])}",
        "paid_words": in_capitals(payment["paid_fen"]),
        "status": words.status,
        "facts": _facts(document, words),
        "dense": rows > _ROOMY_ROWS,
        "price_heading": words.price,
        "price_head": list(words.price_head),
        "lines": lines,
        "deliveries_heading": words.deliveries,
        "deliveries_head": list(words.deliveries_head),
        "deliveries": [
            [
                "—" if one["at"] is None else _local(one["at"]),
                one["target"],
                "—" if one["carrier_ref"] is None else _plain(one["carrier_ref"], 48),
                _money(one["amount_fen"]),
            ]
            for one in deliveries
        ],
        "deliveries_more": _more(document, words),
        "times_heading": words.times,
        "times": [
            {"name": words.steps[step], "date": _local(at)[:10], "time": _local(at)[11:]}
            for step, at in times.items()
            if at is not None
        ],
        "proof_heading": words.proof,
        "proof": _proof(document, words, name),
        "small_print": words.small_print,
    }


def _facts(document: Mapping[str, Any], words: Words) -> list[list[str]]:
    carrier = CARRIERS[document["carrier"]]
    payment = document["payment"]
    references = [_plain(ref, 36) for ref in payment["rail_refs"]] or ["—"]
    others = f" (+{len(references) - 1})" if len(references) > 1 else ""
    return [
        [words.buyer, _plain(document["operator"], 60)],
        [words.seller, _plain(payment["payee"], 60)],
        [
            words.asset,
            f"{carrier.zh if words.language == 'zh' else carrier.en} {words.products[document['product']]}",
        ],
        [words.number, document["number"]],
        [words.face, f"¥ {_money(document['face_fen'])}"],
        [words.delivered, f"¥ {_money(document['delivered_fen'])}"],
        [words.rail, words.rails.get(payment["rail"], _plain(payment["rail"], 40))],
        [words.rail_ref, references[0] + others],
        [words.order, _plain(document["order"], 40)],
        [words.agreement, _plain(document["agreement"], 40)],
    ]


def _lines(document: Mapping[str, Any], words: Words) -> list[dict[str, Any]]:
    """The quote's lines with the gross after the lines that make it, deductions, and what was paid."""
    price, deductions = document["price"], document["deductions"]
    components = price["components"]
    costs_from = next((n for n, line in enumerate(components) if _is_cost(line["name"])), len(components))
    rows = [_row(words.delivered_face, "100%", document["delivered_fen"], strong=False)]
    rows += _some(components[:costs_from], words, _MOST_LINES)
    rows.append(_row(words.gross, f"{percent(price['rate_ppm'])}%", price["gross_fen"], strong=True))
    rows += _some(components[costs_from:], words, _MOST_COSTS)
    rows.append(_row(words.net, "", price["net_fen"], strong=True))
    if deductions:
        negative = [{**one, "amount_fen": -one["amount_fen"]} for one in deductions]
        rows += _some(negative, words, _MOST_DEDUCTIONS)
        rows.append(_row(words.paid, "", document["payment"]["paid_fen"], strong=True))
    return rows


def _some(lines: Sequence[Mapping[str, Any]], words: Words, most: int) -> list[dict[str, Any]]:
    """A row for each line; where there are more than the page has room for, the last ones as one sum."""
    rows = []
    for line in lines[:most]:
        rate_ppm = line.get("rate_ppm")
        plus = "+" if rate_ppm is not None and rate_ppm > 0 and line["name"] != "base" else ""
        rate = "" if rate_ppm is None else f"{plus}{percent(rate_ppm)}%"
        rows.append(_row(_plain(line[words.language], 60), rate, line["amount_fen"], strong=False))
    rest = lines[most:]
    if rest:
        name = words.other.format(count=len(rest))
        rows.append(_row(name, "", sum(line["amount_fen"] for line in rest), strong=False))
    return rows


def _proof(document: Mapping[str, Any], words: Words, name: str) -> list[list[str | list[str]]]:
    quote = document["quotes"][-1]
    events = document["events"]
    span = f"{events[0]['seq']} – {events[-1]['seq']}" if events else "—"
    signature = _plain(document["signature"], 88)
    return [
        [words.quote, [f"{_plain(quote['id'], 26)}    {words.card_version.format(quote['card_version'])}"]],
        [words.events, [f"{span}    {words.events_count.format(len(events))}"]],
        [words.digest, [name]],
        [words.signature, [signature]],
        [words.key, [_plain(document["key_id"], 64)]],
    ]


def _more(document: Mapping[str, Any], words: Words) -> str:
    rest = document["deliveries"][_MOST_DELIVERIES:]
    if not rest:
        return ""
    return words.more.format(count=len(rest), amount=_money(sum(one["amount_fen"] for one in rest)))


def _row(name: str, rate: str, amount_fen: int, *, strong: bool) -> dict[str, Any]:
    return {"name": name, "rate": rate.replace("-", "−"), "amount": _money(amount_fen), "strong": strong}


def _is_cost(name: str) -> bool:
    return name == "fee" or name.startswith(("charge:", "rail:"))


def _money(fen: int) -> str:
    """`-123456` → `−1,234.56`."""
    whole, part = yuan(abs(fen)).split(".")
    return f"{'−' if fen < 0 else ''}{int(whole):,}.{part}"


def moment(text: str) -> datetime:
    """The moment a receipt's time text means."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def _local(text: str) -> str:
    return moment(text).astimezone(_CHINA).strftime("%Y-%m-%d %H:%M:%S")


def _plain(text: str, most: int) -> str:
    """Printable text of at most so many columns: control and direction characters gone, the rest cut with `…`."""
    text = " ".join("".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in text).split())
    columns = 0
    kept: list[str] = []
    for character in text:
        columns += 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if columns > most:
            return "".join(kept[:-1]) + "…"
        kept.append(character)
    return text


def _qr(target: str) -> str:
    code: str = segno.make(target, error="m", micro=False).svg_inline(border=0, dark="#1c2a33")
    return code
