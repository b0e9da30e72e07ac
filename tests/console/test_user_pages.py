"""The pages on which an administrator invites people, gives roles, and ends sessions and tokens."""

from __future__ import annotations

import re

import pytest
from starlette.testclient import TestClient

from batchwright.console.pages.session import COOKIE
from batchwright.operations.access.audit_trail import list_audit
from batchwright.operations.access.tokens import list_tokens
from batchwright.operations.access.users import show_user
from batchwright.operations.app import Application
from tests.console.conftest import Visit
from tests.console.forms import token_in
from tests.support.application import ACTOR

pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)

EVE = "eve@example.com"
PASSWORD = "seven green parrots sing"


def test_somebody_invited_sets_a_password_by_a_link_that_is_good_once(
    app: Application, web: TestClient, visit: Visit
) -> None:
    token = visit("administrator")
    form = {"csrf_token": token, "email": "Eve@Example.com", "role": "operator"}
    assert "Invite somebody" in web.get("/users/add").text
    shown = web.post("/users/add", data=form)
    assert (shown.status_code, shown.headers["Cache-Control"]) == (200, "no-store")
    assert "it is not mailed" in shown.text
    assert 'href="/users/add">Invite another<' in shown.text
    (link,) = re.findall(r"/reset\?code=[\w-]{43}", shown.text)
    again = web.post("/users/add", data=form)
    assert (again.status_code, "there is a user eve@example.com already" in again.text) == (422, True)
    assert link.partition("=")[2] not in str([*list_audit(app, actor=ACTOR)])
    cookie = web.cookies.get(COOKIE)
    web.cookies.delete(COOKIE)
    setting = web.get(link).text
    assert re.search(r'autocomplete="username" readonly value="eve@example\.com"', setting)
    csrf = token_in(setting)
    form = {"csrf_token": csrf, "code": link.partition("=")[2], "password": PASSWORD, "again": PASSWORD}
    assert web.post("/reset/password", data=form, follow_redirects=False).status_code == 303
    assert web.get("/preferences/sessions").status_code == 200
    web.cookies.clear()
    web.cookies.set(COOKIE, str(cookie))
    assert "eve@example.com" in web.get("/users").text
    assert show_user(app, EVE, actor=ACTOR)["has_password"] is True


def test_who_is_disabled_while_signed_in_elsewhere_is_out_at_their_next_request(
    app: Application, web: TestClient, visit: Visit
) -> None:
    visit("operator")
    theirs = str(web.cookies[COOKIE])
    token = visit("administrator")
    ours = str(web.cookies[COOKIE])
    question = web.get("/users/operator@example.com/disable").text
    assert "Sessions that end</dt><dd>1<" in question
    assert "Tokens that end</dt><dd>1<" in question
    answer = web.post(
        "/users/operator@example.com/disable", data={"csrf_token": token}, follow_redirects=False
    )
    assert (answer.status_code, answer.headers["Location"]) == (
        303,
        "/users/operator@example.com?done=user_disabled",
    )
    web.cookies.set(COOKIE, theirs)
    assert web.get("/runs", follow_redirects=False).status_code == 303
    web.cookies.set(COOKIE, ours)
    refused = web.post("/users/operator@example.com/link", data={"csrf_token": token})
    assert (refused.status_code, "is disabled" in refused.text) == (422, True)
    web.post("/users/operator@example.com/enable", data={"csrf_token": token})
    assert show_user(app, "operator@example.com", actor=ACTOR)["disabled"] is False


def test_a_token_is_shown_once_and_revoked_by_its_name(
    app: Application, web: TestClient, visit: Visit
) -> None:
    token = visit("administrator")
    visit("viewer")
    token = visit("administrator")
    at = "/users/viewer@example.com"
    made = web.post(f"{at}/tokens/add", data={"csrf_token": token, "name": "night/ly & <b>"})
    assert "/api/v1" in made.text
    (text,) = re.findall(r"bw_[\w-]{49,}", made.text)
    assert web.get("/api/v1/me", headers={"Authorization": f"Bearer {text}"}).status_code == 200
    page = web.get(at).text
    assert text not in page
    assert page.count("Never") == 1  # the other was used just now
    assert "night/ly%20%26%20%3Cb%3E/revoke" in page
    revoke = f"{at}/tokens/night/ly%20%26%20%3Cb%3E/revoke"
    assert "Revoke the token night/ly &amp; &lt;b&gt;" in web.get(revoke).text
    assert web.post(revoke, data={"csrf_token": token}, follow_redirects=False).status_code == 303
    assert [one["status"] for one in list_tokens(app, "viewer@example.com", actor=ACTOR)] == [
        "active",
        "revoked",
    ]
    assert web.get("/api/v1/me", headers={"Authorization": f"Bearer {text}"}).status_code == 401
    refused = web.post(f"{at}/tokens/add", data={"csrf_token": token, "expires": "2001-01-01", "name": "x"})
    assert (refused.status_code, 'value="x"' in refused.text) == (422, True)
    assert 'href="#expires"' in refused.text


def test_the_last_who_may_manage_users_stays_one_and_the_page_says_why(
    app: Application, web: TestClient, visit: Visit
) -> None:
    token = visit("administrator")
    form = {"csrf_token": token, "role": "viewer", "os_user": ACTOR.os_user}
    for path in ("/users/root@example.com/role", "/users/root@example.com/disable"):
        refused = web.post(path, data=form)
        assert refused.status_code == 422, path
        assert "nobody would be left who may manage users" in refused.text
    assert show_user(app, "root@example.com", actor=ACTOR)["role"] == "administrator"


def test_an_administrator_ends_sessions_of_others_and_says_which_mail_they_get(
    app: Application, web: TestClient, visit: Visit
) -> None:
    for _ in range(3):
        visit("operator")
    token = visit("administrator")
    at = "/users/operator@example.com"
    assert web.get(at).text.count('<tr id="session-') == 3
    assert web.get(f"{at}/sessions/1/end").status_code == 200
    for path, left in (("sessions/1/end", 2), ("sessions/end", 0)):
        answer = web.post(f"{at}/{path}", data={"csrf_token": token}, follow_redirects=False)
        assert answer.status_code == 303
        assert web.get(at).text.count('<tr id="session-') == left
    web.post(f"{at}/mail", data={"csrf_token": token, "mail": "digest"})
    assert show_user(app, "operator@example.com", actor=ACTOR)["mail"] == "digest"
    refused = web.post(f"{at}/mail", data={"csrf_token": token, "mail": "sometimes"})
    assert (refused.status_code, 'id="mail-hint"' in refused.text) == (422, True)
