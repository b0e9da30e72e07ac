"""The data of the benches of reads: a history of runs beside the inputs of a company, and a rating beside it all."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import quantiles
from time import perf_counter
from typing import Any, Final

from sqlalchemy import Connection, text

from batchwright.engine.store.database import Database
from batchwright.engine.store.scopes import pack
from batchwright.engine.store.types import instant_text
from batchwright.operations import audit_store
from batchwright.operations.access.sealing import FIRST_HASH, next_hash
from bench.company import Company, fill, settle
from bench.measure import databases

SCOPE: Final = 2_000
BAD: Final = 5
"""One record in so many has errored or was skipped."""
DRY: Final = 2
"""The key of the run that is a dry one, with a line for each input."""
CODES: Final = ("no_price", "no_tier", "negative_quantity", "uom_mismatch")
BEGIN: Final = datetime(2025, 11, 1, tzinfo=UTC)


@dataclass(frozen=True)
class History:
    """So many runs, and among them ``large`` of so many records each; the last of these is at work, half done."""

    runs: int = 100_000
    large: int = 10
    records: int = 1_000_000

    @property
    def scopes(self) -> int:
        """Of each large run."""
        return max(2, self.records // SCOPE)

    @property
    def at_work(self) -> int:
        """The key of the large run that is at work."""
        return self.large * self.apart

    @property
    def apart(self) -> int:
        """A large run is each so many."""
        return self.runs // (self.large + 1)


def parser_of(bench: str, doc: str | None, times: str) -> argparse.ArgumentParser:
    """The arguments of every bench of these data."""
    parser = argparse.ArgumentParser(prog=f"python -m bench.{bench}", description=doc)
    parser.add_argument("--runs", type=int, default=100_000, help="runs (100,000)")
    parser.add_argument(
        "--records", type=int, default=1_000_000, help="records of each of ten large runs (1,000,000)"
    )
    parser.add_argument("--inputs", type=int, default=1_000_000, help="usage inputs (1,000,000)")
    parser.add_argument("--times", type=int, default=40, help=f"how often {times} (40)")
    parser.add_argument("--beside", action="store_true", help="while all inputs are rated, too")
    parser.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="both")
    return parser


def prepared(given: argparse.Namespace) -> Iterator[tuple[str, str, History]]:
    """Name and URL of each database that is asked for, with its data; while it is looked at, beside a rating or not."""
    history = History(given.runs, records=given.records)
    for name in ("sqlite", "postgresql") if given.database == "both" else (given.database,):
        with databases(name) as new_url:
            began, url = perf_counter(), new_url()
            say(f"{name}: {given.runs:,} runs and {given.inputs:,} inputs are written")
            prepare(url, history, given.inputs)
            say(f"{name}: written in {perf_counter() - began:.0f} s")
            with rating(url, given.inputs) if given.beside else nullcontext():
                yield name, url, history
            say(f"{name}: done after {perf_counter() - began:.0f} s, load {os.getloadavg()[0]:.1f}")


def say(progress: str) -> None:
    """How far it is, for who waits; the figures alone go to the standard output."""
    print(progress, file=sys.stderr, flush=True)


def p95(seconds: Sequence[float]) -> float:
    """Milliseconds below which 95 of 100 were."""
    return 1_000 * quantiles(seconds, n=20, method="inclusive")[-1]


def prepare(url: str, history: History, inputs: int) -> None:
    """Fill an empty database: a company with so many inputs, and the history."""
    database = Database(url)
    fill(database, Company(inputs))
    with database.write(patient=True) as connection:
        cursor = connection.connection.driver_connection.cursor()  # type: ignore[union-attr]
        for table, (columns, rows) in _tables(history).items():
            if database.is_sqlite:
                marks = ",".join("?" * len(columns.split(",")))
                cursor.executemany(f"INSERT INTO {table} ({columns}) VALUES ({marks})", rows)
            else:
                with cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
                    for row in rows:
                        copy.write_row(row)
                serial = f"setval(pg_get_serial_sequence('{table}', 'id'), (SELECT max(id) FROM {table}))"
                cursor.execute(f"SELECT {serial}")
    _mix(database, history)
    settle(database)
    database.close()


def _tables(history: History) -> dict[str, tuple[str, Iterable[tuple[Any, ...]]]]:
    return {
        "run": (
            "id,run_id,job,type,mode,in_caller,state,actor,parameters,trigger,schedule,customer_id,periods,scope_size,"
            "notify,mail_actor,queue_key,queue_position,fence,owner,total,processed,errored,skipped,not_reached,totals,"
            "created_at,started_at,ended_at,start_number",
            _runs(history),
        ),
        "scope": (
            "id,run_id,number,first_record,state,records,keys,groups,first_group,last_group,ok,errored,skipped,totals,"
            "amounts,currencies,done_at",
            _scopes(history),
        ),
        "outcome": ("id,run_id,scope_id,record_key,outcome,code,message", _outcomes(history)),
    }


def _runs(history: History) -> Iterator[tuple[Any, ...]]:
    """A year of them; a few hundred have not started."""
    waiting = history.runs - max(1, history.runs // 300)
    for key in range(1, history.runs + 1):
        large, at = key % history.apart == 0 and key <= history.at_work, BEGIN + timedelta(minutes=5 * key)
        state = (
            "Holding"
            if key > waiting
            else "Processing"
            if key == history.at_work
            else ("Failed", "Completed")[key % 50 > 0]
        )
        ended, began = state in ("Failed", "Completed"), state != "Holding"
        month = f'["2026-{key % 12 + 1:02}"]' if key % 7 == 0 else None
        bad = history.records // BAD if large else (key % 40 == 0) * 3
        mode = "dry_run" if key == DRY else "batch"
        total = history.records if large else 3
        counts = (total - bad, bad, 0, 0, '{"rated_amount": {"USD": 1234}}') if ended else (None,) * 5
        yield (
            key, f"JR-{key:08}", ("usage-rating", "draft-usage-rating", "data-recalculation")[key % 3],
            "Usage rating", mode, False, state, f"person{key % 20}", "{}", ("schedule", "cli", "retry")[key % 3],
            f"schedule {key % 30}" if key % 3 == 0 else None, f"C-{key % 500:06}" if key % 7 == 0 else None, month,
            SCOPE,
            "[]", False, "bench", key, 1, "bench/1" if began else None, total if began else None, *counts,
            instant_text(at), instant_text(at + timedelta(minutes=1)) if began else None,
            instant_text(at + timedelta(minutes=2)) if ended else None, key if began else None,
        )  # fmt: skip


def _large(history: History) -> Iterator[tuple[int, int, int]]:
    """Run, scope and number of each scope of the large runs."""
    key = 0
    for run in range(history.apart, history.at_work + 1, history.apart):
        for number in range(1, history.scopes + 1):
            key += 1
            yield run, key, number


def _is_done(history: History, run: int, number: int) -> bool:
    return run != history.at_work or number <= history.scopes // 2


def _scopes(history: History) -> Iterator[tuple[Any, ...]]:
    for run, key, number in _large(history):
        first = (number - 1) * SCOPE + 1
        keys = pack(array("q", range(first, first + SCOPE)))
        common = (key, run, number, first)
        at = instant_text(BEGIN + timedelta(minutes=5 * run, seconds=number / 4))
        bad = SCOPE // BAD
        if _is_done(history, run, number):
            counts = (
                SCOPE - bad,
                bad // 2,
                bad - bad // 2,
                '{"rated_amount": {"USD": 1234}}',
                keys,
                '"USD"',
                at,
            )
            yield (*common, "done", SCOPE, keys, keys, first, first + SCOPE - 1, *counts)
        else:
            yield (*common, "pending", SCOPE, keys, keys, first, first + SCOPE - 1, *(None,) * 7)


def _outcomes(history: History) -> Iterator[tuple[Any, ...]]:
    row = 0
    for run, key, number in _large(history):
        if _is_done(history, run, number):
            for place in range(SCOPE // BAD):
                row += 1
                outcome = ("error", "skipped")[place % 2]
                code = CODES[place // 2 % 4] if outcome == "error" else "not_eligible"
                yield (
                    row,
                    run,
                    key,
                    (number - 1) * SCOPE + 1 + place * BAD,
                    outcome,
                    code,
                    "as the benchmark has it",
                )


_MAIL: Final = """
    INSERT INTO mail (id, mail_id, run_id, kind, recipient, facts, status, message_id, attempts, created_at, sent_at)
    SELECT id, 'ML-' || substr(run_id, 4), id, 'run_ended', actor || '@example.com', '{}',
        CASE WHEN id % 100 = 0 THEN 'failed' ELSE 'sent' END, run_id, 1, created_at, created_at
    FROM run WHERE started_at IS NOT NULL
"""
_AUDIT: Final = """
    INSERT INTO audit_entry (at, actor, os_user, door, act, subject, sealed)
    SELECT r.created_at, r.actor, 'bench', CASE WHEN i.id % 3 = 0 THEN 'cli' ELSE 'console' END,
        CASE WHEN i.id % 1000 = 0 THEN 'run.abort' ELSE 'usage_input.edit' END, i.usage_input_id, FALSE
    FROM usage_input AS i JOIN run AS r ON r.id = i.id % {runs} + 1 ORDER BY r.id
"""
_PREVIEW: Final = f"""
    INSERT INTO preview_line
        (run_id, kind, record_id, customer_id, amount, amount_before, amount_after, currency, detail)
    SELECT {DRY}, CASE WHEN id % 10 = 0 THEN 'usage_schedule' ELSE 'usage_input' END, usage_input_id,
        'C-' || (id % 500), 1234, id % 5000, id * 7 % 9000, 'USD', '{{}}'
    FROM usage_input
"""


def _mix(database: Database, history: History) -> None:
    """One input in a hundred is in Error, half of the others are Rated; what the forecast comes to is kept.

    There is a mail for each run, a sealed audit entry and a line of a preview for each input.
    """
    error = "status = 'Error', error_by = 'draft', message = 'as the benchmark has it'"
    code = "CASE WHEN id % 3000 = 0 THEN 'no_price' ELSE 'no_tier' END"
    with database.write(patient=True) as connection:
        for statement in (
            f"UPDATE usage_input SET {error}, code = {code} WHERE id % 100 = 0",
            "UPDATE usage_input SET status = 'Rated', rated_amount = 1234, rated_run_key = 1 WHERE id % 2 = 1",
            "UPDATE usage_schedule SET draft_rated_quantity = '10', draft_fee_amount = 1000",
            _PREVIEW,
            _MAIL,
            _AUDIT.format(runs=history.runs),
        ):
            connection.execute(text(statement))
        if not database.is_sqlite:
            connection.execute(
                text("SELECT setval(pg_get_serial_sequence('mail', 'id'), (SELECT max(id) FROM mail))")
            )
        _seal(connection)


def _seal(connection: Connection) -> None:
    """Seal all of the audit trail, as a worker does."""
    number, newest = 0, FIRST_HASH
    while entries := audit_store.unsealed_entries(connection, 10_000):
        seals = []
        for number, entry in enumerate(entries, start=number + 1):  # noqa: B020
            newest = next_hash(newest, number, dict(entry))
            seals.append({"number": number, "entry_id": entry["id"], "hash": newest})
        audit_store.add_seals(connection, seals)


@contextmanager
def rating(url: str, inputs: int, work: str = "rate") -> Iterator[None]:
    """While all inputs are draft rated by another process, again and again; for `rate apart` by its pool of them."""
    with tempfile.TemporaryDirectory(prefix="batchwright-bench-mail-") as folder:
        words = [sys.executable, "-m", "bench.worker", work, url, str(inputs), "10", str(SCOPE), folder]
        script = "import subprocess, sys\nwhile subprocess.run(sys.argv[1:]).returncode == 0: pass"
        process = subprocess.Popen(
            [sys.executable, "-c", script, *words], cwd=Path(__file__).resolve().parents[1],
            stdout=subprocess.DEVNULL, start_new_session=True,
            env={**os.environ, "BATCHWRIGHT_DATABASE_URL": url},
        )  # fmt: skip
        try:
            yield
            if process.poll() is not None:
                raise SystemExit("the rating beside it has failed")
        finally:
            _end_group(process)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
