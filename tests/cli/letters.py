"""A job from outside with a table of its own, for tests that copy this file into their working directory."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Column, Connection, Integer, MetaData, String, Table, insert, select, update

from batchwright.engine import BatchJob, Record, Scope
from batchwright.engine.job import StartContext

letter = Table("letter", MetaData(), Column("id", Integer, primary_key=True), Column("note", String(200)))


class Size(BaseModel):
    """A parameter that is an object."""

    width: int


class Parameters(BaseModel):
    """One of every kind."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    day: date = Field(description="The day of posting.")
    up_to: int = Field(default=9, ge=1)
    only: list[int] | None = None
    stamp: Decimal = Decimal("0.80")
    kind: Literal["plain", "express"] = "plain"
    size: Size | None = None
    dry: bool = False


class PostLetters(BatchJob):
    """Posts letters."""

    name = "post-letters"
    type = "Letter posting"
    record_noun = "letter"
    scope_size = 2
    Parameters = Parameters

    def start(self, context: StartContext) -> Iterable[Record]:
        keys = context.connection.execute(select(letter.c.id).order_by(letter.c.id)).scalars().all()
        wanted = self.parameters.only or keys
        return [Record(key) for key in keys if key in wanted and key <= self.parameters.up_to]

    def execute(self, scope: Scope) -> None:
        if not self.parameters.stamp:
            for key in scope.keys:
                scope.error(key, "no_stamp", "A letter needs a stamp")
            return
        note = f"{self.parameters.day:%d %B} {self.parameters.stamp} {self.parameters.kind}"
        scope.connection.execute(update(letter).where(letter.c.id.in_(scope.keys)).values(note=note))


def fill(connection: Connection, letters: int) -> None:
    """The table, with letters 1 to `letters`."""
    letter.metadata.create_all(connection)
    connection.execute(insert(letter), [{"id": key} for key in range(1, letters + 1)])
