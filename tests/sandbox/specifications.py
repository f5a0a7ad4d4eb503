"""The carriers' specification files, found beside the checkout and never copied into it.

`AIRBACK_SPECS` names their folder; without it `../shared/specs` beside the checkout is looked for. Where they are
absent, the tests that need them are skipped, and the end of the run says so and where the public files are.
"""

import copy
import json
import os
import re
from functools import cache
from pathlib import Path
from typing import Any, Final

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml  # type: ignore[import-untyped]

SOURCES: Final = """\
  tmf654/TMF654_Prepay_Balance_Management_API_v4.0.0_swagger.json
      github.com/tmforum-apis/TMF654_PrepayBalanceManagement, commit a19a388d1ac02afe687c4ba721157a81c3f3e463
  camara/one-time-password-sms/one-time-password-sms.yaml and *.feature
      github.com/camaraproject/OTPValidation, tag r3.2
  camara/number-verification/number-verification.yaml and *.feature
      github.com/camaraproject/NumberVerification, tag r3.2
  camara/sim-swap/sim-swap.yaml and *.feature
      github.com/camaraproject/SimSwap, tag r3.3"""

#: Set when a test could not run for want of the files; the conftest tells it at the end.
missed: list[str] = []


def folder() -> Path | None:
    """Where the specification files are, or None."""
    named = os.environ.get("AIRBACK_SPECS")
    found = Path(named) if named else Path(__file__).resolve().parents[2].parent / "shared" / "specs"
    return found if (found / "tmf654").is_dir() and (found / "camara").is_dir() else None


def required() -> Path:
    """The folder; skips the test, loudly, when there is none."""
    found = folder()
    if found is None:
        missed.append(os.environ.get("PYTEST_CURRENT_TEST", "a test").partition(" ")[0])
        pytest.skip(
            "the carriers' specification files are not here: NOT checked against them (see the summary)"
        )
    return found


class Specification:
    """One OpenAPI 3.0 or Swagger 2.0 document, able to judge requests and answers."""

    def __init__(self, path: Path, base: str) -> None:
        text = path.read_text("utf-8")
        self._document: dict[str, Any] = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
        self._base = base
        self._checker = jsonschema.FormatChecker()

    def operation(self, method: str, path: str) -> dict[str, Any] | None:
        """The operation behind a path (without its query), or None when the specification has none."""
        path = path.partition("?")[0]
        if not path.startswith(self._base):
            return None
        inside = path.removeprefix(self._base)
        for template, operations in self._document["paths"].items():
            pattern = re.sub(r"\\{[^}]*\\}", "[^/]+", re.escape(template))
            if re.fullmatch(pattern, inside) and method.lower() in operations:
                operation: dict[str, Any] = operations[method.lower()]
                return operation
        return None

    def check_answer(self, method: str, path: str, status: int, body: Any) -> None:
        """Raise when the answer's status or body is not the specification's."""
        operation = self.operation(method, path)
        assert operation is not None, f"{method} {path} is not in the specification"
        responses = operation["responses"]
        assert str(status) in responses, f"{method} {path}: {status} is not a documented status"
        response = self._resolved(responses[str(status)])
        schema = response.get("schema") or (
            response.get("content", {}).get("application/json", {}).get("schema")
            if "content" in response
            else None
        )
        if schema is None:
            assert body is None, f"{method} {path}: {status} has no body in the specification"
        else:
            self._validate(schema, body)

    def check_request(self, method: str, path: str, body: Any) -> None:
        """Raise when the request's body is not the specification's."""
        operation = self.operation(method, path)
        assert operation is not None, f"{method} {path} is not in the specification"
        if "requestBody" in operation:
            self._validate(operation["requestBody"]["content"]["application/json"]["schema"], body)
        else:
            (parameter,) = [one for one in operation["parameters"] if one.get("in") == "body"]
            self._validate(parameter["schema"], body)

    def schema(self, name: str) -> dict[str, Any]:
        """A named schema."""
        kept = self._document.get("definitions") or self._document["components"]["schemas"]
        found: dict[str, Any] = kept[name]
        return found

    def _resolved(self, value: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in value:
            target: Any = self._document
            for part in value["$ref"].removeprefix("#/").split("/"):
                target = target[part]
            value = target
        return value

    def _validate(self, schema: dict[str, Any], value: Any) -> None:
        whole = _nullable({**self._document, **schema})
        jsonschema.Draft4Validator(whole, format_checker=self._checker).validate(value)


def _nullable(schema: Any) -> Any:
    """OpenAPI 3.0's `nullable` in JSON Schema's words."""
    if isinstance(schema, dict):
        out = {key: _nullable(value) for key, value in schema.items()}
        if out.get("nullable") is True and isinstance(out.get("type"), str):
            out["type"] = [out["type"], "null"]
        return out
    return [_nullable(item) for item in schema] if isinstance(schema, list) else copy.copy(schema)


@cache
def tmf654() -> Specification:
    """TMF654 v4.0.0."""
    path = required() / "tmf654" / "TMF654_Prepay_Balance_Management_API_v4.0.0_swagger.json"
    return Specification(path, "/tmf-api/prepayBalanceManagement/v4")


@cache
def camara(name: str, version: str) -> Specification:
    """A CAMARA API by its folder's name and the version in its address."""
    return Specification(required() / "camara" / name / f"{name}.yaml", f"/{name}/{version}")


def scenarios(name: str) -> set[str]:
    """The tags of the scenarios in a CAMARA API's feature files."""
    found: set[str] = set()
    for path in sorted((required() / "camara" / name).glob("*.feature")):
        found |= set(re.findall(r"^\s*@(\S+)", path.read_text("utf-8"), re.MULTILINE))
    return found
