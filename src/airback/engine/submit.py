"""Accept orders: check their form, claim what is single, insert them. Any number at once; one status per ask.

First everything that needs no database, then two short transactions: one claims the quotes and the cards, one makes
the claims the orders' own and inserts orders, open work and the answer to the idempotency key. A process that dies
between the two leaves claims without an order. The same request sent again takes them over, because a quote is bound
to its seller and its claim remembers the order id it was given; anybody else's wait ends with the claim's expiry.
See docs/decisions/0007-intake.md.

`SharedIntake` is the short way: small requests that arrive while another is being written share one statement, and only
those that somebody contests go the way above. See docs/decisions/0018-shared-flushes.md.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import asyncpg
import msgspec

from airback.domain.ids import new_ids
from airback.domain.ports.carrier import HoldKind
from airback.domain.ports.keys import KeyProvider
from airback.domain.ports.rail import RailCapabilities
from airback.domain.refusals import Refused
from airback.engine.inbox import seal_payee
from airback.market.pauses import NO_PAUSES, Pauses
from airback.orders.intake import (
    AGREEMENT,
    FILES,
    PEOPLE,
    Draft,
    OrderAsk,
    card_fingerprints,
    draft,
    quote_fingerprint,
    seller_id,
)
from airback.pricing.formula import CHINA
from airback.pricing.quotes import check_quote
from airback.store import intake, price_caps
from airback.store.intake import Claim, NewOrder, Uncontested
from airback.store.problems import TROUBLE

__all__ = ["AGREEMENT", "FILES", "MOST_ASKS", "PEOPLE", "Accepted", "OrderAsk", "SharedIntake", "submit"]

MOST_ASKS: Final = 5000
CLAIM_STANDS: Final = timedelta(minutes=10)
#: From so many asks on, signatures are checked in a thread, so that the event loop goes on serving.
_MANY: Final = 32
#: Orders that one shared statement takes at most.
_MOST_SHARED: Final = 500
#: Sellers whose future id a process remembers at most.
_MOST_SELLERS: Final = 10_000
#: So long a process goes on with the daily limits it read.
_LIMITS_FRESH: Final = timedelta(seconds=2)
#: What another request may have caused: perhaps the same request, whose answer is then the right one.
_CONTESTED: Final = frozenset({"quote_used", "card_duplicate", "client_ref_used"})


@dataclass(frozen=True, slots=True)
class Accepted:
    """An order that was accepted. `replayed`: it was accepted before, under the same idempotency key."""

    order_id: int
    replayed: bool = False


class _Claimed(NamedTuple):
    """A draft with the order id it will have and everything claimed for it."""

    row: int
    draft: Draft
    order_id: int
    claims: tuple[Claim, ...]
    #: Fingerprints that nobody had claimed before; only those may be given back.
    fresh: frozenset[bytes] = frozenset()

    @property
    def to_give_back(self) -> list[Claim]:
        """Claims that no other request of the same seller counts on."""
        return [claim for claim in self.claims if claim.fingerprint in self.fresh]


class _KeyTaken(Exception):
    """Another request stored its answer under our idempotency key meanwhile."""


async def submit(
    pool: asyncpg.Pool,
    *,
    book: int,
    client: str,
    asks: Sequence[OrderAsk],
    now: datetime,
    entropy: Callable[[int], bytes],
    keys: KeyProvider,
    idempotency: tuple[str, bytes] | None,
    rails: Mapping[str, RailCapabilities],
    hold_kinds: Mapping[str, HoldKind],
    pauses: Pauses = NO_PAUSES,
) -> list[Accepted | Refused]:
    """One status per ask, in order; a bad one never sinks its neighbours.

    `idempotency` is (the client's key, a hash of its whole request): the same pair gets the same answer for ever; a
    request in which everything was refused does not use the key up. `rails` are those open to sellers now;
    `hold_kinds` says how each connected carrier's balances are held; what `pauses` stops is refused as `paused`. `row` of a refusal counts from 1.

    Raises `Refused` `idempotency_key_reused` when the key stands for another request, `body_too_large` for more
    than `MOST_ASKS` asks.
    """
    if len(asks) > MOST_ASKS:
        raise Refused("body_too_large", field="orders")
    if idempotency is not None:
        async with pool.acquire() as conn:
            replay = await _replay(conn, book=book, client=client, idempotency=idempotency)
        if replay is not None:
            return replay

    def check() -> list[Draft | Refused]:
        return _drafts(
            asks,
            book=book,
            client=client,
            rails=rails,
            hold_kinds=hold_kinds,
            pauses=pauses,
            keys=keys,
            now=now,
        )

    drafts = await asyncio.to_thread(check) if len(asks) >= _MANY else check()
    answers: list[Accepted | Refused | None] = [d if isinstance(d, Refused) else None for d in drafts]
    wanted = _first_of_each(drafts, answers, now=now, entropy=entropy, keys=keys)
    if wanted:
        async with pool.acquire() as conn:
            async with conn.transaction():
                claimed = await _claim(conn, wanted, answers, book=book, client=client, now=now)
            try:
                async with conn.transaction():
                    await _insert(
                        conn,
                        claimed,
                        answers,
                        book=book,
                        client=client,
                        now=now,
                        keys=keys,
                        idempotency=idempotency,
                    )
            except _KeyTaken:
                await intake.let_go(conn, book=book, claims=[c for one in claimed for c in one.claims])
                replay = await _replay(conn, book=book, client=client, idempotency=idempotency)
                if replay is not None:
                    return replay
                raise Refused("unavailable") from None
            if idempotency is not None and any(
                isinstance(a, Refused) and a.code in _CONTESTED for a in answers
            ):
                replay = await _replay(conn, book=book, client=client, idempotency=idempotency)
                if replay is not None:
                    return replay
    return [
        answer if answer is not None else Refused("internal", row=i + 1) for i, answer in enumerate(answers)
    ]


class _Brought(NamedTuple):
    """A request on its way into a shared statement. `written`: whether the statement took it."""

    request: Uncontested
    written: asyncio.Future[bool]

    @property
    def wants(self) -> set[tuple[object, ...]]:
        """Everything of which there is one."""
        request = self.request
        wants: set[tuple[object, ...]] = {claim[:2] for claim in request.claims}
        wants |= {("ref", request.client, o.client_ref) for o in request.orders if o.client_ref is not None}
        wants.add(("key", request.client, request.key))
        return wants


class SharedIntake:
    """Orders of one book as one process accepts them: what arrives while a statement runs shares the next one.

    Nobody waits for company: an idle intake writes a request at once. A request goes the short way when each of its asks
    is right in itself. Then one statement, one transaction, looks for its key, its claims and its references, and writes
    whole requests that nobody contests; the others, and those beside somebody who wants the same, go the long way of
    `submit` afterwards, each for itself.
    """

    def __init__(
        self, pool: asyncpg.Pool, *, book: int, keys: KeyProvider, entropy: Callable[[int], bytes]
    ) -> None:
        self._pool = pool
        self._book = book
        self._keys = keys
        self._entropy = entropy
        self._seller_ids: dict[tuple[str, str], int] = {}
        self._limits: dict[tuple[str, str], int] = {}
        self._limits_read_at: datetime | None = None
        self._waiting: list[_Brought] = []
        self._writing: asyncio.Task[None] | None = None

    async def submit(
        self,
        *,
        client: str,
        asks: Sequence[OrderAsk],
        now: datetime,
        idempotency: tuple[str, bytes],
        rails: Mapping[str, RailCapabilities],
        hold_kinds: Mapping[str, HoldKind],
        pauses: Pauses = NO_PAUSES,
    ) -> list[Accepted | Refused]:
        """As `submit`, whose answers it gives."""
        if 0 < len(asks) < _MANY:
            drafts = _drafts(
                asks,
                book=self._book,
                client=client,
                rails=rails,
                hold_kinds=hold_kinds,
                pauses=pauses,
                keys=self._keys,
                now=now,
            )
            request = self._request(drafts, client=client, now=now, idempotency=idempotency)
            if request is not None and await self._written(request):
                return [Accepted(order.id) for order in request.orders]
        return await submit(
            self._pool,
            book=self._book,
            client=client,
            asks=asks,
            now=now,
            entropy=self._entropy,
            keys=self._keys,
            idempotency=idempotency,
            rails=rails,
            hold_kinds=hold_kinds,
            pauses=pauses,
        )

    def _request(
        self,
        drafts: Sequence[Draft | Refused],
        *,
        client: str,
        now: datetime,
        idempotency: tuple[str, bytes],
    ) -> Uncontested | None:
        """The request as a statement takes it; None when one of its orders must be refused."""
        if any(isinstance(one, Refused) for one in drafts):
            return None  # perhaps a request of long ago, sent again: the long way knows its answer
        answers: list[Accepted | Refused | None] = [None] * len(drafts)
        wanted = _first_of_each(drafts, answers, now=now, entropy=self._entropy, keys=self._keys)
        if len(wanted) < len(drafts):
            return None
        key, request_hash = idempotency
        stored = [_stored(Accepted(one.order_id)) for one in wanted]
        return Uncontested(
            client=client,
            key=key,
            request_hash=request_hash,
            answer=msgspec.json.encode(stored).decode(),
            at=now,
            sellers=[one.draft.seller_ref for one in wanted],
            orders=[
                _new_order(one, seller=self._seller_id(client, one.draft.seller_ref), keys=self._keys)
                for one in wanted
            ],
            claims=[claim for one in wanted for claim in one.claims],
        )

    async def _refresh_limits(self, conn: asyncpg.Connection, *, now: datetime | None) -> None:
        """Know, within seconds, of which assets a seller may bring only so much a day."""
        read_at = self._limits_read_at
        if now is not None and (read_at is None or abs(now - read_at) >= _LIMITS_FRESH):
            self._limits = await _daily_limits(conn, book=self._book, now=now)
            self._limits_read_at = now

    def _limited(self, request: Uncontested) -> bool:
        return bool(self._limits) and any((o.carrier, o.product) in self._limits for o in request.orders)

    def _seller_id(self, client: str, ref: str) -> int:
        """The id a seller gets who is not on record yet. One under a former key is as good."""
        found = self._seller_ids.get((client, ref))
        if found is None:
            if len(self._seller_ids) >= _MOST_SELLERS:
                self._seller_ids.clear()
            found = seller_id(client=client, seller_ref=ref, keys=self._keys)
            self._seller_ids[(client, ref)] = found
        return found

    async def _written(self, request: Uncontested) -> bool:
        """Whether a shared statement wrote the request."""
        brought = _Brought(request, asyncio.get_running_loop().create_future())
        self._waiting.append(brought)
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())
        return await brought.written

    async def _write(self) -> None:
        """Write what waits, until nothing does."""
        try:
            while self._waiting:
                await self._flush()
        finally:
            self._writing = None
            for brought in self._waiting:  # only when this task was cancelled: the process is ending
                brought.written.cancel()
            self._waiting.clear()

    async def _flush(self) -> None:
        taken, beside = self._take()
        try:
            async with self._pool.acquire() as conn:
                await self._refresh_limits(conn, now=max((one.request.at for one in taken), default=None))
                limited = [one for one in taken if self._limited(one.request)]
                beside += limited  # the long way counts what the seller has brought today
                taken = [one for one in taken if one not in limited] if limited else taken
                requests = [brought.request for brought in taken]
                left_out = (
                    await intake.accept(conn, book=self._book, requests=requests) if requests else set()
                )
        except TROUBLE:
            # One of them may be the cause, or the answer was lost: the long way begins by looking for the key.
            _tell(taken, False)
        except BaseException as error:
            _tell(taken, error)
            if not isinstance(error, Exception):
                raise
        else:
            for place, brought in enumerate(taken):
                _tell([brought], place not in left_out)
        finally:
            _tell(beside, False)

    def _take(self) -> tuple[list[_Brought], list[_Brought]]:
        """(those that share the next statement, those that want what one of them wants), in the order they came."""
        taken: list[_Brought] = []
        beside: list[_Brought] = []
        wanted: set[tuple[object, ...]] = set()
        orders = passed = 0
        for brought in self._waiting:
            orders += len(brought.request.orders)
            if passed and orders > _MOST_SHARED:
                break
            passed += 1
            wants = brought.wants
            if brought.written.done():
                continue  # nobody waits for it any more
            if wanted.isdisjoint(wants):
                wanted |= wants
                taken.append(brought)
            else:
                beside.append(brought)
        del self._waiting[:passed]
        return taken, beside


def _tell(brought: Iterable[_Brought], word: bool | BaseException) -> None:
    """Answer those who still listen."""
    for one in brought:
        if one.written.done():
            continue
        if isinstance(word, BaseException):
            one.written.set_exception(word)
        else:
            one.written.set_result(word)


def _drafts(
    asks: Sequence[OrderAsk],
    *,
    book: int,
    client: str,
    rails: Mapping[str, RailCapabilities],
    hold_kinds: Mapping[str, HoldKind],
    pauses: Pauses,
    keys: KeyProvider,
    now: datetime,
) -> list[Draft | Refused]:
    """Form, signature, binding and proof of every ask; nothing is read from the database."""
    drafts: list[Draft | Refused] = []
    for row, ask in enumerate(asks, start=1):
        try:
            terms = check_quote(ask.quote, keys=keys, now=now, book=book)
            paused = pauses.buying(carrier=terms.carrier, province=terms.province, rail=terms.rail, at=now)
            if paused is not None:
                raise paused
            drafts.append(
                draft(
                    ask,
                    terms=terms,
                    book=book,
                    client=client,
                    rails=rails,
                    hold_kinds=hold_kinds,
                    keys=keys,
                    now=now,
                )
            )
        except Refused as refused:
            drafts.append(refused.at(field=refused.field or "quote", row=row))
    return drafts


def _first_of_each(
    drafts: Sequence[Draft | Refused],
    answers: list[Accepted | Refused | None],
    *,
    now: datetime,
    entropy: Callable[[int], bytes],
    keys: KeyProvider,
) -> list[_Claimed]:
    """Within one batch the first of two equal quotes, cards or references stands; the later is refused."""
    order_ids = iter(new_ids(now=now, entropy=entropy, count=len(drafts)))
    seen: set[tuple[str, bytes]] = set()
    refs: set[str] = set()
    wanted: list[_Claimed] = []
    for row, (one, order_id) in enumerate(zip(drafts, order_ids, strict=True), start=1):
        if isinstance(one, Refused):
            continue
        claims = [Claim(intake.QUOTE, quote_fingerprint(one.terms.id), order_id)]
        if one.card_code is not None:
            claims += [
                Claim(intake.CARD, fingerprint, order_id)
                for fingerprint in card_fingerprints(card_code=one.card_code, keys=keys)
            ]
        twice = next((c.kind for c in claims if (c.kind, c.fingerprint) in seen), None)
        if twice is not None:
            answers[row - 1] = _contested(twice, row)
        elif one.client_ref is not None and one.client_ref in refs:
            answers[row - 1] = Refused("client_ref_used", field="client_ref", row=row)
        else:
            seen |= {(c.kind, c.fingerprint) for c in claims}
            refs |= {one.client_ref} if one.client_ref is not None else set()
            wanted.append(_Claimed(row, one, order_id, tuple(claims)))
    return wanted


async def _claim(
    conn: asyncpg.Connection,
    wanted: Sequence[_Claimed],
    answers: list[Accepted | Refused | None],
    *,
    book: int,
    client: str,
    now: datetime,
) -> list[_Claimed]:
    """Claim quotes, then cards. Who does not get all it needs is refused and gives back what it got."""
    refs = [w.draft.client_ref for w in wanted if w.draft.client_ref is not None]
    taken = await intake.taken_refs(conn, book=book, client=client, refs=refs)
    fresh: list[_Claimed] = []
    for one in wanted:
        if one.draft.client_ref in taken:
            answers[one.row - 1] = Refused("client_ref_used", field="client_ref", row=one.row)
        else:
            fresh.append(one)
    until = now + CLAIM_STANDS
    quotes = await intake.claim_quotes(
        conn, book=book, claims=_of_kind(intake.QUOTE, fresh), expires_at=until
    )
    ours: list[_Claimed] = []
    for one in fresh:
        order_id, is_fresh = quotes.get(quote_fingerprint(one.draft.terms.id), (None, False))
        if order_id is None:
            answers[one.row - 1] = _contested(intake.QUOTE, one.row)
        else:
            claims = tuple(Claim(c.kind, c.fingerprint, order_id) for c in one.claims)
            new = frozenset(c.fingerprint for c in claims if c.kind == intake.QUOTE and is_fresh)
            ours.append(_Claimed(one.row, one.draft, order_id, claims, new))
    cards = await intake.claim_cards(
        conn, book=book, claims=_of_kind(intake.CARD, ours), expires_at=until, now=now
    )
    complete: list[_Claimed] = []
    given_back: list[Claim] = []
    for one in ours:
        whole = one._replace(
            fresh=one.fresh | {c.fingerprint for c in one.claims if cards.get(c.fingerprint, False)}
        )
        if all(c.kind == intake.QUOTE or c.fingerprint in cards for c in one.claims):
            complete.append(whole)
        else:
            answers[one.row - 1] = _contested(intake.CARD, one.row)
            given_back += whole.to_give_back
    await intake.let_go(conn, book=book, claims=given_back)
    return complete


async def _insert(
    conn: asyncpg.Connection,
    claimed: Sequence[_Claimed],
    answers: list[Accepted | Refused | None],
    *,
    book: int,
    client: str,
    now: datetime,
    keys: KeyProvider,
    idempotency: tuple[str, bytes] | None,
) -> None:
    """Insert the orders whose claims still stand, and the answer. Raises `_KeyTaken`; nothing is kept then."""
    if not claimed:
        return
    locked = await intake.lock_claims(conn, book=book, claims=[c for one in claimed for c in one.claims])
    standing: list[_Claimed] = []
    given_back: list[Claim] = []
    for one in claimed:
        lost = next((c for c in one.claims if c not in locked), None)
        if lost is None:
            standing.append(one)
        else:
            answers[one.row - 1] = _contested(lost.kind, one.row)
            given_back += one.to_give_back
    await intake.let_go(conn, book=book, claims=given_back)
    if not standing:
        return
    await intake.own_claims(conn, book=book, claims=[c for one in standing for c in one.claims])
    ids = {one.draft.seller_ref: 0 for one in standing}
    for ref in ids:
        ids[ref] = seller_id(client=client, seller_ref=ref, keys=keys)
    sellers = await intake.sellers(conn, book=book, client=client, wanted=ids, at=now)
    over = await _over_daily_limit(conn, standing, sellers, book=book, now=now)
    for one in standing:
        if one.order_id in over:
            answers[one.row - 1] = Refused("account_daily_limit", field="face_fen", row=one.row)
    await intake.forget_claims(
        conn, book=book, claims=[c for one in standing if one.order_id in over for c in one.claims]
    )
    standing = [one for one in standing if one.order_id not in over]
    if not standing:
        return
    orders = [_new_order(one, seller=sellers[one.draft.seller_ref], keys=keys) for one in standing]
    placed = await intake.place_orders(conn, book=book, client=client, orders=orders, at=now)
    for one in standing:
        if one.order_id in placed:
            answers[one.row - 1] = Accepted(one.order_id)
        else:
            answers[one.row - 1] = Refused("client_ref_used", field="client_ref", row=one.row)
    await intake.forget_claims(
        conn, book=book, claims=[c for one in standing if one.order_id not in placed for c in one.claims]
    )
    if idempotency is not None and placed:
        key, request_hash = idempotency
        kept = await intake.keep_answer(
            conn,
            book=book,
            client=client,
            key=key,
            request_hash=request_hash,
            answer=[_stored(answer) for answer in answers],
            at=now,
        )
        if not kept:
            raise _KeyTaken


async def _daily_limits(conn: asyncpg.Connection, *, book: int, now: datetime) -> dict[tuple[str, str], int]:
    """Face value that one seller may bring in a day, by (carrier, product), while a cap says so: the least of several."""
    limits: dict[tuple[str, str], int] = {}
    for cap in await price_caps.live(conn, book, now):
        limit = cap.per_seller_fen_per_day
        if limit is not None:
            asset = cap.carrier, cap.product
            limits[asset] = min(limit, limits.get(asset, limit))
    return limits


async def _over_daily_limit(
    conn: asyncpg.Connection,
    standing: Sequence[_Claimed],
    sellers: Mapping[str, int],
    *,
    book: int,
    now: datetime,
) -> set[int]:
    """Orders that would take their seller above the day's limit, in the order they came. One statement when nothing is
    limited. The day is China's."""
    limits = await _daily_limits(conn, book=book, now=now)
    day = now.astimezone(CHINA).replace(hour=0, minute=0, second=0, microsecond=0)
    over: set[int] = set()
    held = {sellers[one.draft.seller_ref] for one in standing if _asset(one.draft) in limits}
    if held:
        await price_caps.lock_sellers(conn, book=book, sellers=sorted(held))
    for asset in sorted({_asset(one.draft) for one in standing} & set(limits)):
        limited = [one for one in standing if _asset(one.draft) == asset]
        ids = sorted({sellers[one.draft.seller_ref] for one in limited})
        carrier, product = asset
        sold = dict(
            await price_caps.sold_since(
                conn, book=book, sellers=ids, since=day, carrier=carrier, product=product
            )
        )
        for one in limited:
            seller = sellers[one.draft.seller_ref]
            total_fen = sold.get(seller, 0) + one.draft.terms.face_fen
            if total_fen > limits[asset]:
                over.add(one.order_id)
            else:
                sold[seller] = total_fen
    return over


def _asset(draft: Draft) -> tuple[str, str]:
    return draft.terms.carrier, draft.terms.product


def _new_order(one: _Claimed, *, seller: int, keys: KeyProvider) -> NewOrder:
    terms, ask = one.draft.terms, one.draft
    code = ask.card_code
    return NewOrder(
        id=one.order_id,
        client_ref=ask.client_ref,
        seller=seller,
        lane=ask.lane,
        product=terms.product,
        carrier=terms.carrier,
        number=ask.number,
        card_number=ask.card_number,
        card_code=None if code is None else seal_card_code(order_id=one.order_id, code=code, keys=keys),
        face_fen=terms.face_fen,
        net_fen=terms.net_fen,
        quote=terms.text,
        rail=terms.rail,
        payee=seal_payee(order_id=one.order_id, account=ask.payee_account, name=ask.payee_name, keys=keys),
        notify_number=ask.notify_number,
        language=ask.language,
        agreement=ask.agreement,
        hold_kind=ask.hold_kind.value,
    )


def seal_card_code(*, order_id: int, code: str, keys: KeyProvider) -> bytes:
    """A card's code, sealed for the column `orders.card_code` of that order."""
    return keys.seal(purpose="card_code", plain=code.encode(), where=f"orders/card_code/{order_id}".encode())


async def _replay(
    conn: asyncpg.Connection, *, book: int, client: str, idempotency: tuple[str, bytes] | None
) -> list[Accepted | Refused] | None:
    """The stored answer, or None when the key is unused. Raises `Refused` when it stands for another request."""
    if idempotency is None:
        return None
    key, request_hash = idempotency
    stored = await intake.answer_of(conn, book=book, client=client, key=key)
    if stored is None:
        return None
    if stored[0] != request_hash:
        raise Refused("idempotency_key_reused", field="Idempotency-Key")
    return [_told(row, document) for row, document in enumerate(stored[1], start=1)]


def _stored(answer: Accepted | Refused | None) -> dict[str, Any]:
    if isinstance(answer, Accepted):
        return {"order": answer.order_id}
    if answer is None:
        return {"code": "internal", "field": None}
    return {"code": answer.code, "field": answer.field}


def _told(row: int, document: Mapping[str, Any]) -> Accepted | Refused:
    if "order" in document:
        return Accepted(document["order"], replayed=True)
    return Refused(document["code"], field=document["field"], row=row)


def _contested(kind: str, row: int) -> Refused:
    if kind == intake.QUOTE:
        return Refused("quote_used", field="quote", row=row)
    return Refused("card_duplicate", field="card_code", row=row)


def _of_kind(kind: str, claimed: Iterable[_Claimed]) -> list[Claim]:
    return [claim for one in claimed for claim in one.claims if claim.kind == kind]
