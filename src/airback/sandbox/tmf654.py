"""TMF654 prepay balance management as the sandbox's carriers speak it, over the books of `accounts`.

The paths, mandatory fields and answers are the specification's (v4.0.0); the fields of our profile are told in
`docs/decisions/0008-tmf654-profile.md`. A refusal for a business reason is 409 with a code of `records.REASONS`; a
body that is not what the specification asks for is 400.
"""

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from airback.sandbox.accounts import Accounts, voucher_hash
from airback.sandbox.records import REASONS, RESOURCES, Denied, Task, to_micros
from airback.sandbox.tmf654_documents import (
    BASE,
    accumulated_document,
    bucket_document,
    history_document,
    task_document,
)
from airback.sandbox.wire import Frame, Plug, Reply, Request, Route, Unreadable

_MOST_FEN: Final = 10_000_000_000
_MOST_ROWS: Final = 1_000
_USAGES: Final = ("monetary", "voice", "data", "sms", "other")
_REFERENCE: Final = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


def plug(frame: Frame, accounts: Accounts) -> Plug:
    """The far side's routes."""
    carriers = _Carriers(frame, accounts)
    routes = [
        _route("GET", "/bucket", carriers.list_buckets),
        _route("GET", "/bucket/{id}", carriers.get_bucket),
        _route("GET", "/accumulatedBalance", carriers.list_accumulated),
        _route("GET", "/accumulatedBalance/{id}", carriers.get_accumulated),
        _route("GET", "/balanceActionHistory", carriers.list_history),
        _route("GET", "/balanceActionHistory/{id}", carriers.get_history),
        _route("POST", "/reserveBalance", carriers.reserve),
        _route("POST", "/transferBalance", carriers.transfer),
        _route("POST", "/topupBalance", carriers.topup),
        _route("POST", "/adjustBalance", carriers.adjust),
        _route("POST", "/hub", carriers.register),
        _route("DELETE", "/hub/{id}", carriers.unregister),
    ]
    for resource in RESOURCES:
        routes += [
            _route("GET", f"/{resource}", carriers.lister(resource)),
            _route("GET", f"/{resource}/{{id}}", carriers.getter(resource)),
            _route("PATCH", f"/{resource}/{{id}}", carriers.patcher(resource)),
        ]
    return Plug(name="tmf654", routes=routes, counts=accounts.counts)


def refuse(request: Request, status: int, code: str, message: str) -> Reply:
    """An Error of the specification."""
    del request
    return Reply.json(status, {"code": code, "reason": message, "status": str(status)})


def _route(method: str, path: str, handler: Callable[[Request], Any]) -> Route:
    return Route(method, BASE + path, handler, bearer=True, refuse=refuse)


def _denied(error: Denied) -> Reply:
    return Reply.json(
        409, {"code": error.code, "reason": REASONS.get(error.code, error.code), "status": "409"}
    )


class _Carriers:
    """The handlers."""

    def __init__(self, frame: Frame, accounts: Accounts) -> None:
        self._frame = frame
        self._accounts = accounts

    # -- reading

    async def list_buckets(self, request: Request) -> Reply:
        number = request.first("logicalResource.id") or request.first("partyAccount.id")
        await request.begin(self._far_side(request, number), "inspect", key=number or "")
        self._accounts.settle()
        offset, limit = _page(request)
        known = ("logicalResource.id", "partyAccount.id")
        others = _other_filters(request, known)
        rows, total = self._accounts.buckets(
            number=_line_number(number),
            carrier=request.carrier,
            offset=0 if others else offset,
            limit=10_000 if others else limit,
        )
        return _listed(
            request, [bucket_document(row, request.now) for row in rows], total, others, offset, limit
        )

    async def get_bucket(self, request: Request) -> Reply:
        number = request.params["id"].partition(".")[0]
        await request.begin(self._far_side(request, number), "inspect", key=number)
        self._accounts.settle()
        row = self._accounts.bucket(request.params["id"])
        if row is None or request.carrier not in (None, row["carrier"]):
            return refuse(request, 404, "bucket.unknown", REASONS["bucket.unknown"])
        return Reply.json(200, _selected(request, bucket_document(row, request.now), ()))

    async def list_accumulated(self, request: Request) -> Reply:
        number = request.first("logicalResource.id") or request.first("partyAccount.id")
        await request.begin(self._far_side(request, number), "inspect", key=number or "")
        self._accounts.settle()
        offset, limit = _page(request)
        others = _other_filters(request, ("logicalResource.id", "partyAccount.id"))
        if number is not None:
            one = self._accounts.subscriber(_line_number(number) or "")
            lines = [one] if one is not None and request.carrier in (None, one["carrier"]) else []
            total = len(lines)
        else:
            lines = self._accounts.subscribers(carrier=request.carrier, offset=offset, limit=limit)
            total = self._accounts.buckets(number=None, carrier=request.carrier, offset=0, limit=1)[1] // 2
        return _listed(request, [accumulated_document(line) for line in lines], total, others, 0, limit)

    async def get_accumulated(self, request: Request) -> Reply:
        number = request.params["id"]
        await request.begin(self._far_side(request, number), "inspect", key=number)
        self._accounts.settle()
        line = self._accounts.subscriber(number)
        if line is None or request.carrier not in (None, line["carrier"]):
            return refuse(request, 404, "bucket.unknown", REASONS["bucket.unknown"])
        return Reply.json(
            200, _selected(request, accumulated_document(line), ("bucket", "name", "totalBalance"))
        )

    async def list_history(self, request: Request) -> Reply:
        await request.begin(request.carrier or "carrier", "statement")
        return self._list(request, None)

    async def get_history(self, request: Request) -> Reply:
        await request.begin(request.carrier or "carrier", "statement")
        self._accounts.settle()
        for resource in RESOURCES:
            task = self._accounts.task(resource, request.params["id"], carrier=request.carrier)
            if task is not None:
                return Reply.json(
                    200, _selected(request, history_document(task), ("status", "receiverLogicalResource"))
                )
        return refuse(request, 404, "task.unknown", "No such entry")

    def lister(self, resource: str) -> Callable[[Request], Any]:
        async def handler(request: Request) -> Reply:
            reference = request.first("clientReference") or request.first("releaseReference")
            await request.begin(
                request.carrier or "carrier", "statement" if reference is None else "ask", key=reference or ""
            )
            return self._list(request, resource)

        return handler

    def getter(self, resource: str) -> Callable[[Request], Any]:
        async def handler(request: Request) -> Reply:
            await request.begin(request.carrier or "carrier", "ask", key=request.params["id"])
            self._accounts.settle()
            task = self._accounts.task(resource, request.params["id"], carrier=request.carrier)
            if task is None:
                return refuse(request, 404, "task.unknown", f"No such {resource}")
            return Reply.json(200, _selected(request, self._document(task), _REQUIRED[resource]))

        return handler

    def _list(self, request: Request, resource: str | None) -> Reply:
        self._accounts.settle()
        offset, limit = _page(request)
        known = ["clientReference", "releaseReference", "status", "logicalResource.id"]
        dates = {
            f"{name}.{bound}"
            for name in ("requestedDate", "confirmationDate")
            for bound in ("gte", "gt", "lt", "lte")
        }
        others = _other_filters(request, (*known, *dates))
        reference, releaser = request.first("clientReference"), request.first("releaseReference")
        if resource is not None and reference is not None:
            tasks = self._accounts.tasks_by_reference(resource, reference, carrier=request.carrier)
            total = len(tasks)
        elif resource == "reserveBalance" and releaser is not None:
            tasks = self._accounts.task_released_by(releaser, carrier=request.carrier)
            total = len(tasks)
        else:
            tasks, total = self._accounts.page(
                resource,
                carrier=request.carrier,
                number=_line_number(request.first("logicalResource.id")),
                status=request.first("status"),
                since=_moment(request, ("gte", "gt")) or 0,
                until=_moment(request, ("lt", "lte")) or 1 << 62,
                offset=0 if others else offset,
                limit=10_000 if others else limit,
            )
        draw = history_document if resource is None else self._document
        required = ("status", "receiverLogicalResource") if resource is None else _REQUIRED[resource]
        documents = [draw(task) for task in tasks]
        return _listed(request, documents, total, others, offset, limit, required)

    def _document(self, task: Task) -> dict[str, Any]:
        held = self._accounts.reservation(task.id) if task.kind == "hold" else None
        return task_document(task, held)

    # -- changing

    async def reserve(self, request: Request) -> Reply:
        body = _Body(request.json())
        body.usage("usageType")
        bucket, account = body.reference("bucket"), body.reference("partyAccount")
        amount = body.amount("amount")
        until = body.period_end("validFor")
        task = self._task(
            request, body, resource="reserveBalance", kind="hold", asked_fen=amount, bucket=bucket
        )
        task.said |= {"partyAccount": account}
        if until is not None:
            task.said["expires_at"] = to_micros(until)
        return await self._execute(request, task, "hold")

    async def transfer(self, request: Request) -> Reply:
        body = _Body(request.json())
        for name in ("usageType", "receiverBucketUsageType"):
            body.usage(name)
        body.text("reason", required=True)
        body.reference("channel")
        sender = body.references("logicalResource")
        receiver = body.reference("receiverLogicalResource")
        bucket, receiver_bucket = body.reference("bucket"), body.reference("receiverBucket")
        amount = body.amount("amount")
        reservation = body.reference("reservation", required=False)
        releases = body.reference("releases", required=False)
        if receiver_bucket.startswith("custody."):
            kind, operation = "custody", "hold"
        elif releases is not None:
            kind, operation = "give_back", "release"
        else:
            kind, operation = "deliver", "transfer"
        task = self._task(
            request,
            body,
            resource="transferBalance",
            kind=kind,
            asked_fen=amount,
            bucket=bucket,
            sender=sender,
        )
        task.receiver_bucket, task.receiver_number = receiver_bucket, _line_number(receiver) or receiver
        task.reservation, task.releases = reservation, releases
        return await self._execute(request, task, operation)

    async def topup(self, request: Request) -> Reply:
        body = _Body(request.json())
        body.usage("usageType")
        bucket, account = body.reference("bucket"), body.reference("partyAccount")
        amount = body.amount("amount")
        code = body.text("voucher", most=64)
        kind = "cash" if code is None else "redeem"
        task = self._task(request, body, resource="topupBalance", kind=kind, asked_fen=amount, bucket=bucket)
        task.receiver_bucket, task.receiver_number = bucket, task.number
        task.said |= {"partyAccount": account}
        if code is not None:
            task.voucher_hash, task.card_number = voucher_hash(code), body.text("voucherNumber", most=64)
        return await self._execute(request, task, "redeem" if code is not None else "topup")

    async def adjust(self, request: Request) -> Reply:
        body = _Body(request.json())
        body.usage("usageType")
        bucket = body.reference("bucket")
        amount = body.amount("amount", signed=True)
        task = self._task(
            request, body, resource="adjustBalance", kind="adjust", asked_fen=amount, bucket=bucket
        )
        return await self._execute(request, task, "adjust")

    def patcher(self, resource: str) -> Callable[[Request], Any]:
        async def handler(request: Request) -> Reply:
            body = _Body(request.json())
            status = body.text("status", required=resource != "transferBalance")
            body.text("reason", required=resource in ("reserveBalance", "transferBalance"))
            if status != "cancelled":
                raise Unreadable("status may only become cancelled")
            reference = body.client_reference()
            task = self._accounts.task(resource, request.params["id"], carrier=request.carrier)
            far_side = task.carrier if task is not None else request.carrier or "carrier"
            fault = await request.begin(far_side, "release", key=(task.number or "") if task else "")
            if task is None:
                return refuse(request, 404, "task.unknown", f"No such {resource}")
            if fault is not None and fault.kind == "refusal":
                return _denied(Denied(fault.code or "request.refused"))
            try:
                at = to_micros(self._frame.now())
                if resource == "reserveBalance":
                    done = self._accounts.release(task.id, reference=reference, at=at)
                else:
                    done = self._accounts.cancel(resource, task.id, at=at)
            except Denied as error:
                return _denied(error)
            return Reply.json(200, self._document(done))

        return handler

    async def register(self, request: Request) -> Reply:
        body = _Body(request.json())
        callback = body.text("callback", required=True, most=2_000) or ""
        query = body.text("query", most=2_000)
        hub = self._new_id()
        with self._accounts.transaction() as connection:
            connection.execute(
                "INSERT INTO hubs (id, callback, query) VALUES (?, ?, ?)", (hub, callback, query)
            )
        answer = {"id": hub, "callback": callback} | ({"query": query} if query is not None else {})
        return Reply.json(201, answer, [("location", f"{BASE}/hub/{hub}")])

    async def unregister(self, request: Request) -> Reply:
        with self._accounts.transaction() as connection:
            gone = connection.execute("DELETE FROM hubs WHERE id = ?", (request.params["id"],)).rowcount
        return Reply(204) if gone else refuse(request, 404, "hub.unknown", "No such subscription")

    def _task(
        self,
        request: Request,
        body: "_Body",
        *,
        resource: str,
        kind: str,
        asked_fen: int,
        bucket: str,
        sender: str | None = None,
    ) -> Task:
        """The task a request asks for; whose it is, is told from the bucket it names."""
        number = bucket.partition(".")[0] if not bucket.startswith("custody.") else sender
        return Task(
            id=self._new_id(),
            resource=resource,
            kind=kind,
            client_ref=body.client_reference(),
            carrier=self._carrier(request, bucket),
            asked_fen=asked_fen,
            bucket=bucket,
            number=_line_number(number),
            requested_at=to_micros(request.now),
            purpose=body.text("purpose", most=80),
            said={
                name: value
                for name in ("reason", "description", "usageType", "receiverBucketUsageType")
                if (value := body.text(name)) is not None
            }
            | (
                {"channel": channel}
                if (channel := body.reference("channel", required=False)) is not None
                else {}
            ),
        )

    async def _execute(self, request: Request, task: Task, operation: str) -> Reply:
        key = task.card_number or task.number or ""
        fault = await request.begin(task.carrier or "carrier", operation, key=key)
        kind = fault.kind if fault is not None else None
        task.requested_at = to_micros(self._frame.now())
        if fault is not None and kind == "wrong_amount":
            task.amount_ppm = fault.amount_ppm
        try:
            if task.said.get("usageType") != "monetary":
                raise Denied("usage.unsupported")
            if not task.carrier or request.carrier not in (None, task.carrier):
                self._accounts.refuse(task, "bucket.unknown")
                raise Denied("bucket.unknown")
            if fault is not None and kind == "refusal":
                self._accounts.refuse(task, fault.code or "request.refused")
                raise Denied(fault.code or "request.refused")
            delay_us = fault.delay_ms * 1_000 if fault is not None and kind == "processing" else 0
            done = self._accounts.execute(task, delay_us=delay_us, twice=kind == "duplicated")
        except Denied as error:
            return _denied(error)
        document = self._document(done)
        return Reply.json(201, document, [("location", document["href"])])

    def _carrier(self, request: Request, bucket: str) -> str:
        if bucket.startswith("custody."):
            return bucket.removeprefix("custody.")
        row = self._accounts.bucket(bucket)
        return str(row["carrier"]) if row is not None else request.carrier or ""

    def _far_side(self, request: Request, number: str | None) -> str:
        if request.carrier is not None:
            return request.carrier
        line = self._accounts.subscriber(_line_number(number) or "") if number else None
        return str(line["carrier"]) if line is not None else "carrier"

    def _new_id(self) -> str:
        return base64.b32encode(self._frame.entropy(10)).decode().lower()


class _Body:
    """A request's body, read field by field. Every method raises `Unreadable` with the field's name."""

    def __init__(self, document: Any) -> None:
        if not isinstance(document, dict):
            raise Unreadable("the body must be an object")
        self._document: Mapping[str, Any] = document

    def text(self, name: str, *, required: bool = False, most: int = 500) -> str | None:
        value = self._document.get(name)
        if value is None:
            if required:
                raise Unreadable(f"{name} is required")
            return None
        if not isinstance(value, str) or len(value) > most:
            raise Unreadable(f"{name} must be a text of at most {most} characters")
        return value

    def usage(self, name: str) -> str:
        value = self.text(name, required=True) or ""
        if value not in _USAGES:
            raise Unreadable(f"{name} must be one of {', '.join(_USAGES)}")
        return value

    def reference(self, name: str, *, required: bool = True) -> Any:
        """The id of a reference object."""
        value = self._document.get(name)
        if value is None and not required:
            return None
        return _reference_id(name, value)

    def references(self, name: str) -> str:
        """The id of the first of a list of references."""
        value = self._document.get(name)
        if not isinstance(value, list) or not value:
            raise Unreadable(f"{name} must be a list of references")
        ids = [_reference_id(name, item) for item in value]
        return ids[0]

    def amount(self, name: str, *, signed: bool = False) -> int:
        """A Quantity in CNY as fen."""
        value = self._document.get(name)
        if not isinstance(value, dict):
            raise Unreadable(f"{name} must be a Quantity; the profile requires it")
        number = value.get("amount")
        if isinstance(number, bool) or not isinstance(number, int | Decimal):
            raise Unreadable(f"{name}.amount must be a number")
        if value.get("units", "CNY") not in ("CNY", "cny"):
            raise Unreadable(f"{name}.units must be CNY")
        exact = Decimal(number)
        fen = exact * 100 if abs(exact) < _MOST_FEN else Decimal(0)
        if fen != fen.to_integral_value():
            raise Unreadable(f"{name}.amount has a fraction of a fen")
        if not (fen > 0 or (signed and fen < 0)) or abs(fen) > _MOST_FEN:
            raise Unreadable(f"{name}.amount is out of range")
        return int(fen)

    def period_end(self, name: str) -> datetime | None:
        value = self._document.get(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise Unreadable(f"{name} must be a TimePeriod")
        end = value.get("endDateTime")
        if end is None:
            return None
        return _parse_time(f"{name}.endDateTime", end)

    def client_reference(self) -> str | None:
        value = self.text("clientReference", most=64)
        if value is not None and not _REFERENCE.fullmatch(value):
            raise Unreadable("clientReference must be letters and digits")
        return value


_REQUIRED: Final[dict[str, Sequence[str]]] = {
    "reserveBalance": ("status",),
    "adjustBalance": ("status",),
    "topupBalance": ("status",),
    "transferBalance": ("reason", "receiverLogicalResource", "channel", "logicalResource", "status"),
}


def _reference_id(name: str, value: Any) -> str:
    identifier = value.get("id") if isinstance(value, dict) else None
    if not isinstance(identifier, str) or not 0 < len(identifier) <= 100:
        raise Unreadable(f"{name} must be a reference with an id")
    return identifier


def _parse_time(name: str, value: Any) -> datetime:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise Unreadable(f"{name} must be a date-time with a time zone")
    return moment


def _moment(request: Request, bounds: Sequence[str]) -> int | None:
    for name in ("confirmationDate", "requestedDate"):
        for bound in bounds:
            value = request.first(f"{name}.{bound}")
            if value is not None:
                after = 1 if bound in ("gt", "lte") else 0
                return to_micros(_parse_time(f"{name}.{bound}", value.replace(" ", "+"))) + after
    return None


def _line_number(text: str | None) -> str | None:
    """A number without its country code: both ways of writing it name the same line."""
    return None if text is None else text.strip().removeprefix("+86")


def _page(request: Request) -> tuple[int, int]:
    numbers = []
    for name, default, most in (("offset", 0, 1 << 40), ("limit", 100, _MOST_ROWS)):
        text = request.first(name)
        if text is None:
            numbers.append(default)
        elif re.fullmatch(r"[0-9]{1,12}", text, re.ASCII) and (name == "offset" or int(text) > 0):
            numbers.append(min(int(text), most))
        else:
            raise Unreadable(f"{name} must be a whole number")
    return numbers[0], numbers[1]


def _other_filters(request: Request, known: Sequence[str]) -> list[tuple[str, str]]:
    """Filters the books do not answer themselves: attribute = value, compared on what would be answered."""
    return [
        (name, value) for name, value in request.query if name not in ("fields", "offset", "limit", *known)
    ]


def _matches(document: Any, path: Sequence[str], value: str) -> bool:
    if isinstance(document, list):
        return any(_matches(item, path, value) for item in document)
    if not path:
        return (str(document).lower() if isinstance(document, bool) else str(document)) == value
    return isinstance(document, dict) and path[0] in document and _matches(document[path[0]], path[1:], value)


def _selected(request: Request, document: dict[str, Any], required: Sequence[str]) -> dict[str, Any]:
    """The attributes named in `fields`; id, href and what the specification makes mandatory always stay."""
    names = request.first("fields")
    if not names:
        return document
    kept = {"id", "href", "@type", *required, *(name.strip() for name in names.split(","))}
    return {name: value for name, value in document.items() if name in kept}


def _listed(
    request: Request,
    documents: list[dict[str, Any]],
    total: int,
    others: Sequence[tuple[str, str]],
    offset: int,
    limit: int,
    required: Sequence[str] = ("bucket", "name", "totalBalance"),
) -> Reply:
    if others:
        documents = [
            d for d in documents if all(_matches(d, name.split("."), value) for name, value in others)
        ]
        total = len(documents)
        documents = documents[offset : offset + limit]
    selected = [_selected(request, document, required) for document in documents]
    return Reply.json(200, selected, [("x-total-count", str(total)), ("x-result-count", str(len(selected)))])
