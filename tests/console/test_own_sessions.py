"""The page on which people see where they are signed in."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from batchwright.console.pages.session import COOKIE
from batchwright.operations.access.sessions import list_sessions
from batchwright.operations.app import Application
from tests.console.conftest import Visit

pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)

OPERATOR = "operator@example.com"
PAGE = "/preferences/sessions"


def keys(app: Application) -> list[int]:
    return [one["session_id"] for one in list_sessions(app, OPERATOR)]


def test_people_see_their_own_sessions_and_end_one_or_all_others(
    web: TestClient, app: Application, visit: Visit
) -> None:
    first = visit("operator")
    cookie = web.cookies[COOKIE]
    for _ in range(3):
        token = visit("operator")
    shown = web.get(PAGE).text
    assert [shown.count(f'id="session-{key}"') for key in (1, 2, 3, 4)] == [1, 1, 1, 1]
    assert "/preferences/sessions/1/end" in shown
    assert "/preferences/sessions/4/end" not in shown  # signing out does that
    assert "End session 1?" in web.get(f"{PAGE}/1/end").text
    ended = web.post(f"{PAGE}/1/end", data={"csrf_token": token}, follow_redirects=False)
    assert (ended.status_code, ended.headers["location"]) == (303, f"{PAGE}?done=session")
    assert keys(app) == [2, 3, 4]
    again = web.post(f"{PAGE}/1/end", data={"csrf_token": token})
    assert (again.status_code, "has no session 1" in again.text) == (422, True)
    assert web.post(f"{PAGE}/end", data={"csrf_token": token}, follow_redirects=False).status_code == 303
    assert keys(app) == [4]
    web.cookies.set(COOKIE, cookie)
    assert web.post(f"{PAGE}/end", data={"csrf_token": first}).status_code == 403
    assert keys(app) == [4]


def test_nobody_ends_a_session_of_somebody_else_there(
    web: TestClient, app: Application, visit: Visit
) -> None:
    visit("operator")
    token = visit("administrator")
    assert web.post(f"{PAGE}/1/end", data={"csrf_token": token}).status_code == 422
    assert web.post(f"{PAGE}/end", data={"csrf_token": token}, follow_redirects=False).status_code == 303
    assert keys(app) == [1]
