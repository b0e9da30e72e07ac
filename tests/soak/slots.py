"""Eight workers that compete for five slots: never more runs at work, each line in its order, and nobody starves.

What happened is noted by triggers in the transactions that did it, so that nothing falls between two looks.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, ClassVar, Final, NamedTuple

from pydantic import BaseModel, ConfigDict
from sqlalchemy import text

from batchwright.config.settings import Settings
from batchwright.engine.job import BatchJob, Record, Schema, Scope, StartContext
from batchwright.engine.store.queue import lock_queue
from batchwright.engine.submit import Request, submit
from batchwright.operations.app import Application, make_application
from tests.soak.fleet import fleet

WORKERS: Final = 8
MAX_ACTIVE_RUNS: Final = 5
SCOPE_SECONDS: Final = 0.005
_PATIENCE_SECONDS: Final = 900.0
_COUNT: Final = "CREATE TABLE soak_count (key integer PRIMARY KEY, times integer NOT NULL)"
_ACTIVE: Final = "(SELECT count(*) FROM run WHERE state IN ('Preparing', 'Processing') AND NOT in_caller)"
_NOTE: Final = "INSERT INTO soak_turn (line, place, state, active) VALUES"
_WATCH: Final = {
    "sqlite": (
        """CREATE TABLE soak_turn (id integer PRIMARY KEY AUTOINCREMENT, line text, place integer,
        state text, active integer)""",
        f"""CREATE TRIGGER soak_moved AFTER UPDATE OF state ON run BEGIN
        {_NOTE} (NEW.queue_key, NEW.queue_position, NEW.state, {_ACTIVE}); END""",
    ),
    "postgresql": (
        """CREATE TABLE soak_turn (id bigserial PRIMARY KEY, line text, place bigint,
        state text, active integer)""",
        f"""CREATE FUNCTION soak_moved() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        {_NOTE} (NEW.queue_key, NEW.queue_position, NEW.state, {_ACTIVE}); RETURN NULL; END $$""",
        "CREATE TRIGGER soak_moved AFTER UPDATE OF state ON run FOR EACH ROW EXECUTE FUNCTION soak_moved()",
    ),
}


class BriefParameters(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    number: int


class Brief(BatchJob):
    """One record, counted once."""

    name = "brief"
    type = "Brief counting"
    Parameters: ClassVar[Schema] = BriefParameters

    def start(self, context: StartContext) -> Iterable[Record]:
        yield Record(self.parameters.number)

    def execute(self, scope: Scope) -> None:
        once_more = "ON CONFLICT (key) DO UPDATE SET times = soak_count.times + 1"
        for key in scope.keys:
            scope.connection.execute(
                text(f"INSERT INTO soak_count VALUES (:key, 1) {once_more}"), {"key": key}
            )
        time.sleep(SCOPE_SECONDS)


class Turn(NamedTuple):
    """A run that moved, as a trigger noted it; `active` runs were at work then."""

    number: int
    line: str
    place: int
    state: str
    active: int


@dataclass(slots=True)
class Found:
    """`passed` says for each run of others how many of the long line were let in after it had come."""

    runs: int = 0
    most_active: int = 0
    passed: list[int] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.runs:,} runs in {self.seconds:.0f} s; at most {self.most_active} at work; {len(self.passed)} single"
            f" runs of others, before which {max(self.passed)} of the long line at most were let in, started after"
            f" {median(self.waits):.3f} s in the median, {max(self.waits):.3f} s at most; {len(self.faults)} faults"
        )


def compare(url: str, folder: Path, *, runs: int, others: int, workers: int = WORKERS) -> Found:
    """Have A queue so many runs on the empty database, and while they are done each of some others a single one."""
    app = make_application(Settings(database_url=url))
    app.database.upgrade()
    with app.database.write() as connection:
        for statement in (_COUNT, *_WATCH["sqlite" if app.database.is_sqlite else "postgresql"]):
            connection.execute(text(statement))
    settings = {
        "BATCHWRIGHT_JOBS": "tests.soak.slots:Brief",
        "BATCHWRIGHT_EXECUTOR": "inline",
        "BATCHWRIGHT_MAX_ACTIVE_RUNS": str(MAX_ACTIVE_RUNS),
    }
    found = Found(runs=runs + others)
    with fleet(folder, url, workers=workers, settings=settings) as competing:
        competing.ready()
        began = time.monotonic()
        _submit(app, "A", range(1, runs + 1))
        came: dict[str, tuple[int, float]] = {}
        for number in range(1, others + 1):
            _wait_for_ended(app, number * runs // (others + 1))
            at = time.monotonic()
            (run_id,) = _submit(app, f"B{number}", [runs + number])
            came[run_id] = _turns_so_far(app), at
        _wait_for_ended(app, runs + others)
        found.seconds = time.monotonic() - began
        started = {str(one.run_id): one.time for one in competing.hear() if one.event == "RunStarted"}
        found.waits = [started[run_id] - at for run_id, (_, at) in came.items()]
        competing.drain()
        found.faults += competing.faults
    _judge(found, app, {f"B{number}": turn for number, (turn, _) in enumerate(came.values(), start=1)})
    app.close()
    return found


def _submit(app: Application, actor: str, numbers: Iterable[int]) -> list[str]:
    with app.database.write() as connection:
        now = app.clock.now()
        return [
            submit(connection, Brief(number=number), Request(actor=actor, mail_actor=False), now).run_id
            for number in numbers
        ]


def _turns_so_far(app: Application) -> int:
    """The number of the last turn; nobody is let in while we look."""
    with app.database.write() as connection:
        lock_queue(connection)
        return int(connection.execute(text("SELECT coalesce(max(id), 0) FROM soak_turn")).scalar_one())


def _wait_for_ended(app: Application, wanted: int) -> None:
    until = time.monotonic() + _PATIENCE_SECONDS
    statement = text("SELECT count(*) FROM run WHERE state IN ('Completed', 'Failed', 'Aborted')")
    while True:
        with app.database.read() as connection:
            ended = connection.execute(statement).scalar_one()
        if ended >= wanted:
            return
        if time.monotonic() > until:
            raise TimeoutError(f"{ended} of {wanted} runs have ended after {_PATIENCE_SECONDS:g} s")
        time.sleep(0.02)


def _judge(found: Found, app: Application, came: Mapping[str, int]) -> None:
    with app.database.read() as connection:
        rows: Sequence[Any] = connection.execute(
            text("SELECT id, line, place, state, active FROM soak_turn ORDER BY id")
        ).all()
        counted = tuple(connection.execute(text("SELECT count(*), sum(times) FROM soak_count")).one())
        states = set(connection.execute(text("SELECT state FROM run")).scalars())
    turns = [Turn(*row) for row in rows]
    if counted != (found.runs, found.runs) or states != {"Completed"}:
        found.faults.append(f"{counted} numbers and counts of {found.runs}, runs {states}")
    found.most_active = max(turn.active for turn in turns)
    if found.most_active > MAX_ACTIVE_RUNS:
        found.faults.append(f"{found.most_active} runs were at work at once")
    lines: dict[str, list[int]] = defaultdict(list)
    for turn in turns:
        if turn.state == "Preparing":
            lines[turn.line].append(turn.place)
    found.faults += [
        f"the line of {line} was not kept" for line, places in lines.items() if places != sorted(places)
    ]
    found.passed = [_passed(turns, line, since) for line, since in came.items()]
    if max(found.passed) > 0:
        found.faults.append(f"others were passed by {found.passed} runs of the long line")


def _passed(turns: Sequence[Turn], line: str, since: int) -> int:
    """How many runs of A were let into a slot after this line's run had come, and before it was let in."""
    let_in = next(turn.number for turn in turns if turn.line == line)
    return sum(turn.line == "A" and turn.state == "Queued" and since < turn.number < let_in for turn in turns)
