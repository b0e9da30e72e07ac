"""A process that submits five runs with one dedup key at once when told to: ``tests.engine.dedup_submitter URL``."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from pydantic import BaseModel

from batchwright.engine.errors import KeyInUse
from batchwright.engine.job import BatchJob, Record, Scope, StartContext
from batchwright.engine.store.database import Database
from batchwright.engine.submit import Request, submit
from tests.engine.rig import NOW

SUBMITS = 5


class Month(BaseModel):
    month: str | None


class MonthEnd(BatchJob):
    """One live run for each month."""

    name = "month-end"
    type = "Month end"
    Parameters = Month

    @property
    def dedup_key(self) -> str | None:
        month: str | None = self.parameters.month
        return month

    def start(self, context: StartContext) -> Iterable[Record]:
        return []

    def execute(self, scope: Scope) -> None:
        """Nothing to do."""


def main(url: str) -> None:
    database = Database(url)
    start = threading.Barrier(SUBMITS + 1)

    def submit_at_once(_: int) -> str:
        try:
            start.wait(60)
            with database.write() as connection:
                return submit(connection, MonthEnd(month="2023-06"), Request(actor="dana"), NOW).run_id
        except KeyInUse as refusal:
            return f"refused: {refusal.run_id}"

    with ThreadPoolExecutor(SUBMITS) as threads:
        answers = threads.map(submit_at_once, range(SUBMITS))
        print("ready", flush=True)  # noqa: T201
        sys.stdin.readline()
        start.wait(60)
        for answer in answers:
            print(answer, flush=True)  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1])
