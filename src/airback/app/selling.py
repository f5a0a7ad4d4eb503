"""`airback sell`: a file of cards goes through the API like anybody's, and comes back as an answer per row.

The file is read whole first, so that a file that cannot be read sells nothing. Requests carry idempotency keys and
the orders the file's own references, so a lost answer is asked for again, never sent twice.
"""

import asyncio
import contextlib
import csv
import hashlib
import os
import secrets
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from airback.app.api_client import ApiClient
from airback.app.opening import client_key
from airback.app.settings import Settings
from airback.app.together import everything
from airback.domain import ids
from airback.domain.numbers import mask
from airback.domain.refusals import REFUSALS, Refused
from airback.orders.card_file import BadRow, CardRow, read_cards
from airback.orders.states import FINAL

_CHUNK: Final = 500
_AT_ONCE: Final = 2
_COLUMNS: Final = ("row", "card_number", "status", "code", "message", "remedy", "order_id", "paid_fen")
#: States in which a row has its answer although a person may still have something to do.
_SETTLED: Final = frozenset({"awaiting_seller", "in_review"})
_ORDER_IS: Final = "engine:order:"
_SHORTEST_PAUSE_S: Final = 0.2
_LONGEST_PAUSE_S: Final = 2.0

Progress = Callable[[str, int, int], None]


@dataclass(slots=True)
class Answer:
    """What became of one row."""

    row: int
    card_number: str
    status: str = "open"
    code: str = ""
    order_id: str = ""
    paid_fen: int = 0

    @property
    def order(self) -> int | None:
        """The order's number inside; None when there is none."""
        return ids.parse_public("ord", self.order_id)

    def refuse(self, code: str) -> None:
        """The row was refused by that name."""
        self.status, self.code = "refused", code


@dataclass(frozen=True, slots=True)
class Payee:
    """Who is paid for the file."""

    account: str
    name: str


async def sell_file(
    settings: Settings,
    *,
    file: Path,
    out: Path,
    api: str | None,
    payee: Payee,
    language: str,
    progress: Progress,
) -> dict[str, Any]:
    """Sell a file; the report. Raises Refused for a file that cannot be read, OSError as the file system does."""
    content = await asyncio.to_thread(file.read_bytes)
    rows = read_cards(content)
    answers = [Answer(row.row, _masked(row.card_number)) for row in rows]
    async with contextlib.AsyncExitStack() as stack:
        if api is None:
            running = await stack.enter_async_context(everything(settings))
            url, key = running.api_url, client_key(settings, "seller")
        else:
            url, key = api, os.environ.get("AIRBACK_API_KEY", "")
        client = await stack.enter_async_context(ApiClient(url=url, key=key, concurrency=_AT_ONCE * 2))
        # The same file gives the same references within one run only: a card that was sold is refused as such.
        run = f"{hashlib.sha256(content).hexdigest()[:12]}-{secrets.token_hex(4)}"
        sale = Sale(client=client, run=run, payee=payee, language=language, progress=progress)
        await sale.begin()
        await sale.submit(rows, answers)
        await sale.follow(answers)
    write_answers(out, answers, language=language)
    refused = Counter(answer.code for answer in answers if answer.status != "closed")
    return {
        "rows": len(answers),
        "closed": sum(answer.status == "closed" for answer in answers),
        "refused": dict(sorted(refused.items())),
        "answer_file": str(out),
    }


class Sale:
    """One run over one file."""

    def __init__(
        self, *, client: ApiClient, run: str, payee: Payee, language: str, progress: Progress
    ) -> None:
        self._client = client
        self._run = run
        self._payee = payee
        self._language = language
        self._progress = progress
        self._cursor = "0"

    async def begin(self) -> None:
        """Remember where the log stands, so that only what happens from now on is read. Raises Refused for a key that
        may sell but not read: nothing was sold yet."""
        status, page = await self._client.call("GET", "/v1/events", query={"cursor": "end"})
        if status != 200:
            raise Refused(page["code"], field="/v1/events")
        self._cursor = page["next"]

    async def submit(self, rows: list[CardRow | BadRow], answers: list[Answer]) -> None:
        """Quote and submit every good row, some hundreds at a time."""
        good = []
        for row, answer in zip(rows, answers, strict=True):
            if isinstance(row, BadRow):
                answer.refuse(row.refused.code)
            else:
                good.append((row, answer))
        chunks = [good[i : i + _CHUNK] for i in range(0, len(good), _CHUNK)]
        waiting = iter(enumerate(chunks))
        sent = 0

        async def send() -> None:
            nonlocal sent
            for number, chunk in waiting:
                await self._chunk(number, chunk)
                sent += len(chunk)
                self._progress("submitting", sent, len(good))

        await asyncio.gather(*(send() for _ in range(_AT_ONCE)))

    async def _chunk(self, number: int, chunk: list[tuple[CardRow, Answer]]) -> None:
        asks = [
            {
                "product": "card",
                "carrier": row.carrier,
                "card_number": row.card_number,
                "face_fen": row.face_fen,
                "seller_ref": "company",
            }
            | ({} if row.expires_on is None else {"expires_on": row.expires_on.isoformat()})
            for row, _ in chunk
        ]
        status, quoted = await self._client.call("POST", "/v1/quotes", {"asks": asks})
        if "quotes" not in (quoted or {}):
            _refuse_all(chunk, status, quoted)
            return
        orders = []
        quoted_rows = []
        for (row, answer), item in zip(chunk, quoted["quotes"], strict=True):
            if "quote" not in item:
                answer.refuse(item["problem"]["code"])
                continue
            quoted_rows.append((row, answer))
            orders.append(
                {
                    "quote": item["quote"],
                    "seller_ref": "company",
                    "payee_account": self._payee.account,
                    "payee_name": self._payee.name,
                    "agreement": quoted["agreement"],
                    "card_code": row.code,
                    "client_ref": f"{self._run}-{row.row}",
                    "language": self._language,
                    "lane": "files",
                }
            )
        if not orders:
            return
        key = f"{self._run}-{number}"
        status, made = await self._client.call("POST", "/v1/orders", {"orders": orders}, key=key)
        if "orders" not in (made or {}):
            _refuse_all(quoted_rows, status, made)
            return
        for (_, answer), item in zip(quoted_rows, made["orders"], strict=True):
            if "id" in item:
                answer.order_id = item["id"]
            else:
                answer.refuse(item["problem"]["code"])

    async def follow(self, answers: list[Answer]) -> None:
        """Read what happens to the orders, from `begin` on, until each has its final answer."""
        waiting = {answer.order_id: answer for answer in answers if answer.order_id}
        total = len(waiting)
        pause_s = _SHORTEST_PAUSE_S
        while waiting:
            self._progress("paying", total - len(waiting), total)
            before = len(waiting)
            more = await self._read_on(waiting)
            pause_s = _SHORTEST_PAUSE_S if len(waiting) < before else min(pause_s * 1.5, _LONGEST_PAUSE_S)
            if waiting and not more:
                await asyncio.sleep(pause_s)
        self._progress("paying", total, total)

    async def _read_on(self, waiting: dict[str, Answer]) -> bool:
        """Settle the rows that the next events speak of; whether there is more to read at once."""
        query = {"limit": "1000", "cursor": self._cursor}
        status, page = await self._client.call("GET", "/v1/events", query=query)
        if status != 200:
            return False
        self._cursor = page["next"]
        for event in page["events"]:
            answer = waiting.get(event["order"])
            if answer is None or not event["action"].startswith(_ORDER_IS):
                continue
            state = event["facts"]["to"]
            if state == "closed":
                answer.status, answer.paid_fen = state, event["facts"]["paid_fen"]
                del waiting[event["order"]]
            elif state in _SETTLED or state in FINAL:
                # What an event says may have been overtaken: a person can take an order out of review.
                status, order = await self._client.call("GET", f"/v1/orders/{event['order']}")
                if status == 200 and (order["final"] or order["state"] in _SETTLED):
                    answer.status, answer.paid_fen = order["state"], order["paid_fen"]
                    answer.code = "" if order["state"] == "closed" else (order["code"] or order["state"])
                    del waiting[event["order"]]
        return bool(page["more"])


def write_answers(out: Path, answers: Iterable[Answer], *, language: str) -> None:
    """One row per input row, in order; whole or absent. Spreadsheets open it with its Chinese right."""
    draft = out.with_name(f".{out.name}.{secrets.token_hex(4)}")
    try:
        with draft.open("w", encoding="utf-8-sig", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(_COLUMNS)
            for answer in answers:
                refusal = REFUSALS.get(answer.code)
                writer.writerow(
                    (
                        answer.row,
                        answer.card_number,
                        "paid" if answer.status == "closed" else answer.status,
                        answer.code,
                        refusal.sentence(language) if refusal else "",
                        refusal.remedy(language) if refusal else "",
                        answer.order_id,
                        answer.paid_fen,
                    )
                )
        draft.replace(out)
    finally:
        draft.unlink(missing_ok=True)


def _refuse_all(chunk: list[tuple[CardRow, Answer]], status: int, problem: Any) -> None:
    code = (problem or {}).get("code", "unavailable" if status >= 500 else "internal")
    for _, answer in chunk:
        answer.refuse(str(code))


def _masked(card_number: str) -> str:
    digits = "".join(character for character in card_number if character.isalnum())
    return mask(digits)


__all__ = ["Answer", "Payee", "Refused", "Sale", "sell_file", "write_answers"]
