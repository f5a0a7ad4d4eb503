"""Where each table goes on a Citus cluster, read from the one place that says so: `deploy/citus/distribute.sql`."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SCRIPT: Final = Path(__file__).resolve().parents[2] / "deploy" / "citus" / "distribute.sql"

_COMMENT: Final = re.compile(r"--[^\n]*")
_NAME: Final = re.compile(r"'([a-z_]+)'")
_STAYING: Final = re.compile(r"tablename NOT IN \(([^)]*)\)")


@dataclass(frozen=True, slots=True)
class Distribution:
    """Tables by where they go. One that is named twice stands in two of them."""

    by_book: frozenset[str]
    everywhere: frozenset[str]
    local: frozenset[str]

    def problems(self, tables: set[str]) -> list[str]:
        """What is wrong with it for a database that has `tables`."""
        places = [self.by_book, self.everywhere, self.local]
        named = frozenset().union(*places)
        return [
            *(f"{table}: nothing says where it goes" for table in sorted(tables - named)),
            *(f"{table}: there is no such table" for table in sorted(named - tables)),
            *(
                f"{table}: goes to two places"
                for table in sorted(named)
                if sum(table in p for p in places) > 1
            ),
        ]


def read_distribution(script: str | None = None) -> Distribution:
    """What `script` (default: the product's own) does with each table."""
    text = _COMMENT.sub("", SCRIPT.read_text("utf-8") if script is None else script)
    staying = _STAYING.search(text)
    return Distribution(
        by_book=_names(text, "create_distributed_table") - {"book", "none"},
        everywhere=_names(text, "create_reference_table"),
        local=frozenset(_NAME.findall(staying[1])) if staying else frozenset(),
    )


def _names(text: str, function: str) -> frozenset[str]:
    """Every quoted name in the statements that call `function`."""
    return frozenset(
        name for statement in text.split(";") if function in statement for name in _NAME.findall(statement)
    )
