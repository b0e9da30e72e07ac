"""A job that keeps the interpreter to itself, as a long call in C does, and a process that drives a run of it.

``python -m tests.engine.grabbing URL RUN_KEY LEASE_SECONDS SECONDS``: says ``grabbing`` on stdout when it begins.
"""

from __future__ import annotations

import ctypes
import sys
import time

from batchwright.engine.clock import SystemClock
from batchwright.engine.job import Scope
from batchwright.engine.store.database import Database
from tests.engine.jobs import Parcels
from tests.engine.rig import Rig


class Grabbing(Parcels):
    """The parcels job; its scope lasts a lease, and then keeps the interpreter."""

    name = "grabbing"

    def apply(self, scope: Scope, computed: object) -> None:
        super().apply(scope, scope.keys)
        lease, seconds = map(float, sys.argv[3:])
        time.sleep(lease)
        print("grabbing", flush=True)  # noqa: T201
        ctypes.PyDLL(None).usleep(int(seconds * 1_000_000))


def main(url: str, run_key: str, lease_seconds: str, _seconds: str) -> None:
    rig = Rig(Database(url), [Grabbing], clock=SystemClock(), lease_seconds=float(lease_seconds))
    run = rig.dispatcher().drive(int(run_key))
    print(run.state, flush=True)  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
