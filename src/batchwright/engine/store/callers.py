"""A transaction of somebody else, on a connection of their own engine, that a run is enqueued in."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, inspect, text

from batchwright.engine.errors import DatabaseMissing, Refused

DRIVERS = ("psycopg", "pysqlite")


def join_transaction(connection: Connection) -> None:
    """See to it that what is written from now on is there when the caller commits, and gone when they roll back.

    Python's ``sqlite3`` begins a transaction only at the first change, and SQLAlchemy's ``begin`` leaves it at that:
    here it is begun, with the write lock, unless the caller has done so.

    Raises ``Refused`` for a driver other than ours and for a connection that commits each statement by itself,
    ``DatabaseMissing`` where there are no tables of ours.
    """
    if connection.dialect.driver not in DRIVERS:
        raise Refused(
            f"a run cannot be enqueued through {connection.dialect.driver}",
            field="connection",
            remedy="Connect with postgresql+psycopg:// or sqlite://",
        )
    connection.execute(text("SELECT 1"))  # SQLAlchemy, and whoever listens to it, begin here at the latest
    driver: Any = connection.connection.driver_connection
    if connection.dialect.driver == "psycopg":
        by_itself = driver.autocommit and driver.info.transaction_status.name == "IDLE"
    else:
        by_itself = not driver.in_transaction and _never_begins(driver)
    if by_itself:
        raise Refused(
            "the connection commits each statement by itself, so the run could not be taken back",
            field="connection",
            remedy="Give one with a transaction: no AUTOCOMMIT",
        )
    if connection.dialect.driver == "pysqlite" and not driver.in_transaction:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    if not inspect(connection).has_table("run"):
        raise DatabaseMissing(
            "the connection's database has no tables of Batchwright",
            field="connection",
            remedy="Connect to the database of BATCHWRIGHT_DATABASE_URL, or make it one with `batchwright db upgrade`",
        )


def _never_begins(driver: Any) -> bool:
    # Python 3.12 adds the attribute ``autocommit``, which is -1 where the older ``isolation_level`` counts.
    return driver.isolation_level is None or getattr(driver, "autocommit", -1) is True
