"""Passwords that their users set: the first administrator's, another one, and one by a link that was sent."""

from __future__ import annotations

from typing import Final

from starlette.background import BackgroundTask
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response

from batchwright.console.pages.open_forms import (
    OPEN_FORM,
    browser_of,
    check_twice,
    code_untold,
    field,
    go_on,
    in_lane,
    open_page,
    status_of,
    with_retry_after,
)
from batchwright.console.pages.session import SIGN_IN, address_of, keep_session
from batchwright.console.pages.visit import FORM, NOTICES, VISIT, Pages, Visit
from batchwright.engine.errors import Refused
from batchwright.operations.access.first_administrator import (
    add_first_administrator,
    first_administrator_is_possible,
    has_users,
)
from batchwright.operations.access.own_password import (
    LinkRefused,
    change_password,
    email_of_reset,
    mail_reset,
    request_reset,
    reset_password,
)
from batchwright.operations.access.permissions import Right
from batchwright.operations.access.tries import TooManyTries

pages = Pages()
CHANGED: Final = "password"
NOTICES[CHANGED] = "Your password is changed; every other session has ended."


@pages.get("/reset")
def reset_page(request: Request, code: str = "") -> Response:
    """The form that asks for a link, or with the code of one the form that sets the password."""
    app = request.app.state.application
    if not code:
        return open_page(request, "reset.html", email="", sent=False)
    email = email_of_reset(app, code)
    refused = None if email else LinkRefused("Ask for another")
    return code_untold(open_page(request, "reset_password.html", code=code, email=email, refused=refused))


@pages.post("/reset")
def asking_for_link(request: Request, form: FormData = OPEN_FORM) -> Response:
    """Send a link by mail, if there is such a user: who asks is answered first, and alike."""
    app, email, address = request.app.state.application, field(form, "email"), address_of(request)
    try:
        request_reset(app, email, address)
    except TooManyTries as refused:
        return open_page(request, "reset.html", email=email, sent=False, refused=refused)
    only_files = app.settings.mail.transport == "file"
    answer = open_page(request, "reset.html", email=email, sent=True, only_files=only_files)
    answer.background = BackgroundTask(mail_reset, app, email, address)
    return answer


@pages.post("/reset/password")
async def resetting(request: Request, form: FormData = OPEN_FORM) -> Response:
    """Set the password by a link, and go on, signed in."""
    code, known = field(form, "code"), {"address": address_of(request), "browser": browser_of(request)}
    try:
        check_twice(form)
        signed_in = await in_lane(request, reset_password, code, field(form, "password"), **known)
    except Refused as refused:
        email = email_of_reset(request.app.state.application, code)
        return code_untold(open_page(request, "reset_password.html", code=code, email=email, refused=refused))
    return go_on(request, "/", signed_in)


@pages.get("/first-administrator")
def first_administrator_page(request: Request, code: str = "") -> Response:
    """The form that makes the first administrator, by the link that `serve` printed; without it how to get one."""
    app = request.app.state.application
    if has_users(app):
        return go_on(request, SIGN_IN)
    possible = first_administrator_is_possible(app, code)
    return code_untold(
        open_page(
            request, "first_administrator.html", code=code, email="", possible=possible, asked=bool(code)
        )
    )


@pages.post("/first-administrator")
async def making_first_administrator(request: Request, form: FormData = OPEN_FORM) -> Response:
    """Make the first administrator, and go on, signed in."""
    code, email = field(form, "code"), field(form, "email")
    known = {"address": address_of(request), "browser": browser_of(request)}
    try:
        check_twice(form)
        signed_in = await in_lane(
            request, add_first_administrator, code, email, field(form, "password"), **known
        )
    except Refused as refused:
        possible = not isinstance(refused, LinkRefused)
        values = {"code": code, "email": email, "possible": possible, "asked": True}
        return code_untold(open_page(request, "first_administrator.html", refused=refused, **values))
    return go_on(request, "/", signed_in)


@pages.page("/preferences/password")
def password_page(visit: Visit = VISIT) -> Response:
    """The form in which one changes one's own password."""
    return visit.page("own_password.html", refused=None)


@pages.act("/preferences/password", Right.LOOK)
async def changing_password(visit: Visit = VISIT, form: FormData = FORM) -> Response:
    """Change one's own password: every session ends, and a new one begins."""
    try:
        check_twice(form)
        signed_in = await in_lane(
            visit.request,
            change_password,
            field(form, "current"),
            field(form, "password"),
            browser=browser_of(visit.request),
            actor=visit.actor,
        )
    except Refused as refused:
        answer = visit.page("own_password.html", status=status_of(refused).value, refused=refused)
        return with_retry_after(answer, refused)
    answer = visit.go("/preferences/password", done=CHANGED)
    keep_session(visit.request, answer, signed_in.reference)
    return answer
