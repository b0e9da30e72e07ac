"""Selections of usage inputs: which ones matched a filter at one moment, and in which status."""

from __future__ import annotations

import json
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    String,
    case,
    cast,
    delete,
    func,
    insert,
    literal_column,
    select,
)

from batchwright.billing.records import input_filter
from batchwright.billing.records.driver import Driver
from batchwright.billing.records.input_filter import InputFilter
from batchwright.billing.records.inputs import InputStatus
from batchwright.billing.tables import DRAFT_CANDIDATE, asset_line_item, input_selection, usage_input
from batchwright.engine.run import ENDED, Totals
from batchwright.engine.store.scopes import halves, pack, unpack, whole
from batchwright.engine.store.tables import run

_COLUMNS: Final = {
    InputStatus.LOADED: input_selection.c.loaded,
    InputStatus.RATED: input_selection.c.rated,
    InputStatus.ERROR: input_selection.c.errored,
}


class Selection:
    """Keys of usage inputs by the status that they had."""

    def __init__(self, keys: Mapping[InputStatus, array[int]]) -> None:
        self._keys = keys

    def keys(self) -> list[int]:
        """All of them, rising."""
        return sorted(key for keys in self._keys.values() for key in keys)

    def status_of(self, key: int) -> InputStatus | None:
        """The status that the input had; ``None`` where it was not selected."""
        for status, keys in self._keys.items():
            place = bisect_left(keys, key)
            if place < len(keys) and keys[place] == key:
                return status
        return None


@dataclass(frozen=True, slots=True)
class Match:
    """What a filter matches now: keys by status, what their amounts sum to, and of how many assets they are.

    ``partial_assets`` are those of which a forecast would take other inputs, too.
    """

    keys: Mapping[InputStatus, array[int]]
    sums: Totals
    assets: int
    partial_assets: int


def count(connection: Connection, where: InputFilter, at_most: int) -> int:
    """How many inputs match; counted no further than one beyond ``at_most``."""
    some = select(usage_input.c.id).where(*input_filter.matching(where)).limit(at_most + 1).subquery()
    return connection.execute(select(func.count()).select_from(some)).scalar_one()


def match(connection: Connection, where: InputFilter) -> Match:
    """What matches, in a transaction that sees one state of the database."""
    texts = connection.execute(_keys_as_text(where)).one()
    keys = [array("q", sorted(json.loads(f"[{some or ''}]"))) for some in texts]
    return Match(dict(zip(_COLUMNS, keys, strict=True)), sums(connection, where), *_assets(connection, where))


def sums(connection: Connection, where: InputFilter) -> Totals:
    """What the amounts of those that match sum to."""
    totals: dict[str, dict[str, int]] = {"rated_amount": {}, "draft_rated_amount": {}}
    for currency, *parts in connection.execute(_sums(where)):
        for name, half in zip(totals, (parts[:2], parts[2:]), strict=True):
            if (amount := whole(*half)) is not None and currency is not None:
                totals[name][currency] = amount
    return totals


def _keys_as_text(where: InputFilter) -> Any:
    # Not by groups: SQLite would sort a million inputs for three of them.
    of_status = (
        func.aggregate_strings(case((usage_input.c.status == status, cast(usage_input.c.id, String))), ",")
        for status in _COLUMNS
    )
    return select(*of_status).where(*input_filter.matching(where))


def _sums(where: InputFilter) -> Any:
    amounts = (*halves(usage_input.c.rated_amount), *halves(usage_input.c.draft_rated_amount))
    return (
        select(asset_line_item.c.currency, *amounts)
        .join_from(usage_input, asset_line_item, asset_line_item.c.id == usage_input.c.asset_key)
        .where(*input_filter.matching(where))
        .group_by(asset_line_item.c.currency)
    )


def _assets(connection: Connection, where: InputFilter) -> tuple[int, int]:
    """Of how many assets inputs match, and of how many of them a forecast would take other inputs, too."""
    if where.takes_whole_assets:
        some = select(usage_input.c.asset_key).where(*input_filter.matching(where)).distinct().subquery()
        return connection.execute(select(func.count()).select_from(some)).scalar_one(), 0
    candidate: ColumnElement[int] = literal_column(f"CASE WHEN {DRAFT_CANDIDATE} THEN 1 ELSE 0 END")
    mine = select(usage_input.c.asset_key, func.sum(candidate)).where(*input_filter.matching(where))
    rows = connection.execute(mine.group_by(usage_input.c.asset_key)).all()
    candidates: dict[int, int] = dict(map(tuple, rows))
    return len(candidates), _partial(connection, candidates)


def _partial(connection: Connection, candidates: Mapping[int, int]) -> int:
    """Of how many of the assets a forecast would take more than so many candidates."""
    driver = Driver(connection)
    rows = driver.rows(
        f"SELECT asset_key, count(*) FROM usage_input WHERE {DRAFT_CANDIDATE} AND asset_key {{among}}"
        " GROUP BY asset_key",
        driver.keys(list(candidates)),
    )
    return sum(number > candidates[asset] for asset, number in rows)


def add(connection: Connection, values: Mapping[str, Any], keys: Mapping[InputStatus, array[int]]) -> None:
    """Store a selection."""
    packed = {column.name: pack(keys[status]) for status, column in _COLUMNS.items()}
    connection.execute(insert(input_selection).values({**values, **packed}))


def owned(connection: Connection, selection_id: str) -> RowMapping | None:
    """``actor``, ``count`` and ``expires_at`` of a selection; ``None`` where there is none."""
    columns = (input_selection.c.actor, input_selection.c.count, input_selection.c.expires_at)
    statement = select(*columns).where(input_selection.c.selection_id == selection_id)
    return connection.execute(statement).mappings().one_or_none()


def figures(connection: Connection, selection_id: str) -> RowMapping | None:
    """``actor``, ``expires_at`` and ``figures`` of a selection; ``None`` where there is none."""
    columns = (input_selection.c.actor, input_selection.c.expires_at, input_selection.c.figures)
    statement = select(*columns).where(input_selection.c.selection_id == selection_id)
    return connection.execute(statement).mappings().one_or_none()


def read(connection: Connection, selection_id: str) -> Selection | None:
    """A selection, whoever made it; ``None`` where there is none, any more."""
    row = connection.execute(
        select(*_COLUMNS.values()).where(input_selection.c.selection_id == selection_id)
    ).one_or_none()
    if row is None:
        return None
    return Selection({status: unpack(packed) for status, packed in zip(_COLUMNS, row, strict=True)})


def any_expired(connection: Connection, before: datetime) -> bool:
    """Whether any expired before then."""
    expired = select(input_selection.c.id).where(input_selection.c.expires_at < before)
    return connection.execute(expired.limit(1)).first() is not None


def prune(connection: Connection, before: datetime) -> int:
    """Delete what expired before then, but for what a run that has not ended works on; how many these were."""
    used = set(_used(connection))
    expired = input_selection.c.expires_at < before
    return connection.execute(
        delete(input_selection).where(expired, input_selection.c.selection_id.not_in(used))
    ).rowcount


def _used(connection: Connection) -> Iterator[str]:
    live = select(run.c.parameters).where(run.c.state.not_in(list(ENDED)))
    for text in connection.execute(live.where(run.c.parameters.contains("selection_id"))).scalars():
        yield str(json.loads(text).get("selection_id"))
