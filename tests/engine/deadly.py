"""A job that ends each process which does some of its records, and a process that drives a run of it.

What is deadly stands in the environment: keys of records, or ``start`` or ``finish``.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from pathlib import Path

from batchwright.config.settings import load_settings
from batchwright.engine.job import Finish, Record, Scope, StartContext
from batchwright.operations.app import make_application
from tests.engine.jobs import Parcels

DEADLY = "DEADLY_RECORDS"


class Deadly(Parcels):
    """The parcels job; with a deadly record the process is gone in the midst of a scope."""

    name = "deadly"
    scope_size = 4

    def start(self, context: StartContext) -> Iterable[Record]:
        _die_of("start")
        return super().start(context)

    def apply(self, scope: Scope, computed: object) -> None:
        super().apply(scope, scope.keys)
        _die_of(*map(str, scope.keys))

    def finish(self, finish: Finish) -> None:
        _die_of("finish")


def _die_of(*these: str) -> None:
    if set(these) & set(os.environ[DEADLY].split()):
        os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Work until killed, or until no run is left: as a worker, one run after another."""
    app = make_application(load_settings(os.environ, Path.cwd()))
    claims = app.dispatcher.claims
    monitor = claims.monitor()
    while True:
        run = claims.claim_next().run
        if run is None:
            active = claims.active()
            if not active:
                break
            dead = [one for one in monitor.look(active) if monitor.claim(one)]
            run = claims.take_over(dead[0], lambda: False) if dead else None
        if run is None:
            app.clock.sleep(monitor.interval)
        else:
            app.dispatcher.work(run)
    monitor.close()
    app.close()


if __name__ == "__main__":
    main()
