"""What no person sends: in every parameter of every door, and at random against the document."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from batchwright.console.api.application import add_doors
from batchwright.console.api.document import document_of, operations_of
from batchwright.console.server import make_asgi
from batchwright.console.traffic import Limits, Traffic
from batchwright.operations.app import Application
from tests.console.conftest import Caller
from tests.console.furniture import KNOWN, address_of
from tests.console.random_calls import call_at_random, operations_at
from tests.support.rungs import depth

HOSTILE: Final = {
    "a NUL": "a\0b",
    "half of a surrogate pair": "a\ud800b",
    "ten thousand characters": "9" * 10_000,
    "a number beyond all": "1" + "0" * 30,
}
pytestmark = [
    pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True),
    pytest.mark.parametrize("reads", [True, False], ids=["reads", "acts"]),
]


def calls(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], str, str, dict[str, Any] | None]]:
    """Every door with each of its parameters hostile in turn: the case, its description, method, address and body."""
    for method, path, operation in operations_of(document):
        parameters = operation.get("parameters", [])
        names = [one["name"] for one in parameters if one["in"] == "path"]
        schema = _body(document, operation)
        body = None if schema is None else _usual(document, schema)
        for said, value in HOSTILE.items():
            case = f"{method} {path} with {said} in"
            text = quote(value.encode("utf-8", "surrogatepass"), safe="")
            for name in names:
                yield f"{case} {name}", operation, method, address_of(path, {**KNOWN, name: text}), body
            for one in parameters:
                if one["in"] == "query":
                    address = f"{address_of(path, KNOWN)}?{one['name']}={text}"
                    yield f"{case} {one['name']}", operation, method, address, body
            for name in schema["properties"] if schema else ():
                yield (
                    f"{case} {name}",
                    operation,
                    method,
                    address_of(path, KNOWN),
                    {**(body or {}), name: value},
                )


def _body(document: dict[str, Any], operation: dict[str, Any]) -> dict[str, Any] | None:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    return None if content is None else _resolved(document, content["schema"])


def _resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = document["components"]["schemas"][name] if name else schema
    return found


def _usual(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """A body with the fields that it needs, as the examples have them."""
    empty = {"string": "x", "integer": 1, "boolean": False, "array": ["x"], "object": {}}
    usual = {}
    for name in schema.get("required", ()):
        value = _resolved(document, schema["properties"][name])
        usual[name] = value["examples"][0] if value.get("examples") else empty[value.get("type", "string")]
    return usual


def test_nothing_that_is_sent_in_a_parameter_is_answered_by_a_fault(
    web: TestClient, furnished: None, caller: Caller, reads: bool
) -> None:
    doors = FastAPI(title="Batchwright")
    add_doors(doors)
    headers = caller("administrator") | {"If-Match": "*", "Content-Type": "application/json"}
    requests = 0
    for case, operation, method, address, body in calls(document_of(doors)):
        if (method == "GET") is not reads:
            continue
        content = None if body is None else json.dumps(body)
        answer = web.request(method, address, content=content, headers=headers)
        requests += 1
        status = str(answer.status_code)
        assert status < "500", (case, answer.text[:500])
        assert status in operation["responses"], (case, answer.text[:500])
        if status >= "400":
            assert answer.headers["content-type"] == "application/problem+json", case
            assert len(answer.content) < 6_000, (case, "what is very long is shortened")
    assert requests > 200


def test_what_may_be_sent_by_the_document_is_answered_by_the_document(
    app: Application, furnished: None, caller: Caller, reads: bool
) -> None:
    asgi = make_asgi(
        app,
        host="127.0.0.1",
        worker_expected=False,
        traffic=Traffic(app, Limits(burst=1_000_000), Limits(burst=1_000_000)),
    )
    headers = caller("administrator") | {"If-Match": "*"}
    operations = list(operations_at(asgi, reads=reads))
    assert len(operations) > 20
    for operation in operations:
        call_at_random(operation, headers, depth(1, 20), seed=15)
