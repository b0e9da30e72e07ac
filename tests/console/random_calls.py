"""Calls that schemathesis makes up from the OpenAPI document, to see whether the answers are as it says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import hypothesis
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.types import ASGIApp

from batchwright.console.api.application import add_doors
from batchwright.console.api.document import document_of

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


def operations_at(asgi: ASGIApp, *, reads: bool) -> Iterator[Any]:
    """The operations of the document that read, or act."""
    doors = FastAPI(title="Batchwright")
    add_doors(doors)
    schema = schemathesis.openapi.from_dict(document_of(doors))
    schema.app = asgi
    schema.config.update(base_url="http://127.0.0.1")
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found
        if (found.ok().method.upper() == "GET") is reads:
            yield found.ok()


def call_at_random(operation: Any, headers: dict[str, str], examples: int, seed: int) -> None:
    """Call an operation so often with what may be sent.

    Fails with the first answer that is a fault, or is not as the document says.
    """

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @hypothesis.given(case=operation.as_strategy())
    def call(case: Any) -> None:
        case.call_and_validate(headers=headers, checks=CHECKS)

    call()
