"""Selections of usage inputs: which ones matched a filter at one moment, and in which status."""

from __future__ import annotations

import json
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
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
    null,
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
    *keys, candidates, others = map(_numbers, connection.execute(_keys_as_text(where)).one())
    of_asset = Counter(candidates)
    of_asset.update(dict.fromkeys(set(others) - of_asset.keys(), 0))
    partial = 0 if where.takes_whole_assets else _partial(connection, of_asset)
    packed = {status: array("q", sorted(some)) for status, some in zip(_COLUMNS, keys, strict=True)}
    totals = sums(connection, input_filter.matching(where))[1]
    return Match(packed, totals, len(of_asset), partial)


def sums(
    connection: Connection, conditions: Sequence[ColumnElement[bool]], *, joined: bool = True
) -> tuple[int, Totals]:
    """How many inputs meet the conditions, and what their amounts sum to.

    The conditions are also on their assets, which are ``joined``; or else few inputs meet them: for those PostgreSQL
    would take up all assets.
    """
    number, totals = 0, dict[str, dict[str, int]](rated_amount={}, draft_rated_amount={})
    amounts = (*halves(usage_input.c.rated_amount), *halves(usage_input.c.draft_rated_amount))
    on = asset_line_item.c.id == usage_input.c.asset_key
    currency_of = select(asset_line_item.c.currency).where(on).scalar_subquery()
    currencies = (asset_line_item.c.currency if joined else currency_of).label("currency")
    counted = select(currencies, func.count(), *amounts).where(*conditions).group_by("currency")
    grouped = (
        counted.join_from(usage_input, asset_line_item, on) if joined else counted.select_from(usage_input)
    )
    for currency, count_of_it, *parts in connection.execute(grouped):
        number += count_of_it
        for name, half in zip(totals, (parts[:2], parts[2:]), strict=True):
            if (amount := whole(*half)) is not None and currency is not None:
                totals[name][currency] = amount
    return number, totals


def _keys_as_text(where: InputFilter) -> Any:
    """Keys of inputs by status; those of the assets, of inputs that a forecast would take, and of the others."""
    # Not by groups, of statuses or assets: either database would sort a million inputs for them.
    parts = [case((usage_input.c.status == status, usage_input.c.id)) for status in _COLUMNS]
    is_candidate: ColumnElement[bool] = literal_column(f"{DRAFT_CANDIDATE}")
    key, none = usage_input.c.asset_key, null()
    parts += case((is_candidate, key)), case((is_candidate, none), else_=key)
    texts = (func.aggregate_strings(cast(part, String), ",") for part in parts)
    return select(*texts).where(*input_filter.matching(where))


def _numbers(text: str | None) -> list[int]:
    numbers: list[int] = json.loads(f"[{text or ''}]")
    return numbers


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
