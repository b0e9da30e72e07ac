"""Listings of billing records: rows to views, one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sqlalchemy import Connection, RowMapping

from batchwright.operations.app import Application
from batchwright.operations.views import View


def listing(
    app: Application,
    rows: Callable[[Connection], Iterator[RowMapping]],
    view: Callable[[RowMapping], View],
) -> Iterator[View]:
    """The view of each row; nothing is read before the first one is asked for."""
    with app.database.read() as connection:
        for row in rows(connection):
            yield view(row)
