"""`CamaraSubscribers`: the `Subscribers` port over CAMARA (one-time password SMS 1.1.1, number verification 2.1.0,
SIM swap 2.1.0) and, for a line's standing and balance, TMF654's buckets.

The platform's own token names nobody (two-legged), so the number goes into each request; only number verification
is asked with the token of the seller's device (three-legged).
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from airback.adapters.carrier.quantities import from_quantity
from airback.adapters.carrier.tmf654 import BASE_PATH
from airback.adapters.http.client import CallFailed, HttpAnswer, HttpFarSide
from airback.adapters.http.redaction import Redaction
from airback.domain.assets import CARRIERS
from airback.domain.numbers import e164
from airback.domain.ports.carrier import CodeCheck, CodeRefused, FarSideUnreachable, Line, LineStatus

_OTP: Final = "ONE_TIME_PASSWORD_SMS"
_NOT_BY_NETWORK: Final = "NUMBER_VERIFICATION.USER_NOT_AUTHENTICATED_BY_MOBILE_NETWORK"

_CODE_REFUSALS: Final = {
    f"{_OTP}.MAX_OTP_CODES_EXCEEDED": "code_too_many",
    f"{_OTP}.PHONE_NUMBER_NOT_ALLOWED": "code_undeliverable",
    f"{_OTP}.PHONE_NUMBER_BLOCKED": "code_undeliverable",
    "NOT_FOUND": "number_dead",
    "QUOTA_EXCEEDED": "code_too_many",
    "TOO_MANY_REQUESTS": "code_too_soon",
}
_CODE_CHECKS: Final = {
    f"{_OTP}.INVALID_OTP": CodeCheck.WRONG,
    f"{_OTP}.VERIFICATION_EXPIRED": CodeCheck.EXPIRED,
    f"{_OTP}.VERIFICATION_FAILED": CodeCheck.TOO_MANY,
    "INVALID_ARGUMENT": CodeCheck.WRONG,
    "NOT_FOUND": CodeCheck.EXPIRED,
}


class CamaraSubscribers:
    """The directory every number is asked in. `base_url` is what comes before the APIs' own paths."""

    def __init__(
        self,
        *,
        base_url: str,
        token: str | None = None,
        timeout_s: float = 5,
        concurrency: int = 16,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._authorization = {} if token is None else {"authorization": f"Bearer {token}"}
        self._http = HttpFarSide(
            name="subscribers",
            base_url=base_url,
            timeout_s=timeout_s,
            concurrency=concurrency,
            redaction=Redaction(hidden_keys=frozenset({"code", "hashedphonenumber"})),
            now=now,
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._http.close()

    async def inspect(self, number: str) -> Line | None:
        """What the carriers know of a number, wherever it was ported to; None when none knows it."""
        query = [("logicalResource.id", number)]
        answer = await self._call("GET", f"{BASE_PATH}/bucket", query=query, again=True)
        buckets = _json(answer) if answer.status == 200 else None
        if not isinstance(buckets, list) or not all(isinstance(bucket, dict) for bucket in buckets):
            raise self._not_understood(answer)
        if not buckets:
            return None
        line = _read_line(number, buckets)
        if line is None:
            raise self._not_understood(answer)
        return line

    async def send_code(self, *, number: str, text: str) -> str:
        """Have the carrier send a code; raises `CodeRefused` with a refusal's code."""
        body = {"phoneNumber": e164(number), "message": text}
        answer = await self._call("POST", "/one-time-password-sms/v1/send-code", json=body)
        document = _json(answer)
        if answer.status == 200 and isinstance(document, dict):
            identifier = document.get("authenticationId")
            if isinstance(identifier, str) and identifier:
                return identifier
        refusal = _CODE_REFUSALS.get(_error_code(answer))
        if refusal is not None:
            raise CodeRefused(code=refusal)
        raise self._not_understood(answer)

    async def check_code(self, *, authentication_id: str, code: str) -> CodeCheck:
        """Compare a code. The code is in this one request only, and in nothing that is kept."""
        body = {"authenticationId": authentication_id, "code": code}
        answer = await self._call("POST", "/one-time-password-sms/v1/validate-code", json=body, secret=code)
        if answer.status == 204:
            return CodeCheck.RIGHT
        check = _CODE_CHECKS.get(_error_code(answer))
        if check is None:
            raise self._not_understood(answer)
        return check

    async def holds_number(self, *, number: str, device_token: str) -> bool | None:
        """Whether the device behind the token carries the number; None when the network cannot tell."""
        answer = await self._call(
            "POST",
            "/number-verification/v2/verify",
            json={"phoneNumber": e164(number)},
            headers={"authorization": f"Bearer {device_token}"},
        )
        document = _json(answer)
        if answer.status == 200 and isinstance(document, dict):
            verified = document.get("devicePhoneNumberVerified")
            if isinstance(verified, bool):
                return verified
        if _error_code(answer) in (_NOT_BY_NETWORK, "UNAUTHENTICATED", "PERMISSION_DENIED"):
            return None
        raise self._not_understood(answer)

    async def sim_swapped(self, *, number: str, within_hours: int) -> bool | None:
        """Whether the SIM changed within so many hours (1–2400); None when the carrier cannot tell."""
        if not 1 <= within_hours <= 2400:
            raise ValueError("within_hours must be from 1 to 2400")
        body = {"phoneNumber": e164(number), "maxAge": within_hours}
        answer = await self._call("POST", "/sim-swap/v2/check", json=body, again=True)
        document = _json(answer)
        if answer.status == 200 and isinstance(document, dict):
            swapped = document.get("swapped")
            if isinstance(swapped, bool):
                return swapped
        if _error_code(answer) in ("IDENTIFIER_NOT_FOUND", "NOT_FOUND", "SERVICE_NOT_APPLICABLE"):
            return None
        raise self._not_understood(answer)

    async def _call(
        self,
        method: str,
        path: str,
        *,
        query: list[tuple[str, str]] | None = None,
        json: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        secret: str = "",
        again: bool = False,
    ) -> HttpAnswer:
        """One call; `again` repeats once what only reads and was broken off."""
        for attempt in range(2 if again else 1):
            try:
                return await self._http.call(
                    method,
                    path,
                    query=query,
                    json=json,
                    headers=self._authorization if headers is None else headers,
                    secrets=[secret] if secret else (),
                )
            except CallFailed as error:
                if attempt == 0 and again and error.reason == "connection_broken":
                    continue
                raise FarSideUnreachable(far_side=self._http.name, reason=error.reason) from error
        raise AssertionError("a call is tried at least once")

    def _not_understood(self, answer: HttpAnswer) -> FarSideUnreachable:
        code = _error_code(answer)
        reason = f"answered with {answer.status}" + (f" {code}" if code else "")
        return FarSideUnreachable(far_side=self._http.name, reason=reason)


def _read_line(number: str, buckets: list[dict[str, Any]]) -> Line | None:
    """A line from its buckets, or None when they cannot be read.

    Where the profile's `lineStatus` is missing, the bucket's own status stands for it: a line whose balance has
    expired takes no part in anything until it is topped up.
    """
    principal = next((bucket for bucket in buckets if bucket.get("name") == "principal"), None)
    if principal is None:
        return None
    parties = principal.get("relatedParty")
    carrier = next(
        (
            party.get("id")
            for party in (parties if isinstance(parties, list) else [])
            if isinstance(party, dict) and party.get("role") == "carrier"
        ),
        None,
    )
    amounts = {name: from_quantity(principal.get(name)) for name in ("remainingValue", "reservedValue")}
    kept = [from_quantity(principal[name]) for name in ("keepAlive", "chargesDue") if name in principal]
    promotional = [
        from_quantity(bucket.get("remainingValue"))
        for bucket in buckets
        if bucket.get("name") == "promotional"
    ]
    status = _status(principal)
    principal_fen, reserved_fen = amounts["remainingValue"], amounts["reservedValue"]
    if carrier not in CARRIERS or status is None or principal_fen is None or reserved_fen is None:
        return None
    if any(amount is None or amount < 0 for amount in (*kept, *promotional)):
        return None
    expired = principal.get("status") == "expired"
    free_fen = principal_fen - reserved_fen - sum(amount for amount in kept if amount is not None)
    period = principal.get("validFor")
    province = principal.get("province")
    return Line(
        number=number,
        carrier=carrier,
        status=status,
        principal_fen=principal_fen,
        promotional_fen=sum(amount for amount in promotional if amount is not None),
        reserved_fen=reserved_fen,
        sellable_fen=0 if expired else max(0, free_fen),
        expires_at=_time(period.get("endDateTime")) if isinstance(period, dict) else None,
        province=province if isinstance(province, str) else None,
    )


def _status(bucket: Mapping[str, Any]) -> LineStatus | None:
    said = bucket.get("lineStatus")
    if said is None:
        said = {"active": "active", "suspended": "suspended", "expired": "suspended"}.get(
            str(bucket.get("status"))
        )
    return LineStatus(said) if said in set(LineStatus) else None


def _json(answer: HttpAnswer) -> Any:
    try:
        return answer.json()
    except ValueError:
        return None


def _error_code(answer: HttpAnswer) -> str:
    document = _json(answer) if answer.status >= 400 else None
    code = document.get("code") if isinstance(document, dict) else None
    return code[:80] if isinstance(code, str) else ""


def _time(value: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return moment if moment is not None and moment.tzinfo is not None else None
