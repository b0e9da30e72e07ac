"""A job without a record: what is left of a run is the engine's own work."""

from __future__ import annotations

from collections.abc import Iterator

from batchwright.engine import BatchJob, Scope
from batchwright.engine.job import Record, StartContext


class EmptyJob(BatchJob):
    """Does nothing."""

    name = "empty"
    type = "Empty"

    def start(self, context: StartContext) -> Iterator[Record]:
        """No record."""
        return iter(())

    def execute(self, scope: Scope) -> None:
        """Never called."""
