"""What of the service itself needs somebody: what every page of the console says on top while it holds."""

from __future__ import annotations

import socket
from datetime import timedelta
from typing import Final

from batchwright.engine.schedule import MOST_AHEAD
from batchwright.engine.store.schedules import read_hold
from batchwright.notifications import outbox
from batchwright.operations import audit_store
from batchwright.operations.access.audit import ALL_SCHEDULES
from batchwright.operations.access.permissions import Right, permit
from batchwright.operations.actor import Actor
from batchwright.operations.app import Application
from batchwright.operations.views import View, instant
from batchwright.operations.workers import clock_ahead_seconds, workers_there

STUCK_AFTER: Final = timedelta(hours=1)
"""A mail that has been due for so long is stuck: an alert on `mail_overdue_seconds` fires at the same time."""
REFUSED: Final = 3
"""So many mails refused one after another are not a matter of one address."""


def service_troubles(app: Application, *, actor: Actor | None = None) -> View:
    """What does not do what it should, by one short read.

    `held_at`, `held_by` and `held_reason`, while all schedules are held; `no_worker`; `clocks`, those that differ from
    the database server's by more than a minute, as `host, ahead_seconds` (none on SQLite); `mail_stuck`, how many mails
    have been due for an hour; `mail_refused`, how many were refused one after another, from three on;
    `mail_directory`, where mail goes to files.
    """
    permit(app, actor, Right.LOOK, "service.troubles")
    now, mail = app.clock.now(), app.settings.mail
    with app.database.read() as connection:
        hold, there = read_hold(connection), workers_there(connection, now)
        holds = audit_store.acts_on(connection, ALL_SCHEDULES, {"schedule.hold_all"}) if hold.lasts else ()
        clocks = {one.host: one.clock_ahead_seconds or 0.0 for one in there}
        clocks[socket.gethostname()] = clock_ahead_seconds(app, connection) or 0.0
        stuck = outbox.stuck(connection, now - STUCK_AFTER)
        refused = outbox.refused_since_sent(connection)
    return {
        "held_at": instant(hold.held_at) if hold.lasts else None,
        "held_by": holds[-1]["actor"] if holds else None,
        "held_reason": holds[-1]["reason"] if holds else None,
        "no_worker": not there,
        "clocks": [
            {"host": host, "ahead_seconds": ahead}
            for host, ahead in sorted(clocks.items())
            if abs(ahead) > MOST_AHEAD.total_seconds()
        ],
        "mail_stuck": stuck,
        "mail_refused": refused if refused >= REFUSED else 0,
        "mail_directory": str(mail.directory) if mail.transport == "file" else None,
    }
