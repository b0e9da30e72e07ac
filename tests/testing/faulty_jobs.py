"""Ten jobs with one fault each. Every one of them passes a test that only runs it."""

from __future__ import annotations

import random
import smtplib
import sqlite3
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import insert, select, update

from batchwright.engine.job import Finish, Record, Scope, StartContext
from tests.testing.ledger_of_points import PointsJob, entry, member, purchase, summary
from tests.testing.sound_jobs import award


class FileParameters(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str


class MailParameters(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str
    port: int


class WritesOutsideTheTransaction(PointsJob):
    """Puts rows into a file that a scope, rolled back, leaves there."""

    name = "writes-outside-the-transaction"
    Parameters = FileParameters

    def execute(self, scope: Scope) -> None:
        award(scope)
        with Path(self.parameters.file).open("a", encoding="utf-8") as file:
            file.writelines(f"{key}\n" for key in scope.keys)


class MailsInExecute(PointsJob):
    """Tells somebody of each purchase while it is worked on."""

    name = "mails-in-execute"
    Parameters = MailParameters

    def execute(self, scope: Scope) -> None:
        award(scope)
        with smtplib.SMTP(self.parameters.host, self.parameters.port) as server:
            for key in scope.keys:
                server.sendmail("a@example.com", ["b@example.com"], f"Subject: points for purchase {key}")


class KeepsASumInMemory(PointsJob):
    """Adds up in its object what the scopes came to, and writes it in ``finish``."""

    name = "keeps-a-sum-in-memory"

    def __init__(self, **parameters: Any) -> None:
        super().__init__(**parameters)
        self._sum = 0

    def execute(self, scope: Scope) -> None:
        award(scope)
        self._sum += sum(key for key in scope.keys)

    def finish(self, finish: Finish) -> None:
        finish.connection.execute(insert(summary).values(name="all", points=self._sum))


class ChangesItsMind(PointsJob):
    """Takes a sample, another each time."""

    name = "changes-its-mind"

    def start(self, context: StartContext) -> Iterator[Record]:
        keys = list(context.connection.execute(select(purchase.c.id)).scalars())
        random.shuffle(keys)
        yield from map(Record, keys)

    def execute(self, scope: Scope) -> None:
        award(scope)


class CommitsByItself(PointsJob):
    """Ends its transaction where that is not refused."""

    name = "commits-by-itself"

    def execute(self, scope: Scope) -> None:
        award(scope)
        raw: Any = scope.connection.connection.driver_connection
        if scope.connection.dialect.name == "postgresql":
            raw.execute("SELECT 1; COMMIT")
        else:
            with suppress(sqlite3.IntegrityError):
                raw.execute("INSERT OR ROLLBACK INTO purchase SELECT * FROM purchase LIMIT 1")


class CountsInAFile(PointsJob):
    """Numbers what it does from a file, which knows nothing of a roll-back."""

    name = "counts-in-a-file"
    Parameters = FileParameters

    def execute(self, scope: Scope) -> None:
        file = Path(self.parameters.file)
        last = int(file.read_text(encoding="utf-8")) if file.exists() else 0
        for number, key in enumerate(scope.keys, start=last + 1):
            mine = purchase.c.id == key
            scope.connection.execute(update(purchase).where(mine).values(points=number))
        file.write_text(str(last + len(scope.keys)), encoding="utf-8")


class DrawsAtRandom(PointsJob):
    """Computes from the wall clock."""

    name = "draws-at-random"

    def execute(self, scope: Scope) -> None:
        mine = purchase.c.id.in_(scope.keys)
        scope.connection.execute(update(purchase).where(mine).values(points=time.time_ns()))


class DependsOnItsScopes(PointsJob):
    """Gives the first purchase of each scope a bonus."""

    name = "depends-on-its-scopes"

    def execute(self, scope: Scope) -> None:
        award(scope)
        first = purchase.c.id == min(scope.keys)
        scope.connection.execute(update(purchase).where(first).values(points=purchase.c.points + 1000))


class SwallowsItsErrors(PointsJob):
    """Makes an entry and adds to a balance; when that fails, calls the record bad and keeps the entry."""

    name = "swallows-its-errors"

    def execute(self, scope: Scope) -> None:
        award(scope)
        for key in scope.keys:
            try:
                scope.connection.execute(insert(entry).values(purchase_id=key, points=key))
                owner = select(purchase.c.member_id).where(purchase.c.id == key).scalar_subquery()
                more = update(member).where(member.c.id == owner).values(balance=member.c.balance + key)
                scope.connection.execute(more)
            except Exception as error:
                scope.error(key, "failed", type(error).__name__)


class FinishesTwice(PointsJob):
    """Appends to a report in ``finish``."""

    name = "finishes-twice"
    Parameters = FileParameters

    def execute(self, scope: Scope) -> None:
        award(scope)

    def finish(self, finish: Finish) -> None:
        with Path(self.parameters.file).open("a", encoding="utf-8") as file:
            file.write(f"{finish.run.processed} purchases\n")
