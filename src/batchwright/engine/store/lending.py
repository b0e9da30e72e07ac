"""The connection that a job is lent: it works in a transaction which is the engine's to end."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, NoReturn

from sqlalchemy import Connection

from batchwright.engine.errors import TransactionEnded

REFUSAL = (
    "a scope is one transaction, which commits with its ledger, and so are start and finish: a job does not commit,"
    " roll back or close it; it may use begin_nested()"
)
# After comments. To roll back to a savepoint is the job's own business.
_END = re.compile(
    r"(?:\s|--[^\n]*\n|/\*.*?\*/)*(?:COMMIT|END|ABORT|PREPARE\s+TRANSACTION"
    r"|ROLLBACK(?!\s+(?:(?:WORK|TRANSACTION)\s+)?TO\b))\b",
    re.IGNORECASE | re.DOTALL,
)
_SEVERAL = re.compile(f";{_END.pattern}", re.IGNORECASE | re.DOTALL)
"""What may be several statements of which a later one ends the transaction; or a text, or the body of a function."""
_SAVEPOINT = "batchwright_several"
_LENT = "batchwright_lent"
_AUTHORIZED = "batchwright_authorized"


@contextmanager
def lent(connection: Connection, where: str, began: object = None) -> Iterator[None]:
    """Lend a connection to a job for the block: it and its driver's refuse to end the transaction, but for savepoints.

    Where the job ended it all the same, as in the middle of a statement of several, this raises ``TransactionEnded``
    from the block, with ``where`` that was, and gives the connection up; ``RuntimeError`` where it closed it. ``began``
    is ``CURRENT_TIMESTAMP`` as it was read in the transaction, if that is at hand.
    """
    transaction = connection.get_transaction()
    driver: Any = connection.connection.driver_connection
    if began is None:
        began = _began(driver)

    def check() -> None:
        if _is_closed_on_purpose(driver):
            connection.invalidate()
            raise RuntimeError("the job closed its connection")
        if connection.get_transaction() is not transaction or _has_ended(driver, began):
            connection.invalidate()
            raise TransactionEnded(where)

    process = os.getpid()
    try:
        with ends_refused(connection):
            try:
                yield
            finally:
                if os.getpid() != process:
                    os._exit(1)  # a copy, by a fork: its work, and this connection, are the original's
    except Exception as error:
        try:
            check()
        except (TransactionEnded, RuntimeError) as found:
            raise found from error
        except Exception:  # what the job has raised says more
            raise error from None
        raise
    check()


def _began(driver: Any) -> object:
    """When the current transaction began; no other one of its session began then."""
    if isinstance(driver, sqlite3.Connection):
        return None
    from psycopg.rows import scalar_row

    with driver.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute("SELECT CURRENT_TIMESTAMP").fetchone()


def _has_ended(driver: Any, began: object) -> bool:
    if isinstance(driver, sqlite3.Connection):
        # No statement of the job's can begin another one there: the driver refuses it.
        return not driver.in_transaction
    status = driver.info.transaction_status.name
    if status == "INERROR":
        return _is_savepoint_gone(driver)
    return status == "IDLE" or (status == "INTRANS" and _began(driver) != began)


def _is_savepoint_gone(driver: Any) -> bool:
    """Whether the transaction that failed is another one than that in which the watchful cursor set its savepoint."""
    from psycopg.errors import InvalidSavepointSpecification

    if not getattr(driver, _SAVEPOINT, False):
        return False
    try:
        driver.execute(f"ROLLBACK TO SAVEPOINT {_SAVEPOINT}")
    except InvalidSavepointSpecification:
        return True
    return False


@contextmanager
def ends_refused(connection: Connection) -> Iterator[None]:
    """Have a connection and its driver's refuse to end their transaction in the block, but for savepoints.

    For code of a job that is called aside: without a question to the database, and so without ``lent``'s proof.
    """
    if "commit" in vars(connection):  # it is lent already
        yield
        return
    driver: Any = connection.connection.driver_connection
    names = ("commit", "rollback", "close")
    for name in names:
        setattr(connection, name, _refuse)
    try:
        if isinstance(driver, sqlite3.Connection):
            with _ends_denied(connection, driver):
                yield
        else:
            with _psycopg_refuses(driver):
                yield
    finally:
        for name in names:
            delattr(connection, name)


def _refuse(*_: object) -> NoReturn:
    raise RuntimeError(REFUSAL)


@contextmanager
def _psycopg_refuses(driver: Any) -> Iterator[None]:
    before = driver.cursor_factory
    vars(driver).pop(_SAVEPOINT, None)
    driver.commit = driver.rollback = _refuse
    driver.cursor_factory = _watchful_cursor()
    try:
        yield
    finally:
        del driver.commit, driver.rollback
        driver.cursor_factory = before


@cache
def _watchful_cursor() -> type[Any]:
    from psycopg import Cursor

    class WatchfulCursor(Cursor[Any]):
        def execute(self, query: Any, *args: Any, **options: Any) -> Any:
            text = query.decode(errors="replace") if isinstance(query, bytes) else query
            text = text if isinstance(text, str) else query.as_string(self)
            if _END.match(text):
                _refuse()
            if _SEVERAL.search(text):
                super().execute(f"SAVEPOINT {_SAVEPOINT}")
                setattr(self.connection, _SAVEPOINT, True)
            return super().execute(query, *args, **options)

    return WatchfulCursor


@contextmanager
def _ends_denied(connection: Connection, driver: sqlite3.Connection) -> Iterator[None]:
    """SQLite itself asks about every statement that ends a transaction, or begins one."""
    info = connection.info
    if _AUTHORIZED not in info:  # once: all its statements are compiled again after that
        info[_AUTHORIZED] = True

        def authorize(action: int, *_: object) -> int:
            denied = action == sqlite3.SQLITE_TRANSACTION and _LENT in info
            return sqlite3.SQLITE_DENY if denied else sqlite3.SQLITE_OK

        driver.set_authorizer(authorize)
    info[_LENT] = True
    try:
        yield
    except Exception as error:
        denied = getattr(error, "orig", error)
        if getattr(denied, "sqlite_errorname", None) == "SQLITE_AUTH":
            raise RuntimeError(REFUSAL).with_traceback(error.__traceback__) from None
        raise
    finally:
        info.pop(_LENT, None)


def _is_closed_on_purpose(driver_connection: Any) -> bool:
    """Whether this side has closed a connection of a driver; not so one that broke."""
    if not isinstance(driver_connection, sqlite3.Connection):
        return bool(driver_connection.closed and not driver_connection.broken)
    try:
        return driver_connection.in_transaction is None
    except sqlite3.ProgrammingError:
        return True
