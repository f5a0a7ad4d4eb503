"""Times as forms take them: a minute on Beijing's clock."""

from datetime import UTC, datetime

from airback.domain.refusals import Refused
from airback.web.templates import BEIJING


def moment_of(text: str, *, now: datetime, field: str) -> str:
    """A minute on Beijing's clock as an ISO time in UTC; empty means now, as soon as it is approved."""
    if not text:
        return now.astimezone(UTC).isoformat(timespec="seconds")
    try:
        moment = datetime.strptime(text, "%Y-%m-%dT%H:%M").replace(tzinfo=BEIJING)
    except ValueError:
        raise Refused("field_invalid", field=field) from None
    return moment.astimezone(UTC).isoformat(timespec="seconds")
