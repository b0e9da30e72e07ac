"""The pages put together: their routes, what they are served with, and one page for every error."""

from __future__ import annotations

from http import HTTPStatus
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from batchwright.console.envelope import unforeseen
from batchwright.console.pages import routes, static_files
from batchwright.console.pages.imports_at_work import ImportsAtWork
from batchwright.console.pages.looks import Looks
from batchwright.console.pages.render import Renderer, renderer_of
from batchwright.console.pages.sharing import SharedAnswers
from batchwright.console.pages.visit import Answered
from batchwright.console.problems import Problem, problem_of
from batchwright.console.traffic import Traffic
from batchwright.engine.errors import Refused
from batchwright.engine.faults import ReadOnlyDatabase, ReadTooLong
from batchwright.operations.app import Application

ROUTES: tuple[Any, ...] = tuple(
    import_module(f"{routes.__name__}.{module.name}") for module in iter_modules(routes.__path__)
)
"""The modules of `pages.routes`, each with its `pages`."""
_VALIDATION = {
    "extra_forbidden": "this page has no parameter {}",
    **dict.fromkeys(
        ("date_from_datetime_parsing", "date_parsing", "datetime_from_date_parsing", "datetime_parsing"),
        "{}: write it as YYYY-MM-DD, such as 2026-01-31",
    ),
}
"""Of kinds of faults in an address, what is told of them; of others what pydantic says."""
_FOR_MACHINES = ("/api", "/healthz", "/readyz", "/metrics")


def make_pages(app: Application, traffic: Traffic) -> ASGIApp:
    """The application of the pages, without what surrounds it (`console.server`)."""
    web = FastAPI(title="Batchwright", openapi_url=None, docs_url=None, redoc_url=None)
    paths = {route.path for module in ROUTES for route in module.pages.routes}
    web.state.application, web.state.traffic, web.state.renderer = app, traffic, Renderer(app, paths)
    web.state.looks = SharedAnswers()
    web.state.imports = ImportsAtWork()
    web.router.routes.append(static_files.ROUTE)
    for module in ROUTES:  # one list: FastAPI goes through routers it includes several times slower
        web.router.routes.extend(module.pages.routes)
    web.add_exception_handler(RequestValidationError, _of_validation)
    web.add_exception_handler(HTTPException, _of_http)
    web.add_exception_handler(Answered, _of_answered)
    for kind in (Problem, Refused, DBAPIError, ReadOnlyDatabase, ReadTooLong, Exception):
        web.add_exception_handler(kind, _of_exception)
    return Looks(web, _of_exception)


class Fork:
    """Two applications behind one address: what machines ask, and all other addresses, which are pages."""

    def __init__(self, machines: ASGIApp, pages: ASGIApp) -> None:
        self._machines, self._pages = machines, pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on to the one that answers it."""
        path = scope.get("path", "")
        asked = (
            self._machines
            if any(path == one or path.startswith(f"{one}/") for one in _FOR_MACHINES)
            else self._pages
        )
        await asked(scope, receive, send)


def _page_of(request: Request, problem: Problem) -> Response:
    if problem.status is HTTPStatus.SEE_OTHER:
        return Response(status_code=problem.status.value, headers=dict(problem.headers))
    page = renderer_of(request).page(
        request,
        "error.html",
        status=problem.status.value,
        problem=problem,
        request_id=request.state.request_id,
        is_of_query=request.method == "GET" and problem.field in request.query_params,
        visit=getattr(request.state, "visit", None),
    )
    page.headers.update(problem.headers)
    if problem.retry_after is not None:
        page.headers["Retry-After"] = str(problem.retry_after)
    return page


async def _of_exception(request: Request, error: Exception) -> Response:
    return _page_of(request, problem_of(error) or unforeseen())


async def _of_answered(request: Request, error: Exception) -> Response:
    assert isinstance(error, Answered)
    return error.response


async def _of_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    told = {
        HTTPStatus.NOT_FOUND: "There is no page at this address",
        HTTPStatus.METHOD_NOT_ALLOWED: f"{request.method} is not possible at this address",
    }.get(status, status.phrase)
    return _page_of(request, Problem(status, told, headers=error.headers or {}))


async def _of_validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    name = str(first["loc"][1])
    told = _VALIDATION.get(first["type"], f"{{}}: {first['msg']}").format(name)
    problem = Problem(HTTPStatus.UNPROCESSABLE_ENTITY, told, name)
    return _page_of(request, problem)
