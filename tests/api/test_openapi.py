"""The description is held to the routes, to the refusals and to its own standard."""

import re
from typing import Any

import jsonschema
from litestar import Litestar

from airback.api.openapi import OPERATIONS, description
from airback.api.routes import ROUTERS
from airback.domain.refusals import REFUSALS
from tests.api.desk import Api, Desk

REF = "#/components/schemas/"


def routes() -> set[tuple[str, str]]:
    app = Litestar(list(ROUTERS), openapi_config=None)
    found = set()
    for route in app.routes:
        path = re.sub(r"\{(\w+):\w+\}", r"{\1}", route.path)
        found |= {(method.lower(), path) for method in getattr(route, "methods", ()) if method != "OPTIONS"}
    return {(method, path) for method, path in found if path != "/v1/{rest}"}


def walk(value: Any) -> list[Any]:
    found = [value]
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        found += walk(item)
    return found


def test_every_route_is_described_and_nothing_else() -> None:
    assert set(OPERATIONS) == routes()


def test_every_shape_is_valid_json_schema_and_every_reference_leads_somewhere() -> None:
    document = description()
    schemas = document["components"]["schemas"]
    for name, schema in schemas.items():
        jsonschema.Draft202012Validator.check_schema(schema)
        assert schema.get("description"), f"{name} is not explained"
    for part in walk(document):
        if isinstance(part, dict) and "$ref" in part and part["$ref"].startswith(REF):
            assert part["$ref"].removeprefix(REF) in schemas


def test_every_operation_has_what_the_standard_asks_for() -> None:
    document = description()
    assert document["openapi"].startswith("3.1")
    ids = []
    for path, methods in document["paths"].items():
        for operation in methods.values():
            ids.append(operation["operationId"])
            assert operation["responses"]
            assert all(response["description"] for response in operation["responses"].values())
            named = {p["name"] for p in operation.get("parameters", []) if p.get("in") == "path"}
            assert named == set(re.findall(r"\{(\w+)\}", path))
    assert len(ids) == len(set(ids))


def test_examples_have_the_form_they_are_examples_of() -> None:
    document = description()
    schemas = document["components"]["schemas"]
    shown = 0
    for part in walk(document):
        if isinstance(part, dict) and "schema" in part and "examples" in part:
            schema = {**part["schema"], "components": {"schemas": schemas}}
            for example in part["examples"].values():
                jsonschema.validate(example["value"], schema)
                shown += 1
    assert shown > 50


def test_every_refusal_of_a_field_is_a_refusal_that_exists() -> None:
    for operation in OPERATIONS.values():
        assert set(operation.refuses) <= set(REFUSALS)


async def test_answers_have_the_form_that_is_described(desk: Desk, api: Api) -> None:
    document = (await api.call("GET", "/v1/openapi.json", key="")).json()
    assert document == description()
    schemas = document["components"]["schemas"]

    def check(method: str, path: str, answer: Any) -> None:
        response = document["paths"][path][method]["responses"][str(answer.status_code)]
        media_type = answer.headers["content-type"].partition(";")[0]
        schema = response["content"][media_type]["schema"]
        jsonschema.validate(answer.json(), {**schema, "components": {"schemas": schemas}})

    order = desk.order()
    placed = await api.post("/v1/orders", order)
    check("post", "/v1/orders", placed)
    check("post", "/v1/orders", await api.post("/v1/orders", {"orders": [order, desk.order()]}))
    check("post", "/v1/orders", await api.post("/v1/orders", order))
    check("post", "/v1/orders", await api.post("/v1/orders", order, idempotency=None))
    check("get", "/v1/orders", await api.get("/v1/orders"))
    check("get", "/v1/orders/{order}", await api.get(f"/v1/orders/{placed.json()['id']}"))
    check("get", "/v1/orders/{order}", await api.get("/v1/orders/ord_x"))
    check("get", "/v1/rates", await api.get("/v1/rates"))
    check("get", "/v1/balances", await api.get("/v1/balances"))
    check("get", "/v1/events", await api.get("/v1/events"))
    check("get", "/readyz", await api.get("/readyz"))
    sent = await api.post("/v1/verifications", {"number": "13800138000"})
    check("post", "/v1/verifications", sent)
    checked = await api.post(f"/v1/verifications/{sent.json()['id']}/check", {"code": "204816"})
    check("post", "/v1/verifications/{verification}/check", checked)
