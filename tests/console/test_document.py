"""The OpenAPI document: kept as it is served, complete, and shown as a page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from batchwright.billing import sample
from batchwright.console.api.application import add_doors
from batchwright.console.api.document import document_of, operations_of
from tests.console.conftest import Caller
from tests.console.routes_there_are import routes_there_are

KEPT = Path(__file__).parents[2] / "docs" / "openapi.json"


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    web = FastAPI(title="Batchwright")
    add_doors(web)
    return document_of(web)


def properties(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Schema, name and description of each value there is, the kinds that it may be of one by one."""
    for schema, described in document["components"]["schemas"].items():
        for name, value in described.get("properties", {}).items():
            for one in value.get("anyOf", [value]):
                yield schema, name, {**one, "examples": value.get("examples", one.get("examples", []))}


def test_the_document_is_kept_as_it_is_served(document: dict[str, Any]) -> None:
    # Whoever meant the change renews the file by `make openapi`, and says so in the change log.
    assert json.loads(KEPT.read_text("utf-8")) == document


def test_every_door_stands_in_the_document_once_by_the_name_of_its_operation(
    document: dict[str, Any],
) -> None:
    described = {f"{method} {path}": operation for method, path, operation in operations_of(document)}
    assert described.keys() == {name for name, route in routes_there_are() if route.include_in_schema}
    names = [operation["operationId"] for operation in described.values()]
    assert len(set(names)) == len(names)
    for operation in described.values():
        assert operation["tags"]
        assert operation["summary"]
        assert operation["x-role"]


def test_every_error_has_the_one_shape_that_is_ours(document: dict[str, Any]) -> None:
    parts = document["components"]
    assert not {name for name in parts["schemas"] if "ValidationError" in name}
    for _, _, operation in operations_of(document):
        refusals = {
            status: described for status, described in operation["responses"].items() if status >= "400"
        }
        assert {"401", "403", "404", "422", "429", "500", "503"} <= refusals.keys()
        for status, described in refusals.items():
            assert described == {"$ref": f"#/components/responses/{status}"}
            (media,) = parts["responses"][status]["content"].items()
            assert media == (
                "application/problem+json",
                {"schema": {"$ref": "#/components/schemas/ProblemDocument"}},
            )


def test_amounts_and_quantities_are_strings_with_a_pattern(document: dict[str, Any]) -> None:
    words = ("amount", "quantity", "fee", "price", "difference")
    found = 0
    for schema, name, value in properties(document):
        is_whole = "$ref" in value or value.get("type") in ("null", "object", "array")
        is_figure = name.endswith(words) and not is_whole
        if is_figure and document["components"]["schemas"][schema].get("additionalProperties") is not False:
            found += 1
            assert value.get("type") == "string", (schema, name)
            assert "pattern" in value, (schema, name)
    assert found > 10


def test_ids_among_the_examples_are_those_of_the_sample_company(document: dict[str, Any]) -> None:
    company = "".join(path.read_text("utf-8") for path in sample.folder().glob("*.csv"))
    ids = ("customer_id", "account_id", "contract_id", "price_book_id", "line_item_id", "usage_input_id")
    examples = {
        example
        for _, name, value in properties(document)
        for example in value["examples"]
        if name.endswith(ids)
    }
    assert len(examples) >= 5
    assert not {example for example in examples if example not in company}


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
class TestServed:
    """What is served of it."""

    def test_the_document_is_served_to_those_who_hold_a_token(
        self, web: TestClient, caller: Caller, document: dict[str, Any]
    ) -> None:
        assert web.get("/api/openapi.json").status_code == 401
        served = web.get("/api/openapi.json", headers=caller("viewer"))
        assert served.json() == document

    def test_the_page_is_plain_and_leads_nowhere_else(
        self, web: TestClient, caller: Caller, document: dict[str, Any]
    ) -> None:
        assert web.get("/api/docs").status_code == 401
        shown = web.get("/api/docs", headers=caller("viewer"))
        assert shown.headers["content-type"] == "text/html; charset=utf-8"
        assert "default-src 'none'" in shown.headers["content-security-policy"]
        page = Page()
        page.feed(shown.text)
        assert not page.tags & {"script", "style", "link", "img", "iframe", "form"}
        assert not page.attributes - {"id", "href", "lang", "charset"}
        assert page.places <= {f"#{name}" for name in page.ids} | {"openapi.json"}
        assert {operation["operationId"] for _, _, operation in operations_of(document)} <= page.ids
        assert document["components"]["schemas"].keys() <= page.ids


class Page(HTMLParser):
    """The elements of a page, their attributes, and where its links lead."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.ids: set[str] = set()
        self.places: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            self.attributes.add(name)
            self.ids |= {value} if name == "id" and value else set()
            self.places |= {value} if name == "href" and value else set()
