"""A process with a limit of connections waits for one that is free, says so when none becomes free, and gets its work
done with few of them.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from batchwright.engine.clock import SystemClock
from batchwright.engine.faults import database_error_text, is_transient
from batchwright.engine.run import State
from batchwright.engine.store.database import Database
from batchwright.engine.store.engines import FOR_LEASES, Pool
from tests.engine.jobs import Parcels
from tests.engine.rig import Rig

pytestmark = [
    pytest.mark.on_both,
    pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True),
]


@pytest.fixture
def scarce(migrated_url: str) -> Iterator[Database]:
    """A database to which this process has two connections."""
    database = Database(migrated_url, pool=Pool(1, 1, 0.05))
    yield database
    database.close()


def test_who_finds_no_connection_free_is_told_and_the_next_one_that_is_free_is_taken(
    scarce: Database,
) -> None:
    with scarce.read(), scarce.read(), capture_logs() as logged:
        with pytest.raises(OperationalError) as refused, scarce.read():
            pass
        assert is_transient(refused.value)
        words = database_error_text(refused.value)
        assert words is not None
        assert "all 2 connections of this process" in words[0]
        assert "BATCHWRIGHT_MAX_OVERFLOW" in words[1]
        assert [line["event"] for line in logged] == ["no connection to the database was free"]
    with scarce.read():
        pass


def test_no_work_makes_a_heartbeat_wait(scarce: Database) -> None:
    with scarce.read(), scarce.read(), scarce.lease_engine.connect():
        pass
    assert Pool(1, 1).for_leases == Pool(FOR_LEASES, 0)
    assert Pool().for_leases == Pool(FOR_LEASES, -1)


def test_a_run_is_driven_with_two_connections(migrated_url: str, spy: type[Parcels]) -> None:
    rig = Rig(Database(migrated_url, pool=Pool(2, 0, 5.0)), [spy], clock=SystemClock())
    rig.fill(30)
    assert rig.drive(scope_size=10).state is State.COMPLETED
    rig.database.close()
