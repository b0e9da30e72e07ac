"""Mail servers as they are met in the wild: slow, silent, full of bytes, picky, in a hurry to close."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from batchwright.engine.store.database import Database
from batchwright.notifications import outbox, transports
from batchwright.notifications.deliver import Mailer
from batchwright.notifications.transports import SmtpTransport
from tests.notifications.making import NOW, HandClock, add_mail, line, mailer
from tests.support.scripted_smtp import CLOSE, SILENCE, ScriptedSmtp

FIRST, SECOND, THIRD = "ML-00000001", "ML-00000002", "ML-00000003"


def sender_to(server: ScriptedSmtp, database: Database, clock: HandClock) -> Mailer:
    return mailer(database, SmtpTransport(host=server.host, port=server.port), clock)


def test_ten_minutes_are_waited_for_the_answer_after_the_final_dot(
    database: Database, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert transports.MESSAGE_SECONDS >= 600
    assert min(transports.CONNECT_SECONDS, transports.COMMAND_SECONDS) >= 300
    monkeypatch.setattr(transports, "MESSAGE_SECONDS", 0.1)
    add_mail(database, "jane@example.com", "john@example.com")
    with ScriptedSmtp(DOT=SILENCE) as server:
        sender_to(server, database, clock).send_due()
    assert "did not answer in time" in (line(database).error or "")
    assert line(database, SECOND).attempts == 0  # a server that does not answer is not asked for each mail


def test_a_mail_has_a_limit_for_all_its_answers(
    database: Database, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    longest = transports.CONNECT_SECONDS + 2 * (transports.COMMAND_SECONDS + transports.MESSAGE_SECONDS)
    assert transports.MESSAGE_SECONDS < transports.DELIVERY_SECONDS <= longest
    monkeypatch.setattr(transports, "DELIVERY_SECONDS", 0.1)
    add_mail(database, "jane@example.com")
    with ScriptedSmtp(RCPT=SILENCE) as server:
        sender_to(server, database, clock).send_due()
    assert "did not answer in time" in (line(database).error or "")


@pytest.mark.on_both
@pytest.mark.parametrize("stage", ["MAIL", "RCPT", "DATA", "DOT"])
def test_an_answer_in_latin_1_is_kept_readable_and_the_next_mail_goes(
    database: Database, clock: HandClock, stage: str
) -> None:
    add_mail(database, "jane@example.com", "john@example.com")
    refusal = b"451 Empf\xe4nger \x1b[31munbekannt\x00\x9b"
    with ScriptedSmtp(**{stage: lambda times: refusal if not times else _usual(stage)}) as server:
        sender_to(server, database, clock).send_due()
        clock.move(timedelta(minutes=2))
        sender_to(server, database, clock).send_due()
    assert [line(database, which).status for which in (FIRST, SECOND)] == ["sent", "sent"]


def test_what_a_server_says_is_kept_without_what_steers_a_terminal(
    database: Database, clock: HandClock
) -> None:
    add_mail(database, "jane@example.com")
    with ScriptedSmtp(
        RCPT=b"550-Empf\xe4nger \x1b[31mJ\xc3\xb6rg\x00\r\n550 \xe2\x80\xaeunbekannt\x9b"
    ) as server:
        sender_to(server, database, clock).send_due()
    assert line(database).error == r"550 Empfänger \x1b[31mJörg\x00 \u202eunbekannt\x9b"


@pytest.mark.parametrize("greeting", [b"554 kein \xe4", b"\xff\xfe", b"220", CLOSE])
def test_whatever_greets_leaves_the_mail_waiting(
    database: Database, clock: HandClock, greeting: bytes
) -> None:
    add_mail(database, "jane@example.com")
    with ScriptedSmtp(CONNECT=greeting, EHLO=CLOSE, HELO=CLOSE) as server:
        sender_to(server, database, clock).send_due()
    waiting = line(database)
    assert (waiting.status, waiting.attempts) == ("waiting", 1)
    assert (waiting.error or "").isprintable()


@pytest.mark.parametrize(
    ("stage", "answer"),
    [
        ("MAIL", b"552 5.3.4 too big"),
        ("RCPT", b"552 5.2.2 mailbox full"),
        ("DATA", b"552 no"),
        ("DOT", b"552 5.3.4 too big"),
        ("DOT", b"554 5.3.4 message exceeds the limit"),
        ("MAIL", b"523 5.2.3 too long"),
    ],
)
def test_too_large_a_mail_goes_once_more_without_its_attachments(
    database: Database, clock: HandClock, stage: str, answer: bytes
) -> None:
    add_mail(database, "jane@example.com")
    with ScriptedSmtp(**{stage: lambda times: answer if not times else _usual(stage)}) as server:
        sender_to(server, database, clock).send_due()
    assert line(database).status == "sent"
    assert b"processed.csv" not in server.messages[-1]
    assert b"/runs/JR-00000042/outcomes?outcome=ok\r\n" in server.messages[-1]
    assert server.reached[stage] == 2


def test_a_mail_that_is_too_large_without_attachments_fails(database: Database, clock: HandClock) -> None:
    add_mail(database, "jane@example.com")
    with ScriptedSmtp(DOT=b"552 too big") as server:
        sender_to(server, database, clock).send_due()
    assert line(database).status == "failed"
    assert len(server.messages) == 2


@pytest.mark.parametrize(
    ("stage", "answer"),
    [
        ("RCPT", b"554 5.7.1 <jane@example.com>: Relay access denied"),
        ("RCPT", b"550 relaying denied"),
        ("RCPT", b"550 5.7.1 Unable to relay for jane@example.com"),
        ("RCPT", b"530 5.7.0 Authentication required"),
        ("RCPT", b"550 SMTP AUTH: authentication is required"),
        ("DATA", b"530 5.7.1 Client was not authenticated"),
        ("DOT", b"554 relay not permitted"),
        ("MAIL", b"530 5.7.0 Must issue a STARTTLS command first"),
    ],
)
def test_a_refused_relay_waits_like_a_missing_login(
    database: Database, clock: HandClock, stage: str, answer: bytes
) -> None:
    add_mail(database, "jane@example.com")
    with ScriptedSmtp(**{stage: answer}) as server:
        sender_to(server, database, clock).send_due()
    waiting = line(database)
    assert waiting.status == "waiting"
    assert answer[4:].decode() in (waiting.error or "")
    assert "user name" in (waiting.error or "")


def test_an_unknown_recipient_still_fails(database: Database, clock: HandClock) -> None:
    add_mail(database, "jane@example.com")
    with ScriptedSmtp(RCPT=b"550 5.7.1 <jane@example.com>: Recipient address rejected") as server:
        sender_to(server, database, clock).send_due()
    assert line(database).status == "failed"


@pytest.mark.parametrize("goodbye", ["", "421 4.7.0 too many messages", "451 4.5.3 one message a session"])
def test_a_server_that_takes_one_message_a_connection_costs_no_delay(
    database: Database, clock: HandClock, goodbye: str
) -> None:
    add_mail(database, "a@example.com", "b@example.com", "c@example.com")
    with ScriptedSmtp() as server:
        if goodbye:  # says no to every second one
            server.says["MAIL"] = lambda times: goodbye.encode() if times % 2 else b"250 ok"
        else:
            server.closes_after.add("DOT")
        assert sender_to(server, database, clock).send_due().sent == 3
    assert len(server.messages) == 3
    assert line(database, SECOND).attempts == 1


@pytest.mark.parametrize(("stage", "is_put_off"), [("RCPT", False), ("DOT", True)])
def test_a_stop_calls_the_mail_at_hand_off(
    database: Database, clock: HandClock, stage: str, is_put_off: bool
) -> None:
    add_mail(database, "jane@example.com", "john@example.com")
    stop = threading.Event()
    with ScriptedSmtp(**{stage: SILENCE}) as server:
        sending = threading.Thread(
            target=lambda: sender_to(server, database, clock).send_due(stop=stop.is_set), daemon=True
        )
        sending.start()
        server.at(stage)
        assert line(database).next_attempt_at == NOW + outbox.HOLD
        stop.set()
        sending.join(20)
        assert not sending.is_alive()
    left = line(database)
    assert left.status == "waiting"
    assert (left.next_attempt_at == NOW + timedelta(minutes=1)) is is_put_off
    assert ("may have it" in (left.error or "")) is is_put_off
    assert is_put_off or left.next_attempt_at == NOW
    assert line(database, SECOND).attempts == 0


def test_a_mail_that_takes_long_keeps_its_claim(
    database: Database, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_mail(database, "jane@example.com")
    stop = threading.Event()
    # As if a third of the time that a claim lasts had gone by.
    monkeypatch.setattr("batchwright.notifications.deliver.CLAIM_KEPT_AFTER", timedelta())
    with ScriptedSmtp(DOT=SILENCE) as server:
        sending = threading.Thread(
            target=lambda: sender_to(server, database, clock).send_due(stop=stop.is_set), daemon=True
        )
        sending.start()
        server.at("DOT")
        clock.move(timedelta(minutes=14))
        moved = NOW + timedelta(minutes=14) + outbox.HOLD
        for _ in range(200):
            if line(database).next_attempt_at == moved:
                break
            threading.Event().wait(0.05)
        assert line(database).next_attempt_at == moved
        stop.set()
        sending.join(20)


def _usual(stage: str) -> bytes:
    return b"354 go on" if stage == "DATA" else b"250 ok"
