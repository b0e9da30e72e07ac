"""Signing in and out with a browser, and the forms that are taken from nobody else."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from starlette.testclient import TestClient

from batchwright.console.pages.session import COOKIE
from batchwright.console.server import make_asgi
from batchwright.operations.access.audit_trail import list_audit
from batchwright.operations.access.authentication import authenticate_session
from batchwright.operations.access.sessions import end_sessions, list_sessions
from batchwright.operations.access.sign_in import sign_in as operation_sign_in
from batchwright.operations.access.users import add_user, disable_user, enable_user, set_password
from batchwright.operations.app import Application
from batchwright.operations.runs.looking import list_runs
from batchwright.testing.clock import FakeClock
from tests.console.conftest import Visit
from tests.console.forms import token_in
from tests.console.visits import visit_as
from tests.support.application import ACTOR, NOW

pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)

JANE = "jane@example.com"
PASSWORD = "seven green bottles"


@pytest.fixture
def clock() -> FakeClock:
    """The clock of `app`."""
    return FakeClock(NOW)


@pytest.fixture
def jane(app: Application) -> None:
    """Jane, an operator with a password, beside an administrator."""
    add_user(app, "root@example.com", "administrator", os_user=ACTOR.os_user, actor=ACTOR)
    add_user(app, JANE, "operator", actor=ACTOR)
    set_password(app, JANE, PASSWORD, actor=ACTOR)


@pytest.fixture
def second(app: Application) -> Iterator[TestClient]:
    """Another web process on the same database."""
    asgi = make_asgi(app, host="127.0.0.1", worker_expected=False)
    with TestClient(asgi, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        yield client


def sign_in(web: TestClient, email: str = JANE, password: str = PASSWORD, **fields: str) -> int:
    token = token_in(web.get("/sign-in").text)
    sent = {"email": email, "password": password, "csrf_token": token, **fields}
    return web.post("/sign-in", data=sent, follow_redirects=False).status_code


def test_who_signs_in_comes_to_the_page_that_they_asked_for(web: TestClient, jane: None) -> None:
    answer = web.get("/sign-out?a=1&b=%C3%BC", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
    form = web.get("/sign-in?next=/runs%3Fbadge=Failed")
    sent = {"email": "Jane@Example.com", "password": PASSWORD, "csrf_token": token_in(form.text)}
    answer = web.post("/sign-in", data={**sent, "next": "/runs?badge=Failed"}, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/runs?badge=Failed")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"{COOKIE}=")
    assert {"HttpOnly", "Path=/", "SameSite=lax"} == set(cookie.split("; ")[1:])
    assert JANE in web.get("/sign-out").text
    assert web.get("/sign-in", follow_redirects=False).status_code == 303


@pytest.mark.parametrize(("email", "password"), [(JANE, "wrong"), ("eve@example.com", PASSWORD), ("", "")])
def test_who_is_not_let_in_is_not_told_why(web: TestClient, jane: None, email: str, password: str) -> None:
    token = token_in(web.get("/sign-in").text)
    answer = web.post("/sign-in", data={"email": email, "password": password, "csrf_token": token})
    assert answer.status_code == 422
    assert "the address or the password is wrong" in answer.text
    assert COOKIE not in web.cookies
    assert PASSWORD not in answer.text


def test_who_tries_too_often_is_told_how_long_to_wait_in_every_web_process(
    web: TestClient, second: TestClient, clock: FakeClock, jane: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "batchwright.operations.access.sign_in.password_fits", lambda kept, given: given == PASSWORD
    )
    assert [sign_in(web if number % 2 else second, password="wrong") for number in range(7)] == [422] * 6 + [
        429
    ]
    token = token_in(second.get("/sign-in").text)
    fields = {"email": JANE, "password": PASSWORD, "csrf_token": token}
    refused = second.post("/sign-in", data=fields)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    assert "Try again in 1 s" in refused.text
    clock.sleep(1)
    assert sign_in(second) == 303


def test_a_disabled_user_is_not_let_in(web: TestClient, app: Application, jane: None) -> None:
    disable_user(app, JANE, actor=ACTOR)
    assert sign_in(web) == 422


def test_the_reference_is_new_at_each_sign_in_and_the_session_before_ends(
    web: TestClient, app: Application, jane: None
) -> None:
    fields = {"email": JANE, "password": PASSWORD, "csrf_token": token_in(web.get("/sign-in").text)}
    references = set()
    for _ in range(2):
        assert web.post("/sign-in", data=fields, follow_redirects=False).status_code == 303
        references.add(web.cookies[COOKIE])
    assert len(references) == 2
    assert [one["session_id"] for one in list_sessions(app, JANE)] == [2]


def test_after_signing_out_neither_cookie_nor_form_is_good_for_anything(
    web: TestClient, app: Application, visit: Visit
) -> None:
    token = visit("operator")
    cookie = web.cookies[COOKIE]
    left = web.post("/sign-out", data={"csrf_token": token}, follow_redirects=False)
    assert (left.status_code, left.headers["location"]) == (303, "/sign-in")
    assert left.headers["set-cookie"].startswith(f'{COOKIE}=""; ')
    web.cookies.clear()
    web.cookies.set(COOKIE, cookie)
    assert web.get("/sign-out", follow_redirects=False).status_code == 303
    assert next(iter(list_audit(app)))["act"] == "user.sign_out"
    assert list_sessions(app, "operator@example.com") == []


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}],
    ids=str,
)
def test_a_form_of_a_foreign_page_is_refused_whatever_it_knows(
    web: TestClient, app: Application, visit: Visit, headers: dict[str, str]
) -> None:
    token = visit("operator")
    answer = web.post("/sign-out", data={"csrf_token": token}, headers=headers, follow_redirects=False)
    assert answer.status_code == 403
    assert len(list_sessions(app, "operator@example.com")) == 1


@pytest.mark.parametrize("sent", ["none", "of_another_session", "as_text"])
def test_a_form_without_the_token_of_its_session_is_refused(
    web: TestClient, app: Application, visit: Visit, sent: str
) -> None:
    other, token = visit("viewer"), visit("operator")
    content = {
        "none": {"data": {}},
        "of_another_session": {"data": {"csrf_token": other}},
        "as_text": {"content": f"csrf_token={token}", "headers": {"Content-Type": "text/plain"}},
    }[sent]
    answer = web.post("/sign-out", **content, follow_redirects=False)  # type: ignore[arg-type]
    assert answer.status_code == 403
    assert len(list_sessions(app, "operator@example.com")) == 1


def test_nobody_is_signed_in_by_a_form_of_a_foreign_page(
    web: TestClient, app: Application, jane: None
) -> None:
    good = token_in(web.get("/sign-in").text)
    fields = {"email": JANE, "password": PASSWORD, "csrf_token": good}
    assert web.post("/sign-in", data=fields, headers={"Origin": "https://evil.example"}).status_code == 403
    web.cookies.clear()  # the browser of a victim never saw the form
    assert web.post("/sign-in", data=fields).status_code == 403
    assert list_sessions(app, JANE) == []


def test_a_session_and_its_forms_are_good_in_every_web_process(
    web: TestClient, second: TestClient, app: Application, jane: None
) -> None:
    open_form = token_in(web.get("/sign-in").text)
    second.cookies = web.cookies
    fields = {"email": JANE, "password": PASSWORD, "csrf_token": open_form}
    assert second.post("/sign-in", data=fields, follow_redirects=False).status_code == 303
    web.cookies = second.cookies
    token = token_in(web.get("/sign-out").text)
    assert second.post("/sign-out", data={"csrf_token": token}, follow_redirects=False).status_code == 303
    assert list_sessions(app, JANE) == []


def test_a_form_that_is_sent_to_two_web_processes_is_one_act(
    web: TestClient, second: TestClient, app: Application, jane: None
) -> None:
    token = visit_as(web, app, JANE)
    second.cookies = web.cookies
    form = {"csrf_token": token, "form_key": "k" * 22}
    there = "/jobs/draft-usage-rating/launch"
    answers = [one.post(there, data=form, follow_redirects=False) for one in (web, second)]
    assert [one.status_code for one in answers] == [303, 303]
    assert answers[0].headers["location"] == answers[1].headers["location"]
    assert len(list_runs(app, actor=ACTOR)) == 1


def test_a_cookie_is_not_taken_by_the_api_and_a_token_by_no_page(
    web: TestClient, app: Application, visit: Visit, caller: object
) -> None:
    visit("operator")
    assert web.get("/api/v1/me").status_code == 401
    web.cookies.clear()
    headers = caller("operator")  # type: ignore[operator]
    assert web.get("/sign-out", headers=headers, follow_redirects=False).status_code == 303


def test_a_session_is_over_eight_hours_after_its_last_use(
    web: TestClient, app: Application, clock: FakeClock, jane: None
) -> None:
    visit_as(web, app, JANE)
    for hours, expected in ((7, 200), (7, 200), (8, 303)):
        clock.sleep(hours * 3600)
        assert web.get("/sign-out", follow_redirects=False).status_code == expected


def end_by_administrator(app: Application, clock: FakeClock) -> None:
    end_sessions(app, JANE, actor=ACTOR)


def end_from_elsewhere(app: Application, clock: FakeClock) -> None:
    me = authenticate_session(app, visit_reference(app), "127.0.0.1").actor
    end_sessions(app, JANE, actor=me, but_own=True)


def visit_reference(app: Application) -> str:
    return operation_sign_in(app, JANE, PASSWORD, address="127.0.0.1").reference


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (end_by_administrator, "An administrator ended your session."),
        (end_from_elsewhere, "You ended this session from elsewhere."),
        (
            lambda app, clock: set_password(app, JANE, "eight red bottles", actor=ACTOR),
            "Your password was changed",
        ),
        (lambda app, clock: disable_user(app, JANE, actor=ACTOR), "Your user was disabled."),
        (lambda app, clock: clock.sleep(8 * 3600), "it was not used for 8 hours"),
        (lambda app, clock: clock.sleep(7 * 24 * 3600), "A session lasts 7 days"),
    ],
)
def test_who_was_signed_in_is_told_why_no_more_and_goes_on_where_they_were(
    web: TestClient, app: Application, clock: FakeClock, jane: None, end: Callable[..., object], said: str
) -> None:
    visit_as(web, app, JANE)
    end(app, clock)
    asked = web.get("/runs?status=Failed")
    assert asked.history[0].status_code == 303
    assert said in asked.text
    assert "you go on where you were" in asked.text
    token = token_in(asked.text)
    enable_user(app, JANE, actor=ACTOR)
    set_password(app, JANE, PASSWORD, actor=ACTOR)
    sent = {"email": JANE, "password": PASSWORD, "csrf_token": token, "next": "/runs?status=Failed"}
    answer = web.post("/sign-in", data=sent, follow_redirects=False)
    assert answer.headers["location"] == "/runs?status=Failed"


def test_who_never_had_a_session_or_signed_out_is_told_nothing(
    web: TestClient, app: Application, jane: None
) -> None:
    plain = web.get("/sign-in").text
    assert "session" not in plain
    web.cookies.set(COOKIE, "0" * 43)
    assert "banner" not in web.get("/sign-in").text
    visit_as(web, app, JANE)
    reference = web.cookies[COOKIE]
    web.post("/sign-out", data={"csrf_token": token_in(web.get("/sign-out").text)})
    web.cookies.clear()
    web.cookies.set(COOKIE, reference)
    assert "banner" not in web.get("/sign-in").text


def test_a_form_that_was_sent_too_late_leads_back_to_its_page_by_the_sign_in(
    web: TestClient, app: Application, jane: None
) -> None:
    visit_as(web, app, JANE)
    end_sessions(app, JANE, actor=ACTOR)
    for referer, where in (
        ("http://127.0.0.1/runs?actor=x", "/sign-in?next=%2Fruns%3Factor%3Dx"),
        ("https://evil.example/runs", "/sign-in"),
        ("http://127.0.0.1//evil.example/runs", "/sign-in"),
    ):
        answer = web.post("/jobs/usage-rating/launch", data={}, headers={"Referer": referer})
        assert answer.status_code == 403
        assert f'<a class="button main" href="{where}">Sign in</a>' in answer.text


def test_no_other_site_has_a_browser_forget_its_session(web: TestClient) -> None:
    """It sends no cookie along: to us the browser is one that is signed out."""
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = web.post("/sign-out", headers=headers, follow_redirects=False)
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers


def test_a_page_that_is_left_open_does_not_keep_its_session_by_asking_for_news(
    web: TestClient, app: Application, clock: FakeClock, jane: None
) -> None:
    visit_as(web, app, JANE)
    for minutes, status in ((470, 404), (10, 303)):
        clock.sleep(minutes * 60)
        news = web.get("/sign-out", headers={"X-Live-Region": "region_x"}, follow_redirects=False)
        assert news.status_code == status


def test_the_last_use_of_a_session_is_noted_once_a_minute(
    web: TestClient, app: Application, clock: FakeClock, jane: None
) -> None:
    visit_as(web, app, JANE)
    noted = []
    for seconds in (59, 1, 30, 29, 1):
        clock.sleep(seconds)
        web.get("/sign-out")
        noted.append(list_sessions(app, JANE)[0]["last_used_at"][14:19])
    assert noted == ["30:00", "31:00", "31:00", "31:00", "32:00"]


def test_references_are_not_guessed_without_end(second: TestClient, jane: None) -> None:
    statuses = []
    for number in range(80):
        second.cookies.set(COOKIE, f"{number:043d}")
        statuses.append(second.get("/sign-out", follow_redirects=False).status_code)
    assert statuses[0] == 303
    assert 429 in statuses


def test_where_a_script_asks_without_a_session_it_is_told_so_and_not_led_to_the_form(web: TestClient) -> None:
    answer = web.get("/sign-out", headers={"Sec-Fetch-Dest": "empty"}, follow_redirects=False)
    assert answer.status_code == 401
