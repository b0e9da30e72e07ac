"""A job whose records take as long as a test wants: each waits for the file `go`, and says that it waits."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

from batchwright.engine.job import BatchJob, Record, Scope, StartContext

RECORDS = 3


class SlowJob(BatchJob):
    """Three records, a scope each."""

    name = "slow"
    type = "Slow"
    scope_size = 1

    def start(self, context: StartContext) -> Iterable[Record]:
        return [Record(key) for key in range(1, RECORDS + 1)]

    def execute(self, scope: Scope) -> None:
        Path(f"at-{scope.number}").touch()
        while not Path("go").exists():
            time.sleep(0.02)
