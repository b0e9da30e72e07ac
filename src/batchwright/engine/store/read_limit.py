"""How long a read may take where somebody waits for a page: it comes soon, or they get an error."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from batchwright.engine.faults import ReadTooLong, is_cancelled

READ_SECONDS: Final[ContextVar[float | None]] = ContextVar("READ_SECONDS", default=None)
"""So many seconds a read transaction in this context may take on SQLite, and each statement of one on PostgreSQL."""
INSTRUCTIONS_BETWEEN_LOOKS: Final = 10_000
"""Of SQLite's machine: less than a millisecond."""


@contextmanager
def limited(connection: Connection) -> Iterator[None]:
    """Within a transaction that reads: raise `ReadTooLong` where it takes longer than `READ_SECONDS`."""
    seconds = READ_SECONDS.get()
    if seconds is None:
        yield
        return
    with told_as_too_long():
        if connection.dialect.name == "sqlite":
            with _interrupted_after(connection, seconds):
                yield
        else:
            connection.exec_driver_sql(f"SET LOCAL statement_timeout = {round(seconds * 1000)}")
            yield


@contextmanager
def told_as_too_long() -> Iterator[None]:
    """Where a statement in the block is ended by the limit: raise `ReadTooLong`."""
    try:
        yield
    except DBAPIError as error:
        seconds = READ_SECONDS.get()
        if seconds is None or not is_cancelled(error):
            raise
        raise ReadTooLong(seconds) from error


@contextmanager
def _interrupted_after(connection: Connection, seconds: float) -> Iterator[None]:
    until = time.monotonic() + seconds
    driver: Any = connection.connection.driver_connection
    driver.set_progress_handler(lambda: time.monotonic() > until, INSTRUCTIONS_BETWEEN_LOOKS)
    try:
        yield
    finally:
        driver.set_progress_handler(None, 0)
