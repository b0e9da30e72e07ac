"""What of the service needs somebody: clocks that differ, mail that does not leave."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert

from batchwright.engine.store import workers
from batchwright.engine.store.workers import NewWorker
from batchwright.notifications import outbox
from batchwright.notifications.tables import mail
from batchwright.operations.app import Application
from batchwright.operations.schedules.schedules import hold_all, release_all
from batchwright.operations.troubles import STUCK_AFTER, service_troubles
from batchwright.operations.workers import Presence, list_workers
from batchwright.testing.clock import FakeClock
from tests.support.application import ACTOR, NOW

LONG_AGO = NOW - STUCK_AFTER


def insert_mails(app: Application, rows: Sequence[dict[str, Any]]) -> None:
    with app.database.write() as connection:
        for row in rows:
            values = {
                "kind": "run_ended",
                "facts": "{}",
                "message_id": "<a@b>",
                "attempts": 0,
                "created_at": NOW,
            }
            connection.execute(insert(mail).values(**values | row))


def beats(app: Application, host: str, ahead: float | None, ago: float = 0) -> None:
    """A worker of that host, whose clock is so far ahead, and which beat so many seconds ago."""
    new = NewWorker(host=host, process=7, version="1", revision="1", jobs=[], started_at=NOW)
    with app.database.write() as connection:
        key = workers.insert_worker(connection, new)
        at = NOW + timedelta(seconds=(ahead or 0) - ago)
        assert workers.beat(connection, key, {}, at, ahead)


@pytest.mark.on_both
def test_a_service_at_rest_has_no_trouble_but_what_is_there(app: Application) -> None:
    assert service_troubles(app) == {
        "held_at": None,
        "held_by": None,
        "held_reason": None,
        "no_worker": True,
        "clocks": [],
        "mail_stuck": 0,
        "mail_refused": 0,
        "mail_directory": str(app.settings.mail.directory),
    }
    hold_all(app, actor=ACTOR, reason="an earlier one")
    release_all(app, actor=ACTOR)
    hold_all(app, actor=ACTOR, reason="maintenance")
    Presence(app).beat()
    shown = service_troubles(app)
    assert (shown["held_by"], shown["held_reason"]) == (ACTOR.name, "maintenance")
    assert (shown["held_at"], shown["no_worker"], shown["clocks"]) == ("2023-07-01T08:30:00.000Z", False, [])


@pytest.mark.on_both
def test_mail_is_stuck_once_it_is_due_or_was_refused_for_an_hour(app: Application) -> None:
    later, young = NOW + timedelta(hours=2), LONG_AGO + timedelta(seconds=1)
    insert_mails(app, [
        {"status": "waiting", "next_attempt_at": LONG_AGO},
        {"status": "waiting", "next_attempt_at": later, "error": "451 later", "created_at": LONG_AGO},
        {"status": "waiting", "next_attempt_at": young},
        {"status": "waiting", "next_attempt_at": later, "error": "451 later", "created_at": young},
        {"status": "waiting", "next_attempt_at": later, "created_at": LONG_AGO},  # an attempt is under way
        {"status": "sent", "created_at": LONG_AGO},
        {"status": "failed", "error": "550 no", "created_at": LONG_AGO},
        {"status": "for_digest", "next_attempt_at": LONG_AGO},
    ])  # fmt: skip
    assert service_troubles(app)["mail_stuck"] == 2


@pytest.mark.on_both
@pytest.mark.parametrize(
    ("statuses", "number"),
    [("fff", 3), ("ff", 0), ("sfff", 3), ("fffs", 0), ("sfwfnf", 3), ("s" + "f" * 60, outbox.NEWEST)],
)
def test_mails_refused_one_after_another_are_a_trouble_from_three_on(
    app: Application, statuses: str, number: int
) -> None:
    words = {"f": "failed", "s": "sent", "w": "waiting", "n": "no_recipient"}
    insert_mails(app, [{"status": words[one], "next_attempt_at": NOW} for one in statuses])
    assert service_troubles(app)["mail_refused"] == number


def test_clocks_that_are_more_than_a_minute_from_the_servers_are_told_of_by_host(app: Application) -> None:
    for host, ahead in (("a", 60.0), ("b", 60.5), ("c", -7_200.0), ("d", None)):
        beats(app, host, ahead)
    beats(app, "gone", 600.0, ago=60)
    shown = service_troubles(app)["clocks"]
    assert shown == [{"host": "b", "ahead_seconds": 60.5}, {"host": "c", "ahead_seconds": -7_200.0}]
    assert [one["host"] for one in list_workers(app) if one["silent"]] == ["gone"]


@pytest.mark.on_both
def test_this_machines_clock_is_compared_with_the_servers(app: Application) -> None:
    clock = FakeClock(NOW)
    clock.ahead = timedelta(minutes=-5)
    app.clock = clock
    Presence(app).beat()
    (worker,) = list_workers(app)
    expected = [] if app.database.is_sqlite else [{"host": socket.gethostname(), "ahead_seconds": -300.0}]
    assert service_troubles(app)["clocks"] == expected
    assert worker["clock_ahead_seconds"] == (None if app.database.is_sqlite else -300.0)
