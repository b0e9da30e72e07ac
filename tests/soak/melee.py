"""Everything that may be done to usage inputs, done at once over the same ones: every input is charged once.

Rate twice, draft, unrate, recalculate, reset, edit, amend, invoice and reprice, each in an application of its own; see
`tests/jobs/melee.py`. The company is made anew every tenth seed and grows older in between.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Final

from batchwright.engine.store.database import upgrade
from batchwright.operations.app import Application, make_application
from batchwright.testing.clock import StandingClock
from tests.jobs.melee import play, some_inputs
from tests.jobs.world import World
from tests.support.application import NOW, make_settings

Say = Callable[[str], None]

INPUTS_PER_ASSET: Final = 50
_SEEDS_OF_A_COMPANY: Final = 10
_SCOPE_SIZE: Final = 300
_ROUNDS: Final = 4


def compare(url: str, folder: Path, *, seeds: Sequence[int], inputs: int, say: Say) -> list[str]:
    """Play once for each seed in the empty database; what went wrong, a line each."""
    faults: list[str] = []
    assets = max(2, inputs // INPUTS_PER_ASSET)
    with application(url, folder) as app:
        world = World(app)
        for number, seed in enumerate(seeds):
            if number % _SEEDS_OF_A_COMPANY == 0:
                world = World(app)
                world.begin(some_inputs(Random(seed), inputs, assets), assets)
            began = time.monotonic()
            found = play(world, folder, seed, scope_size=_SCOPE_SIZE, rounds=_ROUNDS)
            faults += [f"seed {seed}: {fault}" for fault in found]
            statuses = Counter(row.status for row in world.inputs())
            seconds = time.monotonic() - began
            say(
                f"seed {seed}: {len(found)} faults, {dict(statuses)}, {len(world.billed)} bills kept, {seconds:.0f} s"
            )
    return faults


@contextmanager
def application(url: str, folder: Path) -> Iterator[Application]:
    """An application on a database that is empty yet."""
    upgrade(url)
    app = make_application(make_settings(url, folder), clock=StandingClock(NOW))
    yield app
    app.close()
