"""`python -m bench.trail`: what a page of the audit trail and of the mail costs, by every filter and at any depth.

It writes 1,000,000 audit entries and 200,000 mails straight into the tables, then reads the first page by each filter,
and pages that begin anywhere. See docs/bench.md.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from random import Random
from statistics import quantiles
from time import perf_counter
from typing import Any, Final

from sqlalchemy import text

from batchwright.config.settings import Settings, operating_system_user
from batchwright.engine.store.database import Database
from batchwright.engine.store.types import instant_text
from batchwright.operations.access.audit_trail import audit_page
from batchwright.operations.actor import Actor
from batchwright.operations.app import Application, make_application
from batchwright.operations.audit_store import AuditFilter
from batchwright.operations.mail import mail_page
from batchwright.operations.paging import cursor
from bench.company import settle
from bench.measure import databases

BEGIN: Final = datetime(2024, 1, 1, tzinfo=UTC)
ACTOR: Final = Actor("bench", operating_system_user())
_NUMBERS: Final = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :last)"
_AT: Final = {
    "sqlite": "strftime('%Y-%m-%dT%H:%M:%S', '2024-01-01', '+' || (i * 60) || ' seconds') || '.000000Z'",
    "postgresql": "timestamptz '2024-01-01 00:00Z' + i * interval '1 minute'",
}
# One in a thousand is of the rare actor, act, door, kind and state, and these lie together at the oldest end as well.
_ENTRIES: Final = """
    INSERT INTO audit_entry (id, at, actor, os_user, door, act, subject, sealed) {numbers}
    SELECT i, {at}, CASE WHEN i % 1000 = 0 THEN 'rare@example.com' ELSE 'u' || (i % 7) || '@example.com' END, 'svc',
        CASE WHEN i % 1000 = 1 THEN 'python' WHEN i % 3 = 0 THEN 'api' ELSE 'console' END,
        CASE WHEN i <= 500 THEN 'user.role' WHEN i % 5 = 0 THEN 'run.retry' ELSE 'run.submit' END,
        'JR-' || (i / 3), i % 2 = 0
    FROM n
"""
_MAILS: Final = """
    INSERT INTO mail (id, mail_id, kind, recipient, facts, status, message_id, attempts, created_at) {numbers}
    SELECT i, 'ML-' || i, CASE WHEN i <= 300 THEN 'digest' WHEN i % 9 = 0 THEN 'schedule_late' ELSE 'run_ended' END,
        CASE WHEN i % 1000 = 0 THEN 'Rare@example.com' ELSE 'u' || (i % 7) || '@example.com' END, '{{}}',
        CASE WHEN i % 2000 = 0 THEN 'failed' WHEN i % 50 = 0 THEN 'no_recipient' ELSE 'sent' END, 'm' || i, 1, {at}
    FROM n
"""
AUDIT: Final[Mapping[str, AuditFilter]] = {
    "all": AuditFilter(),
    "actor": AuditFilter(actor="u3@example.com"),
    "rare actor": AuditFilter(actor="rare@example.com"),
    "act": AuditFilter(act="run.submit"),
    "act, oldest alone": AuditFilter(act="user.role"),
    "door": AuditFilter(door="api"),
    "rare door": AuditFilter(door="python"),
    "subject": AuditFilter(subject="JR-1000"),
    "day": AuditFilter(since=BEGIN + timedelta(days=20), before=BEGIN + timedelta(days=21)),
    "year, act": AuditFilter(act="run.retry", since=BEGIN, before=BEGIN + timedelta(days=365)),
    "act, rare actor": AuditFilter(act="run.submit", actor="rare@example.com"),
    "actor, rare door": AuditFilter(actor="u1@example.com", door="python"),
    "act, actor, door that are never together": AuditFilter("rare@example.com", "run.retry", None, "python"),
}
MAIL: Final[Mapping[str, Mapping[str, str]]] = {
    "all": {},
    "status": {"status": "sent"},
    "rare status": {"status": "failed"},
    "kind": {"kind": "run_ended"},
    "kind, oldest alone": {"kind": "digest"},
    "recipient": {"recipient": "u3@example.com"},
    "rare recipient": {"recipient": "rare@example.com"},
    "status, rare kind": {"status": "sent", "kind": "digest"},
    "recipient, rare status": {"recipient": "u3@example.com", "status": "failed"},
    "run": {"run_id": "JR-00000001"},
}


def main() -> None:
    """Print the p95 of each list by each filter."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.trail", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--entries", type=int, default=1_000_000, help="audit entries (1,000,000)")
    parser.add_argument("--mails", type=int, default=200_000, help="mails (200,000)")
    parser.add_argument("--times", type=int, default=40, help="how often each page is read (40)")
    parser.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="both")
    given = parser.parse_args()
    print("| list, by | first page, p95 ms | anywhere, p95 ms |\n|---|---|---|")
    for name in ("sqlite", "postgresql") if given.database == "both" else (given.database,):
        with databases(name) as new_url:
            url = new_url()
            fill(url, name, given.entries, given.mails)
            app = make_application(Settings(database_url=url))
            for what, first, anywhere in measured(app, given.entries, given.mails, given.times):
                print(f"| {name}, {what} | {first:.0f} | {anywhere:.0f} |", flush=True)
            app.close()
        print(f"load: {os.getloadavg()[0]:.1f}", flush=True)


def fill(url: str, name: str, entries: int, mails: int) -> None:
    """Make the database, with so many entries and mails."""
    database = Database(url)
    database.upgrade()
    with database.write(patient=True) as connection:
        for statement, last in ((_ENTRIES, entries), (_MAILS, mails)):
            connection.execute(text(statement.format(numbers=_NUMBERS, at=_AT[name])), {"last": last})
    settle(database)
    database.close()


def measured(app: Application, entries: int, mails: int, times: int) -> Iterator[tuple[str, float, float]]:
    """What each list takes by each filter: milliseconds of its first page, and of pages that begin anywhere."""
    chance = Random(7)
    for name, wanted in AUDIT.items():

        def entry_page(after: str | None, wanted: AuditFilter = wanted) -> object:
            return audit_page(app, wanted, after=after, actor=ACTOR)

        def entry_place(wanted: AuditFilter = wanted) -> str:
            key = chance.randint(1, entries)
            at = datetime.fromisoformat(instant_text(BEGIN + timedelta(minutes=key)))
            return cursor("audit", asdict(wanted), [at, key])

        yield f"audit, {name}", _p95(entry_page, lambda: None, times), _p95(entry_page, entry_place, times)
    for name, asked in MAIL.items():

        def letter_page(after: str | None, asked: Mapping[str, str] = asked) -> object:
            return mail_page(app, asked.get("status"), **_but_status(asked), after=after, actor=ACTOR)

        def letter_place(asked: Mapping[str, str] = asked) -> str:
            whole = dict.fromkeys(("status", "kind", "recipient", "run_id")) | dict(asked)
            return cursor("mail", whole, [chance.randint(1, mails)])

        yield f"mail, {name}", _p95(letter_page, lambda: None, times), _p95(letter_page, letter_place, times)


def _but_status(asked: Mapping[str, str]) -> dict[str, Any]:
    return {name: value for name, value in asked.items() if name != "status"}


def _p95(read: Callable[[str | None], object], place: Callable[[], str | None], times: int) -> float:
    taken = []
    for _ in range(times):
        after = place()
        began = perf_counter()
        read(after)
        taken.append(1_000 * (perf_counter() - began))
    return quantiles(taken, n=20)[-1]


if __name__ == "__main__":
    main()
