"""What can be wrong with the embedded server, each by its own code. Texts name a path, a reason and a remedy."""

import errno
from typing import Final

from airback.store.problems import DatabaseProblem


class EmbeddedDatabaseProblem(DatabaseProblem):
    """The embedded server cannot run. `code` is a key of `REMEDIES`, `where` the path concerned."""

    code = "embedded_database_problem"

    def __init__(self, *, code: str, where: str, reason: str, remedy: str | None = None) -> None:
        super().__init__(code=code, where=where, reason=reason, remedy=remedy or REMEDIES[code])


_OR_A_REAL_SERVER: Final = "or set AIRBACK_DATABASE_URL to a PostgreSQL server of your own."

REMEDIES: Final[dict[str, str]] = {
    "data_directory_unusable": "Give a directory this user may create and write with --data or AIRBACK_DATA.",
    "data_directory_owner": "Run as the directory's owner, give it to this user (chown -R), or choose another with --data.",
    "data_directory_gone": "It was moved or removed while in use. Put it back or choose another with --data.",
    "disk_full": "Free some space on this disk, or choose a directory on another one with --data.",
    "programs_missing": f"Reinstall Airback with its dependencies, install PostgreSQL 15 or newer, {_OR_A_REAL_SERVER}",
    "programs_version": f"Install PostgreSQL of that major version on this machine, {_OR_A_REAL_SERVER}",
    "programs_unreachable": f"Let every user enter the programs' directory, {_OR_A_REAL_SERVER}",
    "no_unprivileged_user": f"Run Airback as a user other than root, {_OR_A_REAL_SERVER}",
    "cluster_damaged": "Restore the directory from a backup, or move it away to start with an empty database.",
    "cluster_not_created": "Remove the cause and run the command again; nothing was kept.",
    "server_not_started": "The named log says why. Remove the cause and run the command again.",
    "server_keeps_dying": "The named log says why. Remove the cause and run the command again.",
    "server_still_running": "Wait for it to end, or end the named processes, then run the command again.",
    "start_timed_out": "The named log says what it was doing. Run the command again to go on waiting.",
    "supervisor_died": "Run the command again; the named log may say why.",
}


def from_os_error(error: OSError, *, where: str) -> EmbeddedDatabaseProblem:
    """An operating system's refusal at path `where`, as a named problem."""
    code = "disk_full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "data_directory_unusable"
    return EmbeddedDatabaseProblem(code=code, where=where, reason=f"{error.strerror or error}.")
