"""The job of the interrupted run in `revision_0010.sql`, with its imports as they are now."""

from batchwright import BatchJob, Record, Scope, StartContext


class Slow(BatchJob):
    """Three records, a scope each."""

    name = "slow"
    type = "Slow"
    scope_size = 1

    def start(self, context: StartContext) -> list[Record]:
        return [Record(key) for key in range(1, 4)]

    def execute(self, scope: Scope) -> None:
        """Nothing is to be done."""
