"""What is wrong with the database, said so that an operator can act: a code, where, why and the remedy."""


class DatabaseProblem(Exception):
    """The database cannot be used. Text never holds a password.

    `code` is stable and made for machines; `where` is a path or `host:port/database`; `reason` says what was
    found; `remedy` says what to do about it.
    """

    code = "database_problem"

    def __init__(self, *, where: str, reason: str, remedy: str, code: str | None = None) -> None:
        super().__init__(f"{where}: {reason} {remedy}")
        if code is not None:
            self.code = code
        self.where = where
        self.reason = reason
        self.remedy = remedy
