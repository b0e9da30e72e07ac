"""Who looks at a page: the session of their cookie, and the proof that a form was sent from a page of ours.

A page that shows something takes a `Visitor` by ``Depends(visitor)``. One that does something takes its form by
``Depends(posted)``, which has checked it; the page that holds the form puts ``csrf_token`` of the visitor into a hidden
field of that name.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

import structlog
from fastapi import Depends
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response

from batchwright.console.api.bodies import check_text
from batchwright.console.pages.render import LIVE
from batchwright.console.problems import Problem
from batchwright.console.traffic import Traffic
from batchwright.operations.access.authentication import authenticate_session
from batchwright.operations.actor import Actor, Unauthenticated
from batchwright.operations.app import Application

COOKIE: Final = "batchwright"
FORM_COOKIE: Final = "batchwright-form"
"""Binds the forms of who is not signed in to their browser."""
CSRF_FIELD: Final = "csrf_token"
SIGN_IN: Final = "/sign-in"
LONGEST_NEXT: Final = 2_000
_REFERENCE: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_OWN_PATH: Final = re.compile(r"/(?![/\\])[!-\[\]-~]*")
"""Printable ASCII without a space or a backslash, and no second slash at the beginning: no browser leaves for it."""

log = structlog.get_logger()


@dataclass(frozen=True)
class Visitor:
    """Who looks at a page: signed in, and with the role that their user has now."""

    actor: Actor
    session_key: int
    csrf_token: str
    email: str
    role: str


def visitor(request: Request) -> Visitor:
    """Who looks. Raises `Problem`: to the sign-in page (303) where nobody does, 403 for what was sent, 429."""
    reference = request.cookies.get(_cookie(request, COOKIE), "")
    app: Application = request.app.state.application
    traffic: Traffic = request.app.state.traffic
    if not reference:
        raise _sign_in_first(request)
    address, by_hand = address_of(request), LIVE not in request.headers
    try:
        with traffic.anonymous.admit(address, reference), app.database.snapshot():
            actor, role = authenticate_session(app, reference, address, by_hand=by_hand)
    except Unauthenticated:
        raise _sign_in_first(request) from None
    request.state.user, request.state.door = actor.name, str(actor.door)
    traffic.limits.admit(actor.name)
    assert actor.principal is not None
    assert actor.principal.session_key is not None
    return Visitor(actor, actor.principal.session_key, csrf_token(reference), actor.name, role)


async def _visitor(request: Request) -> Visitor:
    known: Visitor | None = getattr(request.state, "visitor", None)  # by `looks.Looks`
    return await run_in_threadpool(visitor, request) if known is None else known


VISITOR: Final = Depends(_visitor)
"""The default of a page's parameter ``visitor``."""


async def posted(request: Request, visitor: Visitor = VISITOR) -> AsyncIterator[FormData]:
    """The form that the visitor sent, from a page of ours; its files are closed after the answer. Raises `Problem` for
    any other (403).
    """
    async with request.form() as form:
        check_fields(form)
        check_form(request, visitor, form)
        yield form


POSTED: Final = Depends(posted)
"""The default of a page's parameter ``form``."""


async def form_of(request: Request) -> FormData:
    """The fields that were sent. Raises `Problem` for a text that no database keeps (400)."""
    form = await request.form()
    check_fields(form)
    return form


def check_fields(form: FormData) -> None:
    """Raise `Problem` (400) for a text that no database keeps."""
    for name, value in form.multi_items():
        for text in (name, value):
            if isinstance(text, str):
                check_text(text, name)


def check_form(request: Request, visitor: Visitor, form: Mapping[str, Any]) -> None:
    """Raise `Problem` (403) for a form that was not sent from a page that this visitor's session was shown."""
    _check(request, visitor.csrf_token, form)


def check_open_form(request: Request, form: Mapping[str, Any]) -> None:
    """The same for a form of who need not be signed in."""
    key = request.cookies.get(_cookie(request, FORM_COOKIE), "")
    _check(request, csrf_token(key) if _REFERENCE.fullmatch(key) else None, form)


def check_origin(request: Request) -> None:
    """Raise `Problem` (403) for what a foreign page sent, as far as its browser says."""
    _refuse(request, _foreign(request))


def open_form_key(request: Request) -> str:
    """What binds the forms of who need not be signed in to their browser; `keep_form_key` leaves it there."""
    key = request.cookies.get(_cookie(request, FORM_COOKIE), "")
    return key if _REFERENCE.fullmatch(key) else secrets.token_urlsafe(32)


def keep_form_key(request: Request, response: Response, key: str) -> None:
    """Have the browser hold the key of its open forms."""
    _set_cookie(request, response, FORM_COOKIE, key)


def keep_session(request: Request, response: Response, reference: str) -> None:
    """Have the browser hold the reference of its session."""
    _set_cookie(request, response, COOKIE, reference)


def forget_session(request: Request, response: Response) -> None:
    """Have the browser forget its session."""
    name = _cookie(request, COOKIE)
    path, secure = cookie_path(request), is_secure(request)
    response.delete_cookie(name, path=path, secure=secure, httponly=True, samesite="lax")


def reference_of(request: Request) -> str | None:
    """The reference that the browser holds, good or not."""
    return request.cookies.get(_cookie(request, COOKIE))


def csrf_token(reference: str) -> str:
    """What shows that a form is of a page that this session was shown: only who knows the reference can make it."""
    return hmac.digest(reference.encode(), b"batchwright csrf", "sha256").hex()


def own_path(text: str | None) -> str:
    """Where to go on: the path of ours that was asked for, with its query; ``/`` for anything else."""
    if not text or len(text) > LONGEST_NEXT or not _OWN_PATH.fullmatch(text):
        return "/"
    return "/" if text.startswith((SIGN_IN, "/sign-out")) else text


def address_of(request: Request) -> str:
    """Where a request comes from."""
    return request.client.host if request.client else "unknown"


def is_secure(request: Request) -> bool:
    """Whether people come by https."""
    app: Application = request.app.state.application
    return "https" in (request.url.scheme, urlsplit(app.settings.base_url).scheme)


def cookie_path(request: Request) -> str:
    """To which addresses a browser sends our cookies: all below the path of `base_url`."""
    app: Application = request.app.state.application
    return app.settings.base_path or "/"


def _cookie(request: Request, name: str) -> str:
    """A browser takes a cookie of these names only over https, of the first for this host alone and all paths."""
    if not is_secure(request):
        return name
    return f"__Host-{name}" if cookie_path(request) == "/" else f"__Secure-{name}"


def _set_cookie(request: Request, response: Response, name: str, value: str) -> None:
    path, secure = cookie_path(request), is_secure(request)
    response.set_cookie(
        _cookie(request, name), value, path=path, secure=secure, httponly=True, samesite="lax"
    )


def _sign_in_first(request: Request) -> Problem:
    if request.method not in ("GET", "HEAD"):
        return Problem(
            HTTPStatus.FORBIDDEN,
            "You are no longer signed in, and nothing was done",
            remedy="Sign in and do it again",
            sign_in=_sign_in_for(_came_from(request)),
        )
    # A script would take the sign-in page for its answer.
    if request.headers.get("sec-fetch-dest") == "empty":
        return Problem(HTTPStatus.UNAUTHORIZED, "You are no longer signed in", remedy="Sign in")
    query = request.scope["query_string"].decode("latin-1")
    asked = quote(request.scope["path"]) + (f"?{query}" if query else "")
    return Problem(HTTPStatus.SEE_OTHER, "Sign in first", headers={"Location": _sign_in_for(asked)})


def _sign_in_for(asked: str) -> str:
    """The page to sign in on, from which one goes on to the page that was asked for."""
    wanted = own_path(asked)
    return SIGN_IN if wanted == "/" else f"{SIGN_IN}?{urlencode({'next': wanted})}"


def _came_from(request: Request) -> str:
    """The page of ours that a form stood on, as far as its browser says."""
    app: Application = request.app.state.application
    page = urlsplit(request.headers.get("referer", ""))
    if page.netloc not in (request.headers.get("host"), urlsplit(app.settings.base_url).netloc):
        return "/"
    path = page.path.removeprefix(app.settings.base_path)
    return f"{path}?{page.query}" if page.query else path


def _check(request: Request, expected: str | None, form: Mapping[str, Any]) -> None:
    given = form.get(CSRF_FIELD)
    why = _foreign(request)
    if why is None and not (
        expected
        and isinstance(given, str)
        and hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())
    ):
        why = "its csrf_token is not that of the session"
    _refuse(request, why)


def _refuse(request: Request, why: str | None) -> None:
    if why is None:
        return
    log.warning("a form was refused", why=why, path=request.scope["path"], address=address_of(request))
    raise Problem(
        HTTPStatus.FORBIDDEN,
        "This form was not sent from a page that you were shown here, and nothing was done",
        CSRF_FIELD,
        "Open the page again and send its form",
    )


def _foreign(request: Request) -> str | None:
    """Why a request comes from a foreign page, as far as its browser says."""
    site = request.headers.get("sec-fetch-site", "same-origin")
    if site not in ("same-origin", "none"):
        return f"it was sent from a page that is {site}"
    app: Application = request.app.state.application
    base = urlsplit(app.settings.base_url)
    own = {f"{base.scheme}://{base.netloc}", f"{request.url.scheme}://{request.headers.get('host', '')}"}
    origin = request.headers.get("origin")
    return (
        None if origin is None or origin.lower() in {one.lower() for one in own} else "its Origin is another"
    )
