"""The outbox on both databases: recorded with the run, claimed by one, marked by the one who claimed."""

from __future__ import annotations

from datetime import timedelta

import pytest

from batchwright.engine.errors import Refused
from batchwright.engine.store.database import Database
from batchwright.notifications import outbox
from tests.notifications.making import NOW, add_mail, add_run, facts, line

pytestmark = pytest.mark.on_both


def test_each_recipient_has_a_mail_with_a_message_id_of_its_own(database: Database) -> None:
    first, second = add_mail(database, "jane@example.com", "ops@example.com")
    assert (first.mail_id, second.mail_id) == ("ML-00000001", "ML-00000002")
    assert (first.run_id, first.recipient, first.status) == ("JR-00000042", "jane@example.com", "waiting")
    assert first.message_id != second.message_id
    assert first.message_id.endswith("@example.com>")
    assert first.next_attempt_at == first.created_at == NOW


def test_an_actor_without_an_address_is_recorded_and_never_due(database: Database) -> None:
    (only,) = add_mail(database, None)
    assert only.status == "no_recipient"
    with database.read() as connection:
        assert outbox.due(connection, NOW + timedelta(days=9), None) == []


def test_a_mail_is_gone_when_the_end_of_its_run_is_rolled_back(database: Database) -> None:
    key = add_run(database)
    with pytest.raises(ZeroDivisionError):
        _record_and_fail(database, key)
    with database.read() as connection:
        assert outbox.listing(connection) == []


def test_the_facts_come_back_as_they_were(database: Database) -> None:
    add_mail(database, "jane@example.com", reason="naïve \x00 \ud800 ✓")
    with database.read() as connection:
        assert outbox.by_id(connection, "ML-00000001").facts == facts(reason="naïve \x00 \ud800 ✓")


def test_the_listing_has_the_newest_first(database: Database) -> None:
    add_mail(database, "a@b.example", "c@d.example")
    with database.read() as connection:
        assert [mail.mail_id for mail in outbox.listing(connection)] == ["ML-00000002", "ML-00000001"]


def test_an_unknown_mail_is_refused(database: Database) -> None:
    with database.read() as connection, pytest.raises(Refused, match="no mail 'ML-7'"):
        outbox.by_id(connection, "ML-7")


def test_a_claim_succeeds_once_and_holds_the_mail(database: Database) -> None:
    (mail,) = add_mail(database, "jane@example.com")
    with database.write() as connection:
        assert outbox.claim(connection, mail, NOW)
        assert not outbox.claim(connection, mail, NOW)
        assert outbox.due(connection, NOW, None) == []
    claimed = line(database)
    assert claimed.attempts == 1
    assert claimed.next_attempt_at == NOW + outbox.HOLD


def test_a_mail_whose_sender_died_is_due_again_after_the_hold(database: Database) -> None:
    (mail,) = add_mail(database, "jane@example.com")
    with database.write() as connection:
        assert outbox.claim(connection, mail, NOW)
        assert outbox.due(connection, NOW + outbox.HOLD, None) == [mail.mail_id]


def test_a_late_failure_does_not_touch_a_newer_attempt(database: Database) -> None:
    (mail,) = add_mail(database, "jane@example.com")
    later = NOW + outbox.HOLD
    with database.write() as connection:
        assert outbox.claim(connection, mail, NOW)
        assert outbox.claim(connection, outbox.by_id(connection, mail.mail_id), later)
        outbox.mark_failed(connection, mail.key, 1, "too late")
        outbox.mark_waiting(connection, mail.key, 1, NOW, "too late")
    assert line(database).next_attempt_at == later + outbox.HOLD
    assert line(database).status == "waiting"
    assert line(database).error is None


def test_an_accepted_mail_is_sent_whatever_happened_meanwhile(database: Database) -> None:
    (mail,) = add_mail(database, "jane@example.com")
    with database.write() as connection:
        assert outbox.claim(connection, mail, NOW)
        outbox.mark_failed(connection, mail.key, 1, "refused")
        outbox.mark_sent(connection, mail.key, NOW)
    sent = line(database)
    assert (sent.status, sent.sent_at, sent.error, sent.next_attempt_at) == ("sent", NOW, None, None)


def test_a_failed_mail_can_be_made_due(database: Database) -> None:
    (mail,) = add_mail(database, "jane@example.com")
    with database.write() as connection:
        assert outbox.claim(connection, mail, NOW)
        outbox.mark_failed(connection, mail.key, 1, "550 no such user")
        outbox.make_due(connection, mail.mail_id, NOW)
        assert outbox.due(connection, NOW, None) == [mail.mail_id]


def test_what_cannot_be_retried_is_refused_with_the_reason(database: Database) -> None:
    sent, sending, nobody = add_mail(database, "a@b.example", "c@d.example", None)
    with database.write() as connection:
        outbox.mark_sent(connection, sent.key, NOW)
        assert outbox.claim(connection, sending, NOW)
    with database.write() as connection:
        with pytest.raises(Refused, match=r"was sent to a@b\.example at 2026-11-21 23:05:12 UTC"):
            outbox.make_due(connection, sent.mail_id, NOW)
        with pytest.raises(Refused, match="is being sent by another process"):
            outbox.make_due(connection, sending.mail_id, NOW)
        with pytest.raises(Refused, match="has no recipient"):
            outbox.make_due(connection, nobody.mail_id, NOW)
        with pytest.raises(Refused, match="no mail"):
            outbox.make_due(connection, "ML-7", NOW)


def _record_and_fail(database: Database, key: int) -> None:
    with database.write() as connection:
        outbox.record(
            connection, kind="run_ended", run_key=key, recipients=["a@b.example"], facts=facts(), now=NOW
        )
        raise ZeroDivisionError
