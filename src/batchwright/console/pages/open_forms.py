"""Pages and forms of people who need not be signed in, and what hashes their passwords."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from typing import Any, Final

from anyio import to_thread
from fastapi import Depends
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from batchwright.console.pages.render import renderer_of
from batchwright.console.pages.session import (
    address_of,
    check_open_form,
    csrf_token,
    form_of,
    keep_form_key,
    keep_session,
    open_form_key,
)
from batchwright.console.problems import RETRY_AFTER_SECONDS, Problem
from batchwright.console.traffic import Traffic
from batchwright.engine.errors import Refused
from batchwright.operations.access.sign_in import SignedIn
from batchwright.operations.access.tries import TooManyTries

MOST_WAITING: Final = 40
"""So many may wait to have a password checked; it takes some tenths of a second each."""


async def _open_form(request: Request) -> FormData:
    form = await form_of(request)
    check_open_form(request, form)
    return form


OPEN_FORM: Final = Depends(_open_form)
"""The default of the parameter ``form`` of who need not be signed in: checked to come from a page of ours."""


def open_page(request: Request, template: str, *, refused: Refused | None = None, **values: Any) -> Response:
    """A page with a form for who need not be signed in; 422 where what was sent is refused, 429 where too often."""
    key = open_form_key(request)
    values |= {"csrf_token": csrf_token(key), "refused": refused}
    answer = renderer_of(request).page(request, template, status=status_of(refused).value, **values)
    keep_form_key(request, answer, key)
    return with_retry_after(answer, refused)


def status_of(refused: Refused | None) -> HTTPStatus:
    """How a page of a form is answered."""
    if isinstance(refused, TooManyTries):
        return HTTPStatus.TOO_MANY_REQUESTS
    return HTTPStatus.OK if refused is None else HTTPStatus.UNPROCESSABLE_ENTITY


def with_retry_after(answer: Response, refused: Refused | None) -> Response:
    """The answer, which says when to try again where there were too many tries."""
    if isinstance(refused, TooManyTries):
        answer.headers["Retry-After"] = str(refused.seconds)
    return answer


def code_untold(answer: Response) -> Response:
    """The answer, whose address holds a code, which goes with no other request. (The form needs its origin sent.)"""
    answer.headers["Referrer-Policy"] = "strict-origin"
    return answer


def go_on(request: Request, path: str, signed_in: SignedIn | None = None) -> Response:
    """To another page of ours, by a session that has begun."""
    answer = RedirectResponse(path, HTTPStatus.SEE_OTHER.value)
    if signed_in is not None:
        keep_session(request, answer, signed_in.reference)
    return answer


def field(form: FormData, name: str) -> str:
    """The text of a field; empty where it was not sent."""
    value = form.get(name)
    return value if isinstance(value, str) else ""


def check_twice(form: FormData) -> None:
    """Refuse a new password that was typed otherwise the second time."""
    if field(form, "password") != field(form, "again"):
        raise Refused("the password was typed in two ways", field="again", remedy="Type the same twice")


def browser_of(request: Request) -> str:
    """What a browser calls itself."""
    return request.headers.get("user-agent", "")


async def in_lane(request: Request, operation: Any, *values: Any, **named: Any) -> Any:
    """What an operation returns that hashes a password, of which few are at work at a time, and not many wait.

    Raises `Problem` (429, 503).
    """
    traffic: Traffic = request.app.state.traffic
    traffic.limits.admit(f"passwords from {address_of(request)}")
    if traffic.passwords_lane.statistics().tasks_waiting >= MOST_WAITING:
        raise Problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "Too many people sign in at this moment",
            remedy="Try again in a few seconds",
            retry_after=RETRY_AFTER_SECONDS,
        )
    call = partial(operation, request.app.state.application, *values, **named)
    return await to_thread.run_sync(call, limiter=traffic.passwords_lane)
