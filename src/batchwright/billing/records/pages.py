"""How many rows at a time: lists that are streamed out, and keys that go into statements in pieces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, RowMapping, Select, Table, update

T = TypeVar("T")

ROWS_AT_A_TIME = 1_000


def stream(connection: Connection, statement: Select[Any]) -> Iterator[RowMapping]:
    """The rows of `statement`, fetched as they are asked for, so that a list of any length needs little memory."""
    yield from connection.execute(statement, execution_options={"yield_per": ROWS_AT_A_TIME}).mappings()


def chunks(items: Sequence[T]) -> Iterator[list[T]]:
    """`items` in lists short enough for the bound parameters of one statement."""
    iterator = iter(items)
    while chunk := list(islice(iterator, ROWS_AT_A_TIME)):
        yield chunk


def update_as_seen(
    connection: Connection,
    table: Table,
    seen: Iterable[RowMapping | Mapping[str, Any]],
    values: Mapping[str, Any],
    *conditions: ColumnElement[bool],
) -> int:
    """Set `values` on the rows that still have the `status` they were `seen` with; how many those were."""
    keys_of: dict[str, list[int]] = {}
    for row in seen:
        keys_of.setdefault(row["status"], []).append(row["id"])
    updated = 0
    for status, keys in keys_of.items():
        for chunk in chunks(keys):
            statement = update(table).where(table.c.id.in_(chunk), table.c.status == status, *conditions)
            updated += connection.execute(statement.values(dict(values))).rowcount
    return updated
