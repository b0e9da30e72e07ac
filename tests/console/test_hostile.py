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
from batchwright.engine.schedule import ScheduleRequest
from batchwright.operations.access.users import add_user
from batchwright.operations.app import Application
from batchwright.operations.runs.driving import drive_submitted
from batchwright.operations.runs.submitting import submit_run
from batchwright.operations.schedules.schedules import add_schedule
from tests.console.conftest import Caller
from tests.console.random_calls import call_at_random
from tests.support.application import ACTOR
from tests.support.rungs import depth

HOSTILE: Final = {
    "a NUL": "a\0b",
    "half of a surrogate pair": "a\ud800b",
    "ten thousand characters": "9" * 10_000,
    "a number beyond all": "1" + "0" * 30,
}
KNOWN: Final = {
    "account_id": "HL-EAST",
    "asset_line_item_id": "ALI-0001",
    "billing_schedule_id": "BS-01311820",
    "contract_id": "CT-HL-2023",
    "customer_id": "C-1001",
    "email": "jane@example.com",
    "line_item_id": "CLI-001",
    "mail_id": "ML-00000001",
    "name": "Nightly",
    "price_book_id": "PB-US-2023",
    "price_id": "PB-US-2023/Compute%20Hours/2023-01-01",
    "run_id": "JR-00000001",
    "usage_input_id": "IN-00007052",
    "usage_schedule_id": "US-00008311",
}
"""What is there to be found, by the name of its parameter."""

pytestmark = [
    pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True),
    pytest.mark.parametrize("reads", [True, False], ids=["reads", "acts"]),
]


@pytest.fixture
def furnished(app: Application, company: None, caller: Caller) -> None:
    """The sample company, a run with its mail, a schedule and a user."""
    drive_submitted(app, submit_run(app, "draft-usage-rating", {}, actor=ACTOR, here=True))
    nightly = ScheduleRequest(name="Nightly", cron="0 0 0 ? * * *", job="draft-usage-rating")
    add_schedule(app, nightly, actor=ACTOR)
    add_user(app, "jane@example.com", "operator", actor=ACTOR)


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
                yield f"{case} {name}", operation, method, _address(path, {**KNOWN, name: text}), body
            for one in parameters:
                if one["in"] == "query":
                    address = f"{_address(path, KNOWN)}?{one['name']}={text}"
                    yield f"{case} {one['name']}", operation, method, address, body
            for name in schema["properties"] if schema else ():
                yield (
                    f"{case} {name}",
                    operation,
                    method,
                    _address(path, KNOWN),
                    {**(body or {}), name: value},
                )


def _address(path: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        path = path.replace(f"{{{name}}}", value)
    return path


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
    asked = 0
    for case, operation, method, address, body in calls(document_of(doors)):
        if (method == "GET") is not reads:
            continue
        content = None if body is None else json.dumps(body)
        answer = web.request(method, address, content=content, headers=headers)
        asked += 1
        status = str(answer.status_code)
        assert status < "500", (case, answer.text[:500])
        assert status in operation["responses"], (case, answer.text[:500])
        if status >= "400":
            assert answer.headers["content-type"] == "application/problem+json", case
    assert asked > 200


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
    assert call_at_random(asgi, headers, depth(1, 20), reads=reads) > 20
