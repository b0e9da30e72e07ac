"""Whether a job can be restarted: it is killed at every point in turn, and compared with an undisturbed run."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, islice, zip_longest
from math import ceil
from typing import Any

from sqlalchemy import func, select, update

from batchwright.engine.events import Point
from batchwright.engine.job import BatchJob, DryRunJob
from batchwright.engine.run import Run, State
from batchwright.engine.store.tables import scope as scope_table
from batchwright.testing.child import Place, Report
from batchwright.testing.outside import Outside
from batchwright.testing.sandbox import Data, Sandbox
from batchwright.testing.snapshot import (
    Ignored,
    Snapshot,
    Tables,
    exactly_one_outcome,
    ledger_differences,
    mail_differences,
    outside_differences,
    table_differences,
)

SCOPES = 3
"""Scopes that the data is cut into: a first, a last, and one between them."""
SHOWN = 4
"""Differences of one kind that a message shows: of a table, of records, of files."""

BY_ITSELF = (
    "The same data must come to the same result: take the time from scope.now, draw nothing at random, and go through"
    " records in an order of their keys."
)
IN_ITS_TRANSACTION = (
    "What execute does must stand in scope.connection's transaction, which commits with the ledger or not at all:"
    " write through no other connection, never commit, and leave mails, calls and files to finish or to afterwards."
)
KILLED = (
    f"{IN_ITS_TRANSACTION} Keep nothing in memory from one scope to the next: a restarted run has a new object. finish"
    " may be called again, too, if the process dies before its transaction has committed."
)
LET_IT_RAISE = (
    "Let errors of the database pass through execute: the scope is rolled back and tried again as a whole. Whoever"
    " catches them keeps half of what was written."
)
ANY_SCOPES = (
    "A record must come to the same whatever scope it is in, and whenever that is executed: how many there are is"
    " chosen by whoever submits the run, and several may be executed at once. Records that must stay together are a"
    " group. Where a dependence is meant, say any_scopes=False."
)


class NotRestartSafe(AssertionError):
    """The job does not survive a restart. ``differences`` says at which point, table and row."""

    def __init__(self, job: BatchJob, when: str, differences: Sequence[str], remedy: str) -> None:
        shown = [f"  {one}" for one in _first_of_each(differences)]
        if len(differences) > len(shown):
            shown.append(f"  and {len(differences) - len(shown)} more")
        super().__init__("\n".join([f"{job.name} is not safe to restart: {when}", *shown, remedy]))
        self.when = when
        self.differences = differences


@dataclass(slots=True)
class RestartCheck:
    """One check of one job. Call ``run``."""

    sandbox: Sandbox
    job: BatchJob
    data: Data
    outside: Sequence[Outside] = ()
    ignore: Ignored = field(default_factory=dict)
    scope_size: int | None = None
    any_scopes: bool = True
    _before: Tables = field(default_factory=dict)
    _seen_before: Mapping[str, str] = field(default_factory=dict)
    _run: Run = field(init=False)

    def run(self) -> None:
        """All of it. Raises ``NotRestartSafe`` at the first that is wrong, and ``ValueError`` without a record."""
        self.sandbox.fill(self.data)
        self._before = self.sandbox.tables(self.ignore)
        self._seen_before = self._outside_now()
        records = self._same_plan_twice()
        if not records:
            raise ValueError(
                f"start of {self.job.name} gives no record of this data: nothing would be tested"
            )
        size = self.scope_size or ceil(records / SCOPES)
        control, report = self._undisturbed(size)
        self._once_more(control, size)
        self._killed_everywhere(control, report, size)
        self._rehearsed(control, size)
        self._with_passing_faults(control, report, size)
        if self.any_scopes:
            self._in_other_scopes(control, records, size)
        if isinstance(self.job, DryRunJob):
            self._dry()

    def _same_plan_twice(self) -> int:
        """How many records ``start`` gives, after it has given the same twice."""
        report = self._report("when its start was called", purpose="plan")
        first, second = report.plans
        differences = [
            f"call of start: item {place} is {_item(there)}; the first time it was {_item(wanted)}"
            for place, (wanted, there) in enumerate(zip_longest(first, second), start=1)
            if wanted != there
        ]
        self._settle(
            "start changed its mind when it was called again on the same data",
            differences,
            "A plan that was interrupted is made again: start must give the same, in the same order (ORDER BY).",
        )
        return sum(len(one[2]) if one[0] == "Group" else 1 for one in first)

    def _undisturbed(self, size: int) -> tuple[Snapshot, Report]:
        when = "an undisturbed run was not completed"
        report = self._report(when, scope_size=size)
        control = self._now()
        status, error = control.facts["status"], control.facts["error"]
        failed = [] if status == State.COMPLETED else [f"the run is {status}: {error}"]
        self._settle(
            when, failed, "Give data on which the job completes, and mend the job where it does not."
        )
        self._settle("an undisturbed run", list(exactly_one_outcome(control)), IN_ITS_TRANSACTION)
        return control, report

    def _once_more(self, control: Snapshot, size: int) -> None:
        report = self._report("a second run", scope_size=size, watched=True)
        self._settle("its transaction is not its own to end", report.notes, IN_ITS_TRANSACTION)
        self._compare(control, "a second undisturbed run on the same data came to something else", BY_ITSELF)

    def _killed_everywhere(self, control: Snapshot, report: Report, size: int) -> None:
        """One run, taken over and killed again at every place in turn.

        If that comes to something else than undisturbed, halves of the places are tried until one stands alone.
        """
        where = list(places(report.reached))
        failure = self._killed_at(control, where, size)
        if failure is None:
            return
        while len(where) > 1:
            first, second = where[: len(where) // 2], where[len(where) // 2 :]
            nearer = self._killed_at(control, first, size)
            where, failure = (second, failure) if nearer is None else (first, nearer)
        raise self._killed_at(control, where, size) or failure

    def _killed_at(self, control: Snapshot, where: Sequence[Place], size: int) -> NotRestartSafe | None:
        """What is wrong with a run whose processes are killed at these places in turn; ``None`` if nothing is."""
        at = f"at {where[0]}" if len(where) == 1 else f"{len(where)} times, from {where[0]} to {where[-1]}"
        when = f"killed {at}, and taken over by another process"
        run = self._begin(scope_size=size)
        deaths = [self.sandbox.child(self.job, run, kill=place).killed for place in where]
        missed = [place for place, killed in zip(where, deaths, strict=True) if not killed]
        try:
            self._settle(when, [f"it did not come to {place}" for place in missed], BY_ITSELF)
            self._drive(run, when)
            repeat = any(place.point == "mail accepted" for place in where)
            self._compare(control, when, KILLED, may_repeat=repeat)
        except NotRestartSafe as failure:
            return failure
        return None

    def _rehearsed(self, control: Snapshot, size: int) -> None:
        when = "each scope executed, rolled back, and executed again"
        self._report(when, scope_size=size, rehearsed=True)
        self._compare(control, when, KILLED)

    def _with_passing_faults(self, control: Snapshot, report: Report, size: int) -> None:
        """A fault at the first, the middle and the last statement of the first scope."""
        statements = next(iter(report.statements.values()), 0)
        for number in sorted({1, (statements + 1) // 2, statements}) if statements else ():
            when = f"a passing fault of the database at statement {number} of the first scope"
            self._report(when, scope_size=size, fault_at=number)
            self._compare(control, when, LET_IT_RAISE)

    def _in_other_scopes(self, control: Snapshot, records: int, size: int) -> None:
        for other in sorted({1 if records <= 4 * SCOPES else ceil(records / (2 * SCOPES)), records} - {size}):
            when = f"in scopes of {other} in place of {size}"
            self._report(when, scope_size=other)
            self._compare(control, when, ANY_SCOPES, own_figures=False)
        when = "its scopes executed in reverse order"
        run = self._begin(scope_size=size)
        if self.sandbox.child(self.job, run, kill=Place("planned", None)).killed:
            self._reverse(run)
            self._drive(run, when)
            self._compare(control, when, ANY_SCOPES, own_figures=False)

    def _dry(self) -> None:
        when = "a dry run changed something"
        self._report(when, mode="dry_run")
        after = self.sandbox.tables(self.ignore)
        differences = [
            *table_differences(self._before, self._before, after),
            *outside_differences(self._seen_before, self._outside_now()),
        ]
        self._settle(when, differences, "compute writes nothing; what it found is written by apply.")

    def _begin(self, *, mode: str = "batch", scope_size: int | None = None) -> Run:
        self.sandbox.begin_again(self.outside)
        self._run = self.sandbox.submit(self.job, mode=mode, scope_size=scope_size)
        return self._run

    def _report(
        self, when: str, *, mode: str = "batch", scope_size: int | None = None, **what: Any
    ) -> Report:
        """Begin again, and have a child do something with a new run."""
        return self._drive(self._begin(mode=mode, scope_size=scope_size), when, **what)

    def _drive(self, run: Run, when: str, **what: Any) -> Report:
        report = self.sandbox.child(self.job, run, **what).report
        if report.error is not None:
            self._settle(when, [f"the process broke off:\n{report.error}"], "Mend this first.")
        return report

    def _now(self) -> Snapshot:
        return self.sandbox.snapshot(self._run, self.job, self.ignore, self.outside)

    def _outside_now(self) -> Mapping[str, str]:
        return {name: content for one in self.outside for name, content in one.seen().items()}

    def _compare(
        self, control: Snapshot, when: str, remedy: str, *, may_repeat: bool = False, own_figures: bool = True
    ) -> None:
        found = self._now()
        differences = [
            *table_differences(self._before, control.tables, found.tables),
            *ledger_differences(control, found, facts=own_figures),
            *exactly_one_outcome(found),
            *outside_differences(control.outside, found.outside),
        ]
        if own_figures:
            differences += mail_differences(control, found, may_repeat=may_repeat)
        self._settle(when, differences, remedy)

    def _settle(self, when: str, differences: Sequence[str], remedy: str) -> None:
        if differences:
            raise NotRestartSafe(self.job, when, differences, remedy)

    def _reverse(self, run: Run) -> None:
        """Number the run's scopes from the last to the first: they are executed by number."""
        mine = scope_table.c.run_id == run.id
        with self.sandbox.database() as database, database.write() as connection:
            last = connection.execute(select(func.max(scope_table.c.number)).where(mine)).scalar_one()
            # By way of numbers that are free: each may be there only once.
            for number in (-scope_table.c.number, scope_table.c.number + last + 1):
                connection.execute(update(scope_table).where(mine).values(number=number))


def places(reached: Sequence[tuple[Point, int | None]]) -> Iterator[Place]:
    """Where to kill, in the order of a run: every point, in the first scope and in the last; and the last trial."""
    scopes = [scope for _, scope in reached if scope is not None]
    chosen = {None, *scopes[:1], *scopes[-1:]}
    times = Counter(reached)
    came: Counter[tuple[Point, int | None]] = Counter()
    for one in reached:
        came[one] += 1
        first, last = came[one] == 1, came[one] == times[one]
        if (one[1] in chosen and first) or (one[1] is not None and last and not first):
            yield Place(*one, came[one])


def _first_of_each(differences: Sequence[str]) -> Iterator[str]:
    """The first few of every kind: the kind is the text before the first comma or colon."""
    for _, kind in groupby(differences, key=lambda one: re.split("[,:0-9]", one, maxsplit=1)[0]):
        yield from islice(kind, SHOWN)


def _item(one: tuple[Any, ...] | None) -> str:
    if one is None:
        return "not there"
    parts = (str(part) if not isinstance(part, tuple) else f"{list(islice(part, 5))}" for part in one[1:])
    return f"{one[0]}({', '.join(parts)})"
