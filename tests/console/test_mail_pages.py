"""The pages of the mail: what became of each, its message, sending it again."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from batchwright.engine.store.runs import by_id
from batchwright.notifications import outbox
from batchwright.notifications.account import RESET
from batchwright.operations.access.account_mail import record_account_mail
from batchwright.operations.access.audit_trail import list_audit
from batchwright.operations.app import Application
from batchwright.operations.mail import show_mail
from batchwright.operations.runs.looking import show_run
from tests.console.conftest import Visit

pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)

MAIL = "ML-00000001"


@pytest.fixture
def mails(app: Application, furnished: None) -> None:
    """The mail of a run, one that a server refused, and one that tells of an account."""
    with app.database.write() as connection:
        run_key = by_id(connection, "JR-00000001").id
        facts = {
            "run_id": "JR-00000001",
            "job": "draft-usage-rating",
            "type": "<b>job</b>",
            "status": "Completed",
            "mode": "batch",
        }
        outbox.record(
            connection,
            kind="run_ended",
            run_key=run_key,
            recipients=["Bob <bob@example.com>"],
            facts=facts,
            now=app.clock.now(),
            route="file",
        )
        (line,) = outbox.listing(connection, limit=1)
        assert outbox.claim(connection, line, app.clock.now())
        outbox.mark_failed(connection, line.key, line.attempts + 1, "550 <no such> mailbox")
        record_account_mail(app, connection, RESET, "jane@example.com", now=app.clock.now())


def test_the_list_says_what_became_of_each_and_is_filtered(
    web: TestClient, visit: Visit, mails: None
) -> None:
    visit("viewer")
    shown = web.get("/mail").text
    assert "550 &lt;no such&gt; mailbox" in shown
    assert [shown.count(f'id="ML-0000000{number}"') for number in (1, 2, 3)] == [1, 1, 1]
    for query, there in {
        "status=failed": [2],
        "kind=account": [3],
        "recipient=bob%20%3CBOB@example.com%3E": [2],
        "run_id=JR-00000001": [1, 2],
        "run_id=JR-1": [],
    }.items():
        shown = web.get(f"/mail?{query}").text
        assert [number for number in (1, 2, 3) if f'id="ML-0000000{number}"' in shown] == there, query
    assert "No mail matches the filter" in shown
    assert web.get("/mail?status=lost").status_code == 422
    assert web.get("/mail?kind=lost").status_code == 422


def test_a_message_is_shown_in_a_frame_that_can_do_nothing(
    web: TestClient, visit: Visit, mails: None
) -> None:
    visit("viewer")
    page = web.get("/mail/ML-00000002")
    assert "frame-src 'self'" in page.headers["Content-Security-Policy"]
    assert 'src="/mail/ML-00000002/message" sandbox' in page.text
    message = web.get("/mail/ML-00000002/message")
    policy = message.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; sandbox;")
    assert "script-src" not in policy
    assert "<b>job" not in message.text


def test_what_is_told_of_an_account_is_shown_to_administrators_without_its_link(
    app: Application, web: TestClient, visit: Visit, mails: None
) -> None:
    visit("operator")
    for path in ("/mail/ML-00000003", "/mail/ML-00000003/message"):
        assert web.get(path).status_code == 403
    visit("administrator")
    assert "/reset?code=…" in web.get("/mail/ML-00000003").text
    assert "Your user is disabled" not in web.get("/mail/ML-00000003/message").text


def test_a_mail_that_failed_is_sent_again_once(
    app: Application, web: TestClient, visit: Visit, mails: None
) -> None:
    token = visit("viewer")
    assert "Needs the role operator" in web.get("/mail/ML-00000002").text
    assert web.post("/mail/ML-00000002/retry", data={"csrf_token": token}).status_code == 403
    token = visit("operator")
    question = web.get("/mail/ML-00000002/retry").text
    assert "Send ML-00000002 now?" in question
    form = {"csrf_token": token, "form_key": "a" * 22, "reason": "mended"}
    for _ in range(2):
        answer = web.post("/mail/ML-00000002/retry", data=form, follow_redirects=False)
        assert (answer.status_code, answer.headers["Location"]) == (303, "/mail/ML-00000002?done=mail_tried")
    sent = show_mail(app, "ML-00000002")
    assert (sent["status"], sent["attempts"]) == ("sent", 2)
    refused = web.post("/mail/ML-00000002/retry", data={"csrf_token": token})
    assert (refused.status_code, "was sent to" in refused.text) == (422, True)
    assert 'name="again" value="true"' in refused.text
    again = {"csrf_token": token, "again": "true"}
    assert web.post("/mail/ML-00000002/retry", data=again, follow_redirects=False).status_code == 303
    assert show_mail(app, "ML-00000002")["attempts"] == 3


def test_a_mail_without_a_recipient_says_why_it_cannot_be_sent(
    app: Application, web: TestClient, visit: Visit, furnished: None
) -> None:
    with app.database.write() as connection:
        outbox.record(
            connection, kind="run_ended", run_key=None, recipients=[None], facts={}, now=app.clock.now()
        )
    visit("operator")
    mail_id = "ML-00000002"
    page = web.get(f"/mail/{mail_id}")
    assert (page.status_code, "it has no recipient" in page.text) == (200, True)
    assert web.get("/mail/ML-99999999").status_code == 404


def test_what_a_mail_leads_to_changes_nothing_and_waits_for_the_sign_in(
    app: Application, web: TestClient, visit: Visit, furnished: None
) -> None:
    run = "/runs/JR-00000001"
    links = [
        run,
        f"{run}/outcomes?outcome=error&code=no_price",
        f"{run}/retry",
        "/usage-inputs/IN-00007052",
        "/preferences",
    ]
    before = show_run(app, "JR-00000001")
    for link in links:
        for method in ("HEAD", "GET", "GET"):  # as scanners of mail do
            answer = web.request(method, link, follow_redirects=False)
            assert answer.status_code in (303, 405), link
        assert answer.headers["Location"] == f"/sign-in?next={quote(link, safe='')}"
    visit("viewer")
    for link in links:
        assert web.get(link).status_code == (403 if link.endswith("/retry") else 200), link
    visit("operator")
    assert web.get(f"{run}/retry").status_code == 200
    assert show_run(app, "JR-00000001") == before
    missing = web.get("/runs/JR-00009999")
    assert (missing.status_code, "JR-00009999" in missing.text) == (404, True)


def test_all_mail_that_failed_is_sent_again_at_once(
    app: Application, web: TestClient, visit: Visit, mails: None
) -> None:
    visit("viewer")
    assert "Needs the role operator" in web.get("/mail?status=failed").text
    token = visit("operator")
    assert 'href="/retry-failed-mail"' not in web.get("/mail").text
    assert 'href="/retry-failed-mail"' in web.get("/mail?status=failed").text
    question = web.get("/retry-failed-mail").text
    assert "Send 1 mail again?" in question
    assert "550 &lt;no such&gt; mailbox" in question
    answer = web.post("/retry-failed-mail", data={"csrf_token": token, "reason": "the server is back"})
    assert "They are being tried" in answer.text
    assert show_mail(app, "ML-00000002")["status"] == "sent"
    entry = next(one for one in list_audit(app) if one["act"] == "mail.retry")
    assert (entry["subject"], entry["reason"]) == ("ML-00000002", "the server is back")


@pytest.mark.on_both
@pytest.mark.parametrize("name", ["recipient", "run_id"])
def test_a_filter_that_no_database_keeps_is_refused(web: TestClient, visit: Visit, name: str) -> None:
    visit("viewer")
    assert web.get(f"/mail?{name}=%00").status_code == 422
