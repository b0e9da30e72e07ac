"""The pages on which people set their password, and the one that makes the first administrator."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from starlette.testclient import TestClient

from batchwright.config.settings import operating_system_user
from batchwright.console.pages.session import COOKIE
from batchwright.operations.access.first_administrator import first_administrator_code
from batchwright.operations.access.sessions import list_sessions
from batchwright.operations.access.sign_in_link import own_sign_in_link
from batchwright.operations.access.users import add_user, list_users, set_password
from batchwright.operations.app import Application
from batchwright.operations.mail import list_mail
from tests.console.conftest import Caller, Visit
from tests.console.forms import token_in
from tests.support.application import ACTOR

pytestmark = [
    pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True),
    pytest.mark.usefixtures("no_hashes"),
]

OPERATOR = "operator@example.com"
OLD, NEW = "seven green bottles", "eleven pipers piping"


def test_whoever_opens_the_link_that_serve_printed_becomes_the_first_administrator(
    web: TestClient, app: Application
) -> None:
    assert web.get("/sign-in", follow_redirects=False).headers["location"] == "/first-administrator"
    assert "batchwright serve" in web.get("/first-administrator").text
    code = first_administrator_code(app)
    for _ in range(2):  # scanners of mail and chat look, too
        page = web.get(f"/first-administrator?code={code}").text
    fields = {"code": code, "email": "ada@example.com", "password": NEW, "csrf_token": token_in(page)}
    refused = web.post("/first-administrator", data=fields | {"again": OLD})
    assert (refused.status_code, "typed in two ways" in refused.text) == (422, True)
    assert "ada@example.com" in refused.text
    assert NEW not in refused.text
    made = web.post("/first-administrator", data=fields | {"again": NEW}, follow_redirects=False)
    assert (made.status_code, made.headers["location"]) == (303, "/")
    assert "ada@example.com" in web.get("/sign-out").text
    web.cookies.clear()
    assert (
        web.get(f"/first-administrator?code={code}", follow_redirects=False).headers["location"] == "/sign-in"
    )
    assert len(list_users(app)) == 1


def test_a_link_that_was_printed_on_the_machine_signs_in_by_its_button_once(
    web: TestClient, app: Application
) -> None:
    add_user(app, "ada@example.com", "administrator", os_user=operating_system_user(), actor=ACTOR)
    path = urlsplit(own_sign_in_link(app, actor=ACTOR))
    code = path.query.removeprefix("code=")
    for _ in range(2):  # scanners of mail and chat look, too
        page = web.get(f"{path.path}?{path.query}")
        assert (page.status_code, page.headers["Referrer-Policy"]) == (200, "strict-origin")
        assert web.get("/runs", follow_redirects=False).status_code == 303
    fields = {"code": code, "csrf_token": token_in(page.text)}
    assert web.post("/sign-in/link", data=fields | {"csrf_token": "x"}).status_code == 403
    made = web.post("/sign-in/link", data=fields, follow_redirects=False)
    assert (made.status_code, made.headers["location"]) == (303, "/")
    assert "ada@example.com" in web.get("/sign-out").text
    for answer in (web.get(f"/sign-in/link?code={code}"), web.post("/sign-in/link", data=fields)):
        assert (answer.status_code, "no longer valid" in answer.text) == (422, True)
        assert code not in answer.text
    assert len(list_sessions(app, "ada@example.com", actor=ACTOR)) == 1


def test_without_a_good_link_nobody_becomes_an_administrator(web: TestClient, app: Application) -> None:
    first_administrator_code(app)
    token = token_in(web.get("/reset").text)
    fields = {"email": "eve@example.com", "password": NEW, "again": NEW, "csrf_token": token}
    for code in ("", "x", "0" * 43):
        answer = web.post("/first-administrator", data=fields | {"code": code})
        assert answer.status_code == 422
        assert "this link is no longer valid" in answer.text
    assert list_users(app) == []
    first = web.post("/first-administrator", data=fields | {"csrf_token": "x"})
    assert first.status_code == 403


def test_who_forgot_their_password_sets_another_by_a_link_from_their_mail(
    web: TestClient, app: Application, caller: Caller, tmp_path: Path
) -> None:
    caller("operator")
    token = token_in(web.get("/reset").text)
    answers = [
        web.post("/reset", data={"email": email, "csrf_token": token})
        for email in (OPERATOR, "nobody@example.com")
    ]
    texts = [answer.text.replace(OPERATOR, "X").replace("nobody@example.com", "X") for answer in answers]
    assert texts[0] == texts[1]
    app.mailer.send_due()
    (mail,) = [file.read_text().replace("=\n", "") for file in (tmp_path / "mail").glob("*.eml")]
    found = re.search(r"(/reset\?code=3D[\w-]+)", mail)
    assert found
    path = found[1].replace("=3D", "=")
    page = [web.get(path) for _ in range(3)][-1]
    assert page.headers["Referrer-Policy"] == "strict-origin"
    fields = {"code": path.partition("=")[2], "csrf_token": token_in(page.text)}
    for password, unreported in (("password1", "tried first"), ("short", "has 5 characters")):
        refused = web.post("/reset/password", data=fields | {"password": password, "again": password})
        assert (refused.status_code, unreported in refused.text) == (422, True)
    done = web.post("/reset/password", data=fields | {"password": NEW, "again": NEW}, follow_redirects=False)
    assert (done.status_code, done.headers["location"]) == (303, "/")
    assert OPERATOR in web.get("/sign-out").text
    assert "Ask for another link" in web.get(path).text


def test_links_to_one_address_are_sent_a_few_times_and_then_later(
    web: TestClient, app: Application, caller: Caller
) -> None:
    caller("operator")
    token = token_in(web.get("/reset").text)
    sent = [web.post("/reset", data={"email": OPERATOR, "csrf_token": token}).status_code for _ in range(5)]
    assert sent == [200, 200, 200, 200, 429]
    assert len(list_mail(app)) == 4


def test_who_is_signed_in_changes_their_password_and_stays_signed_in(
    web: TestClient, app: Application, visit: Visit
) -> None:
    visit("operator")
    set_password(app, OPERATOR, OLD, actor=ACTOR)  # it ends the session
    token = visit("operator")
    before = web.cookies[COOKIE]
    fields = {"csrf_token": token, "password": NEW, "again": NEW}
    refused = web.post("/preferences/password", data=fields | {"current": "wrong"})
    assert (refused.status_code, "the current password is wrong" in refused.text) == (422, True)
    changed = web.post("/preferences/password", data=fields | {"current": OLD}, follow_redirects=False)
    assert (changed.status_code, changed.headers["location"]) == (303, "/preferences/password?done=password")
    reference = changed.headers["set-cookie"].partition(";")[0].partition("=")[2]
    assert reference != before
    assert [one["session_id"] for one in list_sessions(app, OPERATOR)] == [3]
    web.cookies.clear()
    web.cookies.set(COOKIE, reference)
    assert "Your password is changed" in web.get("/preferences/password?done=password").text


def test_who_comes_by_https_gets_cookies_that_no_other_way_and_no_other_host_sees(
    web: TestClient, app: Application, caller: Caller
) -> None:
    caller("operator")
    answer = web.get("https://127.0.0.1/sign-in")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-batchwright-form=")
    assert set(cookie.split("; ")[1:]) == {"HttpOnly", "Path=/", "SameSite=lax", "Secure"}
