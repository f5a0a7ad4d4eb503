"""What people type into the console's forms, read strictly: documents as JSON, times on Beijing's clock."""

from datetime import UTC, datetime
from typing import Any

from airback.domain.canonical import read_single
from airback.domain.refusals import Refused
from airback.web.templates import BEIJING


def read_document(text: str) -> dict[str, Any]:
    """A document's JSON. Raises Refused `field_invalid`; a number with a point is refused: the figures are integers;
    so is a key that stands twice."""
    try:
        document = read_single(text, fraction=_no_fraction)
    except (ValueError, RecursionError):
        raise Refused("field_invalid", field="document") from None
    if not isinstance(document, dict):
        raise Refused("field_invalid", field="document")
    return document


def moment_of(text: str, *, field: str) -> datetime | None:
    """A minute on Beijing's clock; None for an empty text. Raises Refused `field_invalid`."""
    if not text:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M").replace(tzinfo=BEIJING)
    except ValueError:
        raise Refused("field_invalid", field=field) from None


def effective_at(text: str, *, now: datetime) -> str:
    """The same as an ISO time in UTC; an empty text means as soon as it is approved."""
    moment = moment_of(text, field="effective_at") or now
    return moment.astimezone(UTC).isoformat(timespec="seconds")


def _no_fraction(text: str) -> Any:
    raise ValueError(text)
