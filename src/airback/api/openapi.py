"""`/v1/openapi.json`: the API described in OpenAPI 3.1, made from the very shapes that requests are read with.

`OPERATIONS` says of each address what it takes, what it answers and what it refuses; a test holds it to the routes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from typing import Any, Final

import msgspec
from litestar import Response, get

from airback.api import documents as d
from airback.api import market_documents as m
from airback.api import offer_documents as o
from airback.api.credentials import SCOPES
from airback.api.margin import MarginAnswer
from airback.api.problems import MEDIA_TYPE, Problem
from airback.api.rate_index import RateIndex
from airback.api.reading import MOST_BODY_BYTES, MOST_ITEMS
from airback.domain.refusals import REFUSALS
from airback.queries.margin import SEGMENTS

_JSON: Final = "application/json"
_ANYWHERE: Final = (
    "credentials_missing",
    "credentials_wrong",
    "scope_missing",
    "rate_limited",
    "internal",
    "busy",
    "unavailable",
)
_BODY: Final = (
    "content_type_unsupported",
    "body_too_large",
    "body_malformed",
    "field_missing",
    "field_invalid",
)
_IDEMPOTENT: Final = ("idempotency_key_missing", "idempotency_key_reused")

_EXAMPLE_QUOTE: Final = {
    "v": 1,
    "id": "7ZQ4M0000000000000EXAMPLE0",
    "book": 1,
    "card_version": 1,
    "product": "card",
    "carrier": "cmcc",
    "number": None,
    "card_number": "20261102000017",
    "seller": "acme/user-17",
    "face_fen": 10000,
    "rail": "alipay",
    "rate_ppm": 900000,
    "gross_fen": 9000,
    "fee_fen": 400,
    "rail_cost_fen": 39,
    "net_fen": 8561,
    "key_id": "…",
    "signature": "…",
    "mac": "…",
}
_EXAMPLE_ORDER: Final = {
    "quote": _EXAMPLE_QUOTE,
    "seller_ref": "user-17",
    "card_code": "000000000000000000",
    "payee_account": "13800138000",
    "payee_name": "王小明",
    "agreement": "2026-11",
    "client_ref": "2026-000123",
}


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one address. `takes` and `batch`: a single item, or `{batch: [items]}`."""

    summary: str
    tag: str
    answers: Mapping[int, type[msgspec.Struct] | tuple[type[msgspec.Struct], ...] | str]
    scope: str | None = None
    takes: type[msgspec.Struct] | None = None
    batch: str | None = None
    example: Any = None
    description: str = ""
    query: tuple[str, ...] = ()
    refuses: tuple[str, ...] = ()
    idempotent: bool = False
    form: bool = False
    also: Mapping[str, str] = field(default_factory=dict)


_CURSOR: Final = ("cursor", "limit")
_OFFERED: Final = (
    *("number_malformed", "number_dead", "number_suspended", "carrier_unknown", "carrier_unreachable"),
    *("proof_invalid", "agreement_missing", "payee_malformed", "rail_unavailable", "paused", "not_bought"),
    *("amount_below_minimum", "balance_insufficient"),
)
_OFFER_PRICE: Final = (
    *("amount_not_positive", "amount_above_limit", "offer_below_price", "offer_above_bounds"),
)

OPERATIONS: Final[dict[tuple[str, str], Operation]] = {
    ("post", "/v1/verifications"): Operation(
        "Send a one-time code to a number",
        "Verifications",
        {201: d.Verification},
        scope="orders:write",
        takes=d.VerificationRequest,
        example={"number": "13800138000", "language": "zh"},
        description="The number's carrier sends and checks the code; it is never stored here. One a minute.",
        refuses=(
            "number_malformed",
            "number_dead",
            "number_suspended",
            "code_too_soon",
            "carrier_unreachable",
        ),
    ),
    ("post", "/v1/verifications/{verification}/check"): Operation(
        "Give the code, get the proof and the line's sellable balance",
        "Verifications",
        {200: d.Proof},
        scope="orders:write",
        takes=d.CodeRequest,
        example={"code": "204816"},
        description="The proof is good for fifteen minutes and for this number.",
        refuses=("not_found", "code_wrong", "code_expired", "code_too_many", "carrier_unreachable"),
    ),
    ("post", "/v1/quotes"): Operation(
        "Ask for binding prices",
        "Quotes",
        {200: (d.OneQuote, d.QuoteAnswers)},
        scope="quotes:write",
        takes=d.QuoteRequest,
        batch="asks",
        example={
            "product": "card",
            "carrier": "cmcc",
            "face_yuan": "100",
            "card_number": "20261102000017",
            "seller_ref": "user-17",
        },
        description="A quote is signed, single-use, bound to seller and asset, and good until `valid_until`. Its "
        "components sum to `net_fen`, which is what the seller gets.",
        refuses=(
            "exposure_full",
            "not_bought",
            "carrier_unknown",
            "amount_not_a_number",
            "amount_not_positive",
            "amount_fraction_of_fen",
            "amount_below_minimum",
            "amount_above_limit",
            "card_face_unknown",
            "card_number_malformed",
            "card_expired",
            "number_malformed",
            "number_dead",
            "number_suspended",
            "rail_unavailable",
            "carrier_unreachable",
        ),
    ),
    ("get", "/v1/rates"): Operation("The published rates", "Quotes", {200: d.Rates}, refuses=("not_bought",)),
    ("get", "/v1/rate-cards"): Operation("Every published rate card", "Quotes", {200: d.PublishedCards}),
    ("get", "/v1/rate-cards/{version}"): Operation(
        "One published rate card, as it stands",
        "Quotes",
        {
            200: "The card: every factor with its figures, range, dates and source. It replays each quote that names it."
        },
        refuses=("not_found",),
    ),
    ("post", "/v1/orders"): Operation(
        "Place orders",
        "Orders",
        {201: (d.OrderAnswer, d.OrderAnswers), 207: d.OrderAnswers},
        scope="orders:write",
        takes=d.OrderRequest,
        batch="orders",
        example=_EXAMPLE_ORDER,
        idempotent=True,
        description="A batch answers 201 when every order was accepted and 207 otherwise; a bad order never sinks "
        "its neighbours. A request in which nothing was accepted does not use up the idempotency key.",
        refuses=(
            "quote_invalid",
            "quote_expired",
            "quote_used",
            "quote_mismatch",
            "carrier_unknown",
            "number_unproven",
            "proof_invalid",
            "card_code_malformed",
            "card_duplicate",
            "agreement_missing",
            "rail_unavailable",
            "payee_malformed",
            "client_ref_used",
            "account_daily_limit",
        ),
    ),
    ("get", "/v1/orders"): Operation(
        "Your orders, newest first",
        "Orders",
        {200: d.Orders},
        scope="orders:read",
        query=("client_ref", "seller_ref", "state", *_CURSOR),
        refuses=("field_invalid",),
    ),
    ("get", "/v1/orders/{order}"): Operation(
        "One order", "Orders", {200: d.Order}, scope="orders:read", refuses=("not_found",)
    ),
    ("post", "/v1/orders/{order}/cancel"): Operation(
        "Cancel an order",
        "Orders",
        {200: d.CancelAnswer, 202: d.CancelAnswer},
        scope="orders:write",
        description="Free until a delivery is committed. Waits up to two seconds for the engine's word.",
        refuses=("not_found", "too_late"),
    ),
    ("post", "/v1/orders/{order}/payee"): Operation(
        "Name another account to pay",
        "Orders",
        {202: d.Order},
        scope="orders:write",
        takes=d.PayeeRequest,
        example={"payee_account": "13800138000", "payee_name": "王小明"},
        refuses=("not_found", "order_not_waiting", "payee_malformed"),
    ),
    ("get", "/v1/orders/{order}/events"): Operation(
        "What happened to an order",
        "Events",
        {200: d.Events},
        scope="orders:read",
        query=_CURSOR,
        refuses=("not_found", "field_invalid"),
    ),
    ("get", "/v1/orders/{order}/receipt"): Operation(
        "The signed receipt",
        "Orders",
        {200: "The receipt: figures and masked references, signed."},
        scope="orders:read",
        query=("language",),
        description="JSON; PDF with `Accept: application/pdf` or under `/receipt.pdf`.",
        refuses=("not_found",),
        also={"application/pdf": "binary"},
    ),
    ("get", "/v1/orders/{order}/receipt.pdf"): Operation(
        "The signed receipt on paper",
        "Orders",
        {200: "The receipt as PDF."},
        scope="orders:read",
        query=("language",),
        refuses=("not_found",),
        also={"application/pdf": "binary"},
    ),
    ("get", "/v1/events"): Operation(
        "What happened to all your orders, from a cursor on",
        "Events",
        {200: d.Events},
        scope="orders:read",
        query=_CURSOR,
        description="A page may be empty while `more` is true: go on from `next`. The cursor `end` answers with no "
        "event and, as `next`, the place after the newest one.",
        refuses=("field_invalid",),
    ),
    ("post", "/v1/offers"): Operation(
        "Name your own price and wait for a demand",
        "Offers",
        {201: o.OfferDocument},
        scope="orders:write",
        takes=o.OfferRequest,
        example={
            "number": "13800138000",
            "proof": "…",
            "face_fen": 10000,
            "net_fen": 9000,
            "deadline_at": "2026-11-03T04:00:00Z",
            "payee_account": "13800138000",
            "payee_name": "王小明",
            "seller_ref": "user-17",
            "agreement": "2026-11",
        },
        description="Nothing is frozen meanwhile. When a demand covers it, it becomes an order by a signed quote that nets "
        "no less than was asked.",
        refuses=(
            *_OFFERED,
            *_OFFER_PRICE,
            "offer_deadline_invalid",
            "offer_resting",
            "offer_unwatched",
            "client_ref_used",
        ),
        idempotent=True,
    ),
    ("get", "/v1/offers"): Operation(
        "Your offers, newest first",
        "Offers",
        {200: o.Offers},
        scope="orders:read",
        query=("seller_ref", "state", *_CURSOR),
        refuses=("field_invalid",),
    ),
    ("get", "/v1/offers/{offer}"): Operation(
        "One offer", "Offers", {200: o.OfferDocument}, scope="orders:read", refuses=("not_found",)
    ),
    ("patch", "/v1/offers/{offer}"): Operation(
        "Change a resting offer's price or deadline",
        "Offers",
        {200: o.OfferDocument},
        scope="orders:write",
        takes=o.OfferChange,
        example={"net_fen": 8900},
        refuses=("not_found", "offer_closed", "offer_deadline_invalid", *_OFFER_PRICE),
    ),
    ("delete", "/v1/offers/{offer}"): Operation(
        "Withdraw a resting offer",
        "Offers",
        {200: o.OfferDocument},
        scope="orders:write",
        refuses=("not_found", "offer_closed"),
    ),
    ("post", "/v1/demands"): Operation(
        "Place demands",
        "Demands",
        {201: (d.DemandAnswer, d.DemandAnswers), 207: d.DemandAnswers},
        scope="demands:write",
        takes=d.DemandRequest,
        batch="demands",
        example={
            "number": "13900139000",
            "amount_fen": 10000,
            "price_ppm": 950000,
            "deadline_at": "2026-12-01T12:00:00Z",
            "client_ref": "d-1",
        },
        idempotent=True,
        description="The deposit must cover all open demands. The number's carrier is asked.",
        refuses=(
            "number_malformed",
            "number_dead",
            "number_suspended",
            "carrier_unknown",
            "carrier_unreachable",
            "amount_not_a_number",
            "amount_not_positive",
            "amount_fraction_of_fen",
            "amount_above_limit",
            "amount_below_minimum",
            "price_malformed",
            "deadline_past",
            "deposit_insufficient",
            "client_ref_used",
        ),
    ),
    ("get", "/v1/demands"): Operation(
        "Your demands, newest first",
        "Demands",
        {200: d.Demands},
        scope="demands:read",
        query=("client_ref", *_CURSOR),
        refuses=("field_invalid",),
    ),
    ("get", "/v1/demands/{demand}"): Operation(
        "One demand", "Demands", {200: d.Demand}, scope="demands:read", refuses=("not_found",)
    ),
    ("delete", "/v1/demands/{demand}"): Operation(
        "Withdraw what is still open of a demand",
        "Demands",
        {200: d.WithdrawAnswer, 202: d.WithdrawAnswer},
        scope="demands:write",
        refuses=("not_found",),
    ),
    ("post", "/v1/standing-bids"): Operation(
        "Let a bid stand",
        "Demands",
        {201: d.Bid},
        scope="demands:write",
        takes=d.BidRequest,
        example={
            "carrier": "cmcc",
            "numbers": ["13800138000", "13900139000"],
            "price_ppm": 950000,
            "order_fen": 10000,
            "daily_fen": 500000,
            "speed": "slow",
            "client_ref": "bid-7",
        },
        description="Demands are made from it as they are used up, within its limits and your money. Sent again, it is "
        "refused as `client_ref_used`.",
        refuses=(
            "carrier_unknown",
            "number_malformed",
            "number_dead",
            "number_suspended",
            "carrier_unreachable",
            "bid_carriers_differ",
            "price_malformed",
            "amount_below_minimum",
            "amount_above_limit",
            "bid_limits_contradict",
            "bid_above_deposit",
            "bids_too_many",
            "client_ref_used",
            "not_found",
        ),
    ),
    ("get", "/v1/standing-bids"): Operation(
        "Your standing bids", "Demands", {200: d.Bids}, scope="demands:read"
    ),
    ("delete", "/v1/standing-bids/{bid}"): Operation(
        "Withdraw a standing bid",
        "Demands",
        {200: d.Bid},
        scope="demands:write",
        refuses=("not_found",),
    ),
    ("get", "/v1/market/depth"): Operation(
        "The book of open demands",
        "Demands",
        {200: d.Depth},
        scope="demands:read",
        description="How much is wanted at each price by all outlets together; no outlet is named.",
    ),
    ("post", "/v1/webhook"): Operation(
        "Be told of your fills and of prices",
        "Demands",
        {201: d.WebhookSecret},
        scope="demands:write",
        takes=d.WebhookRequest,
        example={"url": "https://example.com/hook"},
        description="Notices are signed as Standard Webhooks says, and sent again for a day until you answer 2xx.",
        refuses=("hook_malformed", "hook_private"),
    ),
    ("get", "/v1/webhook"): Operation(
        "Where you are told", "Demands", {200: d.Webhook}, scope="demands:read", refuses=("not_found",)
    ),
    ("delete", "/v1/webhook"): Operation(
        "Be told no more",
        "Demands",
        {204: "nothing"},
        scope="demands:write",
        refuses=("not_found",),
    ),
    ("get", "/v1/balances"): Operation(
        "Balances",
        "Balances",
        {200: d.Balances},
        scope="balances:read",
        query=("seller_ref",),
        description="For an outlet its deposit, for others what is owed to their sellers.",
    ),
    ("post", "/v1/competitor-rates"): Operation(
        "Record competitors' rates",
        "Market",
        {201: (m.RivalRateAnswer, m.RivalRateAnswers), 207: m.RivalRateAnswers},
        scope="market:write",
        takes=m.RivalRateRequest,
        batch="rates",
        example={
            "competitor": "淘话费",
            "carrier": "cmcc",
            "product": "balance",
            "rate_ppm": 860000,
            "seen_at": "2026-11-20T08:00:00Z",
            "source": "app, price page",
            "face_fen": 10000,
        },
        description="Records are never changed: record a later one, or retract. The same record again changes nothing "
        "and is answered with `replayed`.",
        refuses=(
            "carrier_unknown",
            "amount_not_a_number",
            "amount_not_positive",
            "amount_fraction_of_fen",
            "amount_above_limit",
            "face_band_reversed",
            "price_malformed",
            "rival_rate_not_positive",
            "rival_rate_above_face",
            "seen_in_future",
        ),
    ),
    ("post", "/v1/competitor-rates/{rate}/retract"): Operation(
        "Take a record back",
        "Market",
        {200: m.Retracted},
        scope="market:write",
        takes=m.RetractRequest,
        example={"reason": "misread: the rate was for cards"},
        refuses=("not_found", "reason_missing", "already_retracted"),
    ),
    ("get", "/v1/competitor-rates"): Operation(
        "Competitors' latest rates beside our own",
        "Market",
        {200: m.RivalRates},
        scope="market:read",
        query=("carrier", "product"),
        description="Each record beside our own published rate when it was seen; the level of each asset; what the "
        "number of competitors suggests for the competition factor. No price changes by it.",
        refuses=("carrier_unknown", "field_invalid"),
    ),
    ("get", "/v1/market/matrix"): Operation(
        "The comparison matrix of platforms",
        "Market",
        {200: m.Matrix},
        description="Each figure with its source. Cells nobody states are absent.",
    ),
    ("get", "/v1/market/arbitrage"): Operation(
        "What carriers' promotions earn a trader by our prices",
        "Market",
        {200: m.Arbitrage},
        scope="market:read",
        description="For each promotion and face value: cost, payment and profit, without the cap and with it.",
    ),
    ("get", "/v1/margin"): Operation(
        "What is left of each hundred yuan",
        "Market",
        {200: MarginAnswer},
        scope="margin:read",
        query=("from", "to", "by"),
        description="From the ledger, for the operator's own programs (clients of kind `staff`). The segments sum to "
        "the whole, fen by fen. A line that nothing was posted to is null.",
        refuses=("field_invalid", "period_invalid"),
    ),
    ("get", "/v1/market/index"): Operation(
        "The open rate index",
        "Market",
        {200: RateIndex},
        query=("week",),
        description="Median and quartiles of the rates paid in a week that is over. Each cell stands for at least "
        "`least_sellers` sellers, cells never overlap, and no totals are given.",
        refuses=("field_invalid", "index_not_published"),
    ),
    ("post", "/v1/notifications/alipay"): Operation(
        "Alipay's notifications",
        "Notifications",
        {200: "`success`", 400: "`failure`: not genuine"},
        form=True,
        description="Signed by Alipay; not for clients.",
    ),
    ("get", "/v1/openapi.json"): Operation("This description", "Description", {200: "OpenAPI 3.1"}),
    ("get", "/healthz"): Operation("This process runs", "Health", {200: "`ok`"}),
    ("get", "/readyz"): Operation("It can work", "Health", {200: d.Health, 503: d.Health}),
}

_QUERY: Final[dict[str, dict[str, Any]]] = {
    "cursor": {"schema": {"type": "string"}, "description": "`next` of the page before."},
    "limit": {"schema": {"type": "integer", "minimum": 1}, "description": "Most items on the page."},
    "client_ref": {"schema": {"type": "string"}, "description": "Your own reference, exactly."},
    "seller_ref": {"schema": {"type": "string"}, "description": "Your own name for a seller, exactly."},
    "state": {"schema": {"type": "string"}, "description": "Where the order stands.", "example": "closed"},
    "carrier": {"schema": {"type": "string"}, "description": "Carrier code.", "example": "cmcc"},
    "product": {"schema": {"enum": ["balance", "card"]}, "description": "What is sold."},
    "from": {
        "schema": {"type": "string", "format": "date"},
        "description": "First day, in China. Without it: the last 30 days.",
    },
    "to": {"schema": {"type": "string", "format": "date"}, "description": "Last day; without it today."},
    "by": {
        "schema": {"enum": list(SEGMENTS)},
        "description": "What it is divided by; without it `carrier`.",
    },
    "week": {
        "schema": {"type": "string", "format": "date"},
        "description": "The Monday it begins with; without it the latest.",
    },
    "language": {"schema": {"enum": ["zh", "en"]}, "description": "Of the paper; else Accept-Language."},
}


@cache
def description() -> dict[str, Any]:
    """The whole description as a JSON document."""
    shapes: set[type[msgspec.Struct]] = {Problem}
    for operation in OPERATIONS.values():
        for answer in operation.answers.values():
            if not isinstance(answer, str):
                shapes |= set(answer) if isinstance(answer, tuple) else {answer}
        shapes |= {operation.takes} if operation.takes else set()
    ordered = sorted(shapes, key=lambda shape: shape.__name__)
    _, schemas = msgspec.json.schema_components(ordered, ref_template="#/components/schemas/{name}")
    paths: dict[str, dict[str, Any]] = {}
    for (method, path), operation in OPERATIONS.items():
        paths.setdefault(path, {})[method] = _operation(method, path, operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Airback",
            "version": version("airback"),
            "description": "Buying back prepaid airtime: quotes, orders, demands, balances. Amounts are integer "
            "fen, rates integer ppm, times UTC. Refusals are RFC 9457 problems with a stable `code`, in Chinese or "
            f"English by Accept-Language. Bodies are at most {MOST_BODY_BYTES} bytes, batches {MOST_ITEMS} items.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in dict.fromkeys(o.tag for o in OPERATIONS.values())],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": f"An API key, `prefix.secret`. Scopes: {', '.join(SCOPES)}.",
                }
            },
            "parameters": {
                "IdempotencyKey": {
                    "name": "Idempotency-Key",
                    "in": "header",
                    "required": True,
                    "description": "1–200 visible ASCII characters. The same key with the same body gets the same "
                    "answer; with another body it is refused.",
                    "schema": {"type": "string", "minLength": 1, "maxLength": 200},
                    "example": "2f6c7c1e-batch-17",
                }
            },
        },
    }


def _operation(method: str, path: str, operation: Operation) -> dict[str, Any]:
    document: dict[str, Any] = {
        "operationId": _operation_id(method, path),
        "summary": operation.summary,
        "tags": [operation.tag],
        "security": [{"key": [operation.scope]}] if operation.scope else [],
        "responses": _responses(operation),
    }
    if operation.description:
        document["description"] = operation.description
    parameters: list[dict[str, Any]] = [
        {"name": part[1:-1], "in": "path", "required": True, "schema": {"type": "string"}}
        for part in path.split("/")
        if part.startswith("{")
    ]
    parameters += [{"name": name, "in": "query", **_QUERY[name]} for name in operation.query]
    if operation.idempotent:
        parameters.append({"$ref": "#/components/parameters/IdempotencyKey"})
    if parameters:
        document["parameters"] = parameters
    if operation.takes is not None:
        document["requestBody"] = _request_body(operation, operation.takes)
    if operation.form:
        form = {"application/x-www-form-urlencoded": {"schema": {"type": "object"}}}
        document["requestBody"] = {"required": True, "content": form}
    return document


def _operation_id(method: str, path: str) -> str:
    parts = [part.strip("{}") for part in path.replace(".", "/").split("/") if part not in ("", "v1")]
    return "_".join([method, *parts])


def _request_body(operation: Operation, takes: type[msgspec.Struct]) -> dict[str, Any]:
    single: dict[str, Any] = {"$ref": f"#/components/schemas/{takes.__name__}"}
    schema = single
    examples = {"one": {"value": operation.example}}
    if operation.batch is not None:
        items = {"type": "array", "items": single, "minItems": 1, "maxItems": MOST_ITEMS}
        many = {
            "type": "object",
            "properties": {operation.batch: items},
            "required": [operation.batch],
            "additionalProperties": False,
        }
        schema = {"anyOf": [single, many]}
        examples["batch"] = {"value": {operation.batch: [operation.example]}}
    return {"required": True, "content": {_JSON: {"schema": schema, "examples": examples}}}


def _responses(operation: Operation) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, answer in operation.answers.items():
        if isinstance(answer, str):
            responses[str(status)] = {"description": answer}
            continue
        shapes = answer if isinstance(answer, tuple) else (answer,)
        references = [{"$ref": f"#/components/schemas/{shape.__name__}"} for shape in shapes]
        schema = references[0] if len(references) == 1 else {"anyOf": references}
        meaning = (shapes[0].__doc__ or "").split("\n")[0]
        responses[str(status)] = {"description": meaning, "content": {_JSON: {"schema": schema}}}
    for media_type, form in operation.also.items():
        content = responses["200"].setdefault("content", {})
        content[media_type] = {"schema": {"type": "string", "format": form}}
        if form == "binary" and operation.summary == "The signed receipt":
            content[_JSON] = {"schema": {"type": "object"}}
    codes: dict[int, list[str]] = {}
    for code in _refusals(operation):
        codes.setdefault(REFUSALS[code].status, []).append(code)
    for status, names in sorted(codes.items()):
        examples = {
            name: {
                "value": {
                    "type": f"urn:airback:refusal:{name}",
                    "title": REFUSALS[name].en,
                    "status": status,
                    "code": name,
                    "remedy": REFUSALS[name].remedy_en,
                }
            }
            for name in names
        }
        schema = {"$ref": "#/components/schemas/Problem"}
        content = {MEDIA_TYPE: {"schema": schema, "examples": examples}}
        refused = {"description": "Refused: " + ", ".join(f"`{name}`" for name in names), "content": content}
        responses.setdefault(str(status), refused)
    return responses


def _refusals(operation: Operation) -> list[str]:
    codes: list[str] = []
    if operation.scope:
        codes += _ANYWHERE
    elif operation.tag not in ("Health", "Notifications"):
        codes += ["rate_limited"]
    if operation.takes:
        codes += _BODY
    if operation.idempotent:
        codes += _IDEMPOTENT
    return list(dict.fromkeys([*codes, *operation.refuses]))


@get("/openapi.json", opt={"open": 120})
async def read() -> Response[bytes]:
    """The description, for everybody."""
    return Response(
        content=msgspec.json.encode(description()),
        media_type="application/vnd.oai.openapi+json;version=3.1",
        headers={"Cache-Control": "public, max-age=60"},
    )


HANDLERS: Final = [read]
