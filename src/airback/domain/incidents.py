"""What may be told of a bug: where it happened, never what was sent."""

import traceback


def places(error: BaseException) -> list[str]:
    """The last places an error passed, fit for a log: its own text may quote what was sent."""
    return [f"{f.filename}:{f.lineno} {f.name}" for f in traceback.extract_tb(error.__traceback__)[-12:]]
