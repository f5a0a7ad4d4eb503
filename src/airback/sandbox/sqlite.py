"""SQLite files of the sandbox: WAL, so that a kill loses nothing committed and a command line may write beside
the server."""

import sqlite3
from pathlib import Path


def connect(path: Path, schema: str) -> sqlite3.Connection:
    """A connection to the file, made with the schema when new; only its owner may read it.

    Transactions are explicit (`with connection:` after `BEGIN IMMEDIATE`, or single statements).
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.touch(mode=0o600)
    connection = sqlite3.connect(path, timeout=30, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    # A kill of the process loses nothing; after a power cut the newest transactions may be gone, the file is whole.
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA wal_autocheckpoint = 4000")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.executescript(schema)
    return connection
