"""Identify: the seller shows that a number is theirs by a one-time code that the number's carrier sends and checks.

The code passes through and is never stored or logged. A number gets one code a minute and `MOST_SENDS_A_DAY` a day,
whoever asks; a code may be tried `MOST_CHECKS` times within `CODE_STANDS`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import asyncpg

from airback.domain.ids import new_ids
from airback.domain.numbers import parse_mobile
from airback.domain.ports.carrier import (
    CodeCheck,
    CodeRefused,
    FarSideUnreachable,
    Line,
    LineStatus,
    Subscribers,
)
from airback.domain.ports.keys import KeyProvider
from airback.domain.refusals import REFUSALS, Refused
from airback.orders.proofs import expires_at, make_proof
from airback.store import verifications

RESEND_AFTER: Final = timedelta(seconds=60)
CODE_STANDS: Final = timedelta(minutes=10)
MOST_SENDS_A_DAY: Final = 10
MOST_CHECKS: Final = 5
MOST_CODE: Final = 10

TEXTS: Final = {
    "zh": "【话费回收】验证码 {{code}},用于出售话费,10 分钟内有效。请勿告诉任何人。",
    "en": "[Airback] {{code}} is your code for selling airtime, valid for 10 minutes. Tell it to nobody.",
}


@dataclass(frozen=True, slots=True)
class Sent:
    """A code is on its way. Another may be asked for from `resend_at`."""

    verification_id: int
    resend_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Proven:
    """The number is the seller's: the proof for the order, and what the carrier says of the line."""

    proof: str = field(repr=False)
    expires_at: datetime
    line: Line


async def send_code(
    pool: asyncpg.Pool,
    *,
    book: int,
    client: str,
    number: str,
    language: str,
    subscribers: Subscribers,
    now: datetime,
    entropy: Callable[[int], bytes],
) -> Sent:
    """Have the number's carrier send a code. Raises `Refused`: `number_malformed`, `number_dead`,
    `number_suspended`, `carrier_unreachable`, `code_too_soon`, `rate_limited`, or the carrier's own refusal."""
    mobile = parse_mobile(number)
    if mobile is None:
        raise Refused("number_malformed", field="number")
    await living_line(subscribers, mobile)
    (verification_id,) = new_ids(now=now, entropy=entropy)
    async with pool.acquire() as conn:
        allowed = await verifications.begin(
            conn,
            book=book,
            number=mobile,
            verification_id=verification_id,
            client=client,
            now=now,
            pause=RESEND_AFTER,
            most_a_day=MOST_SENDS_A_DAY,
        )
        if not allowed:
            last = await verifications.last_sent(conn, book=book, number=mobile)
            soon = last is not None and last > now - RESEND_AFTER
            raise Refused("code_too_soon" if soon else "rate_limited", field="number")
    # no connection is held while the carrier is asked
    refused: Refused
    try:
        authentication_id = await subscribers.send_code(number=mobile, text=TEXTS[language])
    except FarSideUnreachable:
        refused = Refused("carrier_unreachable", field="number")
    except CodeRefused as said:
        code = said.code if said.code in REFUSALS else "carrier_unreachable"
        refused = Refused(code, field="number")
    else:
        async with pool.acquire() as conn:
            await verifications.sent(
                conn, book=book, verification_id=verification_id, authentication_id=authentication_id
            )
        return Sent(verification_id, now + RESEND_AFTER, now + CODE_STANDS)
    async with pool.acquire() as conn:
        await verifications.not_sent(
            conn, book=book, verification_id=verification_id, as_of=now - RESEND_AFTER
        )
    raise refused


async def check_code(
    pool: asyncpg.Pool,
    *,
    book: int,
    client: str,
    verification_id: int,
    code: str,
    subscribers: Subscribers,
    keys: KeyProvider,
    now: datetime,
) -> Proven:
    """Compare the code and read the line. Raises `Refused`: `not_found`, `code_wrong`, `code_expired`,
    `code_too_many`, `number_dead`, `number_suspended`, `carrier_unreachable`."""
    if not 0 < len(code) <= MOST_CODE or not (code.isascii() and code.isdigit()):
        raise Refused("code_wrong", field="code")
    async with pool.acquire() as conn:
        taken = await verifications.take_check(
            conn,
            book=book,
            verification_id=verification_id,
            client=client,
            sent_after=now - CODE_STANDS,
            most=MOST_CHECKS,
        )
        if taken is None:
            found = await verifications.find(conn, book=book, verification_id=verification_id, client=client)
            if found is None:
                raise Refused("not_found", field="id")
            spent = found.authentication_id is not None and found.checks >= MOST_CHECKS
            raise Refused("code_too_many" if spent else "code_expired", field="code")
    number, authentication_id = taken
    try:
        line = await living_line(subscribers, number)
        checked = await subscribers.check_code(authentication_id=authentication_id, code=code)
    except (FarSideUnreachable, Refused) as error:
        async with pool.acquire() as conn:
            await verifications.give_check_back(conn, book=book, verification_id=verification_id)
        if isinstance(error, Refused):
            raise
        raise Refused("carrier_unreachable", field="code") from None
    if checked is not CodeCheck.WRONG:
        async with pool.acquire() as conn:
            await verifications.used(conn, book=book, verification_id=verification_id)
    if checked is not CodeCheck.RIGHT:
        raise Refused(_SAID[checked], field="code")
    return Proven(make_proof(number, now, keys), expires_at(now), line)


async def living_line(subscribers: Subscribers, number: str) -> Line:
    """What the carrier says of a number in service. Raises `Refused`: `number_dead`, `number_suspended`,
    `carrier_unreachable`."""
    try:
        line = await subscribers.inspect(number)
    except FarSideUnreachable:
        raise Refused("carrier_unreachable", field="number") from None
    if line is None or line.status is LineStatus.DEAD:
        raise Refused("number_dead", field="number")
    if line.status is LineStatus.SUSPENDED:
        raise Refused("number_suspended", field="number")
    return line


_SAID: Final = {
    CodeCheck.WRONG: "code_wrong",
    CodeCheck.EXPIRED: "code_expired",
    CodeCheck.TOO_MANY: "code_too_many",
}
