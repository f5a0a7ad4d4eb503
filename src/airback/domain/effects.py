"""Effects: what is asked of a far side, journalled before it is sent, and what became of it.

`TRANSITIONS` is the whole theory. A timeout is `unknown`, never `failed`; only an explicit refusal fails an
effect, and only `succeeded` may later become `reversed`. Answers arrive late, twice and out of order, so a
result that the table does not allow from where the effect stands is recorded and changes nothing.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final


class Kind(StrEnum):
    """What is asked of the far side."""

    INSPECT = "inspect"  # read a line's carrier, status, balance; changes nothing, may be repeated
    HOLD = "hold"  # reserve (native) or move into the platform's bucket (custody)
    TRANSFER = "transfer"  # deliver airtime to a demand's number
    REDEEM = "redeem"  # redeem a card's code onto a demand's number
    RELEASE = "release"  # give a hold back
    PAY = "pay"  # pay a seller
    NOTIFY = "notify"  # tell somebody; nothing depends on it
    WEBHOOK = "webhook"  # tell an outlet at its own address, until it has taken it or a day is over


class Result(StrEnum):
    """Where an effect stands. `journalled` is ours; the others are the far side's word."""

    JOURNALLED = "journalled"
    ACCEPTED = "accepted"
    PROCESSING = "processing"
    AWAITING_SELLER = "awaiting_seller"
    UNKNOWN = "unknown"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REVERSED = "reversed"


_OPEN: Final = frozenset({Result.ACCEPTED, Result.PROCESSING, Result.AWAITING_SELLER, Result.UNKNOWN})
_END: Final = frozenset({Result.SUCCEEDED, Result.FAILED})

TRANSITIONS: Final = MappingProxyType(
    {
        Result.JOURNALLED: _OPEN | _END,
        Result.ACCEPTED: (_OPEN - {Result.ACCEPTED}) | _END,
        Result.PROCESSING: (_OPEN - {Result.ACCEPTED, Result.PROCESSING}) | _END,
        Result.AWAITING_SELLER: frozenset({Result.UNKNOWN, Result.PROCESSING}) | _END,
        Result.UNKNOWN: (_OPEN - {Result.UNKNOWN}) | _END,
        Result.SUCCEEDED: frozenset({Result.REVERSED}),
        Result.FAILED: frozenset[Result](),
        Result.REVERSED: frozenset[Result](),
    }
)

FINAL: Final = frozenset({Result.SUCCEEDED, Result.FAILED, Result.REVERSED})


class Resend(StrEnum):
    """Whether a far side documents that the same bytes under the same reference may be sent again."""

    SAME_REFERENCE = "same_reference"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Exchange:
    """One raw exchange with a far side, already redacted: no code, token, key or full number in it."""

    method: str
    path: str
    request: str
    status: int | None
    response: str
    started_at: datetime
    milliseconds: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """A far side's word on one effect.

    `code` names a refusal of `airback.domain.refusals` when `result` is `failed`, or says why it is unknown.
    `amount_fen` is what really moved, when the far side states it. `far_ref` is the far side's own reference.
    """

    result: Result
    code: str | None = None
    far_ref: str | None = None
    amount_fen: int | None = None
    detail: dict[str, Any] = field(default_factory=dict)
    exchanges: tuple[Exchange, ...] = ()
