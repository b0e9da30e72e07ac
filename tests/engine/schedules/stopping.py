"""A process that stops in the transaction that fires: `python -m tests.engine.schedules.stopping URL SCHEDULE_KEYS`."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import Connection

from batchwright.engine.errors import Refused
from batchwright.engine.run import Run
from batchwright.engine.schedule import Schedule
from batchwright.engine.schedules.policy import Start
from batchwright.engine.store import engines
from batchwright.engine.store.database import Database
from tests.engine.jobs import Parcels
from tests.engine.rig import Rig
from tests.engine.schedules.making import Bench


class StoppingBench(Bench):
    """Stops itself with the runs inserted and nothing committed, once."""

    is_to_stop = True

    def submit(
        self, connection: Connection, starts: Sequence[tuple[Schedule, Start]]
    ) -> Sequence[Run | Refused]:
        submitted = super().submit(connection, starts)
        if self.is_to_stop:
            self.is_to_stop = False
            os.kill(os.getpid(), signal.SIGSTOP)
        return submitted


def main(url: str, *keys: str) -> None:
    engines.MILLISECONDS_STANDING_STILL = 1_000
    bench = StoppingBench(Rig(Database(url), [Parcels]))
    bench.clock.sleep(timedelta(minutes=1).total_seconds())
    bench.firing().fire([int(key) for key in keys])


if __name__ == "__main__":
    main(*sys.argv[1:])
