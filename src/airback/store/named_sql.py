"""Named SQL: queries live in `.sql` files beside the Python that calls them.

A file is a sequence of blocks:

    -- name: get_order
    -- One order of a book, by its id.
    SELECT ... WHERE book = $1 AND id = $2

`-- name:` opens a block, the comment lines right below describe it, the rest is the statement (a last `;` is
dropped, since the driver sends one statement at a time). Nothing but comments may stand before the first name.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

_NAME_LINE: Final = re.compile(r"--\s*name\s*:(?P<name>.*)")
_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")


class MalformedSql(ValueError):
    """A `.sql` file breaks the form; the text names file and line."""


class UnknownQuery(AttributeError):
    """A file has no query of this name."""


@dataclass(frozen=True, slots=True)
class Query:
    """One named statement. `text` is sent to the server; `description` is for people."""

    name: str
    description: str
    text: str


class Queries:
    """The statements of one file: `queries.get_order` and `queries["get_order"]` give the SQL text."""

    __slots__ = ("_by_name", "_source")

    def __init__(self, *, source: str, by_name: Mapping[str, Query]) -> None:
        self._source = source
        self._by_name = dict(by_name)

    def __getattr__(self, name: str) -> str:
        if name.startswith("__"):  # the interpreter's own probing (copy, pickle), before anything is set
            raise AttributeError(name)
        return self[name]

    def __getitem__(self, name: str) -> str:
        return self.query(name).text

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __iter__(self) -> Iterator[Query]:
        return iter(self._by_name.values())

    def __len__(self) -> int:
        return len(self._by_name)

    def __repr__(self) -> str:
        return f"<Queries {self._source}: {', '.join(self._by_name)}>"

    def query(self, name: str) -> Query:
        """The query with its description. Raises `UnknownQuery`."""
        try:
            return self._by_name[name]
        except KeyError:
            raise UnknownQuery(f"{self._source} has no query named {name!r}") from None


@cache
def load(file_name: str, *, package: str = "airback.store") -> Queries:
    """The queries of `file_name` inside `package`, read once per process.

    Raises `MalformedSql` for a broken file and `FileNotFoundError` when there is none.
    """
    return parse(resources.files(package).joinpath(file_name).read_text("utf-8"), source=file_name)


def parse(text: str, *, source: str) -> Queries:
    """The queries in `text`; `source` names it in errors. Raises `MalformedSql`."""
    found: dict[str, Query] = {}
    name: str | None = None
    opened_at = 0
    description: list[str] = []
    body: list[str] = []

    def close() -> None:
        if name is None:
            return
        statement = "\n".join(body).strip().removesuffix(";").rstrip()
        if not any(line.strip() and not line.lstrip().startswith("--") for line in statement.splitlines()):
            raise MalformedSql(f"{source}:{opened_at}: {name!r} has no statement")
        found[name] = Query(name=name, description=" ".join(description), text=statement)

    for number, line in enumerate(text.splitlines(), start=1):
        opening = _NAME_LINE.fullmatch(line.strip())
        if opening is not None:
            close()
            name, opened_at, description, body = opening["name"].strip(), number, [], []
            if _NAME.fullmatch(name) is None:
                raise MalformedSql(f"{source}:{number}: {name!r} is not a name of lower-case words")
            if name in found:
                raise MalformedSql(f"{source}:{number}: {name!r} is defined twice")
        elif name is None:
            if line.strip() and not line.lstrip().startswith("--"):
                raise MalformedSql(f"{source}:{number}: a statement stands before the first '-- name:'")
        elif not body and line.lstrip().startswith("--"):
            description.append(line.strip().lstrip("-").strip())
        else:
            body.append(line)
    close()
    return Queries(source=source, by_name=found)
