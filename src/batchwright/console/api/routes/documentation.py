"""What describes the API, for programs and for people who hold a token."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from batchwright.console.api.document import document_of, page_of
from batchwright.console.api.door import Doors, answer
from batchwright.operations.access.permissions import Right

doors = Doors("documentation", "/api")
_LOOK: Final[dict[str, Any]] = {
    "methods": ["GET"],
    "include_in_schema": False,
    "operation_id": "api.document",
    "openapi_extra": {"x-role": Right.LOOK.value},
}


@cache
def _document(web: FastAPI) -> dict[str, Any]:
    return document_of(web)


@doors.api_route("/openapi.json", **_LOOK)
def document(request: Request) -> Response:
    """The OpenAPI document."""
    return answer(_document(request.app), request=request)


@doors.api_route("/docs", **_LOOK)
def page(request: Request) -> Response:
    """The same as a page."""
    return HTMLResponse(page_of(_document(request.app)))
