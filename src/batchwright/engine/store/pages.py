"""Listings in pages: whoever reads one may take all day, so each page is a read of its own, over before it is shown.

A read that stayed open would keep PostgreSQL from using the room of rows that were rewritten since, and SQLite from
writing its ``-wal`` back. A row that changes between two pages shows as it is then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Column, Connection, RowMapping, Select, tuple_

from batchwright.engine.store.database import Database

Item = TypeVar("Item")
Place = TypeVar("Place")

ROWS_AT_A_TIME = 1_000


@dataclass(frozen=True, slots=True)
class Listing:
    """The rows of ``statement`` in the order of ``key``, ``limit`` of them at most.

    The key's columns are among the statement's, none is ever empty, and together they are one row's for as long as
    it exists: a page begins after the key of the last row, so no row comes twice, and none that stays is left out.
    """

    statement: Select[Any]
    key: tuple[Column[Any], ...]
    limit: int | None = None
    newest_first: bool = False

    def page(
        self,
        last: RowMapping | Mapping[str, Any] | None,
        size: int | None,
        end: RowMapping | None = None,
    ) -> Select[Any]:
        """The statement of the page after the row ``last``, or of the first; not beyond the row ``end``, if any."""
        columns = [column.desc() for column in self.key] if self.newest_first else self.key
        statement = self.statement.order_by(*columns).limit(size)
        key = tuple_(*self.key)
        if last is not None:
            statement = statement.where(
                key < self._seen(last) if self.newest_first else key > self._seen(last)
            )
        if end is not None:
            statement = statement.where(
                key >= self._seen(end) if self.newest_first else key <= self._seen(end)
            )
        return statement

    def _seen(self, row: RowMapping | Mapping[str, Any]) -> tuple[Any, ...]:
        return tuple(row[column.name] for column in self.key)


def rows(database: Database, listing: Listing) -> Iterator[RowMapping]:
    """The rows of a listing; nothing is read before the first is asked for."""
    left = listing.limit

    def read(
        connection: Connection, last: RowMapping | None
    ) -> tuple[Sequence[RowMapping], RowMapping | None]:
        nonlocal left
        size = ROWS_AT_A_TIME if left is None else min(left, ROWS_AT_A_TIME)
        found = connection.execute(listing.page(last, size)).mappings().all()
        left = None if left is None else left - len(found)
        return found, found[-1] if len(found) == size and left != 0 else None

    return pages(database, read)


def rows_within(connection: Connection, listing: Listing) -> Iterator[RowMapping]:
    """The rows of a listing in the caller's transaction, which keeps them as they are."""
    statement = listing.page(None, listing.limit)
    yield from connection.execute(statement, execution_options={"yield_per": ROWS_AT_A_TIME}).mappings()


def pages(
    database: Database, read: Callable[[Connection, Place | None], tuple[Sequence[Item], Place | None]]
) -> Iterator[Item]:
    """What ``read`` gives, page after page: it gets the place that it gave last, and gives ``None`` at the end."""
    place: Place | None = None
    while True:
        with database.read() as connection:
            items, place = read(connection, place)
        yield from items
        if place is None:
            return
