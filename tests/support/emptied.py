"""One migrated PostgreSQL database for the tests of a process, emptied between them.

A copy for each test would take many times as long. Each test finds the database under a name of its own: whatever the
test before left behind, a thread or a process, knows only a name that is gone.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql

import batchwright.billing.tables
import batchwright.notifications.tables
import batchwright.operations.tables  # noqa: F401  (each adds its tables to the metadata)
from batchwright.engine.store.tables import lease_metadata, metadata
from tests.support.postgres import PostgresServer

SECONDS_TO_END_SESSIONS = 5.0
_numbers = itertools.count(1)  # of all databases of this process: a server has one for each name
_TABLES = [table.name for one in (lease_metadata, metadata) for table in reversed(one.sorted_tables)]

# Pages are all that is asked for: to delete nothing takes less than to look for rows. A large table would keep its
# dead rows. What a migration does not make, the test did.
_EMPTY = f"""
DO $$
DECLARE name text;
BEGIN
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public'
            AND tablename <> ALL (ARRAY{[*_TABLES, "alembic_version"]}) LOOP
        EXECUTE format('DROP TABLE %I CASCADE', name);
    END LOOP;
    FOREACH name IN ARRAY ARRAY{_TABLES} LOOP
        IF pg_relation_size(name::regclass) > 1048576 THEN
            EXECUTE format('TRUNCATE %I CASCADE', name);
        ELSIF pg_relation_size(name::regclass) > 0 THEN
            EXECUTE format('DELETE FROM %I', name);
        END IF;
    END LOOP;
    PERFORM setval(format('%I', sequencename)::regclass, start_value, false)
        FROM pg_sequences WHERE schemaname = 'public' AND last_value IS NOT NULL;
END $$
"""

# All that a test may have done to a database besides writing rows, and its revision.
_SHAPE = """
SELECT md5(string_agg(part, ' ' ORDER BY part)) FROM (
    SELECT concat_ws(':', relname, relkind, relnatts) FROM pg_class WHERE relnamespace = 'public'::regnamespace
    UNION ALL SELECT concat_ws(':', attrelid::regclass, attname, atttypid, attnotnull) FROM pg_attribute
        WHERE attrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace) AND attnum > 0
    UNION ALL SELECT conname FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    UNION ALL SELECT concat_ws(':', tgname, tgenabled) FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL SELECT concat_ws(':', proname, prosrc) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION ALL SELECT array_to_string(setconfig, ',') FROM pg_db_role_setting AS setting
        JOIN pg_database AS own ON own.oid = setting.setdatabase WHERE datname = current_database()
    UNION ALL SELECT version_num FROM alembic_version
) AS shape (part)
"""


class LeftBehindError(AssertionError):
    """A test ended, and something of it goes on using its database."""


class EmptiedDatabase:
    """A copy of a migrated database that is lent to one test after another.

    Args:
        server: where it is made when it is first lent.
        template: the name of the migrated database.
    """

    def __init__(self, server: PostgresServer, template: str) -> None:
        self._server = server
        self._template = template
        self._administration = server.connect()
        self._name: str | None = None
        with server.connect(template) as connection:
            self._shape = connection.execute(_SHAPE).fetchone()
            self._first_rows = [
                (table, row)
                for table in _TABLES
                for (row,) in connection.execute(
                    sql.SQL("SELECT to_jsonb(one)::text FROM {} AS one").format(sql.Identifier(table))
                )
            ]

    @contextmanager
    def lent(self) -> Iterator[str]:
        """The URL of the database, without a row and as it was migrated.

        Raises:
            LeftBehindError: at the end, when sessions on it outlast their test. They are ended.
        """
        name = f"lent_{os.getpid()}_{next(_numbers)}"
        if self._name is None:
            self._server.create_database(name, template=self._template)
        else:
            self._server.rename_database(self._name, name)
        self._name = name
        try:
            yield self._server.url(name)
        finally:
            left = self._sessions_left(name)
            if left or not self._empty(name):
                self.drop()
        if left:
            raise LeftBehindError(f"Sessions that outlast their test and its fixtures: {left}")

    def drop(self) -> None:
        """Take it away, with the sessions on it; whoever comes next gets a new one."""
        if self._name is not None:
            self._server.drop_database(self._name)
            self._name = None

    def close(self) -> None:
        """Take it away for good."""
        self.drop()
        self._administration.close()

    def _empty(self, name: str) -> bool:
        """Whether it is as it was migrated after its rows have been taken out."""
        try:
            with self._server.connect(name) as connection:
                connection.execute(_EMPTY)
                for table, row in self._first_rows:
                    insert = "INSERT INTO {0} SELECT * FROM jsonb_populate_record(NULL::{0}, {1})"
                    connection.execute(sql.SQL(insert).format(sql.Identifier(table), row))
                shape = connection.execute(_SHAPE).fetchone()
        except psycopg.Error:
            return False
        return shape == self._shape and not self._sessions_left(name)

    def _sessions_left(self, name: str) -> list[Any]:
        """Who still uses it; a session that is being closed gets the time to end."""
        deadline = time.monotonic() + SECONDS_TO_END_SESSIONS
        while True:
            statement = sql.SQL(
                "SELECT pid, application_name, state, query FROM pg_stat_activity"
                " WHERE datname = {} AND backend_type = 'client backend'"
            ).format(name)
            try:
                left = self._administration.execute(statement).fetchall()
            except psycopg.OperationalError:  # the test has ended the server, which is there again
                self._administration.close()
                self._administration = self._server.connect()
                continue
            if not left or time.monotonic() > deadline:
                return left
            time.sleep(0.001)
