"""The page on which people choose their mail, their zone and their keys."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from batchwright.notifications import outbox
from batchwright.notifications.digest import digest_facts
from batchwright.operations.access.audit_trail import list_audit
from batchwright.operations.access.users import show_user
from batchwright.operations.app import Application
from batchwright.operations.unsubscribe_links import unsubscribe_link
from tests.console.conftest import Visit
from tests.support.application import ACTOR

pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)

VIEWER = "viewer@example.com"


def test_people_choose_their_own_mail(app: Application, web: TestClient, visit: Visit) -> None:
    token = visit("viewer")
    assert 'value="always" checked' in web.get("/preferences").text
    answer = web.post("/preferences", data={"csrf_token": token, "mail": "errors"}, follow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/preferences?done=own_mail")
    assert show_user(app, VIEWER, actor=ACTOR)["mail"] == "errors"
    refused = web.post("/preferences", data={"csrf_token": token, "mail": "weekly"})
    assert (refused.status_code, 'href="#mail"' in refused.text) == (422, True)


def test_zone_and_keys_are_kept_by_the_browser_without_a_script(web: TestClient, visit: Visit) -> None:
    token = visit("viewer")
    form = {"csrf_token": token, "zone": "Europe/Berlin"}
    assert web.post("/preferences/browser", data=form, follow_redirects=False).status_code == 303
    page = web.get("/preferences").text
    assert '<option value="Europe/Berlin" selected>' in page
    assert 'name="keys" value="true">' in page
    assert 'data-zone="Europe/Berlin"' in page
    web.post("/preferences/browser", data=form | {"keys": "true"})
    assert 'name="keys" value="true" checked>' in web.get("/preferences").text
    refused = web.post("/preferences/browser", data=form | {"zone": "../etc/passwd; Secure"})
    assert (refused.status_code, 'href="#zone"' in refused.text) == (422, True)


def test_a_mail_program_unsubscribes_its_recipient_by_one_post_and_nobody_else(
    app: Application, web: TestClient, visit: Visit
) -> None:
    visit("viewer")
    visit("operator")
    web.cookies.clear()
    with app.database.read() as connection:
        link = unsubscribe_link(connection, "http://127.0.0.1", f"Vi <{VIEWER.upper()}>")
        assert unsubscribe_link(connection, "http://127.0.0.1", "nobody@example.com") is None
    assert link is not None
    for method in ("HEAD", "GET", "GET"):
        assert web.request(method, link).status_code in (200, 405)
    another = link.replace(VIEWER, "operator@example.com")
    for wrong in (another, link[:-1], link.partition("&")[0], link + "%C3%A9"):
        assert web.post(wrong, data={"List-Unsubscribe": "One-Click"}).status_code == 422
    assert [show_user(app, one, actor=ACTOR)["mail"] for one in (VIEWER, "operator@example.com")] == [
        "always",
        "always",
    ]
    for _ in range(2):
        assert web.post(link, data={"List-Unsubscribe": "One-Click"}).status_code == 200
    assert show_user(app, VIEWER, actor=ACTOR)["mail"] == "never"
    entries = [one for one in list_audit(app, actor=ACTOR) if one["act"] == "user.preferences"]
    assert [one["reason"] for one in entries] == ["by the link of a mail"]


def test_a_mail_that_is_sent_to_a_user_has_the_link_on_one_line_of_its_head(
    app: Application, visit: Visit
) -> None:
    visit("viewer")
    facts = {
        "job": "x",
        "run_id": "JR-1",
        "status": "Completed",
        "mode": "batch",
        "base_url": "https://b.example",
    }
    for recipient in (VIEWER, "nobody@example.com"):
        with app.database.write() as connection:
            outbox.record(
                connection,
                kind="digest",
                run_key=None,
                recipients=[recipient],
                facts=digest_facts([facts]),
                now=app.clock.now(),
            )
    app.mailer.send("ML-00000001", "ML-00000002")
    first, second = (path.read_text() for path in sorted(app.settings.mail.directory.glob("*.eml")))
    link = "https://b.example/preferences/unsubscribe?who=viewer@example.com&code="
    assert f"\nList-Unsubscribe: <{link}" in first
    assert "\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\n" in first
    assert "List-Unsubscribe" not in second
