"""CAMARA One Time Password SMS 1.1.1, Number Verification 2.1.0 and SIM Swap 2.1.0, for the lines in `accounts`.

Numbers are E.164 (`+8613800138000`). Any mainland number may be asked after; one of no line of ours is not found.
Without authentication, a caller without a device's token is taken to be on the device `NOBODYS_DEVICE`.
"""

import base64
import hashlib
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

from airback.domain.numbers import e164, parse_mobile
from airback.sandbox.accounts import Accounts
from airback.sandbox.records import to_micros
from airback.sandbox.tmf654_documents import moment
from airback.sandbox.wire import Caller, Frame, Plug, Reply, Request, Route, Unreadable

#: The device of callers whom `--no-auth` lets in without a token; it is among the lines a new sandbox has.
NOBODYS_DEVICE: Final = "13800138000"

#: Codes stand for so long, may be tried so often, and are sent to one number so often in so long.
CODE_VALID_S: Final = 300
MOST_TRIES: Final = 3
MOST_CODES: Final = 5
CODES_WINDOW_S: Final = 600

_PHONE: Final = re.compile(r"\+[1-9][0-9]{4,14}", re.ASCII)
_HASH: Final = re.compile(r"[a-fA-F0-9]{64}", re.ASCII)
_CORRELATOR: Final = re.compile(r"[a-zA-Z0-9\-_:;./<>{}]{0,256}", re.ASCII)
_OTP: Final = "ONE_TIME_PASSWORD_SMS"


def plug(frame: Frame, accounts: Accounts) -> Plug:
    """The far side's routes."""
    carriers = _Camara(frame, accounts)
    return Plug(
        name="camara",
        routes=[
            _route(
                "POST",
                "/one-time-password-sms/v1/send-code",
                carriers.send_code,
                "one-time-password-sms:send-validate",
            ),
            _route(
                "POST",
                "/one-time-password-sms/v1/validate-code",
                carriers.validate_code,
                "one-time-password-sms:send-validate",
            ),
            _route("POST", "/number-verification/v2/verify", carriers.verify, "number-verification:verify"),
            _route(
                "GET",
                "/number-verification/v2/device-phone-number",
                carriers.device_number,
                "number-verification:device-phone-number:read",
            ),
            _route("POST", "/sim-swap/v2/check", carriers.check_swap, "sim-swap:check", "sim-swap"),
            _route(
                "POST", "/sim-swap/v2/retrieve-date", carriers.swap_date, "sim-swap:retrieve-date", "sim-swap"
            ),
        ],
    )


class _Refused(Exception):
    """An ErrorInfo instead of an answer."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(code)
        self.status, self.code, self.message = status, code, message


def refuse(request: Request, status: int, code: str, message: str) -> Reply:
    """An ErrorInfo of the specifications, with the request's correlator."""
    return _answer(request, status, {"status": status, "code": code, "message": message})


def _answer(request: Request, status: int, value: Any = None) -> Reply:
    correlator = request.headers.get("x-correlator", "")
    headers = [("x-correlator", correlator)] if correlator and _CORRELATOR.fullmatch(correlator) else []
    return Reply(status, headers=tuple(headers)) if value is None else Reply.json(status, value, headers)


def _route(method: str, path: str, handler: Callable[[Request], Any], *scopes: str) -> Route:
    async def guarded(request: Request) -> Reply:
        try:
            if not _CORRELATOR.fullmatch(request.headers.get("x-correlator", "")):
                raise Unreadable("x-correlator does not have the required form")
            if not any(request.caller.may(scope) for scope in scopes):
                raise _Refused(403, "PERMISSION_DENIED", "The access token lacks the scope this needs")
            answer: Reply = await handler(request)
            return answer
        except Unreadable as error:
            return refuse(request, 400, "INVALID_ARGUMENT", str(error))
        except _Refused as error:
            return refuse(request, error.status, error.code, error.message)

    return Route(method, path, guarded, bearer=True, refuse=refuse)


class _Camara:
    """The handlers."""

    def __init__(self, frame: Frame, accounts: Accounts) -> None:
        self._frame = frame
        self._accounts = accounts

    # -- one time password

    async def send_code(self, request: Request) -> Reply:
        body = _body(request)
        phone = _phone(body, "phoneNumber", required=True)
        text = body.get("message")
        if not isinstance(text, str) or "{{code}}" not in text or len(text) > 160:
            raise Unreadable("message must hold {{code}} and be at most 160 characters long")
        number = parse_mobile(phone)
        if number is None and phone.startswith("+86"):
            raise _Refused(
                403, f"{_OTP}.PHONE_NUMBER_NOT_ALLOWED", "This number cannot receive short messages"
            )
        line = self._accounts.subscriber(number or "")
        await self._begin(request, line, "send_code", number)
        if line is None or line["status"] == "dead" or number is None:
            raise _Refused(404, "NOT_FOUND", "The number is not one of this operator's")
        if line["messages"] == "impossible":
            raise _Refused(
                403, f"{_OTP}.PHONE_NUMBER_NOT_ALLOWED", "This number cannot receive short messages"
            )
        if line["messages"] == "barred":
            raise _Refused(403, f"{_OTP}.PHONE_NUMBER_BLOCKED", "This number has short messages barred")
        at = to_micros(request.now)
        code = f"{int.from_bytes(self._frame.entropy(8), 'big') % 1_000_000:06d}"
        identifier = base64.b32encode(self._frame.entropy(15)).decode().lower()
        with self._accounts.transaction() as connection:
            (sent,) = connection.execute(
                "SELECT count(*) FROM passcodes WHERE number = ? AND sent_at > ?",
                (number, at - CODES_WINDOW_S * 1_000_000),
            ).fetchone()
            if sent >= MOST_CODES:
                raise _Refused(
                    403, f"{_OTP}.MAX_OTP_CODES_EXCEEDED", "Too many codes were asked for; try later"
                )
            # A newer code ends the older ones.
            connection.execute("UPDATE passcodes SET spent = 1 WHERE number = ?", (number,))
            connection.execute(
                "INSERT INTO passcodes (id, number, code, sent_at) VALUES (?, ?, ?, ?)",
                (identifier, number, code, at),
            )
        self._frame.messages.write(
            number=number, text=text.replace("{{code}}", code), code=code, at=request.now
        )
        return _answer(request, 200, {"authenticationId": identifier})

    async def validate_code(self, request: Request) -> Reply:
        body = _body(request)
        identifier, code = body.get("authenticationId"), body.get("code")
        if not isinstance(identifier, str) or not 0 < len(identifier) <= 36:
            raise Unreadable("authenticationId must be a text of at most 36 characters")
        if not isinstance(code, str) or not 0 < len(code) <= 10:
            raise Unreadable("code must be a text of at most 10 characters")
        await request.begin(request.carrier or "carrier", "validate_code")
        at = to_micros(request.now)
        refused: _Refused | None = None
        with self._accounts.transaction() as connection:
            row = connection.execute("SELECT * FROM passcodes WHERE id = ?", (identifier,)).fetchone()
            if row is None:
                raise _Refused(404, "NOT_FOUND", "No such authenticationId")
            if row["wrong"] >= MOST_TRIES:
                refused = _Refused(400, f"{_OTP}.VERIFICATION_FAILED", "The code was tried too often")
            elif row["spent"] or row["sent_at"] + CODE_VALID_S * 1_000_000 <= at:
                refused = _Refused(
                    400, f"{_OTP}.VERIFICATION_EXPIRED", "The authenticationId is no longer valid"
                )
            elif row["code"] == code:
                connection.execute("UPDATE passcodes SET spent = 1 WHERE id = ?", (identifier,))
            else:
                connection.execute("UPDATE passcodes SET wrong = wrong + 1 WHERE id = ?", (identifier,))
                refused = (
                    _Refused(400, f"{_OTP}.VERIFICATION_FAILED", "The code was tried too often")
                    if row["wrong"] + 1 >= MOST_TRIES
                    else _Refused(400, f"{_OTP}.INVALID_OTP", "The code is wrong")
                )
        if refused is not None:
            raise refused
        return _answer(request, 204)

    # -- number verification

    async def verify(self, request: Request) -> Reply:
        body = _body(request)
        if len(body) != 1 or not {"phoneNumber", "hashedPhoneNumber"} & body.keys():
            raise Unreadable("give exactly one of phoneNumber and hashedPhoneNumber")
        if "phoneNumber" in body:
            claimed = _phone(body, "phoneNumber", required=True)
        else:
            claimed = body["hashedPhoneNumber"]
            if not isinstance(claimed, str) or not _HASH.fullmatch(claimed):
                raise Unreadable("hashedPhoneNumber must be a SHA-256 in hexadecimal")
        device = await self._device(request)
        own = e164(device)
        right = claimed == own or claimed.lower() == hashlib.sha256(own.encode()).hexdigest()
        return _answer(request, 200, {"devicePhoneNumberVerified": right})

    async def device_number(self, request: Request) -> Reply:
        return _answer(request, 200, {"devicePhoneNumber": e164(await self._device(request))})

    async def _device(self, request: Request) -> str:
        """The number of the device behind the token."""
        caller = request.caller
        if caller == Caller() and not self._frame.auth:
            caller = Caller(number=NOBODYS_DEVICE, by_network=True)
        line = self._accounts.subscriber(caller.number or "")
        await self._begin(request, line, "verify", caller.number)
        if caller.number is None or not caller.by_network:
            raise _Refused(
                403,
                "NUMBER_VERIFICATION.USER_NOT_AUTHENTICATED_BY_MOBILE_NETWORK",
                "The device must be authenticated by the mobile network",
            )
        return caller.number

    # -- SIM swap

    async def check_swap(self, request: Request) -> Reply:
        body = _body(request)
        hours = body.get("maxAge", 240)
        if type(hours) is not int:
            raise Unreadable("maxAge must be a whole number of hours")
        if not 1 <= hours <= 2400:
            raise _Refused(400, "OUT_OF_RANGE", "maxAge must be from 1 to 2400 hours")
        line = await self._line(request, body)
        changed = _latest_change(line)
        since = to_micros(request.now - timedelta(hours=hours))
        return _answer(request, 200, {"swapped": changed is not None and changed >= since})

    async def swap_date(self, request: Request) -> Reply:
        line = await self._line(request, _body(request))
        latest = _latest_change(line)
        return _answer(request, 200, {"latestSimChange": None if latest is None else moment(latest)})

    async def _line(self, request: Request, body: dict[str, Any]) -> Any:
        """The line that the token or the body names."""
        phone = _phone(body, "phoneNumber", required=False)
        own = request.caller.number
        if own is not None and phone is not None:
            raise _Refused(422, "UNNECESSARY_IDENTIFIER", "The access token already names the number")
        if own is None and phone is None:
            raise _Refused(422, "MISSING_IDENTIFIER", "The number cannot be told")
        number = own or parse_mobile(phone or "")
        line = self._accounts.subscriber(number or "")
        await self._begin(request, line, "sim_swap", number)
        if line is None or line["status"] == "dead":
            raise _Refused(404, "IDENTIFIER_NOT_FOUND", "No such number")
        if not line["sim_swap_served"]:
            raise _Refused(422, "SERVICE_NOT_APPLICABLE", "The service is not available for this number")
        return line

    async def _begin(self, request: Request, line: Any, operation: str, number: str | None) -> None:
        far_side = request.carrier or (str(line["carrier"]) if line is not None else "carrier")
        fault = await request.begin(far_side, operation, key=number or "")
        if fault is not None and fault.kind == "refusal":
            raise _Refused(403, "PERMISSION_DENIED", "The request is refused")


def _latest_change(line: Any) -> int | None:
    """When the line last got a SIM: the first one counts, since a line that is new has no history to rely on."""
    changed: int | None = (
        line["sim_changed_at"] if line["sim_changed_at"] is not None else line["activated_at"]
    )
    return changed


def _body(request: Request) -> dict[str, Any]:
    if not request.body:
        raise Unreadable("a request body is required")
    document = request.json()
    if not isinstance(document, dict):
        raise Unreadable("the body must be an object")
    return document


def _phone(body: dict[str, Any], name: str, *, required: bool) -> Any:
    value = body.get(name)
    if value is None and not required and name not in body:
        return None
    if not isinstance(value, str) or not _PHONE.fullmatch(value):
        raise Unreadable(f"{name} must be a number in international form, beginning with +")
    return value
