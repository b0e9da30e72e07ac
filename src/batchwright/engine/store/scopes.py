"""Statements on scopes: planning them, reading one, marking it done."""

from __future__ import annotations

import json
from array import array
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Connection,
    Integer,
    Select,
    bindparam,
    case,
    delete,
    func,
    insert,
    literal,
    literal_column,
    select,
    text,
    tuple_,
    union_all,
)

from batchwright.engine.job import Amount, Change, Outcome, Preview
from batchwright.engine.store.tables import (
    PREVIEW_CURRENCY,
    PREVIEW_DIFFERENCE,
    outcome,
    preview_line,
    run_warning,
    scope,
)
from batchwright.engine.store.tables import run as run_table
from batchwright.engine.store.types import UtcTime

NO_AMOUNT = -(2**63)
_HALF = 32
_BEFORE, _AFTER = preview_line.c.amount_before, preview_line.c.amount_after
_CURRENCY: ColumnElement[str] = literal_column(PREVIEW_CURRENCY.text)
_DIFFERENCE: ColumnElement[Any] = literal_column(PREVIEW_DIFFERENCE.text)
_LARGEST = 2**63 - 1
_PREVIEW_LINES = select(preview_line, _CURRENCY.label("of"), _DIFFERENCE.label("difference"))
_PREVIEW_ORDER = (_CURRENCY, _DIFFERENCE, preview_line.c.id)
_PREVIEW_FIRST = (((), _PREVIEW_ORDER),)
_SAME_CURRENCY = bindparam("currency") == _CURRENCY
_PREVIEW_BEHIND = (
    (
        (_SAME_CURRENCY, bindparam("difference") == _DIFFERENCE, preview_line.c.id > bindparam("key")),
        (preview_line.c.id,),
    ),
    ((_SAME_CURRENCY, bindparam("difference") < _DIFFERENCE), (_DIFFERENCE, preview_line.c.id)),
    ((bindparam("currency") < _CURRENCY,), _PREVIEW_ORDER),
)
"""What is behind a place, in parts that the index has in order: SQLite compares no rows of expressions by it."""

# Made once: every scope executes them, and making one takes as long as the database takes to answer.
_READ = select(scope, literal_column("CURRENT_TIMESTAMP").label("began")).where(
    scope.c.id == bindparam("key")
)
_LAST_NUMBER = text("SELECT coalesce(max(number), 0) FROM scope WHERE run_id = :run")
# Each step halves the scopes among which it is.
_OF_RECORD = text("""WITH RECURSIVE among (low, high) AS (
        SELECT 1, coalesce(max(number), 0) FROM scope WHERE run_id = :run
        UNION ALL
        SELECT CASE WHEN first_record <= :record THEN number ELSE low END,
            CASE WHEN first_record <= :record THEN high ELSE number - 1 END
        FROM among JOIN scope ON run_id = :run AND number = (low + high + 1) / 2 WHERE low < high
    )
    SELECT number, first_record FROM among JOIN scope ON run_id = :run AND number = low WHERE low = high
""")
_PRUNED_AT = select(run_table.c.pruned_at).where(run_table.c.id == bindparam("run"))
_ANY_PLANNED = text("SELECT EXISTS (SELECT 1 FROM scope WHERE run_id = :run)")
_MARK_DONE = text(
    "UPDATE scope SET state = 'done', ok = :ok, errored = :errored, skipped = :skipped, totals = :totals,"
    " amounts = :amounts, currencies = :currencies, about = :about, done_at = :done_at"
    " WHERE id = :id AND state <> 'done'"
).bindparams(bindparam("done_at", type_=UtcTime))

_DONE = scope.c.state == "done"
_CELL = (
    func.min(scope.c.number),
    func.max(scope.c.number),
    func.sum(case((_DONE, 1), else_=0)),
    *(
        func.coalesce(func.sum(column), 0)
        for column in (scope.c.records, scope.c.ok, scope.c.errored, scope.c.skipped)
    ),
)
_HOLDING = {
    "ok": (_DONE, scope.c.ok > 0),
    "error": (_DONE, scope.c.errored > 0),
    "skipped": (_DONE, scope.c.skipped > 0),
    "not_reached": (scope.c.state == "pending",),
}
"""Which scopes hold records of an outcome, as the index of progress tells."""


@dataclass(frozen=True, slots=True)
class PlannedScope:
    """A scope before it is stored. ``first_record`` counts the run's records from 1."""

    number: int
    first_record: int
    keys: array[int]
    groups: array[int]


@dataclass(frozen=True, slots=True)
class StoredScope:
    """A scope as its row says; ``amounts`` and the counts only once it is done."""

    id: int
    number: int
    first_record: int
    done: bool
    keys: array[int]
    groups: array[int]
    ok: int
    errored: int
    skipped: int
    amounts: array[int] | None
    currencies: list[str | None] | str | None
    began: object = None
    """When the transaction began that it was read in, where the database was asked."""

    def amount_of(self, position: int) -> Amount | None:
        """What the record at ``position`` of ``keys`` came to."""
        if self.amounts is None or self.amounts[position] == NO_AMOUNT:
            return None
        currency = self.currencies if isinstance(self.currencies, str) else self.currencies[position]  # type: ignore[index]
        return Amount(self.amounts[position], currency or "")


def any_planned(connection: Connection, run_key: int) -> bool:
    """Whether the run has a plan, or the beginning of one."""
    return bool(connection.execute(_ANY_PLANNED, {"run": run_key}).scalar())


def delete_plan(connection: Connection, run_key: int) -> None:
    """Forget a half-made plan; nothing of it can have been executed."""
    connection.execute(
        delete(run_warning).where(run_warning.c.run_id == run_key, run_warning.c.scope_id.is_not(None))
    )
    connection.execute(delete(scope).where(scope.c.run_id == run_key))


def insert_scopes(connection: Connection, run_key: int, planned: Sequence[PlannedScope]) -> None:
    """Store planned scopes."""
    rows = [
        {
            "run_id": run_key,
            "number": new.number,
            "first_record": new.first_record,
            "state": "pending",
            "records": len(new.keys),
            "keys": pack(new.keys),
            "groups": pack(new.groups),
            "first_group": new.groups[0] if new.groups else None,
            "last_group": new.groups[-1] if new.groups else None,
        }
        for new in planned
    ]
    connection.execute(insert(scope), rows)


def pending(connection: Connection, run_key: int) -> list[tuple[int, int]]:
    """Keys and numbers of the scopes still to do, in order."""
    statement = select(scope.c.id, scope.c.number).where(
        scope.c.run_id == run_key, scope.c.state == "pending"
    )
    return [(row.id, row.number) for row in connection.execute(statement.order_by(scope.c.number))]


class DoneCounts(NamedTuple):
    """How many scopes a run has, the records of those that are done, and the errors among them."""

    scopes: int
    records: int
    errored: int


def done_counts(connection: Connection, run_key: int) -> DoneCounts:
    """How far the scopes of a run are."""
    done = select(
        func.count(),
        func.coalesce(func.sum(scope.c.ok + scope.c.errored + scope.c.skipped), 0),
        func.coalesce(func.sum(scope.c.errored), 0),
    ).where(scope.c.run_id == run_key)
    scopes, records, errored = connection.execute(done).one()
    return DoneCounts(int(scopes), int(records), int(errored))


def read(connection: Connection, scope_key: int) -> StoredScope:
    """One scope, its keys unpacked."""
    row = connection.execute(_READ, {"key": scope_key}).one()
    return _stored(row, row.began)


def read_some(connection: Connection, scope_keys: Collection[int]) -> dict[int, StoredScope]:
    """Scopes by key, each with its keys unpacked."""
    rows = connection.execute(select(scope).where(scope.c.id.in_(list(scope_keys))))
    return {row.id: _stored(row) for row in rows}


def keys_of(connection: Connection, run_key: int) -> list[int]:
    """The keys of a run's scopes, in order."""
    statement = select(scope.c.id).where(scope.c.run_id == run_key).order_by(scope.c.number)
    return list(connection.execute(statement).scalars())


def attributions(connection: Connection, run_key: int) -> list[str]:
    """Whose records the done scopes of a run are, and of which months, as JSON; each different one once."""
    statement = select(scope.c.about).where(scope.c.run_id == run_key, scope.c.about.is_not(None)).distinct()
    return list(connection.execute(statement).scalars())


def by_number(connection: Connection, run_key: int, number: int) -> StoredScope:
    """The scope of a run that has this number."""
    return _stored(
        connection.execute(select(scope).where(scope.c.run_id == run_key, scope.c.number == number)).one()
    )


def of_record(connection: Connection, run_key: int, record: int) -> tuple[int, int]:
    """Number and first record of the scope that holds a run's record of that number, of those it has.

    Scopes are numbered 1, 2, 3 …, so a few of them tell: no index has their first records.
    """
    number, first_record = connection.execute(_OF_RECORD, {"run": run_key, "record": record}).one()
    return number, first_record


def with_record(connection: Connection, run_key: int, record_key: int) -> StoredScope | None:
    """The scope of a run that holds a record; ``None`` where none does.

    An error or a skip has a row that says which. Else the database looks through the packed keys: half a second for
    ten million. It may find a key that lies across two others, so what it finds is looked at.
    """
    reported = select(outcome.c.scope_id).where(
        outcome.c.run_id == run_key, outcome.c.record_key == record_key
    )
    known = connection.execute(reported).scalar()
    if known is not None:
        return read(connection, known)
    packed = literal(pack([record_key]))
    at: ColumnElement[int] = (
        func.instr(scope.c["keys"], packed)
        if connection.dialect.name == "sqlite"
        else func.position(packed.op("IN")(scope.c["keys"]))
    )
    perhaps = select(scope.c.id).where(scope.c.run_id == run_key, at > 0).order_by(scope.c.number)
    found = (read(connection, key) for key in connection.execute(perhaps).scalars().all())
    return next((one for one in found if record_key in one.keys), None)


def planned_as(connection: Connection, run_key: int) -> Iterator[PlannedScope]:
    """The scopes of a run, to be planned again for another."""
    for one in read_all(connection, run_key):
        yield PlannedScope(one.number, one.first_record, one.keys, one.groups)


def read_all(
    connection: Connection, run_key: int, outcome: str | None = None, after: int = 0, at_a_time: int = 50
) -> Iterator[StoredScope]:
    """The scopes of a run in order, from the one after number ``after``; with ``outcome`` those that may hold such."""
    holding = () if outcome is None else _HOLDING[outcome]
    last = after
    while True:
        page = select(scope.c.number).where(scope.c.run_id == run_key, scope.c.number > last, *holding)
        numbers = list(connection.execute(page.order_by(scope.c.number).limit(at_a_time)).scalars())
        if not numbers:
            return
        rows = select(scope).where(scope.c.run_id == run_key, scope.c.number.in_(numbers))
        for row in connection.execute(rows.order_by(scope.c.number)).all():
            yield _stored(row)
        last = numbers[-1]


class ReportedPlace(NamedTuple):
    """Where an error or a skip stands among those of its run."""

    outcome: str
    code: str
    key: int


def reported_page(
    connection: Connection,
    run_key: int,
    outcomes: Sequence[str],
    code: str | None,
    size: int,
    after: ReportedPlace | None,
) -> list[Any]:
    """So many rows of errors and skips after a place: by outcome, in the order given, by code, as they were stored."""
    rows: list[Any] = []
    for wanted in outcomes[0 if after is None else outcomes.index(after.outcome) :]:
        mine = select(outcome).where(outcome.c.run_id == run_key, outcome.c.outcome == wanted)
        order = (outcome.c.code, outcome.c.id) if code is None else (outcome.c.id,)
        if code is not None:
            mine = mine.where(outcome.c.code == code)
        if after is not None and after.outcome == wanted:
            mine = mine.where(tuple_(*order) > ((after.code, after.key) if code is None else (after.key,)))
        rows += connection.execute(mine.order_by(*order).limit(size - len(rows))).all()
        if len(rows) == size:
            break
    return rows


def amounts_of(connection: Connection, wanted: Mapping[int, Collection[int]]) -> dict[int, Amount]:
    """What records came to, by key, of those that came to something; ``wanted`` are their keys by that of the scope."""
    paid = select(scope).where(scope.c.id.in_(list(wanted)), scope.c.amounts.is_not(None))
    found: dict[int, Amount] = {}
    for row in connection.execute(paid):
        stored = _stored(row)
        for key in wanted[stored.id]:
            if (amount := stored.amount_of(stored.keys.index(key))) is not None:
                found[key] = amount
    return found


def reported_counts(connection: Connection, run_key: int) -> list[tuple[str, str, int]]:
    """Outcome, code and number of a run's errors and skips."""
    by = (outcome.c.outcome, outcome.c.code)
    counted = select(*by, func.count()).where(outcome.c.run_id == run_key).group_by(*by).order_by(*by)
    return [(name, code, number) for name, code, number in connection.execute(counted)]


class Cell(NamedTuple):
    """Scopes of a run, one after another: their numbers, how many are done, and their records."""

    first: int
    last: int
    done: int
    records: int
    ok: int
    errored: int
    skipped: int


def strip(connection: Connection, run_key: int, most: int) -> list[Cell]:
    """The scopes of a run in their order, in ``most`` cells of equally many at most."""
    last = connection.execute(_LAST_NUMBER, {"run": run_key}).scalar_one()
    return [
        Cell(*map(int, row)) for row in connection.execute(_cells(max(1, -(-last // most))), {"run": run_key})
    ]


@lru_cache(64)
def _cells(each: int) -> Select[Any]:
    """The cells of a run, each of so many scopes."""
    cell: ColumnElement[int] = literal_column(f"(scope.number - 1) / {each}")
    cells = select(*_CELL).where(scope.c.run_id == bindparam("run"))
    return cells.group_by(cell).order_by(func.min(scope.c.number))


def whole_runs(connection: Connection, run_keys: Sequence[int]) -> dict[int, Cell]:
    """By key of the run all of its scopes as one cell; one without scopes is left out."""
    statement = select(scope.c.run_id, *_CELL).where(scope.c.run_id.in_(run_keys)).group_by(scope.c.run_id)
    return {key: Cell(*map(int, row)) for key, *row in connection.execute(statement)}


def pruned_at(connection: Connection, run_key: int) -> datetime | None:
    """Since when a run is pruned: its scopes are gone, or go."""
    return connection.execute(_PRUNED_AT, {"run": run_key}).scalar_one()  # type: ignore[no-any-return]


def newest_done(
    connection: Connection, run_keys: Sequence[int], most: int
) -> dict[int, list[tuple[datetime, int]]]:
    """By key of the run when its newest scopes were done, and how many records each has, the newest first."""
    found: dict[int, list[tuple[datetime, int]]] = {key: [] for key in run_keys}
    given = {f"run_{place}": key for place, key in enumerate(run_keys)}
    rows = connection.execute(_newest_done(len(run_keys)), {"most": most, **given}) if run_keys else ()
    for key, done_at, records in rows:
        found[key].append((done_at, records))
    for done in found.values():
        done.sort(key=lambda one: one[0], reverse=True)  # a union has no order
    return found


@lru_cache(16)
def _newest_done(number: int) -> CompoundSelect[Any]:
    """Of so many runs, each by its index."""
    done = select(scope.c.run_id, scope.c.done_at, scope.c.records).where(_DONE, scope.c.done_at.is_not(None))
    newest = done.order_by(scope.c.done_at.desc(), scope.c.number.desc()).limit(
        bindparam("most", type_=Integer)
    )
    of_each = (newest.where(scope.c.run_id == bindparam(f"run_{place}")) for place in range(number))
    return union_all(*(select(one.subquery()) for one in of_each))


def insert_outcomes(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Store errors and skips; an ok record has no row."""
    if rows:
        connection.execute(insert(outcome), rows)


def insert_previews(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Store the lines of a dry run."""
    if rows:
        connection.execute(insert(preview_line), rows)


def outcomes_of(connection: Connection, scope_key: int) -> dict[int, Outcome]:
    """Errors and skips of one scope, by record key, in the order of the records' keys."""
    columns = (outcome.c.record_key, outcome.c.outcome, outcome.c.code, outcome.c.message)
    statement = select(*columns).where(outcome.c.scope_id == scope_key).order_by(outcome.c.record_key)
    return {row[0]: Outcome(*row[1:]) for row in connection.execute(statement)}


def outcomes_of_record(
    connection: Connection, run_keys: Collection[int], record_key: int
) -> dict[int, Outcome]:
    """The errors and the skips of one record in these runs, by key of the run."""
    columns = (outcome.c.run_id, outcome.c.outcome, outcome.c.code, outcome.c.message)
    mine = (outcome.c.run_id.in_(list(run_keys)), outcome.c.record_key == record_key)
    return {run_key: Outcome(*what) for run_key, *what in connection.execute(select(*columns).where(*mine))}


def preview_values(line: Preview) -> dict[str, Any]:
    """The columns of a preview line, but for the run and the scope that it belongs to."""
    minor, currency = line.amount or (None, None)
    before, after, currency = line.change or (None, minor, currency)
    return {
        "kind": line.kind,
        "record_id": line.record_id,
        "customer_id": line.customer_id,
        "amount": minor,
        "amount_before": before,
        "amount_after": after,
        "currency": currency,
        "detail": json.dumps(line.detail),
    }


def previews_of(connection: Connection, scope_key: int) -> list[dict[str, Any]]:
    """The preview lines of a scope, each as its ``preview_values``."""
    return _previews(connection, preview_line.c.scope_id == scope_key)


def previews_of_finish(connection: Connection, run_key: int) -> list[dict[str, Any]]:
    """The preview lines of what ``finish`` would write."""
    return _previews(connection, preview_line.c.run_id == run_key, preview_line.c.scope_id.is_(None))


def _previews(connection: Connection, *which: ColumnElement[bool]) -> list[dict[str, Any]]:
    columns = [column for column in preview_line.c if column.name not in ("id", "run_id", "scope_id")]
    lines = select(*columns).where(*which).order_by(preview_line.c.id)
    return [dict(row._mapping) for row in connection.execute(lines)]


def preview_keys(connection: Connection, run_key: int, kind: str | None = None) -> array[int]:
    """The keys of a run's preview lines, or of those of one kind: by currency, the largest difference first.

    Eight bytes a line: of all kinds no index has this order.
    """
    statement = select(preview_line.c.id).where(preview_line.c.run_id == run_key)
    statement = statement.order_by(_CURRENCY, _DIFFERENCE, preview_line.c.id)
    if kind is not None:
        statement = statement.where(preview_line.c.kind == kind)
    return array("q", connection.execute(statement, execution_options={"yield_per": 10_000}).scalars())


class PreviewPlace(NamedTuple):
    """Where a line of a preview stands in the order of `preview_keys`."""

    currency: str
    difference: int
    key: int


def preview_page(
    connection: Connection, run_key: int, kind: str, size: int, after: PreviewPlace | None
) -> list[tuple[PreviewPlace, Any]]:
    """So many lines of one kind behind a place, with theirs: by currency, the largest difference first."""
    found: list[Any] = []
    mine = (preview_line.c.run_id == run_key, preview_line.c.kind == kind)
    for behind, order in _PREVIEW_FIRST if after is None else _PREVIEW_BEHIND:
        if len(found) < size:
            statement = _PREVIEW_LINES.where(*mine, *behind).order_by(*order).limit(size - len(found))
            place = (
                {} if after is None else {**after._asdict(), "difference": -max(after.difference, -_LARGEST)}
            )
            found += connection.execute(statement, place)
    return [(PreviewPlace(row.of, min(-int(row.difference), _LARGEST), row.id), row) for row in found]


def preview_rows(connection: Connection, keys: Sequence[int]) -> list[Any]:
    """The preview lines of these keys, 1,000 at most, in their order."""
    found = {
        row.id: row for row in connection.execute(select(preview_line).where(preview_line.c.id.in_(keys)))
    }
    return [found[key] for key in keys if key in found]


def preview_kinds(connection: Connection, run_key: int) -> list[str]:
    """Of what kinds the preview lines of a run are: few, each the next in the index."""
    following = select(func.min(preview_line.c.kind)).where(
        preview_line.c.run_id == run_key, preview_line.c.kind > bindparam("kind")
    )
    kinds: list[str] = []
    while (kind := connection.scalar(following, {"kind": kinds[-1] if kinds else ""})) is not None:
        kinds.append(kind)
    return sorted(kinds)


def has_preview_sums(connection: Connection, run_key: int, kind: str) -> bool:
    """Whether a line of that kind says whose money changes."""
    mine = (preview_line.c.run_id == run_key, preview_line.c.kind == kind)
    statement = (
        select(literal(1)).where(*mine, _CURRENCY > "", preview_line.c.customer_id.is_not(None)).limit(1)
    )
    return connection.scalar(statement) is not None


def preview_sums(connection: Connection, run_key: int, kind: str) -> Iterator[tuple[str, Change]]:
    """What the lines of one kind sum to, by customer and currency."""
    mine = (preview_line.c.run_id == run_key, preview_line.c.kind == kind)
    named = (preview_line.c.customer_id.is_not(None), preview_line.c.currency.is_not(None))
    by = (preview_line.c.customer_id, preview_line.c.currency)
    statement = select(*by, *halves(_BEFORE), *halves(_AFTER)).where(*mine, *named)
    for customer_id, currency, *sums in connection.execute(statement.group_by(*by)):
        before, after = whole(*sums[:2]), whole(*sums[2:])
        yield customer_id, Change(before, after, currency)


def halves(column: ColumnElement[Any]) -> tuple[ColumnElement[Any], ...]:
    """Sums of a column that cannot overflow: SQLite's integers end at 64 bits, and so do its sums."""
    half: ColumnElement[int] = literal_column(f"{_HALF}")  # PostgreSQL shifts by plain integers only
    mask: ColumnElement[int] = literal_column(f"{2**_HALF - 1}")
    return func.sum(column.op(">>")(half)), func.sum(column.op("&")(mask))


def whole(high: Any, low: Any) -> int | None:
    """The sum of two halves; blank where every amount was."""
    return None if high is None else (int(high) << _HALF) + int(low)


def mark_done(connection: Connection, scope_key: int, values: Mapping[str, Any]) -> bool:
    """Mark a scope done with its counts, totals and amounts. False when it was done already."""
    return connection.execute(_MARK_DONE, {"id": scope_key, **values}).rowcount == 1


def pack(numbers: Sequence[int]) -> bytes:
    """64-bit little-endian numbers, one after another."""
    packed = numbers if isinstance(numbers, array) else array("q", numbers)
    return _little(packed).tobytes()


def unpack(packed: bytes) -> array[int]:
    """The numbers that :func:`pack` packed."""
    numbers = array("q")
    numbers.frombytes(packed)
    return _little(numbers)


def _little(numbers: array[int]) -> array[int]:
    if _BIG_ENDIAN:
        numbers = array("q", numbers)
        numbers.byteswap()
    return numbers


_BIG_ENDIAN = array("H", [1]).tobytes() == b"\x00\x01"


def _stored(row: Any, began: object = None) -> StoredScope:
    return StoredScope(
        id=row.id,
        number=row.number,
        first_record=row.first_record,
        done=row.state == "done",
        keys=unpack(row.keys),
        groups=unpack(row.groups),
        ok=row.ok or 0,
        errored=row.errored or 0,
        skipped=row.skipped or 0,
        amounts=None if row.amounts is None else unpack(row.amounts),
        currencies=None if row.currencies is None else json.loads(row.currencies),
        began=began,
    )


def scopes_around(
    connection: Connection, jobs: Sequence[str], group: int, before_run: int, most_runs: int
) -> tuple[list[tuple[int, int]], int | None]:
    """(run key, scope key) of the scopes that may hold records of a group, newest run first.

    Of those of these jobs, which hold their groups in rising order, among the last ``most_runs`` runs before one; then
    the key of the earliest of all of them, or ``None`` where there are none before it.
    """
    some = select(run_table.c.id, run_table.c.job, run_table.c.pruned_at).where(run_table.c.id < before_run)
    some = some.order_by(run_table.c.id.desc()).limit(most_runs)
    runs = some.subquery()
    around = scope.alias("around")  # of a run the one that holds the group, or the one after its place
    first = select(around.c.id).where(around.c.run_id == runs.c.id, around.c.last_group >= group)
    first = first.order_by(around.c.last_group).limit(1)
    held = (
        select(runs.c.id, scope.c.id)
        .join_from(runs, scope, scope.c.id == first.scalar_subquery())
        .where(runs.c.job.in_(jobs), runs.c.pruned_at.is_(None), scope.c.first_group <= group)
        .order_by(runs.c.id.desc())
    )
    found = [(run_key, scope_key) for run_key, scope_key in connection.execute(held)]
    return found, connection.execute(some.limit(1).offset(most_runs - 1)).scalar()
