"""Pauses: what is not bought, sent or paid out for a while, and why, in words for sellers.

A pause stops one carrier, province, outlet or rail. Provinces are codes of GB/T 2260; a pause of `44` is one of all
places that begin with it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from airback.domain.assets import CARRIERS
from airback.domain.refusals import REFUSALS, Refused

MOST_REASON: Final = 200


class PauseKind(StrEnum):
    """What a pause stops."""

    CARRIER = "carrier"
    PROVINCE = "province"
    OUTLET = "outlet"
    RAIL = "rail"


@dataclass(frozen=True, slots=True)
class Pause:
    """One pause; `until` None: until two people lift it."""

    id: int
    kind: PauseKind
    subject: str
    reason_zh: str
    reason_en: str
    since: datetime
    until: datetime | None = None

    def reason(self, language: str) -> str:
        """The reason in `zh` or `en`."""
        return self.reason_zh if language.startswith("zh") else self.reason_en

    def refused(self, *, field: str | None) -> Refused:
        """The refusal that carries the reason in both languages."""
        known = REFUSALS["paused"]
        told = Refused("paused", field=field)
        told.refusal = replace(
            known,
            zh=f"{known.zh.rstrip('。')}:{self.reason_zh}",
            en=f"{known.en.rstrip('.')}: {self.reason_en}",
        )
        return told


@dataclass(frozen=True, slots=True)
class Pauses:
    """The pauses that stand, as they were last read. Whether one has run out is asked with the time at hand."""

    every: tuple[Pause, ...] = ()

    def standing(self, kind: PauseKind, subject: str | None, *, at: datetime) -> Pause | None:
        """The pause that stops this subject now, or None."""
        for pause in self.every:
            if pause.kind is not kind or subject is None or (pause.until is not None and pause.until <= at):
                continue
            hit = subject == pause.subject or (
                kind is PauseKind.PROVINCE and subject.startswith(pause.subject)
            )
            if hit:
                return pause
        return None

    def buying(self, *, carrier: str, province: str | None, rail: str, at: datetime) -> Refused | None:
        """The refusal of a quote or an order that a pause stops; None when none does."""
        if not self.every:
            return None
        for kind, subject, field in (
            (PauseKind.CARRIER, carrier, "carrier"),
            (PauseKind.PROVINCE, province, "province"),
            (PauseKind.RAIL, rail, "rail"),
        ):
            found = self.standing(kind, subject, at=at)
            if found is not None:
                return found.refused(field=field)
        return None

    def outlets(self, *, at: datetime) -> frozenset[str]:
        """Outlets that get nothing now."""
        return frozenset(
            pause.subject
            for pause in self.every
            if pause.kind is PauseKind.OUTLET and (pause.until is None or pause.until > at)
        )


NO_PAUSES: Final = Pauses()


def check_pause(
    *,
    kind: str,
    subject: str,
    reason_zh: str,
    reason_en: str,
    until: datetime | None,
    now: datetime,
    outlets: Iterable[str],
    rails: Iterable[str],
) -> PauseKind:
    """Raise `Refused` unless this can be paused: `field_invalid`, `carrier_unknown`, `not_found`, `pause_reason_missing`,
    `deadline_past`. A reason is needed in both languages, since sellers read it."""
    try:
        found = PauseKind(kind)
    except ValueError:
        raise Refused("field_invalid", field="kind") from None
    if found is PauseKind.CARRIER and subject not in CARRIERS:
        raise Refused("carrier_unknown", field="subject")
    if found is PauseKind.PROVINCE and not (
        subject.isascii() and subject.isdigit() and 2 <= len(subject) <= 6
    ):
        raise Refused("field_invalid", field="subject")
    if found is PauseKind.OUTLET and subject not in set(outlets):
        raise Refused("not_found", field="subject")
    if found is PauseKind.RAIL and subject not in set(rails):
        raise Refused("rail_unavailable", field="subject")
    for key, text in (("reason_zh", reason_zh), ("reason_en", reason_en)):
        if not text.strip() or len(text) > MOST_REASON or not text.isprintable():
            raise Refused("pause_reason_missing", field=key)
    if until is not None and until <= now:
        raise Refused("deadline_past", field="until")
    return found
