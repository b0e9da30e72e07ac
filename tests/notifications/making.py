"""Facts, records, runs and mailers for the tests of mail."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from batchwright.engine.events import Events
from batchwright.engine.store.database import Database
from batchwright.engine.store.tables import run as run_table
from batchwright.notifications import outbox
from batchwright.notifications.compose import Composer
from batchwright.notifications.deliver import Mailer
from batchwright.notifications.outbox import Mail, MailLine
from batchwright.notifications.records import OutcomeSource, Row
from batchwright.notifications.transports import SmtpTransport, Transport
from tests.support.smtp import SmtpServer

NOW = datetime(2026, 11, 21, 23, 5, 12, tzinfo=UTC)
LIMIT = 5_000_000


class HandClock:
    """Stands still until it is moved on."""

    def __init__(self) -> None:
        self._now = NOW
        self._lock = threading.Lock()

    def now(self) -> datetime:
        with self._lock:
            return self._now

    def move(self, step: timedelta) -> None:
        with self._lock:
            self._now += step

    def monotonic(self) -> float:
        return self.now().timestamp()

    def sleep(self, seconds: float) -> None:
        self.move(timedelta(seconds=seconds))

    def ahead_of(self, other: Callable[[], datetime]) -> timedelta:
        return timedelta()


def facts(**changes: Any) -> dict[str, Any]:
    """The facts of a run with 498 processed and 2 errored inputs."""
    return {
        "run_id": "JR-00000042",
        "job": "draft-usage-rating",
        "type": "Draft usage rating",
        "mode": "batch",
        "status": "Completed",
        "badge": "Complete, 2 errors",
        "actor": "jane",
        "reason": "Forecast for the close",
        "explanation": None,
        "parameters": {},
        "trigger": "cli",
        "schedule": None,
        "parent_run_id": None,
        "customer_id": None,
        "periods": None,
        "total": 500,
        "processed": 498,
        "errored": 2,
        "skipped": 0,
        "not_reached": 0,
        "totals": {"draft_fee_amount": {"USD": "6000.00"}},
        "warnings": [{"code": "partial_asset", "message": "1 of 3 inputs was named", "record_id": "ALI-7"}],
        "error": None,
        "created_at": "2026-11-21T23:00:00Z",
        "started_at": "2026-11-21T23:01:07Z",
        "ended_at": "2026-11-21T23:05:12Z",
        "duration_seconds": 245,
        "database": "postgresql+psycopg://db.example.com/billing",
        "base_url": "https://batch.example.com",
        "retry_unit": "asset line item",
        "record_noun": "usage input",
        "mail_only_to_files": False,
    } | changes


LATE: dict[str, Any] = {
    "schedule": "Rate usage",
    "job": "draft-usage-rating",
    "late": "not_started",
    "nominal_time": "2026-11-21T23:00:00.000Z",
    "last_nominal_time": "2026-11-21T23:00:00.000Z",
    "count": 1,
    "by": "2026-11-21T23:10:00.000Z",
    "run_id": "JR-9",
    "reason": None,
    "database": "sqlite:///x.db",
    "base_url": "https://batch.example.com",
    "mail_only_to_files": False,
}
"""The facts of a run that has not started in time."""

TOKEN: dict[str, Any] = {
    "email": "jane@example.com",
    "name": "nightly & <b>",
    "prefix": "bw_Ab12Cd34",
    "role": "Billing Utilities Admin",
    "expires_at": "2026-12-01T23:00:00.000Z",
    "last_used_at": "2026-11-21T22:00:00.000Z",
    "expired": False,
    "database": "sqlite:///x.db",
    "mail_only_to_files": False,
}
"""The facts of a token that expires."""

ACCOUNT: dict[str, Any] = {
    "event": "reset",
    "email": "jane@example.com",
    "at": "2026-11-21T22:00:00.000Z",
    "address": "203.0.113.7",
    "browser": "Browser <b>",
    "failures": 0,
    "database": "sqlite:///x.db",
    "mail_only_to_files": False,
    "link": "https://b.example.com/reset?code=x-y_z",
}
"""The facts of a link that sets a password."""


def row(number: int, code: str | None = None, **changes: str | None) -> Row:
    """One outcome as billing jobs give it: ok, or an error with ``code``."""
    return {
        "record_id": f"IN-{number:08d}",
        "outcome": "error" if code else "ok",
        "code": code,
        "message": f"what is wrong with {number}" if code else None,
        "amount": None if code else "12.00",
        "currency": None if code else "USD",
        "asset_line_item_id": "ALI-7",
        "usage_date": "2023-06-05",
        "quantity": "20.00",
    } | changes


def source(processed: Sequence[Row] = (), errored: Sequence[Row] = ()) -> OutcomeSource:
    """Outcomes that are at hand."""

    def rows(run_id: str, outcome: str) -> Iterator[Row]:
        return iter(errored if outcome == "error" else processed)

    return rows


def ordinary_source() -> OutcomeSource:
    """The 500 outcomes that ``facts`` tell of."""
    return source([row(n) for n in range(1, 499)], [row(499, "no_price"), row(500, "no_tier")])


def mail(about: dict[str, Any], recipient: str | None = "jane@example.com") -> Mail:
    """A mail as the outbox gives it."""
    return Mail(
        key=1,
        mail_id="ML-00000001",
        run_key=1,
        run_id="JR-00000042",
        kind="run_ended",
        recipient=recipient,
        status=outbox.WAITING,
        message_id="<one@example.com>",
        attempts=0,
        next_attempt_at=NOW,
        error=None,
        created_at=NOW,
        sent_at=None,
        facts=about,
    )


def composer(templates: Path | None = None, limit: int = LIMIT) -> Composer:
    return Composer(sender="Batchwright <batch@example.com>", templates=templates, attachment_limit=limit)


def smtp(server: SmtpServer) -> SmtpTransport:
    return SmtpTransport(host=server.host, port=server.port)


def mailer(
    database: Database,
    transport: Transport,
    clock: HandClock,
    outcomes: OutcomeSource | None = None,
    events: Events | None = None,
) -> Mailer:
    return Mailer(
        database=database,
        transport=transport,
        clock=clock,
        composer=composer(),
        outcomes=outcomes or ordinary_source(),
        events=events or Events(),
        chance=lambda: 0.5,
    )


def add_run(database: Database) -> int:
    """A run row, for mails to belong to; its key."""
    with database.write() as connection:
        key: int = connection.execute(
            insert(run_table)
            .values(
                job="draft-usage-rating",
                type="Draft usage rating",
                mode="batch",
                in_caller=False,
                state="Completed",
                actor="jane",
                parameters="{}",
                trigger="cli",
                scope_size=200,
                notify="[]",
                mail_actor=True,
                queue_key="jane",
                queue_position=1,
                fence=1,
                created_at=NOW,
            )
            .returning(run_table.c.id)
        ).scalar_one()
        connection.execute(run_table.update().values(run_id="JR-00000042").where(run_table.c.id == key))
        return key


def add_mail(database: Database, *recipients: str | None, **changes: Any) -> list[MailLine]:
    """Mails of a run, recorded as the end of it records them."""
    key = add_run(database)
    with database.write() as connection:
        outbox.record(
            connection,
            kind="run_ended",
            run_key=key,
            recipients=recipients,
            facts=facts(**changes),
            now=NOW,
            domain="example.com",
        )
        return outbox.of_run(connection, key)


def line(database: Database, mail_id: str = "ML-00000001") -> MailLine:
    """How the mail stands now."""
    with database.read() as connection:
        return outbox.by_id(connection, mail_id)
