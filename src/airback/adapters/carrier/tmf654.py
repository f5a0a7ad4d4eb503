"""`Tmf654Carrier`: the `Carrier` port over TMF654 v4.0.0 with our profile (docs/decisions/0008-tmf654-profile.md).

What an answer means:

| answer | outcome |
|---|---|
| 2xx, task `completed` | succeeded, with what really moved |
| 2xx, task `created` | processing: 201 is not done, ask |
| 2xx, task `failed`; an Error whose code is known; any other Error of 400, 404, 405, 422 | failed |
| an Error of 401, 403, 429 | failed, `not_sent`: nobody looked at it |
| `reference.repeated`, an unknown 409, 5xx, anything unreadable, no answer | unknown, ask |
| connection never established | failed, `not_sent` |
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from airback.adapters.carrier.quantities import from_quantity, to_quantity
from airback.adapters.http.client import AnswerLost, CallFailed, HttpAnswer, HttpFarSide, NotSent
from airback.adapters.http.redaction import Redaction
from airback.domain.effects import Exchange, Kind, Outcome, Result
from airback.domain.money import MAX_FEN
from airback.domain.ports.carrier import (
    CarrierCapabilities,
    FarSideUnreachable,
    HoldKind,
    HoldRequest,
    RedeemRequest,
    ReleaseRequest,
    StatementLine,
    TransferRequest,
)

BASE_PATH: Final = "/tmf-api/prepayBalanceManagement/v4"

#: Rows asked for at once when a statement is read, and pages after which it is given up as endless.
PAGE_ROWS: Final = 500
MOST_PAGES: Final = 20_000

_DEFAULT_CODE: Final = {
    Kind.HOLD: "hold_refused",
    Kind.TRANSFER: "delivery_failed",
    Kind.REDEEM: "delivery_failed",
    Kind.RELEASE: "release_refused",
}

#: The profile's error codes in the platform's words; `None` takes the default of the kind of effect.
_CODES: Final[Mapping[str, str | None]] = {
    "request.refused": None,
    "balance.insufficient": "balance_insufficient",
    "bucket.unknown": None,
    "bucket.expired": None,
    "bucket.untransferable": None,
    "line.suspended": "number_suspended",
    "line.dead": "number_dead",
    "receiver.unknown": "target_refused",
    "receiver.refused": "target_refused",
    "receiver.elsewhere": "target_refused",
    "reservation.unknown": "hold_unknown",
    "reservation.closed": "hold_unknown",
    "reservation.expired": "hold_unknown",
    "reservation.released": "hold_unknown",
    "reservation.consumed": "hold_unknown",
    "reservation.failed": "hold_unknown",
    "reservation.cancelled": "hold_unknown",
    "reservation.exceeded": "hold_unknown",
    "reservation.foreign": "hold_unknown",
    "return.exceeded": None,
    "voucher.unknown": "card_unknown",
    "voucher.used": "card_used",
    "voucher.expired": "card_expired",
    "usage.unsupported": None,
}

#: On a release: the first say that something else became of the hold, so nothing came back. Releasing what is not
#: held any more has happened, whoever did it.
_STILL_HELD: Final = frozenset({"reservation.consumed", "reservation.exceeded", "reservation.foreign"})
_NOTHING_HELD: Final = frozenset(
    {"reservation.expired", "reservation.released", "reservation.failed", "reservation.cancelled"}
)


class Tmf654Carrier:
    """One carrier contract at one address.

    `base_url` is what comes before `/tmf-api/…`. `custody_bucket` is the platform's own bucket at this carrier
    (default `custody.<carrier>`), `channel` the name the contract gave the platform, `token` its bearer token.
    """

    def __init__(
        self,
        *,
        base_url: str,
        capabilities: CarrierCapabilities,
        token: str | None = None,
        channel: str = "airback",
        custody_bucket: str | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        if not capabilities.contract_id:
            raise ValueError(
                "a carrier's airtime may only be moved under a contract: contract_id is required"
            )
        self._capabilities = capabilities
        self._channel = channel
        self._custody_bucket = custody_bucket or f"custody.{capabilities.carrier}"
        self._http = HttpFarSide(
            name=capabilities.carrier,
            base_url=base_url,
            timeout_s=capabilities.timeout_s,
            concurrency=capabilities.concurrency,
            headers={} if token is None else {"authorization": f"Bearer {token}"},
            redaction=Redaction(hidden_keys=frozenset({"voucher"}), masked_keys=frozenset({"vouchernumber"})),
            now=now,
        )

    @property
    def capabilities(self) -> CarrierCapabilities:
        """What this connector can do."""
        return self._capabilities

    async def close(self) -> None:
        """Close every connection."""
        await self._http.close()

    async def hold(self, request: HoldRequest) -> Outcome:
        """Reserve (native) or move into the platform's bucket (custody)."""
        if self._capabilities.hold is HoldKind.CUSTODY:
            body = self._transfer_body(
                ref=request.ref,
                reason="hold",
                amount_fen=request.amount_fen,
                bucket=_principal(request.number),
                sender=request.number,
                receiver=self._channel,
                receiver_bucket=self._custody_bucket,
            )
            return await self._post(Kind.HOLD, "transferBalance", body)
        body = {
            "amount": to_quantity(request.amount_fen),
            "usageType": "monetary",
            "bucket": {"id": _principal(request.number)},
            "partyAccount": {"id": request.number},
            "logicalResource": [{"id": request.number}],
            "channel": {"id": self._channel},
            "reason": "hold",
            "validFor": {"endDateTime": _moment(request.valid_until)},
            "clientReference": request.ref,
        }
        return await self._post(Kind.HOLD, "reserveBalance", body)

    async def transfer(self, request: TransferRequest) -> Outcome:
        """Deliver out of the reservation or out of the platform's bucket."""
        custody = request.hold is HoldKind.CUSTODY
        body = self._transfer_body(
            ref=request.ref,
            reason="delivery",
            amount_fen=request.amount_fen,
            bucket=self._custody_bucket if custody else _principal(request.from_number),
            sender=self._channel if custody else request.from_number,
            receiver=request.to_number,
            receiver_bucket=_principal(request.to_number),
        )
        body["purpose"] = request.purpose
        if not custody:
            hold = await self._hold_id(request.hold_ref, request.hold_far_ref, HoldKind.NATIVE)
            if isinstance(hold, Outcome):
                return hold
            body["reservation"] = {"id": hold}
        return await self._post(Kind.TRANSFER, "transferBalance", body)

    async def redeem(self, request: RedeemRequest) -> Outcome:
        """Redeem a card. The code leaves this process in this one request's body only."""
        body = {
            "amount": to_quantity(request.face_fen),
            "usageType": "monetary",
            "bucket": {"id": _principal(request.to_number)},
            "partyAccount": {"id": request.to_number},
            "logicalResource": [{"id": request.to_number}],
            "channel": {"id": self._channel},
            "reason": "redemption",
            "voucher": request.card_code,
            "voucherNumber": request.card_number,
            "clientReference": request.ref,
            "purpose": request.purpose,
        }
        return await self._post(Kind.REDEEM, "topupBalance", body, secrets=(request.card_code,))

    async def release(self, request: ReleaseRequest) -> Outcome:
        """Give a hold back: cancel the reservation, or return `amount_fen` out of the platform's bucket."""
        hold = await self._hold_id(request.hold_ref, request.hold_far_ref, request.hold)
        if isinstance(hold, Outcome):
            return hold
        if request.hold is HoldKind.CUSTODY:
            body = self._transfer_body(
                ref=request.ref,
                reason="release",
                amount_fen=request.amount_fen,
                bucket=self._custody_bucket,
                sender=self._channel,
                receiver=request.number,
                receiver_bucket=_principal(request.number),
            )
            body["releases"] = {"id": hold}
            return await self._post(Kind.RELEASE, "transferBalance", body)
        return await self._send(
            Kind.RELEASE,
            "PATCH",
            f"/reserveBalance/{quote(hold, safe='')}",
            {"status": "cancelled", "reason": "release", "clientReference": request.ref},
        )

    async def ask(self, *, kind: Kind, ref: str, hold: HoldKind = HoldKind.NONE) -> Outcome:
        """What became of a reference. Unreachable is `unknown`; never seen is `failed` with `not_found`."""
        held = self._capabilities.hold if hold is HoldKind.NONE else hold
        native = held is HoldKind.NATIVE
        if kind is Kind.REDEEM:
            resource = "topupBalance"
        elif native and kind in (Kind.HOLD, Kind.RELEASE):
            resource = "reserveBalance"
        elif kind in (Kind.HOLD, Kind.TRANSFER, Kind.RELEASE):
            resource = "transferBalance"
        else:
            raise ValueError(f"a carrier is not asked about {kind}")
        name = "releaseReference" if native and kind is Kind.RELEASE else "clientReference"
        try:
            answer = await self._http.call("GET", f"{BASE_PATH}/{resource}", query=[(name, ref)])
        except CallFailed as error:
            return Outcome(Result.UNKNOWN, code="answer_lost", exchanges=(error.exchange,))
        if answer.status != 200:
            return Outcome(Result.UNKNOWN, code="far_side_error", exchanges=(answer.exchange,))
        tasks = _tasks(answer)
        # A far side that ignores the filter would answer with somebody else's task.
        if tasks is None or any(task.get(name) != ref for task in tasks):
            return Outcome(Result.UNKNOWN, code="far_side_error", exchanges=(answer.exchange,))
        if not tasks:
            return Outcome(Result.FAILED, code="not_found", exchanges=(answer.exchange,))
        return _read_task(kind, tasks[0], answer.exchange, executions=len(tasks))

    async def statement(self, *, since: datetime, until: datetime) -> Sequence[StatementLine]:
        """Deliveries, redemptions, custody holds and their releases confirmed in [since, until), by time."""
        lines = [
            line
            for resource in ("transferBalance", "topupBalance")
            for task in await self._pages(resource, since, until)
            if (line := self._statement_line(resource, task)) is not None
        ]
        return sorted(lines, key=lambda line: (line.at, line.far_ref))

    # -- requests

    def _transfer_body(
        self,
        *,
        ref: str,
        reason: str,
        amount_fen: int,
        bucket: str,
        sender: str,
        receiver: str,
        receiver_bucket: str,
    ) -> dict[str, Any]:
        return {
            "amount": to_quantity(amount_fen),
            "reason": reason,
            "channel": {"id": self._channel},
            "logicalResource": [{"id": sender}],
            "bucket": {"id": bucket},
            "usageType": "monetary",
            "receiverLogicalResource": {"id": receiver},
            "receiverBucket": {"id": receiver_bucket},
            "receiverBucketUsageType": "monetary",
            "clientReference": ref,
        }

    async def _hold_id(self, ref: str, far_ref: str, hold: HoldKind) -> str | Outcome:
        """The carrier's own id of a hold: known, or asked for by our reference; an outcome when there is none."""
        if far_ref:
            return far_ref
        asked = await self.ask(kind=Kind.HOLD, ref=ref, hold=hold)
        if asked.far_ref:
            return asked.far_ref
        code = "not_sent" if asked.result is Result.UNKNOWN else "hold_unknown"
        return Outcome(Result.FAILED, code=code, exchanges=asked.exchanges)

    async def _post(
        self, kind: Kind, resource: str, body: Mapping[str, Any], *, secrets: Sequence[str] = ()
    ) -> Outcome:
        return await self._send(kind, "POST", f"/{resource}", body, secrets=secrets)

    async def _send(
        self, kind: Kind, method: str, path: str, body: Mapping[str, Any], *, secrets: Sequence[str] = ()
    ) -> Outcome:
        try:
            answer = await self._http.call(method, BASE_PATH + path, json=body, secrets=secrets)
        except NotSent as error:
            return Outcome(
                Result.FAILED, code="not_sent", detail={"reason": error.reason}, exchanges=(error.exchange,)
            )
        except AnswerLost as error:
            return Outcome(
                Result.UNKNOWN,
                code="answer_lost",
                detail={"reason": error.reason},
                exchanges=(error.exchange,),
            )
        if answer.status in (200, 201, 202):
            task = _task(answer)
            name = "releaseReference" if method == "PATCH" else "clientReference"
            if task is None or task.get(name) != body["clientReference"]:
                return Outcome(Result.UNKNOWN, code="far_side_error", exchanges=(answer.exchange,))
            return _read_task(kind, task, answer.exchange)
        return _read_error(kind, answer)

    async def _pages(self, resource: str, since: datetime, until: datetime) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for page in range(MOST_PAGES):
            query = [
                ("status", "completed"),
                ("confirmationDate.gte", _moment(since)),
                ("confirmationDate.lt", _moment(until)),
                ("offset", str(page * PAGE_ROWS)),
                ("limit", str(PAGE_ROWS)),
            ]
            try:
                answer = await self._http.call("GET", f"{BASE_PATH}/{resource}", query=query)
            except CallFailed as error:
                raise FarSideUnreachable(far_side=self._http.name, reason=error.reason) from error
            tasks = _tasks(answer) if answer.status == 200 else None
            if tasks is None:
                raise FarSideUnreachable(
                    far_side=self._http.name, reason=f"statement answered with {answer.status}"
                )
            rows += tasks
            if len(tasks) < PAGE_ROWS:
                return rows
        raise FarSideUnreachable(far_side=self._http.name, reason="statement without an end")

    def _statement_line(self, resource: str, task: Mapping[str, Any]) -> StatementLine | None:
        """One line, or None when the task is not one of ours."""
        carriers = [
            party.get("id") for party in _objects(task.get("relatedParty")) if party.get("role") == "carrier"
        ]
        if _id(task.get("channel")) != self._channel or (
            carriers and self._capabilities.carrier not in carriers
        ):
            return None
        if resource == "topupBalance":
            kind = Kind.REDEEM
        elif _id(task.get("receiverBucket")) == self._custody_bucket:
            kind = Kind.HOLD
        else:
            kind = Kind.RELEASE if "releases" in task else Kind.TRANSFER
        amount_fen, at, far_ref = (
            from_quantity(task.get("amount")),
            _time(task.get("confirmationDate")),
            task.get("id"),
        )
        if amount_fen is None or at is None or not isinstance(far_ref, str):
            raise FarSideUnreachable(far_side=self._http.name, reason="statement line cannot be read")
        return StatementLine(
            ref=str(task.get("clientReference", "")), kind=kind, amount_fen=amount_fen, far_ref=far_ref, at=at
        )


def _read_task(kind: Kind, task: Mapping[str, Any], exchange: Exchange, *, executions: int = 1) -> Outcome:
    """The outcome that a task's document tells."""
    far_ref, status = task.get("id"), task.get("status")
    if not isinstance(far_ref, str) or not far_ref:
        return Outcome(Result.UNKNOWN, code="far_side_error", exchanges=(exchange,))
    detail: dict[str, Any] = {} if executions == 1 else {"executions": executions}
    if status == "created":
        return Outcome(Result.PROCESSING, far_ref=far_ref, exchanges=(exchange,))
    if status == "failed":
        failure = task.get("failure")
        said = failure.get("code") if isinstance(failure, Mapping) else None
        code = _refusal(kind, said) if isinstance(said, str) else _DEFAULT_CODE[kind]
        return Outcome(Result.FAILED, code=code, far_ref=far_ref, exchanges=(exchange,))
    released = kind is Kind.RELEASE and "releasedValue" in task
    if status == "completed" or (status == "cancelled" and released):
        amount_fen = from_quantity(task.get("releasedValue" if released else "amount"))
        if amount_fen is None or not 1 <= amount_fen <= MAX_FEN:
            return Outcome(Result.UNKNOWN, code="far_side_error", far_ref=far_ref, exchanges=(exchange,))
        balance = task.get("receiverBalance")
        if kind in (Kind.TRANSFER, Kind.REDEEM) and isinstance(balance, Mapping):
            before, after = from_quantity(balance.get("before")), from_quantity(balance.get("after"))
            if before is not None and after is not None:
                detail |= {"before_fen": before, "after_fen": after}
        return Outcome(
            Result.SUCCEEDED, far_ref=far_ref, amount_fen=amount_fen, detail=detail, exchanges=(exchange,)
        )
    if status == "cancelled":
        # A hold that lapsed or was given back before anybody heard of it.
        code = "hold_unknown" if kind in (Kind.HOLD, Kind.RELEASE) else _DEFAULT_CODE[kind]
        return Outcome(Result.FAILED, code=code, far_ref=far_ref, exchanges=(exchange,))
    return Outcome(Result.UNKNOWN, code="far_side_error", far_ref=far_ref, exchanges=(exchange,))


def _refusal(kind: Kind, said: str) -> str:
    """The platform's code for what a carrier refused for."""
    code = _CODES.get(said)
    if kind is Kind.REDEEM and said.startswith("bucket."):
        return "target_refused"  # the bucket that a card is redeemed into is the receiver's
    if kind is Kind.RELEASE and said in _STILL_HELD:
        return _DEFAULT_CODE[kind]
    if code is None or (kind is not Kind.HOLD and code == "balance_insufficient"):
        return _DEFAULT_CODE[kind]  # elsewhere it is the platform's own bucket that is short
    return code


def _read_error(kind: Kind, answer: HttpAnswer) -> Outcome:
    """The outcome of an answer that is no success. Only a readable Error can be a failure."""
    error = _task(answer)
    said = error.get("code") if error is not None else None
    if not isinstance(said, str) or not 400 <= answer.status < 500 or answer.status == 408:
        return Outcome(Result.UNKNOWN, code="far_side_error", exchanges=(answer.exchange,))
    detail = {"said": said[:80]}
    if said == "reference.repeated":
        return Outcome(Result.UNKNOWN, code="reference_repeated", detail=detail, exchanges=(answer.exchange,))
    if answer.status in (401, 403, 429):
        return Outcome(Result.FAILED, code="not_sent", detail=detail, exchanges=(answer.exchange,))
    if kind is Kind.RELEASE and said in _NOTHING_HELD:
        return Outcome(Result.SUCCEEDED, detail=detail | {"lapsed": True}, exchanges=(answer.exchange,))
    if said in _CODES:
        return Outcome(Result.FAILED, code=_refusal(kind, said), detail=detail, exchanges=(answer.exchange,))
    if answer.status == 409:
        return Outcome(Result.UNKNOWN, code="far_side_error", detail=detail, exchanges=(answer.exchange,))
    return Outcome(Result.FAILED, code=_DEFAULT_CODE[kind], detail=detail, exchanges=(answer.exchange,))


def _task(answer: HttpAnswer) -> dict[str, Any] | None:
    try:
        document = answer.json()
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _tasks(answer: HttpAnswer) -> list[dict[str, Any]] | None:
    try:
        documents = answer.json()
    except ValueError:
        return None
    if not isinstance(documents, list) or not all(isinstance(document, dict) for document in documents):
        return None
    return documents


def _objects(value: Any) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def _id(value: Any) -> str | None:
    identifier = value.get("id") if isinstance(value, Mapping) else None
    return identifier if isinstance(identifier, str) else None


def _principal(number: str) -> str:
    """The id of a number's principal bucket, by the profile's rule."""
    return f"{number}.principal"


def _moment(value: datetime) -> str:
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _time(value: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return moment if moment is not None and moment.tzinfo is not None else None
