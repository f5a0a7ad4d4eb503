"""Exposure to live quotes: how much face value is promised in quotes that are neither used nor expired, and the most of it.

Each process counts what it signs and what it sees used, in memory, by the time a quote expires. A quote that one process
signed and another saw used stands in both, once with each sign, so the sum over all processes is what is live. What a
process has counted it publishes every few seconds, and reads what others did (`Exposure.changes`, `Exposure.learn`); no
quote waits for that. See docs/decisions/0027-exposure.md.
"""

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from airback.domain.money import PPM, yuan
from airback.domain.refusals import REFUSALS, Refused

#: Quotes that expire within the same span are one sum. They count until its end.
SPAN_S: Final = 30
#: Sellers whose live quotes are below this share of their limit are not published.
_SMALL: Final = 16
#: Subjects published at a time, the largest first.
_MOST_PUBLISHED: Final = 2_000
#: The client that the seller's own pages are.
_PEOPLE: Final = "web"


@dataclass(frozen=True, slots=True)
class Limits:
    """The most face value in live quotes, fen. `seller_fen`: of one seller of a client's, `person_fen`: of a person on the
    seller's pages. Of one carrier: `times` what outlets want and the float can take, though at least
    `carrier_least_fen`; of that no client has more than `client_ppm`."""

    seller_fen: int = 500_000_000
    person_fen: int = 5_000_000
    times: int = 3
    carrier_least_fen: int = 100_000_000
    client_ppm: int = 500_000


class Row(NamedTuple):
    """What a process has counted of a subject in the span that ends at `until_s`."""

    subject: str
    until_s: int
    fen: int


class _Live:
    __slots__ = ("first_s", "parts", "total_fen")

    def __init__(self) -> None:
        self.parts: dict[int, int] = {}
        self.total_fen = 0
        self.first_s = 0

    def add(self, until_s: int, fen: int) -> None:
        self.parts[until_s] = self.parts.get(until_s, 0) + fen
        self.total_fen += fen
        if not self.first_s or until_s < self.first_s:
            self.first_s = until_s

    def expire(self, now_s: int) -> None:
        for until_s in [one for one in self.parts if one <= now_s]:
            self.total_fen -= self.parts.pop(until_s)
        self.first_s = min(self.parts, default=0)


class Exposure:
    """The live quotes of one book, as one process knows them. `lock` stands before every count, for several threads."""

    def __init__(self, limits: Limits, *, lock: AbstractContextManager[Any] | None = None) -> None:
        self._limits = limits
        self._lock = lock or nullcontext()
        self._live: dict[str, _Live] = {}
        self._others: Mapping[str, int] = {}
        self._rooms: Mapping[str, int] | None = None
        self._published: dict[tuple[str, int], int] = {}

    def take(
        self, *, client: str, seller: str, carrier: str, face_fen: int, until_s: int, now_s: int
    ) -> None:
        """Count a quote that is about to be signed. Raises `Refused` `exposure_full`, with the time at which the first of
        what stands in its way expires; nothing is counted then."""
        limits = self._limits
        most_fen = limits.person_fen if client == _PEOPLE else limits.seller_fen
        wanted = [(f"seller:{seller}", most_fen, "seller_ref")]
        room_fen = self.room_fen(carrier)
        if room_fen is not None:
            wanted += [
                (f"carrier:{carrier}", room_fen, "carrier"),
                (f"client:{carrier}:{client}", room_fen * limits.client_ppm // PPM, "carrier"),
            ]
        end_s = -(-until_s // SPAN_S) * SPAN_S
        with self._lock:
            for subject, limit_fen, field in wanted:
                if self._known_fen(subject, now_s) + face_fen > limit_fen:
                    raise self._full(subject, limit_fen, field=field, now_s=now_s)
            self._add(client=client, seller=seller, carrier=carrier, fen=face_fen, end_s=end_s)

    def used(self, *, client: str, seller: str, carrier: str, face_fen: int, until_s: int) -> None:
        """A quote became an order: it is no promise any more, whichever process signed it."""
        end_s = -(-until_s // SPAN_S) * SPAN_S
        with self._lock:
            self._add(client=client, seller=seller, carrier=carrier, fen=-face_fen, end_s=end_s)

    def live_fen(self, subject: str, *, now_s: int) -> int:
        """Face value in live quotes of `seller:<client/ref>`, `carrier:<code>` or `client:<carrier>:<client>`."""
        with self._lock:
            return self._known_fen(subject, now_s)

    def room_fen(self, carrier: str) -> int | None:
        """The most that may be live of a carrier; None while nothing is known of any outlet."""
        if self._rooms is None:
            return None
        limits = self._limits
        return max(limits.carrier_least_fen, limits.times * self._rooms.get(carrier, self._rooms.get("", 0)))

    def learn(self, *, others: Mapping[str, int], rooms: Mapping[str, int] | None) -> None:
        """What other processes have published, and by carrier what outlets want and the float can take ("": of a carrier
        that is not named), None while nothing is known of any outlet."""
        self._others, self._rooms = others, rooms

    def changes(self, *, now_s: int) -> list[Row]:
        """What is to be published, after which `published` is called. Forgets what has expired."""
        small_fen = self._limits.seller_fen // _SMALL, self._limits.person_fen // _SMALL
        people = f"seller:{_PEOPLE}/"
        found: list[tuple[int, list[Row]]] = []
        with self._lock:
            known = {subject for subject, _ in self._published}
            for subject in list(self._live):
                live = self._live[subject]
                if live.first_s <= now_s:
                    live.expire(now_s)
                if not live.parts:
                    del self._live[subject]
                    continue
                least_fen = small_fen[subject.startswith(people)] if subject.startswith("seller:") else 0
                if abs(live.total_fen) >= least_fen or subject in known:
                    rows = [
                        Row(subject, until_s, fen)
                        for until_s, fen in live.parts.items()
                        if self._published.get((subject, until_s), 0) != fen
                    ]
                    if rows:
                        found.append((abs(live.total_fen), rows))
            self._published = {key: fen for key, fen in self._published.items() if key[1] > now_s}
        found.sort(key=lambda one: one[0], reverse=True)
        return [row for _, rows in found[:_MOST_PUBLISHED] for row in rows]

    def published(self, rows: Iterable[Row]) -> None:
        """These rows are known to the others now."""
        with self._lock:
            self._published.update(((row.subject, row.until_s), row.fen) for row in rows)

    def _add(self, *, client: str, seller: str, carrier: str, fen: int, end_s: int) -> None:
        for subject in (f"seller:{seller}", f"carrier:{carrier}", f"client:{carrier}:{client}"):
            live = self._live.get(subject)
            if live is None:
                live = self._live[subject] = _Live()
            live.add(end_s, fen)

    def _known_fen(self, subject: str, now_s: int) -> int:
        live = self._live.get(subject)
        own_fen = 0
        if live is not None:
            if live.first_s and live.first_s <= now_s:
                live.expire(now_s)
            own_fen = live.total_fen
        return max(0, own_fen + self._others.get(subject, 0))

    def _full(self, subject: str, limit_fen: int, *, field: str, now_s: int) -> Refused:
        live = self._live.get(subject)
        first_s = min((end_s for end_s, fen in live.parts.items() if fen > 0), default=0) if live else 0
        known = REFUSALS["exposure_full"]
        told = Refused("exposure_full", field=field)
        told.retry_after_s = max(1, first_s - now_s) if first_s else SPAN_S
        if field == "seller_ref":  # their own figure; what all outlets want is not told
            told.refusal = replace(
                known,
                remedy_zh=f"{known.remedy_zh}每个卖家未使用的报价合计不超过 {yuan(limit_fen)} 元面值。",
                remedy_en=f"{known.remedy_en} A seller's unused quotes may come to {yuan(limit_fen)} yuan of face value.",
            )
        return told
