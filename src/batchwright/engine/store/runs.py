"""Statements on runs: inserting, reading, moving."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    Connection,
    Row,
    TextClause,
    bindparam,
    case,
    exists,
    func,
    insert,
    select,
    text,
    update,
)

from batchwright.engine.errors import FenceLost, KeyInUse, MoveRefused, NotFound, Pruned, storable
from batchwright.engine.job import Warn
from batchwright.engine.run import ENDED, LIVE, MOVES, RETRY, Control, NewRun, Run, State
from batchwright.engine.store.live_counts import Counting, live_counts
from batchwright.engine.store.notify import CHANNEL, RUNS, with_notify
from batchwright.engine.store.tables import LIVE_DEDUP_KEY, run_selection, run_warning, steering
from batchwright.engine.store.tables import run as run_table
from batchwright.engine.store.tables import scope as scope_table
from batchwright.engine.store.upsert import insert_into

AnyRow = Row[*tuple[Any, ...]]

# The run with this key, as it stands.
_BY_KEY = select(run_table).where(run_table.c.id == bindparam("of_key"))

# What a look at a run reads; made once, since making one takes as long as the database takes to answer.
_BY_ID = select(run_table).where(run_table.c.run_id == bindparam("of_id"))
_CHILD = run_table.alias("child")
_LOOK = _BY_ID.add_columns(
    select(steering.c.asked).where(steering.c.run_id == run_table.c.id).scalar_subquery().label("asked"),
    exists().where(_CHILD.c.parent_id == run_table.c.id).label("has_children"),
    exists().where(run_warning.c.run_id == run_table.c.id).label("has_warnings"),
)
_CHILDREN = (
    select(run_table.c.run_id).where(run_table.c.parent_id == bindparam("of_key")).order_by(run_table.c.id)
)
_WARNINGS = select(
    run_warning.c.run_id, run_warning.c.code, run_warning.c.message, run_warning.c.record_id
).order_by(run_warning.c.id)
_WARNINGS_OF_ONE = _WARNINGS.where(run_warning.c.run_id == bindparam("of_key"))
_WARNINGS_OF = _WARNINGS.where(run_warning.c.run_id.in_(bindparam("of_keys", expanding=True)))

_NEXT_START = select(func.coalesce(func.max(run_table.c.start_number), 0) + 1)

# Keys of runs to be: they are named and placed by them in the statement that inserts them.
_NEXT_KEYS = text("SELECT nextval(pg_get_serial_sequence('run', 'id')) FROM generate_series(1, :number)")
_LAST_KEY = select(func.coalesce(func.max(run_table.c.id), 0))

# A move, of a run that is as it was shown.
_MOVE = (
    update(run_table)
    .where(
        run_table.c.id == bindparam("shown_id"),
        run_table.c.fence == bindparam("shown_fence"),
        run_table.c.state == bindparam("shown_state"),
    )
    .returning(run_table.c.id)
)

# Scopes that are done; -1 while the run is being planned.
_PROGRESS = case(
    (run_table.c.total.is_(None), -1),
    else_=select(func.count())
    .where(scope_table.c.run_id == run_table.c.id, scope_table.c.state == "done")
    .correlate(run_table)
    .scalar_subquery(),
)

NO_TAKEOVERS: dict[str, Any] = {"takeovers_without_progress": 0, "progress_at_takeover": None}
"""What a run that is handed back, or put aside, begins with again."""

_JSON_COLUMNS = ("parameters", "periods", "notify", "totals")
NOTIFYING_STATES = (State.HOLDING, State.QUEUED, *ENDED)
"""States that give others something to do: a run to drive, a slot to fill, a mail to send.

But not a run that gets a slot: who could claim it was notified when it was submitted, or when the slot became free.
"""

_INSERTS: dict[str, Any] = {}

_ENDING = "batchwright_ending"

_NOT_OF_RUN = ("begun_at", "pruned_codes", "rows_left")
_COUNTS = ("processed", "errored", "skipped", "not_reached")
_COLUMNS = run_table.c.keys()


def last_key(connection: Connection) -> int:
    """The key of the newest run; 0 when there is none."""
    key: int = connection.execute(_LAST_KEY).scalar_one()
    return key


def insert_runs(connection: Connection, new: Sequence[NewRun], now: datetime) -> list[Run | KeyInUse]:
    """Insert runs at the end of their keys' queues in the order given, each named ``JR-`` and its key.

    In the place of one stands ``KeyInUse`` while another run of its job, of these too, has the dedup key and has not
    ended. Waits for transactions that may yet make or end such runs.
    """
    results: dict[int, Run | KeyInUse] = {}
    left = list(range(len(new)))
    while left:
        keys = _next_keys(connection, len(left))
        rows = [_new_row(new[place], key, now) for place, key in zip(left, keys, strict=True)]
        # Not a savepoint and an exception: the connection may be the caller's, and a refusal must leave it as it was.
        inserted = connection.execute(_insert(connection), rows).columns(*run_table.c)
        made = {run.id: run for run in (from_row(row) for row in inserted)}
        for place, key in zip(left, keys, strict=True):
            job, dedup_key = new[place].job, new[place].dedup_key
            if key in made:
                results[place] = made[key]
            elif dedup_key is not None and (first := live_with_key(connection, job, dedup_key)) is not None:
                if first == connection.info.get(_ENDING):
                    of_first = update(run_table).where(run_table.c.run_id == first)
                    connection.execute(of_first.values(dedup_key=None))
                    continue
                said = f"{first} of {job} has the key {dedup_key!r} and has not ended"
                results[place] = KeyInUse(first, said)
            # else the first has ended in between, or somebody took the key of the row: once more
        left = [place for place in left if place not in results]
    return [results[place] for place in range(len(new))]


def _next_keys(connection: Connection, number: int) -> list[int]:
    """Keys for new runs, growing. On SQLite nobody else writes until the transaction ends."""
    if connection.dialect.name == "postgresql":
        return sorted(connection.execute(_NEXT_KEYS, {"number": number}).scalars())
    last = connection.execute(_LAST_KEY).scalar_one()
    return list(range(last + 1, last + 1 + number))


def _new_row(new: NewRun, key: int, now: datetime) -> dict[str, Any]:
    return asdict(new) | {
        "id": key,
        "run_id": f"JR-{key:08d}",
        "parameters": json.dumps(new.parameters),
        "periods": None if new.periods is None else json.dumps(new.periods),
        "notify": json.dumps(new.notify),
        "queue_position": key,  # it grows with every run, so it is the end of the line
        "fence": 0,
        "created_at": now,
    }


def _insert(connection: Connection) -> Any:
    """Made once for each kind of database: making it takes longer than inserting the row."""
    kind = connection.dialect.name
    if kind not in _INSERTS:
        unless_taken = insert_into(connection, run_table).on_conflict_do_nothing()
        _INSERTS[kind] = with_notify(connection, unless_taken.returning(run_table), CHANNEL)
    return _INSERTS[kind]


def live_with_key(connection: Connection, job: str, dedup_key: str) -> str | None:
    """The id of the run that keeps others of the job with that key out."""
    mine = (run_table.c.job == job, run_table.c.dedup_key == dedup_key, LIVE_DEDUP_KEY)
    return connection.execute(select(run_table.c.run_id).where(*mine)).scalar()


@contextmanager
def ending(connection: Connection, run: Run) -> Iterator[None]:
    """In the block the run keeps nobody out by its dedup key who is submitted on this connection: it ends in this
    transaction, or nothing of it stays.
    """
    connection.info[_ENDING] = run.run_id
    try:
        yield
    finally:
        connection.info.pop(_ENDING, None)


def check_kept(run: Run, remedy: str | None = None) -> None:
    """Refuse a run that is pruned: what became of its records is not there, or not all of it."""
    if run.pruned_at is not None:
        raise Pruned(run.run_id, run.pruned_at, remedy)


def keep(connection: Connection, run: Run, remedy: str) -> None:
    """Keep a run from being pruned until this transaction ends. Refuses one that is."""
    # Whoever prunes leaves out what is locked; a run that follows this one keeps it from then on.
    row = select(run_table.c.pruned_at).where(run_table.c.id == run.id).with_for_update(read=True)
    check_kept(replace(run, pruned_at=connection.execute(row).scalar_one()), remedy)


def live_of_customers(connection: Connection, job: str, customer_id: str | None = None) -> list[Run]:
    """The runs of a job about that customer, or any, that have not ended, oldest first; without live counts."""
    of = run_table.c.customer_id
    about = of.is_not(None) if customer_id is None else of == customer_id
    # Not by the index of jobs, which leads SQLite to all there have been: few have not ended.
    of_job = func.coalesce(run_table.c.job, "") == job
    statement = select(run_table).where(of_job, about, run_table.c.state.in_(LIVE))
    return [from_row(row) for row in connection.execute(statement.order_by(run_table.c.id))]


def insert_selection(connection: Connection, run_key: int, keys: Sequence[int]) -> None:
    """Store the keys that the caller named, in bulk."""
    if not keys:
        return
    cursor = connection.connection.driver_connection.cursor()  # type: ignore[union-attr]
    if connection.dialect.name == "postgresql":
        with cursor.copy("COPY run_selection (run_id, key) FROM STDIN") as copy:
            for key in keys:
                copy.write_row((run_key, key))
    else:
        cursor.executemany(
            "INSERT INTO run_selection (run_id, key) VALUES (?, ?)", ((run_key, key) for key in keys)
        )
    cursor.close()


def selection_page(connection: Connection, run_key: int, after: int, size: int) -> list[int]:
    """The next keys of a run's selection, in order of key."""
    page = (
        select(run_selection.c.key)
        .where(run_selection.c.run_id == run_key, run_selection.c.key > after)
        .order_by(run_selection.c.key)
        .limit(size)
    )
    return list(connection.execute(page).scalars())


def by_key(connection: Connection, run_key: int) -> Run:
    """The run of that key, with live counts."""
    (run,) = with_live_counts(connection, [_of_key(connection, run_key)])
    return run


def by_keys(connection: Connection, run_keys: Collection[int]) -> dict[int, Run]:
    """Runs by key; those at work without counts."""
    rows = connection.execute(select(run_table).where(run_table.c.id.in_(list(run_keys))))
    return {row.id: from_row(row) for row in rows}


def by_id(connection: Connection, run_id: str, counts: Counting = live_counts) -> Run:
    """The run that people call ``run_id``, with live counts. Raises ``Refused`` when there is none."""
    row = connection.execute(_BY_ID, {"of_id": run_id}).first()
    (run,) = with_live_counts(connection, [_there(row, run_id)], counts)
    return run


@dataclass(frozen=True, slots=True)
class Look:
    """A run with live counts, what is asked of it, and whether anything stands beside it."""

    run: Run
    asked: Control | None
    has_children: bool
    has_warnings: bool


def look(connection: Connection, run_id: str, counts: Counting = live_counts) -> Look:
    """The same with more. Raises ``Refused`` when there is none."""
    row = _there(connection.execute(_LOOK, {"of_id": run_id}).first(), run_id)
    (run,) = with_live_counts(connection, [row], counts)
    asked = None if row.asked is None else Control(row.asked)
    return Look(run, asked, row.has_children, row.has_warnings)


def whose_finish(connection: Connection, run: Run) -> Run | None:
    """The run whose ``finish`` a retry does again, and nothing else: its parent had no record left to do again.

    ``None`` for a run that has records, or looks for them, of its own.
    """
    found = None
    while run.trigger == RETRY and run.parent_id is not None:
        run = by_key(connection, run.parent_id)
        if run.errored + run.not_reached:
            break
        found = run
    return found


def children(connection: Connection, run_key: int) -> list[str]:
    """Ids of the runs that were submitted from this one, oldest first."""
    return list(connection.execute(_CHILDREN, {"of_key": run_key}).scalars())


def run_ids(connection: Connection, run_keys: Iterable[int]) -> dict[int, str]:
    """Ids people see, by key."""
    wanted = list(run_keys)
    if not wanted:
        return {}
    statement = select(run_table.c.id, run_table.c.run_id).where(run_table.c.id.in_(wanted))
    return {row.id: row.run_id for row in connection.execute(statement)}


def add_warnings(
    connection: Connection, run_key: int, scope_key: int | None, warnings: Sequence[Warn]
) -> None:
    """Store warnings of a run, or of one of its scopes."""
    add_warnings_of(connection, [(run_key, scope_key, warning) for warning in warnings])


def add_warnings_of(connection: Connection, warnings: Sequence[tuple[int, int | None, Warn]]) -> None:
    """Store warnings, each with the key of its run and, if it is of one, of its scope."""
    if warnings:
        rows = [
            {
                "run_id": run_key,
                "scope_id": scope_key,
                "code": storable(warning.code),
                "message": storable(warning.message),
                "record_id": None if warning.record_id is None else storable(str(warning.record_id)),
            }
            for run_key, scope_key, warning in warnings
        ]
        connection.execute(insert(run_warning), rows)


def warnings(connection: Connection, run_key: int) -> list[Warn]:
    """A run's warnings in the order they came up."""
    return warnings_of(connection, [run_key]).get(run_key, [])


def warnings_of(connection: Connection, run_keys: Iterable[int]) -> dict[int, list[Warn]]:
    """The same of several runs, by key; a run without any is left out."""
    keys = list(run_keys)
    if len(keys) == 1:
        rows = connection.execute(_WARNINGS_OF_ONE, {"of_key": keys[0]})
    else:
        rows = connection.execute(_WARNINGS_OF, {"of_keys": keys})
    found: dict[int, list[Warn]] = {}
    for run_key, *warning in rows:
        found.setdefault(run_key, []).append(Warn(*warning))
    return found


def move(connection: Connection, run: Run, to: State, **values: Any) -> Run:
    """Move a run to another state, from the state and under the fence that ``run`` shows; the run as it is then.

    Who looks on is woken when the transaction commits, and if the move gives others something to do, these too.

    Raises ``MoveRefused`` for a move that the table of moves does not have, ``FenceLost`` when the row is not as
    ``run`` shows it any more.
    """
    if (run.state, to) not in MOVES:
        raise MoveRefused(f"{run.run_id} is {run.state} and cannot become {to}", field="run_id")
    moved = replace(run, state=to, **values)
    for name in values.keys() & _JSON_COLUMNS:
        values[name] = None if values[name] is None else json.dumps(values[name])
    gives_work = to in NOTIFYING_STATES and (run.state, to) != (State.HOLDING, State.QUEUED)
    statement = with_notify(connection, _MOVE, *((RUNS, CHANNEL) if gives_work else (RUNS,)))
    shown = {"shown_id": run.id, "shown_fence": run.fence, "shown_state": run.state}
    if len(connection.execute(statement, {**shown, "state": to, **values}).all()) != 1:
        raise FenceLost(run.run_id)
    return moved


def next_start_number(connection: Connection) -> int:
    """The number of the next run to start. For who has locked the queue: numbers are committed in their order, so that
    a reader who sees one sees all before it.
    """
    number: int = connection.execute(_NEXT_START).scalar_one()
    return number


def raise_fence(
    connection: Connection, run: Run, owner: str, *, died: bool = True, now: datetime | None = None
) -> None:
    """Take a run from its dead owner: nothing under the old fence can commit after this one has.

    Notes how far the run is, and how many owners in a row have ``died`` without having brought it further.

    Waits two seconds at most for a lock on the run: its holder may be the dead owner's session. Raises
    ``FenceLost`` when somebody else took it, or when the run has ended.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL lock_timeout = '2s'"))
    unchanged = (
        run_table.c.id == run.id,
        run_table.c.fence == run.fence,
        run_table.c.state == run.state,
    )
    stood_still = run_table.c.progress_at_takeover == _PROGRESS
    taken = (
        update(run_table)
        .where(*unchanged)
        .values(
            fence=run.fence + 1,
            owner=owner,
            claimed_at=now,
            progress_at_takeover=_PROGRESS,
            takeovers_without_progress=case(
                (stood_still, run_table.c.takeovers_without_progress + int(died)), else_=0
            ),
        )
    )
    if connection.execute(taken).rowcount != 1:
        raise FenceLost(run.run_id)


def forget_takeovers(connection: Connection, run_key: int) -> None:
    """Count the takeovers without progress from zero again."""
    connection.execute(update(run_table).where(run_table.c.id == run_key).values(**NO_TAKEOVERS))


def hold_fence(connection: Connection, run: Run) -> Control | None:
    """Keep the fence of an active run as it is until this transaction ends, and say what somebody asks of the run.

    Raises ``FenceLost`` when the fence was raised before, or when the run is not active any more: a scope that was
    given up for lost may still be at work somewhere.
    """
    return _hold(connection, run, "AND state IN ('Preparing', 'Processing')", "FOR SHARE")


def hold_run(connection: Connection, run: Run) -> Control | None:
    """The same of a run in any state, and alone: waits for scopes that hold its fence, and lets none come after, so
    that what is counted from now on stays true.
    """
    return _hold(connection, run, "", "FOR NO KEY UPDATE")


@cache
def _held(only: str, lock: str) -> TextClause:
    # Made once: every scope executes it, and making it takes as long as the database takes to answer.
    return text(
        "SELECT (SELECT asked FROM steering WHERE steering.run_id = run.id) AS asked FROM run"
        f" WHERE id = :id AND fence = :fence {only} {lock}"
    )


def _hold(connection: Connection, run: Run, only: str, lock: str) -> Control | None:
    statement = _held(only, "" if connection.dialect.name == "sqlite" else lock)
    row = connection.execute(statement, {"id": run.id, "fence": run.fence}).first()
    if row is None:
        raise FenceLost(run.run_id)
    return None if row.asked is None else Control(row.asked)


def uncounted(connection: Connection, run_key: int) -> Run:
    """The run of that key; while it works, its counts are 0."""
    return from_row(_of_key(connection, run_key))


def _of_key(connection: Connection, run_key: int) -> AnyRow:
    return _there(connection.execute(_BY_KEY, {"of_key": run_key}).first(), str(run_key))


def _there(row: AnyRow | None, name: str) -> AnyRow:
    if row is None:
        raise NotFound(f"there is no run {name!r}", field="run_id", remedy="See `batchwright runs list`")
    return row


def with_live_counts(
    connection: Connection, rows: Sequence[AnyRow], counts: Counting = live_counts
) -> list[Run]:
    """The runs of rows of the table, with live counts."""
    working = [row.id for row in rows if row.state not in ENDED and row.total is not None]
    live = counts(connection, working)
    return [from_row(row, live.get(row.id)) for row in rows]


def from_row(row: AnyRow, live: Mapping[str, Any] | None = None) -> Run:
    """The run of a row that begins as those of the table do, with the counts of its scopes while it works; without them
    they are 0.
    """
    values = dict(zip(_COLUMNS, row, strict=False))  # by place: a page of the log makes many
    for name in _NOT_OF_RUN:
        del values[name]
    for name in _JSON_COLUMNS:
        if values[name] is not None:
            values[name] = json.loads(values[name])
    values |= live or {}
    for name in _COUNTS:
        values[name] = values[name] or 0
    values["totals"] = values["totals"] or {}
    values["state"] = State(values["state"])
    return Run(**values)
