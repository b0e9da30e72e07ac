"""What a run leaves behind, read from outside, and how two of them differ, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from email.message import EmailMessage
from types import ModuleType
from typing import Any

from sqlalchemy import Connection, Table, inspect, text

from batchwright.engine import ledger
from batchwright.engine.job import BatchJob
from batchwright.engine.run import Run, State
from batchwright.engine.store import runs
from batchwright.engine.store import tables as engine_tables
from batchwright.notifications import tables as notification_tables
from batchwright.operations import tables as operation_tables

Ignored = Mapping[str, Sequence[str]]
"""Columns that are not compared, by table."""
Row = Mapping[str, Any]
Key = tuple[Any, ...]


def _tables_of(module: ModuleType) -> Iterator[str]:
    return (table.name for table in vars(module).values() if isinstance(table, Table))


OURS = {"alembic_version"}.union(*map(_tables_of, (engine_tables, notification_tables, operation_tables)))
"""Tables that hold the runs themselves; what they say is compared as the ledger and the mails."""


@dataclass(frozen=True, slots=True)
class TableState:
    """The rows of a table, and the columns of its primary key, if it has a row."""

    key: tuple[str, ...]
    rows: Sequence[Row]

    def by_key(self, key: Sequence[str]) -> dict[Key, Row]:
        """The rows by these columns."""
        return {tuple(row[name] for name in key): row for row in self.rows}


Tables = Mapping[str, TableState]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What there is after a run.

    ``records`` are the outcomes by record key, one for each time the ledger has it. ``facts`` are the run's own
    figures, ``totals`` among them. ``outside`` is what the author named, by its name.
    """

    tables: Tables
    records: Mapping[int, Sequence[str]]
    facts: Mapping[str, str]
    totals: str
    mails: Sequence[EmailMessage]
    outside: Mapping[str, str]


def read_tables(connection: Connection, ignored: Ignored) -> Tables:
    """Every table that is not one of Batchwright's own."""
    inspector = inspect(connection)
    found: dict[str, TableState] = {}
    for name in sorted(set(inspector.get_table_names()) - OURS):
        quoted = connection.dialect.identifier_preparer.quote(name)
        left_out = set(ignored.get(name, ()))
        rows = [
            {column: value for column, value in row.items() if column not in left_out}
            for row in connection.execute(text(f"SELECT * FROM {quoted}")).mappings()
        ]
        key = tuple(inspector.get_pk_constraint(name)["constrained_columns"]) if rows else ()
        found[name] = TableState(() if left_out & set(key) else key, rows)
    return found


def read_records(connection: Connection, run: Run, job: BatchJob) -> dict[int, list[str]]:
    """The outcomes of the ledger by record key."""
    found: dict[int, list[str]] = {}
    for outcome in ledger.OutcomeReader(run, job).all(connection):
        amount = "" if outcome.amount is None else f", {outcome.amount.minor} {outcome.amount.currency}"
        found.setdefault(outcome.record_key, []).append(
            f"{outcome.outcome}{f' ({outcome.code})' if outcome.code else ''}{amount}"
        )
    return found


def read_facts(connection: Connection, run: Run) -> dict[str, str]:
    """What the run says of itself, and which runs it has submitted."""
    warnings = Counter(
        f"{one.code} {one.record_id}: {one.message}" for one in runs.warnings(connection, run.id)
    )
    return {
        "status": run.state,
        "error": str(run.error),
        "records": f"{run.total} in all, {run.processed} ok, {run.errored} errors, {run.skipped} skipped",
        "warnings": str(sorted(warnings.items())),
        "runs submitted by it": str(len(runs.children(connection, run.id))),
    }


def table_differences(before: Tables, expected: Tables, found: Tables) -> Iterator[str]:
    """Where ``found`` is not as ``expected``; ``before`` is how it was before the run."""
    for name in sorted(expected.keys() | found.keys()):
        if name not in found or name not in expected:
            there = "missing" if name not in found else "there"
            yield f"table {name} is {there}; undisturbed it is {'there' if there == 'missing' else 'not'}"
            continue
        yield from _row_differences(name, before.get(name), expected[name], found[name])


def ledger_differences(expected: Snapshot, found: Snapshot, *, facts: bool = True) -> Iterator[str]:
    """Where outcomes, totals and, with ``facts``, the run's other figures differ."""
    for key in sorted(expected.records.keys() | found.records.keys()):
        yield from _said(f"record {key}", expected.records.get(key), found.records.get(key))
    yield from _said("the run's totals", expected.totals, found.totals)
    if facts:
        for name, value in expected.facts.items():
            yield from _said(f"the run's {name}", value, found.facts[name])


def outside_differences(expected: Mapping[str, str], found: Mapping[str, str]) -> Iterator[str]:
    """Where what lies outside the database differs."""
    for name in sorted(expected.keys() | found.keys()):
        yield from _said(name, expected.get(name), found.get(name))


def mail_differences(expected: Snapshot, found: Snapshot, *, may_repeat: bool) -> Iterator[str]:
    """Where the mails about the run differ. With ``may_repeat`` one may come twice, under one Message-ID."""
    wanted, came = (Counter(map(_content, snapshot.mails)) for snapshot in (expected, found))
    messages = Counter(str(message["Message-ID"]) for message in found.mails)
    for (recipient, subject, _, _), number in (wanted - came).items():
        yield f"the run's mail {subject!r} to {recipient} did not arrive as it does undisturbed ({number} missing)"
    if not may_repeat:
        for message_id, number in messages.items():
            if number > 1:
                yield f"the run's mail {message_id} arrived {number} times"
    elif len(messages) != len(expected.mails):
        yield f"{len(messages)} different mails about the run arrived; undisturbed {len(expected.mails)}"


def exactly_one_outcome(snapshot: Snapshot) -> Iterator[str]:
    """Records that the ledger has more than once, or not at the end of a run that is complete."""
    for key, found in snapshot.records.items():
        if len(found) != 1:
            yield f"record {key} has {len(found)} outcomes: {', '.join(found)}"
        if "not_reached" in found and snapshot.facts["status"] == State.COMPLETED:
            yield f"record {key} was not reached, and yet the run is complete"


def _row_differences(
    name: str, before: TableState | None, expected: TableState, found: TableState
) -> Iterator[str]:
    key = expected.key or found.key
    if not key:
        yield from _loose_differences(name, expected.rows, found.rows)
        return
    known = before.by_key(key).keys() if before else set()
    wanted, there = expected.by_key(key), found.by_key(key)
    yield from _keyed_differences(name, key, _of(wanted, known), _of(there, known))
    new = (wanted.keys() | there.keys()) - known
    yield from _added_differences(name, key, _of(wanted, new), _of(there, new))


def _added_differences(
    name: str, key: Sequence[str], wanted: Mapping[Key, Row], there: Mapping[Key, Row]
) -> Iterator[str]:
    """Rows that a run has inserted. A number may be the database's own, and which one it gives is nobody's promise."""
    keyed = list(_keyed_differences(name, key, wanted, there))
    if len(key) == 1 and all(isinstance(one[0], int) for one in wanted.keys() | there.keys()):
        (number,) = key
        without = [[_without(row, number) for row in side.values()] for side in (wanted, there)]
        loose = list(_loose_differences(name, *without))
        if len(loose) < len(keyed):
            keyed = loose
    yield from keyed


def _keyed_differences(
    name: str, key: Sequence[str], wanted: Mapping[Key, Row], there: Mapping[Key, Row]
) -> Iterator[str]:
    for one in sorted(wanted.keys() | there.keys(), key=repr):
        label = f"table {name}, row {', '.join(f'{n}={k!r}' for n, k in zip(key, one, strict=True))}"
        yield from _cell_differences(label, wanted.get(one), there.get(one))


def _of(rows: Mapping[Key, Row], keys: Set[Key]) -> dict[Key, Row]:
    return {key: row for key, row in rows.items() if key in keys}


def _cell_differences(label: str, wanted: Row | None, there: Row | None) -> Iterator[str]:
    if wanted is None or there is None:
        yield from _said(label, wanted and dict(wanted), there and dict(there))
        return
    for column, value in wanted.items():
        if there.get(column) != value:
            yield f"{label}: {column} is {there.get(column)!r}; undisturbed it is {value!r}"


def _loose_differences(name: str, wanted: Iterable[Row], there: Iterable[Row]) -> Iterator[str]:
    """Rows as they come, without a key to know them by."""
    counted = [Counter(repr(sorted(row.items())) for row in rows) for rows in (wanted, there)]
    shown = {repr(sorted(row.items())): dict(row) for rows in (wanted, there) for row in rows}
    for packed in sorted(counted[0].keys() | counted[1].keys()):
        times, found = counted[0][packed], counted[1][packed]
        if times != found:
            yield f"table {name}, row {shown[packed]} is there {found} times; undisturbed {times}"


def _without(row: Row, column: str) -> Row:
    return {name: value for name, value in row.items() if name != column}


def _said(label: str, wanted: Any, there: Any) -> Iterator[str]:
    if wanted == there:
        return
    shown = "not there" if there is None else _text(there)
    undisturbed = "it is not there" if wanted is None else f"it is {_text(wanted)}"
    yield f"{label}: {shown}; undisturbed {undisturbed}"


def _text(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value)


def _content(message: EmailMessage) -> tuple[str, str, str, str]:
    body = message.get_body(("plain",))
    files = {part.get_filename(): part.get_content() for part in message.iter_attachments()}
    return str(message["To"]), str(message["Subject"]), body.get_content() if body else "", repr(files)
