"""A mail keeps the route it was recorded for: senders of another neither take nor wake it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from batchwright.config.settings import MailSettings, Settings
from batchwright.engine.clock import Clock
from batchwright.engine.errors import Refused
from batchwright.engine.events import Event, MailUntouched
from batchwright.notifications import outbox
from batchwright.operations.actor import Actor
from batchwright.operations.app import Application, make_application
from batchwright.operations.mail import list_mail, retry_mail, retry_mails, send_due_mail
from batchwright.operations.worker.digests import make_digests
from batchwright.operations.worker.maintenance import Maintenance
from tests.notifications.making import NOW, HandClock, add_run, facts
from tests.support.smtp import SmtpServer

ACTOR = Actor("jane", "root")


@pytest.fixture
def service(migrated_url: str, clock: HandClock, smtp_server: SmtpServer) -> Iterator[Application]:
    """Mail goes to the server."""
    mail = MailSettings(transport="smtp", smtp_host=smtp_server.host, smtp_port=smtp_server.port)
    made = make_application(Settings(database_url=migrated_url, mail=mail), clock=clock)
    yield made
    made.close()


@pytest.fixture
def shell(migrated_url: str, clock: Clock, tmp_path: Path) -> Iterator[Application]:
    """The same database, in a shell without the service's settings: mail goes to files."""
    mail = MailSettings(directory=tmp_path / "mail")
    made = make_application(Settings(database_url=migrated_url, mail=mail), clock=clock)
    yield made
    made.close()


def recorded(app: Application, *recipients: str, **more: object) -> None:
    key = add_run(app.database)
    with app.database.write() as connection:
        for route in ("smtp", "file"):
            outbox.record(
                connection,
                kind="schedule_late" if more else outbox.RUN_ENDED,
                run_key=key,
                recipients=recipients,
                facts=facts(),
                now=NOW - timedelta(hours=2),
                route=route,
                **more,  # type: ignore[arg-type]
            )


def by_route(app: Application) -> dict[str | None, list[str]]:
    found: dict[str | None, list[str]] = {}
    with app.database.read() as connection:
        for mail in reversed(outbox.listing(connection)):
            found.setdefault(mail.route, []).append(mail.status)
    return found


@pytest.mark.on_both
def test_a_sender_takes_the_mail_of_its_route_alone(
    service: Application, shell: Application, smtp_server: SmtpServer
) -> None:
    recorded(service, "a@example.com", "b@example.com")
    send_due_mail(shell)
    assert by_route(service) == {"smtp": ["waiting"] * 2, "file": ["sent"] * 2}
    send_due_mail(service)
    assert by_route(service) == {"smtp": ["sent"] * 2, "file": ["sent"] * 2}
    assert len(smtp_server.wait_for(2)) == 2


def test_a_sender_wakes_no_mail_of_another_route(
    service: Application, shell: Application, smtp_server: SmtpServer
) -> None:
    recorded(service, "a@example.com", "b@example.com")
    smtp_server.stop()
    send_due_mail(service)
    with service.database.read() as connection:
        before = outbox.listing(connection, status="waiting")
    send_due_mail(shell)
    with service.database.read() as connection:
        after = outbox.listing(connection, status="waiting")
    assert after == [line for line in before if line.route == "smtp"]
    assert [line.attempts for line in after] == [0, 1]


def test_by_hand_a_mail_of_another_route_is_refused_with_the_setting_it_needs(
    service: Application, shell: Application
) -> None:
    recorded(service, "a@example.com")
    with pytest.raises(Refused, match=r"recorded to leave by smtp.*mail.transport has to be smtp"):
        retry_mail(shell, "ML-00000001", actor=ACTOR)
    assert [mail["mail_id"] for mail in retry_mails(shell, status="waiting", actor=ACTOR)] == ["ML-00000002"]
    assert by_route(service) == {"smtp": ["waiting"], "file": ["sent"]}


@pytest.mark.on_both
def test_a_digest_leaves_by_the_route_of_what_it_is_made_of(
    service: Application, shell: Application, clock: HandClock, smtp_server: SmtpServer
) -> None:
    recorded(service, "a@example.com", digest_at=NOW)
    assert make_digests(shell) == 2
    send_due_mail(shell)
    assert by_route(service) == {"smtp": ["in_digest", "waiting"], "file": ["in_digest", "sent"]}


def test_mail_that_nobody_has_tried_for_a_day_is_told_of_once_a_day(
    service: Application, clock: HandClock
) -> None:
    recorded(service, "a@example.com")
    published: list[Event] = []
    service.events.subscribe(published.append)
    maintenance = Maintenance(service, lambda: None)
    for _ in range(3):
        maintenance._log_untouched(service)
    assert published == []
    clock.move(timedelta(days=1))
    for _ in range(3):
        maintenance._log_untouched(service)
    assert sorted(published, key=str) == [
        MailUntouched("file", 1, "ML-00000002"),
        MailUntouched("smtp", 1, "ML-00000001"),
    ]
    clock.move(timedelta(days=1))
    maintenance._log_untouched(service)
    assert len(published) == 4


@pytest.mark.on_both
def test_all_failed_mail_is_tried_again_at_once(
    service: Application, clock: HandClock, smtp_server: SmtpServer
) -> None:
    recorded(service, "a@example.com", "b@example.com")
    smtp_server.refuse()
    send_due_mail(service)
    assert [mail["mail_id"] for mail in list_mail(service, status="failed")] == ["ML-00000002", "ML-00000001"]
    assert [mail["mail_id"] for mail in list_mail(service, 1, "failed")] == ["ML-00000002"]
    smtp_server.behave()
    assert [mail["status"] for mail in retry_mails(service, status="failed", actor=ACTOR)] == ["sent"] * 2
    assert list_mail(service, status="failed") == []
    with pytest.raises(Refused, match=r"status 'nosuch' is not known.*waiting, sent, failed"):
        list_mail(service, status="nosuch")
    with pytest.raises(Refused, match="status 'sent' is not known"):
        retry_mails(service, status="sent", actor=ACTOR)
