"""Outlets told by webhook: `POST` to the address an outlet gave, signed as Standard Webhooks says (v1, HMAC-SHA256).

Headers `webhook-id` (the notice's reference, the same at each try), `webhook-timestamp` (seconds, of this try) and
`webhook-signature`. Any 2xx means taken; 410 means never again; redirects are not followed.

An address comes from a customer, so it must not lead into our own network: its name is resolved here, every address it
resolves to must be public, and the connection is made to the one that was looked at, not to what a second look-up says.
Names are looked up in threads of their own, one look-up of a name at a time: a customer's name server that never answers
holds up nobody else's notices and nothing else of the process.
"""

import asyncio
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Final
from urllib.parse import urlsplit

import msgspec
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from airback.adapters.http.client import AnswerLost, HttpAnswer, HttpFarSide, NotSent
from airback.domain.effects import Exchange, Kind, Outcome, Result
from airback.domain.money import MAX_FEN
from airback.domain.ports.carrier import FarSideUnreachable, StatementLine
from airback.domain.ports.outlet import Event, Notice, StatementAsk

MOST_ANSWER_BYTES: Final = 4096
#: Some hundred thousand fills.
MOST_STATEMENT_BYTES: Final = 32 << 20
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_GONE: Final = 410
#: A host that everybody who reads an address reads alike. Of `10.0.0.1\\x.example` one reader takes all as the name, another
#: ends it at the backslash; of `%31` one decodes.
_HOST: Final = re.compile(r"[a-z0-9_.-]+|[0-9a-f:.]+", re.ASCII | re.IGNORECASE)

#: The event loop's own threads look up the database's name, among others: they are not for customers.
_LOOKING_UP: Final = ThreadPoolExecutor(max_workers=32, thread_name_prefix="outlets-names")

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


class PrivateAddress(Exception):
    """The name leads into a network that customers may not reach through us."""


class _NoAddress(Exception):
    """The name leads nowhere now."""


class _Fill(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    fill: Annotated[str, msgspec.Meta(pattern=r"^fil_[0-9A-Z]{13}$")]
    pays_fen: Annotated[int, msgspec.Meta(gt=0, le=MAX_FEN)]
    at: Annotated[datetime, msgspec.Meta(tz=True)]
    reversed: bool = False
    reference: Annotated[str, msgspec.Meta(max_length=64)] = ""


class _Statement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    since: Annotated[datetime, msgspec.Meta(tz=True)]
    until: Annotated[datetime, msgspec.Meta(tz=True)]
    fills: list[_Fill]


_read_statement: Final = msgspec.json.Decoder(_Statement).decode


async def resolve_name(host: str, port: int) -> Sequence[str]:
    """Every address of a name, as the system resolves it. Raises OSError."""
    look_up = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    found = await asyncio.get_running_loop().run_in_executor(_LOOKING_UP, look_up)
    return [str(address[4][0]) for address in found]


def check_address(text: str, *, allow_loopback: bool) -> None:
    """Raise `PrivateAddress` for an address that is not public. `allow_loopback`: this very machine is good too."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        # an IPv4 address in the form of an IPv6 one is judged as what it leads to
        address = address.ipv4_mapped or address.sixtofour or address
    if allow_loopback and address.is_loopback:
        return
    if isinstance(address, ipaddress.IPv6Address) and address.is_site_local:
        raise PrivateAddress(text)  # out of use, and still inside where somebody uses it
    if not address.is_global or address.is_multicast or address.is_reserved or address.is_unspecified:
        raise PrivateAddress(text)


class WebhookOutlet:
    """Tells and asks any outlet at its own address. `allow_loopback` is for a sandbox on this machine; `now` dates the tries."""

    def __init__(
        self,
        *,
        now: Callable[[], datetime],
        allow_loopback: bool,
        resolve: Resolve = resolve_name,
        timeout_s: float = 10,
    ) -> None:
        self._now = now
        self._allow_loopback = allow_loopback
        self._resolve = resolve
        self._timeout_s = timeout_s
        self._asked: dict[tuple[str, int], asyncio.Task[Sequence[str]]] = {}

    async def tell(self, notice: Notice) -> Outcome:
        """Tell; see `airback.domain.ports.outlet.Outlet`."""
        try:
            answer = await self._post(notice, most_answer_bytes=MOST_ANSWER_BYTES)
        except PrivateAddress:
            return Outcome(Result.FAILED, code="hook_private")
        except _NoAddress:
            return Outcome(Result.UNKNOWN, code="not_sent")
        except NotSent as error:
            return Outcome(Result.UNKNOWN, code="not_sent", exchanges=(error.exchange,))
        except AnswerLost as error:
            # a status that came before more text than is read has said all that is asked
            if error.exchange.status is None:
                return Outcome(Result.UNKNOWN, code="answer_lost", exchanges=(error.exchange,))
            return _told(error.exchange.status, error.exchange)
        except ValueError:
            return Outcome(Result.FAILED, code="hook_refused")
        return _told(answer.status, answer.exchange)

    async def statement(self, ask: StatementAsk) -> Sequence[StatementLine]:
        """Ask by a signed notice `statement.asked`; the answer is signed with the same secret under the same id."""
        since, until = ask.since.astimezone(UTC), ask.until.astimezone(UTC)
        body = msgspec.json.encode(
            {"type": Event.STATEMENT, "timestamp": self._now(), "data": {"since": since, "until": until}}
        ).decode()
        try:
            answer = await self._post(
                Notice(ask.ref, ask.url, ask.secret, body), most_answer_bytes=MOST_STATEMENT_BYTES
            )
        except (PrivateAddress, _NoAddress, NotSent, AnswerLost, ValueError) as error:
            raise FarSideUnreachable(far_side="outlet", reason=type(error).__name__) from None
        if not 200 <= answer.status < 300:
            raise FarSideUnreachable(far_side="outlet", reason=f"answered with {answer.status}")
        if not answer.body:
            raise FarSideUnreachable(far_side="outlet", reason="gives no statement")
        try:
            Webhook(ask.secret).verify(answer.body, dict(answer.headers))
        except (WebhookVerificationError, ValueError):
            raise FarSideUnreachable(far_side="outlet", reason="statement is not signed by it") from None
        if answer.headers.get("webhook-id") != ask.ref:  # an answer to another question, sent again
            raise FarSideUnreachable(far_side="outlet", reason="statement answers another question")
        try:
            said = _read_statement(answer.body)
        except msgspec.DecodeError:
            raise FarSideUnreachable(far_side="outlet", reason="statement cannot be read") from None
        if (said.since, said.until) != (since, until) or not all(
            since <= one.at < until for one in said.fills
        ):
            raise FarSideUnreachable(far_side="outlet", reason="statement is of another time")
        return [
            StatementLine(one.fill, Kind.TRANSFER, one.pays_fen, one.reference, one.at, one.reversed)
            for one in said.fills
        ]

    async def _post(self, notice: Notice, *, most_answer_bytes: int) -> HttpAnswer:
        """One signed request. Raises `PrivateAddress`, `_NoAddress`, `NotSent`, `AnswerLost`; ValueError for an address
        that cannot be written."""
        parts = urlsplit(notice.url)
        host, scheme = parts.hostname or "", parts.scheme
        try:
            if _HOST.fullmatch(host) is None or "@" in parts.netloc:
                raise PrivateAddress(host)
            port = parts.port or _DEFAULT_PORTS[scheme]
            async with asyncio.timeout(self._timeout_s):
                addresses = await self._addresses(host, port)
            for address in addresses:
                check_address(address, allow_loopback=self._allow_loopback)
        except (KeyError, ValueError) as error:
            if isinstance(error, UnicodeError):
                raise _NoAddress from None
            raise PrivateAddress(host) from None
        except (OSError, TimeoutError):
            raise _NoAddress from None
        if not addresses:
            raise _NoAddress
        if scheme == "http" and not all(
            ipaddress.ip_address(one.partition("%")[0]).is_loopback for one in addresses
        ):
            raise PrivateAddress(host)
        at = self._now().astimezone(UTC)
        headers = {
            "content-type": "application/json",
            "webhook-id": notice.ref,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": Webhook(notice.secret).sign(notice.ref, at, notice.body),
        }
        far_side = HttpFarSide(
            name="outlet",
            base_url=f"{scheme}://{parts.netloc}",
            timeout_s=self._timeout_s,
            concurrency=1,
            most_answer_bytes=most_answer_bytes,
            address=(host, addresses[0], port),
            now=self._now,
        )
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            return await far_side.call("POST", path, content=notice.body.encode(), headers=headers)
        finally:
            await far_side.close()

    async def _addresses(self, host: str, port: int) -> Sequence[str]:
        """Where a name leads. Whoever asks while it is being looked up waits for that, and gives up alone."""
        task = self._asked.get((host, port))
        if task is None:
            task = self._asked[host, port] = asyncio.create_task(self._look_up(host, port))
        return await asyncio.shield(task)

    async def _look_up(self, host: str, port: int) -> Sequence[str]:
        try:
            return await self._resolve(host, port)
        except OSError:
            return ()  # perhaps nobody waits for it any more
        finally:
            del self._asked[host, port]


def _told(status: int, exchange: Exchange) -> Outcome:
    """What an outlet's status comes to."""
    if 200 <= status < 300:
        return Outcome(Result.SUCCEEDED, detail={"status": status}, exchanges=(exchange,))
    result = Result.FAILED if status == _GONE else Result.UNKNOWN
    return Outcome(result, code="hook_refused", detail={"status": status}, exchanges=(exchange,))
