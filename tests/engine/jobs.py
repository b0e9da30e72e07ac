"""A job over a table of its own. A parcel knows how often it was handled, so doing one twice shows."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Integer,
    MetaData,
    Table,
    bindparam,
    insert,
    select,
    update,
)

from batchwright.engine.errors import Refused
from batchwright.engine.job import DryRunJob, Finish, Preview, Record, Scope, StartContext

metadata = MetaData()
parcel = Table(
    "parcel",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("group_key", BigInteger),
    Column("handled", Integer, nullable=False),
)

HALT_AT = "PARCELS_HALT_AT"
"""Environment variable: ``start``, ``execute:2`` (scope) or ``finish`` says so on stdout and waits there."""


def fill(
    connection: Connection, records: int, groups: Callable[[int], int | None] = lambda key: None
) -> None:
    """Parcels 1 to ``records``, none handled."""
    metadata.create_all(connection)
    rows = [{"id": key, "group_key": groups(key), "handled": 0} for key in range(1, records + 1)]
    if rows:
        connection.execute(insert(parcel), rows)


class ParcelsParameters(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    ids: tuple[int, ...] = ()
    customer: str | None = None


class Parcels(DryRunJob):
    """Handles every parcel, or those that are named. A parcel is worth its key in cents."""

    name = "parcels"
    type = "Parcel handling"
    record_noun = "parcel"
    scope_size = 10
    Parameters = ParcelsParameters

    calls: ClassVar[list[tuple[int, ...]]]
    """Keys of every call of ``execute``; made anew by the fixture that registers the job."""
    on_execute: ClassVar[Callable[[Scope], None]]
    """What a test does after the parcels of a scope were written."""

    def select(self, connection: Connection) -> Sequence[int]:
        ids = self.parameters.ids
        known = set(connection.execute(select(parcel.c.id).where(parcel.c.id.in_(ids))).scalars())
        unknown = [key for key in ids if key not in known]
        if unknown:
            raise Refused(f"no such parcels: {unknown}", field="ids", remedy="Name parcels that are there")
        return [*ids]

    def start(self, context: StartContext) -> Iterable[Record]:
        rows = context.connection.execute(
            select(parcel.c.id, parcel.c.group_key).order_by(parcel.c.group_key, parcel.c.id)
        )
        named = {key for page in context.selected() for key in page}
        yield from (Record(key, group) for key, group in rows if not named or key in named)
        halt("start")

    def compute(self, scope: Scope) -> Sequence[int]:
        for key in scope.keys:
            scope.add_total("worth", "USD", key)
        scope.pay("USD", ((key, key) for key in scope.keys))
        return scope.keys

    def apply(self, scope: Scope, computed: Sequence[int]) -> None:
        if computed:
            once_more = update(parcel).where(parcel.c.id == bindparam("key"))
            rows = [{"key": key} for key in computed]
            scope.connection.execute(once_more.values(handled=parcel.c.handled + 1), rows)
        halt(f"execute:{scope.number}")

    def preview(self, scope: Scope, computed: Sequence[int]) -> Iterable[Preview]:
        for key in computed:
            yield Preview("parcel", str(key), None, {"handled": 1})

    def finish(self, finish: Finish) -> None:
        halt("finish")

    def record_ids(self, connection: Connection, keys: Sequence[int]) -> Mapping[int, str]:
        return {key: f"P-{key}" for key in keys}

    def retry_parameters(self, connection: Connection, run: Any, keys: Iterable[int]) -> dict[str, Any]:
        return {"ids": list(keys)}


def halt(place: str) -> None:
    """Say that ``place`` is reached and wait for a line on stdin, if the environment asks for it."""
    if os.environ.get(HALT_AT) == place:
        print(place, flush=True)  # noqa: T201
        sys.stdin.readline()
