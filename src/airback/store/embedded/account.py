"""Which operating-system user the server runs as when Airback itself runs as root.

PostgreSQL refuses root, and no user is created for it. The server runs under a bare number that nobody else
uses, remembered as the owner of the cluster's files. Only `initdb` insists on a user with a name; it runs as an
existing unprivileged one on a directory nobody else can reach, and the files change hands afterwards.
"""

import os
import pwd
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from airback.store.embedded.problems import EmbeddedDatabaseProblem

# Unused by Debian's, Fedora's and systemd's tables of user ids; small enough for a container's map of 65536.
NUMBERS: Final = range(60706, 61184)


@dataclass(frozen=True, slots=True)
class Account:
    """A user and group id, without supplementary groups."""

    uid: int
    gid: int

    def for_subprocess(self) -> dict[str, Any]:
        """The keyword arguments of `subprocess` that start a program as this account."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def become(self) -> None:
        """Give up every other right of this process, for good. For a forked child."""
        os.setgroups([])
        os.setresgid(self.gid, self.gid, self.gid)
        os.setresuid(self.uid, self.uid, self.uid)


def choose(cluster: Path) -> Account | None:
    """Whom the server of `cluster` runs as; None: as ourselves, since we are not root.

    Raises `EmbeddedDatabaseProblem` when the cluster belongs to somebody we cannot act for.
    """
    owner = _owner(cluster)
    us = os.geteuid()
    if us != 0:
        if owner is not None and owner.uid != us:
            raise EmbeddedDatabaseProblem(
                code="data_directory_owner",
                where=str(cluster),
                reason=f"It belongs to user {owner.uid}, and this process runs as user {us}.",
            )
        return None
    if owner is not None and owner.uid != 0:
        return owner
    return _free_number(start=_seed(cluster.parent))


def named(*, gid: int | None = None) -> Account:
    """An existing unprivileged user, for `initdb`: one without processes if there is one, best `nobody`.

    With `gid`, in that group alone, and so able to go where the server's account may.
    """
    busy = _uids_with_processes()
    entries = [entry for entry in pwd.getpwall() if entry.pw_uid > 0 and _is_mapped(entry.pw_uid)]
    if not entries:
        raise EmbeddedDatabaseProblem(
            code="no_unprivileged_user",
            where="/etc/passwd",
            reason="It has no user but root, and PostgreSQL refuses to run as root.",
        )
    best = min(
        entries,
        key=lambda entry: (
            entry.pw_uid in busy,
            entry.pw_name != "nobody",
            not entry.pw_shell.endswith(("nologin", "false")),
            -entry.pw_uid,
        ),
    )
    return Account(uid=best.pw_uid, gid=best.pw_gid if gid is None else gid)


def give(top: Path, account: Account) -> None:
    """Make everything below `top`, and `top` last, belong to `account`. Symbolic links are not followed."""
    for directory, subdirectories, files in os.walk(top):
        for name in (*subdirectories, *files):
            os.lchown(Path(directory) / name, account.uid, account.gid)
    os.lchown(top, account.uid, account.gid)


def _owner(path: Path) -> Account | None:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    return Account(uid=found.st_uid, gid=found.st_gid)


def _seed(path: Path) -> int:
    found = path.stat()
    return found.st_ino * 31 + found.st_dev


def _free_number(*, start: int) -> Account:
    busy = _uids_with_processes()
    for step in range(len(NUMBERS)):
        number = NUMBERS[(start + step) % len(NUMBERS)]
        if number not in busy and _is_mapped(number) and not _has_name(number):
            return Account(uid=number, gid=number)
    return named()


def _has_name(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _is_mapped(uid: int) -> bool:
    """Whether this user namespace knows `uid` (a rootless container may know few, or only root)."""
    return _maps(uid, Path("/proc/self/uid_map")) and _maps(uid, Path("/proc/self/gid_map"))


def _maps(number: int, table: Path) -> bool:
    try:
        rows: Iterable[str] = table.read_text("ascii").splitlines()
    except OSError:
        return True
    for row in rows:
        first, _, count = (int(part) for part in row.split())
        if first <= number < first + count:
            return True
    return False


def _uids_with_processes() -> set[int]:
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            found.add(process.stat().st_uid)
        except OSError:
            continue
    return found
