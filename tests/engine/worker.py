"""A process of its own that drives one run: ``python -m tests.engine.worker URL RUN_KEY``."""

from __future__ import annotations

import sys

from batchwright.engine.store.database import Database
from tests.engine.jobs import Parcels
from tests.engine.rig import Rig


def main(url: str, run_key: str) -> None:
    rig = Rig(Database(url), [Parcels])
    run = rig.dispatcher().drive(int(run_key))
    print(run.state, flush=True)  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
