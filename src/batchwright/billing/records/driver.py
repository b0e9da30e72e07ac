"""The raw driver under a connection, for the statements that run a million times.

SQLAlchemy's own execution of many rows costs two to three times the driver's. Statements are written once with ``?``
and arrays; the two databases differ only in how a list of keys is passed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection

_DAY = re.compile(r"\{day:([a-z_.]+)\}")
_NUMBER = re.compile(r"\{number:([a-z_.]+)\}")


class Driver:
    """Statements on the raw driver, inside the connection's transaction."""

    def __init__(self, connection: Connection) -> None:
        self.is_postgresql = connection.dialect.name == "postgresql"
        self.cursor: Any = connection.connection.driver_connection.cursor()  # type: ignore[union-attr]

    def rows(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """All rows of a query.

        ``{among}`` after a column stands for «is in this list of keys», which may hold one twice; ``FROM {each} JOIN``
        goes through a list of different ones as ``k.value``, in its order on SQLite, and is quicker.
        ``{day:column}`` and ``{number:column}`` stand for a date and a decimal as text.
        """
        rows: list[tuple[Any, ...]] = self.cursor.execute(
            _spelled(statement, self.is_postgresql), parameters
        ).fetchall()
        return rows

    def execute(self, statement: str, *parameters: Any) -> int:
        """Execute a statement, spelled as for :meth:`rows`; how many rows it changed."""
        self.cursor.execute(_spelled(statement, self.is_postgresql), parameters)
        return int(self.cursor.rowcount)

    def each(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> int:
        """Execute the statement for each row; how many rows it changed."""
        if not rows:
            return 0
        self.cursor.executemany(_spelled(statement, self.is_postgresql), rows)
        return int(self.cursor.rowcount)

    def update(self, rows: Sequence[tuple[Any, ...]], from_arrays: str, one_by_one: str) -> int:
        """Write a set of rows in the quickest way; how many rows changed.

        On PostgreSQL it is one UPDATE ``from_arrays``, with an array for each column; on SQLite ``one_by_one``.
        """
        if not rows:
            return 0
        if self.is_postgresql:
            self.cursor.execute(from_arrays, [array_text(column) for column in zip(*rows, strict=True)])
        else:
            self.cursor.executemany(one_by_one, rows)
        return int(self.cursor.rowcount)

    def joined(self, column: str) -> str:
        """The expression for a column's values of a whole group, as one text with commas between them."""
        return f"string_agg({column}::text, ',')" if self.is_postgresql else f"group_concat({column})"

    def keys(self, keys: Sequence[int]) -> Any:
        """A list of keys as the parameter of ``{among}`` or ``{each}``."""
        return array_text(keys) if self.is_postgresql else json.dumps(list(keys))


@cache
def _spelled(statement: str, is_postgresql: bool) -> str:
    if is_postgresql:
        plain = statement.replace("{among}", "= ANY(?::bigint[])").replace(
            "{each}", "unnest(?::bigint[]) AS k (value)"
        )
        plain = plain.replace("?", "%s")
        return _NUMBER.sub(r"\1::text", _DAY.sub(r"to_char(\1, 'YYYY-MM-DD')", plain))
    plain = statement.replace("{among}", "IN (SELECT value FROM json_each(?))")
    plain = plain.replace("{each} JOIN", "json_each(?) AS k CROSS JOIN")  # CROSS: from the left to the right
    return _NUMBER.sub(r"\1", _DAY.sub(r"\1", plain))  # SQLite keeps both as text


def array_text(values: Iterable[int | str | None]) -> str:
    """A PostgreSQL array as text: psycopg takes longer to adapt two thousand numbers than the server to read them.

    For numbers, and texts that need no quotes.
    """
    return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"
