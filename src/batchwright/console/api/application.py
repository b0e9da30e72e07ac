"""The API put together: doors under ``/api/v1``, one shape for every error, the document that describes it."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from batchwright.console.api.routes import (
    acknowledgements,
    asset_line_items,
    audit,
    billing_schedules,
    cron,
    documentation,
    forecast,
    imports,
    jobs,
    loaded,
    mail,
    me,
    outcome_files,
    run_acts,
    run_pruning,
    run_records,
    runs,
    schedules,
    usage_inputs,
    users,
    workers,
)
from batchwright.console.envelope import unforeseen
from batchwright.console.problems import Fault, Problem, problem_of
from batchwright.console.traffic import Traffic
from batchwright.engine.errors import NotFound, Refused
from batchwright.engine.faults import ReadOnlyDatabase, ReadTooLong
from batchwright.operations.app import Application

ROUTES = (
    run_pruning,  # its address is none of a run
    runs,
    run_acts,
    run_records,
    outcome_files,
    jobs,
    usage_inputs,
    billing_schedules,
    asset_line_items,
    forecast,
    schedules,
    cron,
    mail,
    users,
    audit,
    workers,
    me,
    loaded,
    imports,
    acknowledgements,
)


def add_doors(web: FastAPI) -> None:
    """Add the doors to the application of the web."""
    for module in (*ROUTES, documentation):
        web.router.routes.extend(module.doors.routes)  # `include_router` would make each of them once more


def add_api(web: FastAPI) -> None:
    """Add the doors to the application of the web, and what makes problem documents of its errors."""
    add_doors(web)
    web.add_exception_handler(RequestValidationError, _of_validation)
    web.add_exception_handler(HTTPException, _of_http)
    for kind in (Problem, Refused, DBAPIError, ReadOnlyDatabase, ReadTooLong, Exception):
        web.add_exception_handler(kind, _of_exception)


def make_web(app: Application, traffic: Traffic) -> FastAPI:
    """The application of the web, without what surrounds it (`console.server`)."""
    web = FastAPI(
        title="Batchwright",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # an address is that of a thing or of none; a token is sent nowhere else
        strict_content_type=False,  # a body of another type gets our own error (`bodies`)
    )
    web.state.application = app
    web.state.traffic = traffic
    add_api(web)
    return web


async def _of_exception(request: Request, error: Exception) -> Response:
    problem = problem_of(error) or unforeseen()
    if isinstance(error, NotFound) and error.field not in request.path_params:
        problem.status = HTTPStatus.UNPROCESSABLE_ENTITY  # it was named in the body, not in the address
    if problem.status is HTTPStatus.CONFLICT and problem.run_id is None:
        problem.run_id = request.path_params.get("run_id")
    return problem.response(request.state.request_id)


async def _of_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if isinstance(error.__cause__, Problem):  # of the body; FastAPI makes an error of its own of it
        return error.__cause__.response(request.state.request_id)
    status = HTTPStatus(error.status_code)
    told = {
        HTTPStatus.NOT_FOUND: "There is nothing at this address",
        HTTPStatus.METHOD_NOT_ALLOWED: f"{request.method} is not possible at this address",
        HTTPStatus.BAD_REQUEST: f"The body cannot be read as a form: {error.detail}",
    }.get(status, status.phrase)
    remedy = "Send multipart/form-data with its boundary" if status is HTTPStatus.BAD_REQUEST else None
    return Problem(status, told, remedy=remedy, headers=error.headers or {}).response(
        request.state.request_id
    )


async def _of_validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    faults = [_fault(one) for one in error.errors()]
    of_address = any(one["loc"][:1] == ("path",) for one in error.errors())
    status = HTTPStatus.NOT_FOUND if of_address else HTTPStatus.UNPROCESSABLE_ENTITY
    first = faults[0]
    problem = Problem(
        status,
        f"{first.field}: {first.detail}" if len(faults) == 1 else f"{len(faults)} parameters are wrong",
        first.field,
        f"What may be sent stands at /api/docs#{getattr(request.scope.get('route'), 'operation_id', '')}",
        errors=faults,
    )
    return problem.response(request.state.request_id)


def _fault(told: Any) -> Fault:
    """What pydantic says, without the value that was given: it may be a secret."""
    place = [str(part) for part in told["loc"]]
    name = "/" + "/".join(place[1:]) if place[0] == "body" else ".".join(place[1:])
    return Fault(name or place[0], told["msg"].removeprefix("Value error, "))
