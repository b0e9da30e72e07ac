"""Signing in and out."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from typing import Any, Final

from anyio import to_thread
from fastapi import APIRouter, Depends
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from batchwright.console.pages.render import renderer_of
from batchwright.console.pages.session import (
    SIGN_IN,
    VISITOR,
    Visitor,
    address_of,
    check_form,
    check_open_form,
    csrf_token,
    forget_session,
    form_of,
    keep_form_key,
    keep_session,
    open_form_key,
    own_path,
    reference_of,
    visitor,
)
from batchwright.console.problems import RETRY_AFTER_SECONDS, Problem
from batchwright.console.traffic import Traffic
from batchwright.engine.errors import Refused
from batchwright.operations.access.sessions import sign_out
from batchwright.operations.access.sign_in import SignInFailed, sign_in
from batchwright.operations.access.tries import TooManyTries

pages = APIRouter()
FORM: Final = Depends(form_of)
MOST_WAITING: Final = 40
"""So many may wait to have a password checked; it takes some tenths of a second each."""


@pages.get(SIGN_IN)
def sign_in_page(request: Request, next: str = "") -> Response:
    """The form to sign in; who is signed in goes on."""
    try:
        visitor(request)
    except Problem:
        return open_page(request, "sign_in.html", next=own_path(next), email="")
    return go_on(own_path(next))


@pages.post(SIGN_IN)
async def signing_in(request: Request, form: FormData = FORM) -> Response:
    """Sign in with address and password, and go on to the page that was asked for."""
    check_open_form(request, form)
    email, password, next = (field(form, name) for name in ("email", "password", "next"))
    try:
        signed_in = await in_lane(
            request,
            sign_in,
            email,
            password,
            address=address_of(request),
            browser=request.headers.get("user-agent", ""),
            replaced=reference_of(request),
        )
    except (SignInFailed, TooManyTries) as error:
        return open_page(request, "sign_in.html", next=own_path(next), email=email, error=error)
    answer = go_on(own_path(next))
    keep_session(request, answer, signed_in.reference)
    return answer


@pages.get("/sign-out")
def sign_out_page(request: Request, visitor: Visitor = VISITOR) -> Response:
    """A page with the button that signs out."""
    return renderer_of(request).page(request, "sign_out.html", visitor=visitor)


@pages.post("/sign-out")
def signing_out(request: Request, form: FormData = FORM) -> Response:
    """End the session; who is signed out already is there."""
    try:
        who = visitor(request)
    except Problem:
        pass
    else:
        check_form(request, who, form)
        sign_out(request.app.state.application, actor=who.actor)
    answer = go_on(SIGN_IN)
    forget_session(request, answer)
    return answer


def field(form: FormData, name: str) -> str:
    """The text of a field; empty where it was not sent."""
    value = form.get(name)
    return value if isinstance(value, str) else ""


def go_on(path: str) -> Response:
    """To another page of ours."""
    return RedirectResponse(path, HTTPStatus.SEE_OTHER)


def open_page(request: Request, template: str, *, error: Refused | None = None, **values: Any) -> Response:
    """A page with a form for who need not be signed in; 422 where what was sent is refused, 429 where too often."""
    key = open_form_key(request)
    answer = renderer_of(request).page(
        request, template, status=_status(error).value, csrf_token=csrf_token(key), error=error, **values
    )
    keep_form_key(request, answer, key)
    if isinstance(error, TooManyTries):
        answer.headers["Retry-After"] = str(error.seconds)
    return answer


def _status(error: Refused | None) -> HTTPStatus:
    if isinstance(error, TooManyTries):
        return HTTPStatus.TOO_MANY_REQUESTS
    return HTTPStatus.OK if error is None else HTTPStatus.UNPROCESSABLE_ENTITY


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
