"""Proof that a number is its seller's: a signed statement, good for fifteen minutes after the code was right.

A token is `<canonical JSON in base64url>.<key id>.<Ed25519 signature in base64url>` under the key of purpose `proof`.
It holds the number and the time and nothing else; whoever holds it may sell that number's balance, so it is treated
like a password: never logged, never stored.
"""

import base64
import binascii
import json
from datetime import UTC, datetime, timedelta
from typing import Final

from airback.domain.canonical import canonical
from airback.domain.ports.keys import KeyProvider
from airback.domain.refusals import Refused

PURPOSE: Final = "proof"
GOOD_FOR: Final = timedelta(minutes=15)
#: Clocks of two machines may differ by so much.
_CLOCK_SKEW: Final = timedelta(seconds=30)
_MOST_CHARACTERS: Final = 1000


def make_proof(number: str, verified_at: datetime, keys: KeyProvider) -> str:
    """A token saying that `number` (eleven digits) was proven at `verified_at`."""
    body = canonical({"v": 1, "number": number, "at": int(verified_at.timestamp())})
    key_id, signature = keys.sign(purpose=PURPOSE, message=body)
    return f"{_encode(body)}.{_encode(key_id.encode())}.{_encode(signature)}"


def check_proof(token: str, number: str, now: datetime, keys: KeyProvider) -> datetime:
    """When the number was proven. Raises `Refused` `proof_invalid` for any other number, time or signature."""
    refused = Refused("proof_invalid", field="proof")
    parts = token.split(".")
    if len(token) > _MOST_CHARACTERS or len(parts) != 3:
        raise refused
    try:
        body, key_id, signature = (_decode(part) for part in parts)
        genuine = keys.verify(purpose=PURPOSE, key_id=key_id.decode(), message=body, signature=signature)
    except ValueError:
        raise refused from None
    if not genuine:
        raise refused
    said = json.loads(body)
    verified_at = datetime.fromtimestamp(said["at"], UTC)
    if said["number"] != number or not now - GOOD_FOR < verified_at <= now + _CLOCK_SKEW:
        raise refused
    return verified_at


def expires_at(verified_at: datetime) -> datetime:
    """Until when a proof made at `verified_at` is good."""
    return verified_at + GOOD_FOR


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise ValueError("not base64url") from error
