"""`python -m bench.growth`: what forecast after forecast leaves behind, and the plans of repeated statements.

See docs/bench.md.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import mean
from time import perf_counter
from typing import Any, Final

from sqlalchemy import Table, insert

from batchwright.billing.records.pages import chunks
from batchwright.config.settings import Settings
from batchwright.engine.store.database import Database
from batchwright.engine.store.tables import run, schedule, schedule_fire, scope
from batchwright.notifications.tables import mail
from batchwright.operations.app import make_application
from batchwright.operations.billing.usage_inputs import list_usage_inputs
from batchwright.operations.tables import audit_entry
from bench.company import Company, fill, settle
from bench.measure import databases, in_process
from tests.engine.looks import LOOKS, planned

TABLES: Final = ("usage_input", "usage_schedule")
MEGABYTE: Final = 1_000_000
_PLACES: Final = re.compile(r"(?:INDEX|using|Index Scan on|Seq Scan on|SCAN (?!\w+ USING)) ?([a-z]\w+)")


@dataclass
class Case:
    """What each forecast of a case came to: seconds, bytes of WAL, share of HOT, bytes of heap or ``-wal`` after it."""

    name: str
    seconds: list[float] = field(default_factory=list)
    wal: list[float] = field(default_factory=list)
    hot: list[float] = field(default_factory=list)
    size: list[float] = field(default_factory=list)

    def line(self) -> str:
        """The case as a line of the table."""
        cells = [
            self.name,
            f"{mean(self.hot):.0%}" if self.hot else "",
            f"{mean(self.wal) / MEGABYTE:,.0f}" if self.wal else "",
            f"{self.size[0] / MEGABYTE:,.0f} → {self.size[-1] / MEGABYTE:,.0f}",
            f"{mean(self.seconds):.1f}",
        ]
        return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.growth", description=__doc__)
    parser.add_argument("--records", type=int, default=100_000, help="inputs (100,000)")
    parser.add_argument("--forecasts", type=int, default=5, help="forecasts one after the other (5)")
    parser.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="both")
    given = parser.parse_args()
    names = ("postgresql", "sqlite") if given.database == "both" else (given.database,)
    for name in names:
        with databases(name) as new_url:
            found = measure(name, [new_url() for _ in cases(name)], Company(given.records), given.forecasts)
            print("| case | HOT | WAL MB | heap or -wal MB | seconds |\n|---|---|---|---|---|")
            for case in found:
                print(case.line(), flush=True)
            database = Database(new_url())
            database.upgrade()
            fill_history(database, given.records)
            print("| statement | reads | ms |\n|---|---|---|")
            for statement, places, milliseconds in plans(database):
                print(f"| {name}, {statement} | {places} | {milliseconds:.1f} |", flush=True)
            database.close()


def cases(name: str) -> list[str]:
    """What is compared on a database."""
    stored = ["postgresql, full pages", "postgresql"] if name == "postgresql" else ["sqlite"]
    return [*stored, f"{stored[-1]}, a listing stands"]


def measure(name: str, urls: list[str], company: Company, forecasts: int) -> list[Case]:
    """The cases of a database, a database each, their forecasts in turns; vacuumed after each."""
    found = [Case(case) for case in cases(name)]
    for case, url in zip(found, urls, strict=True):
        database = Database(url)
        database.upgrade()
        if case.name.endswith("full pages"):
            with database.write() as connection:
                for table in TABLES:
                    connection.exec_driver_sql(f"ALTER TABLE {table} RESET (fillfactor)")
        fill(database, company)
        database.close()
    with ExitStack() as standing:
        for url in urls:
            # A connection stays open, as a worker's does: else the last one to close takes SQLite's -wal away.
            standing.enter_context(listing_begun(url, stays=url == urls[-1]))
        for number in range(1, forecasts + 1):
            for case, url in zip(found, urls, strict=True):
                _forecast(case, url, company)
                took = f"forecast {number} of {forecasts} took {case.seconds[-1]:.1f} s"
                print(f"{case.name}: {took}", file=sys.stderr, flush=True)
    return found


@contextmanager
def listing_begun(url: str, *, stays: bool) -> Iterator[None]:
    """Somebody lists the inputs and has read the first, or the only one."""
    app = make_application(Settings(database_url=url, executor="inline"))
    listing = list_usage_inputs(app, limit=None if stays else 1)
    next(listing)
    if not stays:
        list(listing)
    yield
    del listing
    app.close()


def _forecast(case: Case, url: str, company: Company) -> None:
    database = Database(url)
    before = _figures(database)
    case.seconds.append(in_process("rate", url, company, 2_000)["seconds"])
    after = _figures(database)
    if database.is_sqlite:
        case.size.append(Path(f"{database.url.database}-wal").stat().st_size)
    else:
        hot, updates, wal = (float(now - then) for now, then in zip(after, before, strict=True))
        case.hot.append(hot / updates)
        case.wal.append(wal)
        settle(database)
        case.size.append(_heap(database))
    database.close()


def _figures(database: Database) -> list[Any]:
    """HOT updates, all updates, and bytes of WAL so far."""
    if database.is_sqlite:
        return []
    with database.read() as connection:
        statement = f"""SELECT sum(n_tup_hot_upd), sum(n_tup_upd), min(pg_current_wal_insert_lsn() - '0/0')
            FROM pg_stat_user_tables WHERE relname IN {TABLES}"""
        return list(connection.exec_driver_sql(statement).one())


def _heap(database: Database) -> float:
    with database.read() as connection:
        sizes = [f"pg_relation_size('{table}')" for table in TABLES]
        return float(connection.exec_driver_sql(f"SELECT {' + '.join(sizes)}").scalar_one())


def fill_history(database: Database, rows: int) -> None:
    """A long history without work: runs, scopes, fires of 100 schedules, mails, audit entries, `rows` of each."""
    numbers, at = range(1, rows + 1), datetime(2026, 1, 1, tzinfo=UTC)
    times = [at + timedelta(minutes=number) for number in numbers]
    long: dict[Table, Iterable[dict[str, Any]]] = {
        schedule: (
            {"id": key, "name": f"s{key}", "cron": "0 0 2 * * ?", "time_zone": "UTC", "job": "a", "parameters": "{}",
             "misfire": "latest", "cap": 100, "overlap": "skip", "owner": "a", "notify": "[]", "mail_owner": False,
             "created_at": at, "timed_at": at, "paused": False, "last_nominal_time": times[-1]}
            for key in range(1, 101)
        ),
        run: (
            {"id": key, "run_id": f"JR-{key:08}", "job": ("a", "usage-rating")[key % 2], "type": "a", "mode": "batch",
             "in_caller": False, "state": "Completed", "actor": "a", "parameters": "{}", "trigger": "schedule",
             "schedule": "a", "scope_size": 200, "notify": "[]", "mail_actor": False, "queue_key": "a",
             "queue_position": key, "dedup_key": "b", "fence": 1, "created_at": when, "started_at": when}
            for key, when in zip(numbers, times, strict=True)
        ),
        scope: (
            {"run_id": 1 + key // 1_000, "number": key % 1_000, "first_record": 1, "state": "done", "records": 1,
             "keys": b"", "groups": b"", "first_group": key % 1_000, "last_group": key % 1_000,
             "ok": 1, "errored": 0, "skipped": 0}
            for key in numbers
        ),
        schedule_fire: (
            {"schedule_id": 1 + key % 100, "nominal_time": when, "last_nominal_time": when, "count": 1,
             "decision": "started", "run_id": f"JR-{key:08}", "recorded_at": when}
            for key, when in zip(numbers, times, strict=True)
        ),
        mail: (
            {"mail_id": f"ML-{key:08}", "run_id": key, "kind": "run_ended", "recipient": "a@example.com",
             "status": "sent", "message_id": f"<{key}@example.com>", "attempts": 1, "created_at": when,
             "sent_at": when, "facts": "{}"}
            for key, when in zip(numbers, times, strict=True)
        ),
        audit_entry: (
            {"at": when, "actor": "a", "os_user": "a", "act": ("b", "c")[key % 1_000 > 0], "subject": f"IN-{key}"}
            for key, when in zip(numbers, times, strict=True)
        ),
    }  # fmt: skip
    with database.write() as connection:
        for table, made in long.items():
            for some in chunks(list(made)):
                connection.execute(insert(table), some)
    settle(database)


def plans(database: Database) -> Iterator[tuple[str, str, float]]:
    """Each statement by name, the indexes and tables that its plan names, and its milliseconds, the best of five."""
    for name, (look, _) in LOOKS.items():
        with database.read() as connection:
            with planned(connection) as told:
                look(connection)
            taken = []
            for _ in range(5):
                started = perf_counter()
                look(connection)
                taken.append(perf_counter() - started)
        places = dict.fromkeys(place for plan in told for place in _PLACES.findall(plan))
        yield name, ", ".join(places), 1_000 * min(taken)


if __name__ == "__main__":
    main()
