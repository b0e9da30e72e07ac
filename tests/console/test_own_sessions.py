"""The page on which people see where they are signed in."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from batchwright.console.pages.session import COOKIE
from batchwright.operations.access.sessions import begin_session, list_sessions
from batchwright.operations.app import Application
from batchwright.operations.user_store import user_by_email
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


def test_a_browser_is_shown_in_words_and_as_it_calls_itself_to_who_points_at_it(
    app: Application, web: TestClient, visit: Visit
) -> None:
    name = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
    visit("administrator")
    with app.database.write() as connection:
        user = user_by_email(connection, "administrator@example.com")
        assert user is not None
        begin_session(connection, user["id"], address="203.0.113.7", browser=name, now=app.clock.now())
    for page in (PAGE, "/users/administrator@example.com"):
        assert f'<span title="{name}">Firefox on Linux</span>' in web.get(page).text


def test_nobody_ends_a_session_of_somebody_else_there(
    web: TestClient, app: Application, visit: Visit
) -> None:
    visit("operator")
    token = visit("administrator")
    assert web.post(f"{PAGE}/1/end", data={"csrf_token": token}).status_code == 422
    assert web.post(f"{PAGE}/end", data={"csrf_token": token}, follow_redirects=False).status_code == 303
    assert keys(app) == [1]
