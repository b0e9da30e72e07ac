"""Browsers that are signed in."""

from __future__ import annotations

from starlette.testclient import TestClient

from batchwright.console.pages.session import COOKIE, csrf_token
from batchwright.operations import user_store
from batchwright.operations.access.sessions import Begun, begin_session
from batchwright.operations.app import Application
from tests.support.application import ADDRESS


def visit_as(web: TestClient, app: Application, email: str) -> str:
    """Sign a browser in as that user, who types no password, and return the `csrf_token` of its forms."""
    begun = signed_in(app, email)
    web.cookies.set(COOKIE, begun.reference)
    return csrf_token(begun.reference)


def signed_in(app: Application, email: str) -> Begun:
    """A session of that user."""
    with app.database.write() as connection:
        user = user_store.user_by_email(connection, email)
        assert user is not None
        return begin_session(connection, user["id"], address=ADDRESS, browser="", now=app.clock.now())
