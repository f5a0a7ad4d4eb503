"""The embedded PostgreSQL server: started when a process needs it, stopped when the last one has gone.

with ensure_running(data_directory) as database:
    pool = await connect(database.url)
"""

from airback.store.embedded.cluster import server_process
from airback.store.embedded.layout import DatabaseAddress
from airback.store.embedded.problems import EmbeddedDatabaseProblem
from airback.store.embedded.users import EmbeddedDatabase, Progress, ensure_running

__all__ = [
    "DatabaseAddress",
    "EmbeddedDatabase",
    "EmbeddedDatabaseProblem",
    "Progress",
    "ensure_running",
    "server_process",
]
