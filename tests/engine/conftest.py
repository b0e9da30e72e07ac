"""A rig on each database, with the parcels job made anew."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from batchwright.engine.job import Scope
from batchwright.engine.store.database import Database
from tests.engine.jobs import Parcels
from tests.engine.rig import Rig


class Spy(Parcels):
    """The parcels job, counting calls and doing after each what the test wants."""

    def execute(self, scope: Scope) -> None:
        type(self).calls.append(tuple(scope.keys))
        super().execute(scope)
        type(self).on_execute(scope)


@pytest.fixture
def spy() -> type[Parcels]:
    """The job named ``parcels``, for this test alone."""
    return type("Spy", (Spy,), {"calls": [], "on_execute": staticmethod(lambda scope: None)})


@pytest.fixture
def at_the_keyboard() -> Iterator[None]:
    """Ctrl-C raises `KeyboardInterrupt`, also in a process that was started in the background of a script."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def rig(migrated_url: str, spy: type[Parcels]) -> Iterator[Rig]:
    """An engine on a migrated database without a parcel."""
    database = Database(migrated_url)
    yield Rig(database, [spy])
    database.close()
