"""`python -m bench.pages`: what a page of each list costs, by every filter and at any depth. See docs/bench.md."""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
from array import array
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from statistics import quantiles
from time import perf_counter
from typing import Any, Final

from sqlalchemy import text

from batchwright.billing.records.input_filter import order_of
from batchwright.config.settings import Settings
from batchwright.engine.store.database import Database
from batchwright.engine.store.run_log import Place
from batchwright.engine.store.scopes import pack
from batchwright.engine.store.types import instant_text
from batchwright.operations.app import Application, make_application
from batchwright.operations.billing.billing_schedules import NOUN as BILLING_SCHEDULES
from batchwright.operations.billing.billing_schedules import Narrowing, billing_schedules_page
from batchwright.operations.billing.explanations import usage_input_history
from batchwright.operations.billing.forecast import CHOICES, By, forecast, refresh_forecast
from batchwright.operations.billing.input_filter import filter_of, filter_text, pairs_of
from batchwright.operations.billing.loaded import Kind, loaded_page
from batchwright.operations.billing.usage_inputs import LISTING as INPUTS
from batchwright.operations.billing.usage_inputs import usage_inputs_page
from batchwright.operations.paging import cursor
from batchwright.operations.runs.looking import (
    LISTING,
    outcome_summary,
    page_of_outcomes,
    page_of_runs,
    show_run,
)
from batchwright.operations.runs.progress import run_progress
from batchwright.operations.runs.run_filter import RunFilter, wanted_of
from bench.company import Company, fill, settle
from bench.measure import databases
from tests.engine.looks import planned

SCOPE: Final = 2_000
BAD: Final = 5
"""One record in so many has errored or was skipped."""
CODES: Final = ("no_price", "no_tier", "negative_quantity", "uom_mismatch")
BEGIN: Final = datetime(2025, 11, 1, tzinfo=UTC)
Look = Callable[[Application, Random | None], Any]
_PLACES: Final = re.compile(r"(?:INDEX|using|Index Scan on|Seq Scan on|SCAN (?!\w+ USING)) ?([a-z]\w+)")
_OF_THE_CALLER: Final = ("alembic_version", "app_user")
"""Who asks is looked up before each read."""
_SORTS: Final = re.compile(r"TEMP B-TREE|\bSort\b")


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


@dataclass(frozen=True)
class Read:
    """A read by name: of a page anywhere in its list as chance has it, or of the first without any."""

    name: str
    look: Look


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.pages", description=__doc__)
    parser.add_argument("--runs", type=int, default=100_000, help="runs (100,000)")
    parser.add_argument(
        "--records", type=int, default=1_000_000, help="records of each of ten large runs (1,000,000)"
    )
    parser.add_argument("--inputs", type=int, default=1_000_000, help="usage inputs (1,000,000)")
    parser.add_argument("--times", type=int, default=40, help="how often each read is done (40)")
    parser.add_argument("--beside", action="store_true", help="while all inputs are rated, too")
    parser.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="both")
    given = parser.parse_args()
    history = History(given.runs, records=given.records)
    print("| read | first page p95 ms | anywhere p95 ms | reads by |\n|---|---|---|---|")
    for name in ("sqlite", "postgresql") if given.database == "both" else (given.database,):
        with databases(name) as new_url:
            url = new_url()
            prepare(url, history, given.inputs)
            with rating(url, given.inputs) if given.beside else nullcontext():
                for line in measure(url, history, given.inputs, given.times):
                    print(f"| {name}, {line}", flush=True)


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
    _mix(database)
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
        total = history.records if large else 3
        counts = (total - bad, bad, 0, 0, '{"rated_amount": {"USD": 1234}}') if ended else (None,) * 5
        yield (
            key, f"JR-{key:08}", ("usage-rating", "draft-usage-rating", "data-recalculation")[key % 3],
            "Usage rating", "batch", False, state, f"person{key % 20}", "{}", ("schedule", "cli", "retry")[key % 3],
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


def reads(history: History, inputs: int) -> Iterator[Read]:
    """The reads of runs, of what was loaded, of billing schedules, of usage inputs, and the forecast."""
    yield from _reads_of_runs(history)
    yield from _reads_of_the_catalogue(inputs)
    yield from _reads_of_inputs(inputs)


def _reads_of_the_catalogue(inputs: int) -> Iterator[Read]:
    """Lists of what was loaded, one of each, and of billing schedules by each filter."""
    company = Company(inputs)

    def customer(chance: Random) -> int:
        return chance.randrange(company.customers) + 1

    places: dict[Kind, Callable[[Random], tuple[Any, ...]]] = {
        Kind.CUSTOMER: lambda chance: (f"C-{customer(chance):06d}",),
        Kind.ACCOUNT: lambda chance: (f"ACC-{customer(chance):06d}",),
        Kind.PRICE_BOOK: lambda chance: ("PB-JPY",),
        Kind.PRICE: lambda chance: (chance.randrange(2) + 1, "flat, alone", date(2023, 1, 1)),
        Kind.CONTRACT: lambda chance: (f"CT-{customer(chance):06d}",),
    }
    for kind, place in places.items():
        yield Read(f"loaded, {kind}", _a_page_of_loaded(kind, place))
    first, last = date(2023, 1, 1), date(2023, 6, 30)
    for name, narrowing in {
        "all": Narrowing(),
        "status": Narrowing(status="pending_billing"),
        "status that none has": Narrowing(status="invoiced"),
        "customer": Narrowing(customer_id=f"C-{max(1, company.customers // 2):06d}"),
        "period": Narrowing(period=f"{last:%Y-%m}"),
        "no such period": Narrowing(period="1999-01"),
        "ready by, status": Narrowing(ready_by=f"{first}", status="pending_billing"),
    }.items():
        yield Read(f"billing schedules, {name}", _a_page_of_billing_schedules(company, first, narrowing))


def _a_page_of_loaded(kind: Kind, place: Callable[[Random], tuple[Any, ...]]) -> Look:
    def look(app: Application, chance: Random | None) -> Any:
        return loaded_page(app, kind, after=None if chance is None else cursor(kind, {}, place(chance)))

    return look


def _a_page_of_billing_schedules(company: Company, first: date, narrowing: Narrowing) -> Look:
    def look(app: Application, chance: Random | None) -> Any:
        if chance is None:
            return billing_schedules_page(app, **narrowing)
        key = chance.randrange(company.assets) + 1
        after = cursor(BILLING_SCHEDULES, {"asset_line_item_id": None, **narrowing}, (key, first, key))
        return billing_schedules_page(app, after=after, **narrowing)

    return look


def _reads_of_inputs(inputs: int) -> Iterator[Read]:
    customer, product = f"C-{max(1, inputs // 20_000):06d}", "flat, alone"
    for asked in (
        "", "status=Loaded", "status=Rated", "status=Error", "code=no_price", "status=Rated,status=Error",
        f"customer_id={customer}", f"customer_id={customer},status=Error", f"customer_id={customer},from=2023-04-01",
        f'product="{product}"', f'product="{product}",code=no_price', f'product="{product}",from=2024-01-01',
        "from=2023-03-05,before=2023-03-06", "from=2023-03-01,before=2023-04-01,status=Rated",
        "code=no_price,from=2023-03-05,before=2023-03-06", "status=Rated,code=no_price",
    ):  # fmt: skip
        pairs = list(pairs_of(asked)) if asked else []
        yield Read(f"inputs, {asked or 'all'}", _a_page_of_inputs(inputs, pairs))

    def history_of_one(app: Application, chance: Random | None) -> Any:
        key = inputs if chance is None else chance.randrange(inputs) + 1
        return usage_input_history(app, f"IN-{key:08d}")

    yield Read("history of an input", history_of_one)
    for by in CHOICES:
        yield Read(f"forecast by {by}", partial(_forecast, by=by))


def _forecast(app: Application, chance: Random | None, *, by: By) -> Any:
    return forecast(app, by)


def _a_page_of_inputs(inputs: int, pairs: list[tuple[str, str]]) -> Look:
    wanted = filter_of(pairs)

    def look(app: Application, chance: Random | None) -> Any:
        if chance is None:
            return usage_inputs_page(app, pairs)
        key = chance.randrange(inputs)
        places: dict[tuple[type, ...], tuple[Any, ...]] = {
            (int,): (key,),
            (int, int): (key // 10, 0),
            (date, int): (wanted.usage_from, key),
        }
        place = places[order_of(wanted)]
        return usage_inputs_page(app, pairs, after=cursor(INPUTS, {"where": filter_text(wanted)}, place))

    return look


def _mix(database: Database) -> None:
    """One input in a hundred is in Error, half of the others are Rated; what the forecast comes to is kept."""
    error = "status = 'Error', error_by = 'draft', message = 'as the benchmark has it'"
    code = "CASE WHEN id % 3000 = 0 THEN 'no_price' ELSE 'no_tier' END"
    with database.write(patient=True) as connection:
        for statement in (
            f"UPDATE usage_input SET {error}, code = {code} WHERE id % 100 = 0",
            "UPDATE usage_input SET status = 'Rated', rated_amount = 1234, rated_run_key = 1 WHERE id % 2 = 1",
            "UPDATE usage_schedule SET draft_rated_quantity = '10', draft_fee_amount = 1000",
        ):
            connection.execute(text(statement))


def _reads_of_runs(history: History) -> Iterator[Read]:
    filters: dict[str, RunFilter] = {
        "all": {},
        "status Completed": {"status": "Completed"},
        "status Failed, Running": {"status": ["Failed", "Running"]},
        "status Holding": {"status": "Holding"},
        "job": {"job": "usage-rating"},
        "customer": {"customer_id": "C-000014"},
        "period": {"period": "2026-03"},
        "no such period": {"period": "1999-01"},
        "customer and period": {"customer_id": "C-000014", "period": "2026-03"},
        "actor": {"run_actor": "person7"},
        "no such actor": {"run_actor": "nobody"},
        "schedule": {"schedule": "schedule 3"},
        "trigger": {"trigger": "retry"},
        "from, before": {"since": BEGIN + timedelta(days=100), "before": BEGIN + timedelta(days=130)},
        "errors": {"errors": True},
        "errors, actor, job": {"errors": True, "run_actor": "person0", "job": "usage-rating"},
        "job and trigger that no run has": {"job": "usage-rating", "trigger": "cli"},
    }
    for name, asked in filters.items():
        yield Read(f"runs, {name}", _a_page_of_runs(history, asked))
    for outcome, code in (
        (None, None), ("ok", None), ("error", None), ("error", "no_tier"), ("skipped", None), ("not_reached", None),
        (None, "no_price"), ("error", "no_such_code"),
    ):  # fmt: skip
        name = " ".join(filter(None, (outcome, code))) or "all"
        yield Read(f"outcomes, {name}", _a_page_of_outcomes(history, outcome, code))
    run_id = f"JR-{history.at_work:08}"
    ended = f"JR-{history.apart:08}"
    yield Read("outcomes by code, ended", lambda app, chance: outcome_summary(app, ended))
    yield Read("outcomes by code, at work", lambda app, chance: outcome_summary(app, run_id))
    yield Read("run at work, shown", lambda app, chance: show_run(app, run_id))
    yield Read("run at work, pace and strip", lambda app, chance: run_progress(app, run_id))


def _a_page_of_runs(history: History, asked: RunFilter) -> Look:
    wanted = asdict(wanted_of(asked))

    def look(app: Application, chance: Random | None) -> Any:
        if chance is None:
            return page_of_runs(app, **asked)
        key = chance.randrange(1, history.runs)
        place = Place(history.runs // 2, history.runs // 2, BEGIN + timedelta(minutes=5 * key), key)
        return page_of_runs(app, cursor(LISTING, wanted, place), **asked)

    return look


def _a_page_of_outcomes(history: History, outcome: str | None, code: str | None) -> Look:
    def look(app: Application, chance: Random | None) -> Any:
        run_id = f"JR-{history.apart * (1 if chance is None else chance.randrange(1, history.large + 1)):08}"
        if chance is None:
            return page_of_outcomes(app, run_id, outcome, code)
        place: tuple[Any, ...] = (chance.randrange(1, history.scopes), chance.randrange(SCOPE))
        if code is not None or outcome in ("error", "skipped"):
            rows = history.large * history.scopes * (SCOPE // BAD)
            place = outcome or "error", code or chance.choice(CODES), chance.randrange(rows)
        after = cursor(f"outcomes of {run_id}", {"outcome": outcome, "code": code}, place)
        return page_of_outcomes(app, run_id, outcome, code, after)

    return look


def measure(url: str, history: History, inputs: int, times: int) -> Iterator[str]:
    """Each read as a line of the table: p95 of its first page and of a page anywhere, and what its plans name."""
    app = make_application(Settings(database_url=url, executor="inline"))
    while refresh_forecast(app):
        pass
    for read in reads(history, inputs):
        cells = [f"{_p95(app, read, times, first=first):.1f}" for first in (True, False)]
        with planned(app.database.engine) as plans:  # type: ignore[arg-type]
            read.look(app, Random(1))
        found = dict.fromkeys(place for plan in plans for place in _PLACES.findall(plan))
        places = [place for place in found if not any(word in place for word in _OF_THE_CALLER)]
        sorts = sum(bool(_SORTS.search(plan)) for plan in plans)
        named = ", ".join(places) + (f"; sorts: {sorts} of {len(plans)}" if sorts else "")
        yield f"{read.name} | {' | '.join(cells)} | {named} |"
    app.close()


def _p95(app: Application, read: Read, times: int, *, first: bool) -> float:
    taken = []
    for seed in range(times):
        chance = None if first else Random(seed)
        started = perf_counter()
        read.look(app, chance)
        taken.append(1_000 * (perf_counter() - started))
    return quantiles(taken, n=20)[-1]


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


if __name__ == "__main__":
    main()
