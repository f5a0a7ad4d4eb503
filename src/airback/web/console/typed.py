"""What people type into the console's forms, read strictly: documents as JSON, times on Beijing's clock."""

import json
from datetime import datetime
from typing import Any

from airback.domain.refusals import Refused
from airback.web.templates import BEIJING


def read_document(text: str) -> dict[str, Any]:
    """A document's JSON. Raises Refused `field_invalid`; a number with a point is refused: the figures are integers."""
    try:
        document = json.loads(text, parse_float=_no_float, parse_constant=_no_float)
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


def _no_float(text: str) -> Any:
    raise ValueError(text)
