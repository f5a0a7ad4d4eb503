"""hook: an outlet says where it wants to be told of its fills and of prices, or that it does not any more."""

import base64
import re
from collections.abc import Callable
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

import asyncpg

from airback.domain.ports.keys import KeyProvider
from airback.domain.refusals import Refused
from airback.engine.tell import hook_place
from airback.store import outlets
from airback.store.outlets import Hook

MOST_URL: Final = 500
_SECRET_BYTES: Final = 32
#: A host's name or address and nothing that two readers may read in two ways, such as a backslash or `%31`.
_HOST: Final = re.compile(r"[a-z0-9_.-]+|[0-9a-f:.]+", re.ASCII | re.IGNORECASE)
_THIS_MACHINE: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def check_url(url: str, *, allow_loopback: bool) -> None:
    """Raise `Refused` `hook_malformed` unless notices can be sent there: https, or, where that is allowed, http to this
    machine. Where a name leads is looked at each time something is sent."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise Refused("hook_malformed", field="url") from None
    good = (
        len(url) <= MOST_URL
        and url.isascii()
        and url.isprintable()
        and " " not in url
        and _HOST.fullmatch(parts.hostname or "") is not None
        and parts.username is None
        and not parts.fragment
        and (port is None or 0 < port < 65_536)
    )
    here = allow_loopback and parts.hostname in _THIS_MACHINE
    if not good or not (parts.scheme == "https" or (parts.scheme == "http" and here)):
        raise Refused("hook_malformed", field="url")
    if parts.hostname in _THIS_MACHINE and not allow_loopback:
        raise Refused("hook_private", field="url")


async def register(
    conn: asyncpg.Connection,
    *,
    book: int,
    outlet: str,
    url: str,
    allow_loopback: bool,
    keys: KeyProvider,
    now: datetime,
    entropy: Callable[[int], bytes],
) -> str:
    """Tell an outlet there from now on; the secret (`whsec_…`) that its notices are signed with, shown this once.

    Raises `Refused` `hook_malformed` or `hook_private`."""
    check_url(url, allow_loopback=allow_loopback)
    secret = "whsec_" + base64.b64encode(entropy(_SECRET_BYTES)).decode()
    sealed = keys.seal(purpose="webhook", plain=secret.encode(), where=hook_place(outlet))
    await outlets.set_hook(conn, book=book, hook=Hook(outlet, url, sealed, now))
    return secret
