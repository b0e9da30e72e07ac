"""How many rows at a time: lists that are streamed out, and id lists that go into statements in pieces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import Connection, RowMapping, Select

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
