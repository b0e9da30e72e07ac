"""What a run is given up for: too many errors, the same fault in every record, takeover after takeover."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import Connection

from batchwright.engine.job import UNFORESEEN, Outcome
from batchwright.engine.run import Run
from batchwright.engine.scope import Done
from batchwright.engine.store import scopes

TAKEOVERS_UNTIL_ISOLATED = 3
"""After so many in a row without one more scope the next owner leaves the scopes to a process that may die of them."""
MAX_TAKEOVERS = 6
"""After so many the run fails."""
RECORDS_OF_SAME_FAULT = 50


class GivenUp(Exception):
    """Owner after owner has died in the same place, and the run got no further."""

    def __init__(self, where: str) -> None:
        super().__init__(
            f"given up in {where}: {MAX_TAKEOVERS} takeovers in a row brought it no further; the process that drove it"
            " ended there, or stood still, each time"
        )


class CeilingReached(Exception):
    """More records are errors than the run was allowed."""


def check_ceiling(ceiling: str | None, errored: int, total: int) -> None:
    """Raise ``CeilingReached`` when there are more errors than ``ceiling``: a count, or a percentage of ``total``."""
    if ceiling is None:
        return
    share = ceiling.removesuffix("%")
    exceeded = errored * 100 > Decimal(share) * total if share != ceiling else errored > int(share)
    if exceeded:
        raise CeilingReached(
            f"stopped at the error ceiling of {ceiling}: {errored:,} of {total:,} records errored"
        )


class SameFault(Exception):
    """Every record so far has raised the same at the same place: that is the job's fault."""


@dataclass(slots=True)
class SameFaultCheck:
    """Whether the first records of a run, whole scopes of at least two groups, have all raised the same.

    ``hopeful`` from the first record on that has not.
    """

    hopeful: bool
    fault: str | None = None
    records: int = 0
    groups: int = 0

    def see(self, scope: Done) -> None:
        """Count a scope. Raises ``SameFault``."""
        records = scope.ok + scope.errored + scope.skipped
        if self.hopeful or not records:
            return
        if scope.fault is None or self.fault not in (None, scope.fault):
            self.hopeful = True
            return
        self.fault, self.records, self.groups = (
            scope.fault,
            self.records + records,
            self.groups + scope.groups,
        )
        if self.records >= RECORDS_OF_SAME_FAULT and self.groups != 1:
            raise SameFault(
                f"all of the first {self.records} records raised {self.fault}: that is the job's fault"
            )


def same_fault_so_far(connection: Connection, run: Run) -> SameFaultCheck:
    """The watch of a run that goes on in another process, by the ledger of the scopes that are done. Raises
    ``SameFault``.
    """
    watch = SameFaultCheck(hopeful=False)
    for stored in scopes.read_all(connection, run.id):
        if watch.hopeful:
            break
        if stored.done:
            faults = {_fault_of(outcome) for outcome in scopes.outcomes_of(connection, stored.id).values()}
            fault = faults.pop() if len(faults) == 1 else None
            counts = (stored.ok, stored.errored, stored.skipped)
            watch.see(Done(stored.number, *counts, fault=fault, groups=len(stored.groups)))
    return watch


_FAULT = re.compile(r"(?P<kind>\w+):.*?(?P<place> \[[^\[\]]+:\d+\])?", re.DOTALL)


def _fault_of(outcome: Outcome) -> str | None:
    """``Raised.fault`` of what a record raised, by its message (``Raised.message``)."""
    found = _FAULT.fullmatch(outcome.message) if outcome.code == UNFORESEEN else None
    return found and f"{found['kind']}{found['place'] or ''}"
