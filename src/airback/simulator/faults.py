"""What can go wrong between two systems, by name."""

from enum import StrEnum
from typing import Final

from airback.domain.effects import Kind


class Fault(StrEnum):
    """One thing that goes wrong at a boundary."""

    # between us and a far side
    UNSENT = "unsent"  # the connection was refused; we know that nothing arrived
    VANISHED = "vanished"  # nothing arrived, and we cannot know
    LOST = "answer_lost"  # done; the answer never arrives
    LATE = "answer_late"  # it takes minutes, and says so when asked
    HOURS = "resolves_in_hours"  # nobody can say for hours
    NEVER = "never_resolves"  # nobody there can ever say
    TWICE = "answered_twice"
    REORDERED = "answers_reordered"  # an older word arrives after the final one
    CALLBACK_FIRST = "callback_before_answer"
    CONTRADICTED = "contradicting_answers"  # "in work" is said after "done" when asked again
    REFUSED_YET_DONE = "refused_yet_done"
    SHORT = "wrong_amount"
    REVERSED_EARLY = "reversed_before_final"
    REVERSED_LATE = "reversed_after_final"
    RETURNED = "payment_returned"  # the payee's bank sends it back, minutes or an hour after the rail said it was done
    REPEAT_TRAP = (
        "repeat_makes_a_second_order"  # unknown at a far side where asking to do it again does it again
    )
    # among ourselves
    CANCEL_RACE = "cancellation_races"
    CLOCK = "clock_jump"
    DIES = "worker_dies_between_statements"
    DIES_BEFORE = "worker_dies_before_commit"
    DIES_AFTER = "worker_dies_after_commit"
    COMMIT_LOST = "connection_lost_before_commit"
    COMMIT_UNKNOWN = "connection_lost_in_commit"
    STALE_WRITER = "book_lost_unawares"
    RESTORED = "restored_from_backup"


_ANY: Final = (
    Fault.UNSENT,
    Fault.VANISHED,
    Fault.LOST,
    Fault.LATE,
    Fault.HOURS,
    Fault.TWICE,
    Fault.REORDERED,
    Fault.CALLBACK_FIRST,
    Fault.CONTRADICTED,
)
#: What may befall one effect of a kind, equally likely; what befalls one kind alone stands there more than once.
BEFALLS: Final[dict[Kind, tuple[Fault, ...]]] = {
    Kind.INSPECT: (Fault.UNSENT, Fault.TWICE),
    Kind.HOLD: _ANY,
    Kind.TRANSFER: (
        *_ANY,
        Fault.NEVER,
        *(Fault.SHORT,) * 3,
        Fault.REFUSED_YET_DONE,
        Fault.REVERSED_EARLY,
        Fault.REVERSED_LATE,
    ),
    Kind.REDEEM: (*_ANY, Fault.NEVER, Fault.REFUSED_YET_DONE, Fault.REVERSED_EARLY, Fault.REVERSED_LATE),
    Kind.RELEASE: _ANY,
    Kind.PAY: (*_ANY, Fault.NEVER, Fault.REFUSED_YET_DONE, *(Fault.RETURNED,) * 2),
    Kind.NOTIFY: (Fault.LOST,),
}
