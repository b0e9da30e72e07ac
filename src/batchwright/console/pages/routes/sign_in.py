"""Signing in and out."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from fastapi import Depends
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response

from batchwright.console.pages.open_forms import (
    OPEN_FORM,
    browser_of,
    code_untold,
    field,
    go_on,
    in_lane,
    open_page,
)
from batchwright.console.pages.session import (
    SIGN_IN,
    address_of,
    check_form,
    check_origin,
    forget_session,
    form_of,
    own_path,
    reference_of,
    visitor,
)
from batchwright.console.pages.visit import VISIT, Pages, Visit
from batchwright.console.problems import Problem
from batchwright.operations.access.authentication import why_signed_out
from batchwright.operations.access.first_administrator import has_users
from batchwright.operations.access.own_password import LinkRefused
from batchwright.operations.access.sessions import sign_out
from batchwright.operations.access.sign_in import SignInFailed, sign_in
from batchwright.operations.access.sign_in_link import ASK_ANOTHER, link_signs_in, sign_in_by_link
from batchwright.operations.access.tries import TooManyTries

pages = Pages()
FORM: Final = Depends(form_of)


@pages.get(SIGN_IN)
def sign_in_page(request: Request, next: str = "") -> Response:
    """The form to sign in; who is signed in goes on, and where there is no user yet, one is made."""
    app = request.app.state.application
    try:
        visitor(request)
    except Problem as problem:
        if not has_users(app):
            return go_on(request, "/first-administrator")
        ended = None
        if problem.status is HTTPStatus.SEE_OTHER:  # else one asked too often
            ended = why_signed_out(app, reference_of(request))
        return open_page(request, "sign_in.html", next=own_path(next), email="", ended=ended)
    return go_on(request, own_path(next))


@pages.post(SIGN_IN)
async def signing_in(request: Request, form: FormData = OPEN_FORM) -> Response:
    """Sign in with address and password, and go on to the page that was asked for."""
    email, password, next = (field(form, name) for name in ("email", "password", "next"))
    known = {
        "address": address_of(request),
        "browser": browser_of(request),
        "replaced": reference_of(request),
    }
    try:
        signed_in = await in_lane(request, sign_in, email, password, **known)
    except (SignInFailed, TooManyTries) as refused:
        return open_page(
            request, "sign_in.html", next=own_path(next), email=email, ended=None, refused=refused
        )
    return go_on(request, own_path(next), signed_in)


@pages.get("/sign-in/link")
def link_page(request: Request, code: str = "") -> Response:
    """The button that signs in by a link; opening the link does not use it up."""
    if not code:
        return go_on(request, SIGN_IN)
    refused = None if link_signs_in(request.app.state.application, code) else LinkRefused(ASK_ANOTHER)
    return code_untold(open_page(request, "sign_in_link.html", code=code, refused=refused))


@pages.post("/sign-in/link")
def signing_in_by_link(request: Request, form: FormData = OPEN_FORM) -> Response:
    """Sign in by a link, and go on to the first page."""
    app, code = request.app.state.application, field(form, "code")
    known = {"address": address_of(request), "browser": browser_of(request)}
    try:
        signed_in = sign_in_by_link(app, code, **known, replaced=reference_of(request))
    except LinkRefused as refused:
        return code_untold(open_page(request, "sign_in_link.html", code="", refused=refused))
    return go_on(request, "/", signed_in)


@pages.page("/sign-out")
def sign_out_page(visit: Visit = VISIT) -> Response:
    """A page with the button that signs out."""
    return visit.page("sign_out.html")


@pages.post("/sign-out")
def signing_out(request: Request, form: FormData = FORM) -> Response:
    """End the session; who is signed out already is there."""
    check_origin(request)  # or another site had a browser forget its session
    try:
        who = visitor(request)
    except Problem:
        pass
    else:
        check_form(request, who, form)
        sign_out(request.app.state.application, actor=who.actor)
    answer = go_on(request, SIGN_IN)
    forget_session(request, answer)
    return answer
