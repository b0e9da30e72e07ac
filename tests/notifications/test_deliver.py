"""Delivery to a real SMTP server and to files, with everything that goes wrong on the way."""

from __future__ import annotations

import asyncio
import multiprocessing
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import pytest
from aiosmtpd.smtp import SMTP, Session
from aiosmtpd.smtp import Envelope as SmtpEnvelope
from sqlalchemy import event, select

from batchwright.config.settings import MailSettings
from batchwright.engine.errors import Refused
from batchwright.engine.events import Event, Events, MailDeferred, MailFailed, MailSent, Reached
from batchwright.engine.store.database import Database
from batchwright.engine.store.tables import run
from batchwright.notifications import transports
from batchwright.notifications.deliver import LONGEST_PAUSE, Mailer, pause_after, transport_from
from batchwright.notifications.records import Row
from batchwright.notifications.transports import Envelope, FileTransport, SmtpTransport
from tests.notifications.making import NOW, HandClock, add_mail, composer, line, mailer, ordinary_source, smtp
from tests.support.smtp import SmtpServer

DAY = timedelta(days=1)


def test_the_server_receives_both_parts_and_the_attachments(
    database: Database, clock: HandClock, smtp_server: SmtpServer
) -> None:
    (mail,) = add_mail(database, "Jane Doe <jane@example.com>")
    report = mailer(database, smtp(smtp_server), clock).send_due()
    assert (report.sent, report.waiting, report.failed, report.no_recipient) == (1, 0, 0, 0)
    assert report.attempts[0].place == f"{smtp_server.host}:{smtp_server.port}"
    (received,) = smtp_server.wait_for(1)
    assert received.sender == "batch@example.com"
    assert received.recipients == ("jane@example.com",)
    message = received.message
    assert message["Subject"] == "Draft usage rating completed: 498 processed, 2 errored (JR-00000042)"
    assert message["Message-ID"] == mail.message_id
    plain, html = message.get_body(("plain",)), message.get_body(("html",))
    assert plain is not None
    assert html is not None
    assert "498 of 500" in plain.get_content()
    assert "498 of 500" in html.get_content()
    files = {part.get_filename(): part.get_content() for part in message.iter_attachments()}
    assert files["processed.csv"].count("\n") == 499
    assert "IN-00000500,error,no_tier" in files["errored.csv"]
    assert line(database).status == "sent"
    assert line(database).sent_at == NOW


@pytest.mark.on_both
def test_while_the_server_is_down_mail_waits_and_arrives_later_with_its_message_id(
    database: Database, clock: HandClock, smtp_server: SmtpServer
) -> None:
    (mail,) = add_mail(database, "jane@example.com")
    sender = mailer(database, smtp(smtp_server), clock)
    smtp_server.stop()
    for _ in range(12):  # some days of trying
        clock.move(LONGEST_PAUSE * 2)
        report = sender.send_due()
        assert (report.sent, report.waiting) == (0, 1)
    waiting = line(database)
    assert waiting.attempts == 12
    assert waiting.error is not None
    assert "no connection to 127.0.0.1" in waiting.error
    smtp_server.start()
    assert sender.send_due().attempts == ()
    clock.move(DAY)
    assert sender.send_due().sent == 1
    (received,) = smtp_server.wait_for(1)
    assert received.message["Message-ID"] == mail.message_id
    assert line(database).error is None


def test_a_mail_that_gets_through_takes_those_along_that_wait_for_their_next_attempt(
    database: Database, clock: HandClock, smtp_server: SmtpServer
) -> None:
    add_mail(database, "a@example.com", "b@example.com", "c@example.com")
    sender = mailer(database, smtp(smtp_server), clock)
    smtp_server.stop()
    assert sender.send_due().waiting == 3  # the first of them was tried and put off for a minute
    clock.move(timedelta(seconds=1))
    smtp_server.start()
    report = sender.send_due()
    assert (report.sent, report.waiting) == (3, 0)
    assert {received.recipients[0] for received in smtp_server.wait_for(3)} == {
        "a@example.com",
        "b@example.com",
        "c@example.com",
    }


def test_when_the_server_is_down_it_is_asked_once_for_all_mail(
    database: Database, clock: HandClock, smtp_server: SmtpServer
) -> None:
    add_mail(database, "a@example.com", "b@example.com", "c@example.com")
    smtp_server.stop()
    report = mailer(database, smtp(smtp_server), clock).send_due()
    assert len(report.attempts) == 1
    assert report.waiting == 3


def test_many_mails_go_over_one_connection(
    database: Database, clock: HandClock, smtp_server: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_mail(database, *(f"p{n}@example.com" for n in range(10)))
    greetings = 0
    hello = smtp_server.handle_EHLO

    async def counting(
        server: SMTP, session: Session, envelope: SmtpEnvelope, hostname: str, responses: list[str]
    ) -> list[str]:
        nonlocal greetings
        greetings += 1
        return await hello(server, session, envelope, hostname, responses)

    monkeypatch.setattr(smtp_server, "handle_EHLO", counting)
    smtp_server.stop()
    smtp_server.start()
    assert mailer(database, smtp(smtp_server), clock).send_due().sent == 10
    assert greetings == 1


@pytest.mark.on_both
def test_a_recipient_refused_for_good_fails_with_the_servers_words_and_the_run_is_untouched(
    database: Database, clock: HandClock, smtp_server: SmtpServer
) -> None:
    add_mail(database, "gone@example.com")
    smtp_server.refuse("550 5.1.1 No such user")
    with database.read() as connection:
        before = connection.execute(select(run)).all()
    report = mailer(database, smtp(smtp_server), clock).send_due()
    assert (report.sent, report.failed, report.waiting) == (0, 1, 0)
    failed = line(database)
    assert failed.status == "failed"
    assert failed.error == "550 5.1.1 No such user"
    with database.read() as connection:
        assert connection.execute(select(run)).all() == before


def test_a_recipient_put_off_by_the_server_waits_and_the_next_is_tried(
    database: Database, clock: HandClock, smtp_server: SmtpServer
) -> None:
    add_mail(database, "a@example.com", "b@example.com")
    smtp_server.refuse("451 4.3.0 Try again later")
    report = mailer(database, smtp(smtp_server), clock).send_due()
    assert report.waiting == 2
    assert [attempt.result for attempt in report.attempts] == ["waiting", "waiting"]
    assert line(database).error == "451 4.3.0 Try again later"
    assert line(database).next_attempt_at == NOW + timedelta(minutes=1)


def test_a_connection_dropped_at_the_greeting_leaves_mail_waiting(
    database: Database, clock: HandClock, smtp_server: SmtpServer
) -> None:
    add_mail(database, "jane@example.com")
    smtp_server.hang_up()
    assert mailer(database, smtp(smtp_server), clock).send_due().waiting == 1
    assert line(database).error is not None


@pytest.mark.on_both
def test_a_mail_whose_receipt_got_lost_comes_again_with_the_same_message_id(
    database: Database, clock: HandClock, smtp_server: SmtpServer
) -> None:
    add_mail(database, "jane@example.com")
    sender = mailer(database, smtp(smtp_server), clock)
    smtp_server.hang_up(after_data=True)
    assert sender.send_due().waiting == 1
    smtp_server.behave()
    clock.move(DAY)
    assert sender.send_due().sent == 1
    first, second = smtp_server.wait_for(2)
    assert first.message["Message-ID"] == second.message["Message-ID"]


def test_a_server_that_hangs_up_after_its_receipt_has_the_mail(
    database: Database, clock: HandClock, smtp_server: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_mail(database, "jane@example.com")

    async def gone(*args: object, **kwargs: object) -> None:
        raise ConnectionResetError("connection lost")

    monkeypatch.setattr("aiosmtplib.SMTP.quit", gone)
    assert mailer(database, smtp(smtp_server), clock).send_due().sent == 1
    assert line(database).status == "sent"


def test_a_server_that_never_answers_is_given_up_in_time(
    database: Database, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_mail(database, "jane@example.com", "john@example.com")
    monkeypatch.setattr(transports, "CONNECT_SECONDS", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        transport = SmtpTransport(host="127.0.0.1", port=silent.getsockname()[1])
        report = mailer(database, transport, clock).send_due()
    assert report.waiting == 2
    assert "did not answer in time" in (line(database).error or "")


def test_a_server_without_starttls_gets_nothing_where_it_is_required(
    database: Database, clock: HandClock, smtp_server: SmtpServer
) -> None:
    add_mail(database, "jane@example.com")
    transport = SmtpTransport(host=smtp_server.host, port=smtp_server.port, security="starttls")
    assert mailer(database, transport, clock).send_due().waiting == 1
    assert "offers no STARTTLS: set mail.smtp_security" in (line(database).error or "")
    assert smtp_server.messages == []


def test_an_address_in_the_outbox_that_cannot_be_used_fails_and_the_next_is_sent(
    database: Database, clock: HandClock, smtp_server: SmtpServer
) -> None:
    add_mail(database, "jane@example.com\r\nBcc: all@example.com", "john@example.com")
    report = mailer(database, smtp(smtp_server), clock).send_due()
    assert (report.sent, report.failed) == (1, 1)
    assert [mail.recipients for mail in smtp_server.wait_for(1)] == [("john@example.com",)]


def test_mail_waits_for_the_repair_of_a_broken_template(
    database: Database, clock: HandClock, smtp_server: SmtpServer, tmp_path: Path
) -> None:
    add_mail(database, "jane@example.com")
    own = tmp_path / "own"
    own.mkdir()
    (own / "run_ended.subject").write_text("{{ run.nothing }}")
    sender = Mailer(
        database=database,
        transport=smtp(smtp_server),
        clock=clock,
        composer=composer(own),
        outcomes=ordinary_source(),
        events=Events(),
    )
    assert sender.send_due().waiting == 1
    assert "the message cannot be made" in (line(database).error or "")
    (own / "run_ended.subject").write_text("{{ run.run_id }}")
    clock.move(DAY)
    assert sender.send_due().sent == 1


def unreported(sender: Callable[[Events], Mailer]) -> list[Event]:
    """What is published while the mailer sends what is due."""
    published: list[Event] = []
    events = Events()
    events.subscribe(published.append)
    sender(events).send_due()
    return published


def test_a_mail_that_is_sent_is_told_of_after_its_mark(
    database: Database, clock: HandClock, smtp_server: SmtpServer
) -> None:
    (mail,) = add_mail(database, "jane@example.com")
    marked: list[str] = []

    def look(event: Event) -> None:
        if isinstance(event, MailSent):
            marked.append(line(database).status)

    def sender(events: Events) -> Mailer:
        events.subscribe(look)
        return mailer(database, smtp(smtp_server), clock, events=events)

    assert unreported(sender) == [
        Reached(mail.run_id, "mail claimed"),
        Reached(mail.run_id, "mail accepted"),
        Reached(mail.run_id, "mail marked"),
        MailSent(mail.mail_id, mail.run_id),
    ]
    assert marked == ["sent"]


def test_a_mail_that_is_put_off_is_told_of_with_its_reason(
    database: Database, clock: HandClock, smtp_server: SmtpServer
) -> None:
    (mail,) = add_mail(database, "jane@example.com")
    smtp_server.stop()
    published = unreported(lambda events: mailer(database, smtp(smtp_server), clock, events=events))
    assert published[0] == Reached(mail.run_id, "mail claimed")
    (put_off,) = [event for event in published if isinstance(event, MailDeferred)]
    assert (put_off.mail_id, put_off.reason) == (mail.mail_id, line(database).error)


def test_a_mail_that_is_refused_for_good_is_told_of_with_its_reason(
    database: Database, clock: HandClock, smtp_server: SmtpServer
) -> None:
    (mail,) = add_mail(database, "no address at all")
    published = unreported(lambda events: mailer(database, smtp(smtp_server), clock, events=events))
    assert published[-1] == MailFailed(mail.mail_id, mail.run_id, line(database).error or "")


def test_retry_sends_a_failed_mail_at_once_and_refuses_a_sent_one(
    database: Database, clock: HandClock, smtp_server: SmtpServer
) -> None:
    add_mail(database, "jane@example.com")
    sender = mailer(database, smtp(smtp_server), clock)
    smtp_server.refuse()
    assert sender.send_due().failed == 1
    smtp_server.behave()
    assert sender.retry("ML-00000001").sent == 1
    with pytest.raises(Refused, match="was sent"):
        sender.retry("ML-00000001")
    assert len(smtp_server.messages) == 1


def test_sending_counts_no_mail_that_nobody_asked_for(
    database: Database, clock: HandClock, smtp_server: SmtpServer
) -> None:
    add_mail(database, "jane@example.com", None)
    executed: list[str] = []
    event.listen(
        database.engine,
        "before_cursor_execute",
        lambda *of: executed.append(of[2].lower().replace("\n", " ")),
    )
    report = mailer(database, smtp(smtp_server), clock).send_due()
    assert executed
    assert not [statement for statement in executed if "count(" in statement]
    assert (report.sent, report.waiting, report.no_recipient) == (1, 0, 1)
    assert [statement for statement in executed if "count(" in statement]


def test_only_the_mail_of_the_run_is_sent_where_a_run_is_named(
    database: Database, clock: HandClock, smtp_server: SmtpServer
) -> None:
    (mail, _nobody) = add_mail(database, "jane@example.com", None)
    sender = mailer(database, smtp(smtp_server), clock)
    assert mail.run_key is not None
    assert sender.send_due(mail.run_key + 1).attempts == ()
    report = sender.send_due(mail.run_key)
    assert (report.sent, report.no_recipient) == (1, 1)


def test_the_outcomes_of_a_run_are_read_once_for_all_its_recipients(
    database: Database, clock: HandClock, smtp_server: SmtpServer
) -> None:
    requested: list[str] = []
    rows = ordinary_source()

    def counting(run_id: str, outcome: str) -> Iterator[Row]:
        requested.append(outcome)
        return rows(run_id, outcome)

    add_mail(database, "a@example.com", "b@example.com", "c@example.com")
    assert mailer(database, smtp(smtp_server), clock, counting).send_due().sent == 3
    assert requested == ["error", "ok"]


@pytest.mark.on_both
def test_two_senders_in_two_threads_send_each_mail_once(
    database: Database, clock: HandClock, smtp_server: SmtpServer
) -> None:
    add_mail(database, *(f"p{n}@example.com" for n in range(20)))
    start = threading.Barrier(2)
    sent: list[int] = []

    def send() -> None:
        start.wait()
        sent.append(mailer(database, smtp(smtp_server), clock).send_due().sent)

    threads = [threading.Thread(target=send) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(sent) == 20
    ids = [mail.message["Message-ID"] for mail in smtp_server.wait_for(20)]
    assert len(ids) == len(set(ids)) == 20


@pytest.mark.long
@pytest.mark.on_both
def test_two_senders_in_two_processes_send_each_mail_once(
    database: Database, migrated_url: str, smtp_server: SmtpServer
) -> None:
    add_mail(database, *(f"p{n}@example.com" for n in range(20)))
    database.close()
    context = multiprocessing.get_context("spawn")
    senders = [
        context.Process(target=_send_all, args=(migrated_url, smtp_server.host, smtp_server.port))
        for _ in range(2)
    ]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    assert [sender.exitcode for sender in senders] == [0, 0]
    ids = [mail.message["Message-ID"] for mail in smtp_server.wait_for(20)]
    assert len(ids) == len(set(ids)) == 20


def _send_all(url: str, host: str, port: int) -> None:
    database = Database(url)
    mailer(database, SmtpTransport(host=host, port=port), HandClock()).send_due()
    database.close()


def test_a_file_has_the_whole_message_and_nothing_else_is_left(
    database: Database, clock: HandClock, tmp_path: Path
) -> None:
    (mail,) = add_mail(database, "jane@example.com")
    folder = tmp_path / "out" / "mail"
    report = mailer(database, FileTransport(folder), clock).send_due()
    assert report.sent == 1
    assert report.attempts[0].place == str(folder / "ML-00000001.eml")
    assert [path.name for path in folder.iterdir()] == ["ML-00000001.eml"]
    message = message_from_bytes((folder / "ML-00000001.eml").read_bytes(), policy=default)
    assert message["Message-ID"] == mail.message_id
    assert len(list(message.iter_attachments())) == 2


def test_a_folder_that_cannot_be_written_leaves_mail_waiting(
    database: Database, clock: HandClock, tmp_path: Path
) -> None:
    add_mail(database, "jane@example.com")
    (tmp_path / "mail").write_text("in the way")
    assert mailer(database, FileTransport(tmp_path / "mail"), clock).send_due().waiting == 1
    assert f"cannot write to {tmp_path / 'mail'}" in (line(database).error or "")


def test_a_file_that_cannot_be_finished_is_not_left_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    envelope = Envelope("ML-00000001", "a@example.com", "b@example.com", b"content")
    with pytest.raises(transports.TransportDown, match="No space left"):
        asyncio.run(FileTransport(tmp_path).send(envelope))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("attempts", "minutes"), [(1, 1), (2, 2), (3, 4), (9, 256), (10, 360), (1_000_000, 360)]
)
def test_pauses_double_from_a_minute_to_six_hours(attempts: int, minutes: int) -> None:
    assert pause_after(attempts, 0.5) == timedelta(minutes=minutes)
    assert pause_after(attempts, 0.0) == timedelta(minutes=minutes) * 0.8
    assert pause_after(attempts, 1.0) == timedelta(minutes=minutes) * 1.2


def test_the_settings_choose_the_transport(tmp_path: Path) -> None:
    to_files = transport_from(MailSettings(directory=tmp_path))
    assert to_files.place("ML-1") == str(tmp_path / "ML-1.eml")
    to_server = transport_from(MailSettings(transport="smtp", smtp_host="mail.example.com", smtp_port=587))
    assert to_server.place("ML-1") == "mail.example.com:587"
