"""Ten jobs that may be killed anywhere."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, case, delete, func, insert, select, update

from batchwright.engine.errors import Refused
from batchwright.engine.job import BatchJob, DryRunJob, Finish, Group, Preview, Record, Scope, StartContext
from tests.testing.ledger_of_points import PointsJob, entry, member, purchase, summary


def award(scope: Scope) -> None:
    """A point for each whole 100 minor units."""
    mine = purchase.c.id.in_(scope.keys)
    scope.connection.execute(update(purchase).where(mine).values(points=purchase.c.minor / 100))


class SetsPoints(PointsJob):
    """One statement for a scope."""

    name = "sets-points"

    def execute(self, scope: Scope) -> None:
        award(scope)


class AddsToBalances(PointsJob):
    """Adds to what is there: doing it twice would show. Reports amounts and a total."""

    name = "adds-to-balances"

    def execute(self, scope: Scope) -> None:
        award(scope)
        rows = scope.connection.execute(select(purchase).where(purchase.c.id.in_(scope.keys))).all()
        for row in rows:
            more = member.c.balance + row.points
            scope.connection.execute(update(member).where(member.c.id == row.member_id).values(balance=more))
            scope.add_total("points", "USD", row.points)
        scope.pay("USD", [(row.id, row.minor) for row in rows])


class InsertsEntries(PointsJob):
    """Inserts rows whose numbers the database gives, some scopes more than others."""

    name = "inserts-entries"

    def execute(self, scope: Scope) -> None:
        award(scope)
        made = select(purchase.c.id, purchase.c.points).where(purchase.c.id.in_(scope.keys))
        scope.connection.execute(insert(entry).from_select(["purchase_id", "points"], made))


class ReportsBadRecords(PointsJob):
    """Errors, skips and warnings, all foreseen."""

    name = "reports-bad-records"

    def execute(self, scope: Scope) -> None:
        award(scope)
        for key in scope.keys:
            if key == 2:
                scope.error(key, "two", "it is the second")
                scope.warn("two", "the second was met", str(key))
            if key == 6:
                scope.skip(key, "six", "not for this run")


class RaisesOnARecord(PointsJob):
    """One record raises an exception, which the engine traces to it."""

    name = "raises-on-a-record"

    def execute(self, scope: Scope) -> None:
        award(scope)
        if 4 in scope.keys:
            raise ValueError("the fourth")


class WholeMembers(BatchJob):
    """A member with all purchases is a group; the third member has none, and is visited."""

    name = "whole-members"
    type = "Points"

    def start(self, context: StartContext) -> Iterator[Group]:
        for number in context.connection.execute(select(member.c.id).order_by(member.c.id)).scalars().all():
            bought = select(purchase.c.id).where(purchase.c.member_id == number).order_by(purchase.c.id)
            yield Group(number, list(context.connection.execute(bought).scalars()))

    def execute(self, scope: Scope) -> None:
        spent = select(func.coalesce(func.sum(purchase.c.minor), 0)).where(
            purchase.c.member_id == member.c.id
        )
        mine = member.c.id.in_(scope.groups)
        scope.connection.execute(update(member).where(mine).values(balance=spent.scalar_subquery()))


class SumsUpInFinish(PointsJob):
    """``finish`` reads what the scopes have written, and leaves a summary and a warning."""

    name = "sums-up-in-finish"

    def execute(self, scope: Scope) -> None:
        award(scope)

    def finish(self, finish: Finish) -> None:
        points = finish.connection.execute(select(func.sum(purchase.c.points))).scalar_one()
        finish.connection.execute(delete(summary))
        finish.connection.execute(insert(summary).values(name="all", points=points))
        finish.warn("sum", f"{points} points in all")


class ReportParameters(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str


class WritesAReport(PointsJob):
    """``finish`` writes a file, whole and the same however often it is called."""

    name = "writes-a-report"
    Parameters = ReportParameters

    def execute(self, scope: Scope) -> None:
        award(scope)

    def finish(self, finish: Finish) -> None:
        rows = finish.connection.execute(select(purchase.c.id, purchase.c.points).order_by(purchase.c.id))
        part = Path(f"{self.parameters.file}.part")
        part.write_text("".join(f"{key} {points}\n" for key, points in rows), encoding="utf-8")
        os.replace(part, self.parameters.file)


class PointsInTwoHalves(DryRunJob):
    """Computes, then applies; can run dry."""

    name = "points-in-two-halves"
    type = "Points"

    def start(self, context: StartContext) -> Iterator[Record]:
        for row in context.connection.execute(select(purchase).order_by(purchase.c.member_id, purchase.c.id)):
            yield Record(row.id, group=row.member_id)

    def compute(self, scope: Scope) -> dict[int, int]:
        rows = scope.connection.execute(select(purchase).where(purchase.c.id.in_(scope.keys)))
        return {row.id: row.minor // 100 for row in rows}

    def apply(self, scope: Scope, computed: dict[int, int]) -> None:
        if computed:
            points = case(computed, value=purchase.c.id)
            mine = purchase.c.id.in_(computed)
            scope.connection.execute(update(purchase).where(mine).values(points=points))

    def preview(self, scope: Scope, computed: dict[int, int]) -> Iterable[Preview]:
        for key, points in computed.items():
            yield Preview("purchase", str(key), None, {"points": points})


class NamedParameters(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    ids: tuple[int, ...]


class TakesNamedPurchases(BatchJob):
    """Does what its caller named, and remembers when; a cache in its object is no state of the run."""

    name = "takes-named-purchases"
    type = "Points"
    Parameters = NamedParameters

    def __init__(self, **parameters: Any) -> None:
        super().__init__(**parameters)
        self._owners: dict[int, int] = {}

    def select(self, connection: Connection) -> Sequence[int]:
        known = set(connection.execute(select(purchase.c.id)).scalars())
        if unknown := set(self.parameters.ids) - known:
            raise Refused(f"no such purchases: {sorted(unknown)}", field="ids")
        return list(self.parameters.ids)

    def start(self, context: StartContext) -> Iterator[Record]:
        for page in context.selected():
            yield from map(Record, page)

    def execute(self, scope: Scope) -> None:
        if not self._owners:
            rows = scope.connection.execute(select(purchase.c.id, purchase.c.member_id))
            self._owners.update((key, owner) for key, owner in rows)
        award(scope)
        for key in scope.keys:
            at = int(scope.now.timestamp())
            mine = member.c.id == self._owners[key]
            later = case((member.c.balance < at, at), else_=member.c.balance)
            scope.connection.execute(update(member).where(mine).values(balance=later))
