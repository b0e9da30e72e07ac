"""A job cannot end the transaction of its scope."""

from __future__ import annotations

import pytest

from batchwright.engine.job import Scope
from batchwright.engine.run import State
from tests.engine.jobs import Parcels
from tests.engine.rig import Rig


@pytest.mark.parametrize("name", ["commit", "rollback", "close"])
def test_the_connection_of_a_scope_refuses_to_end_its_transaction(
    rig: Rig, spy: type[Parcels], name: str
) -> None:
    spy.on_execute = staticmethod(
        lambda scope: getattr(scope.connection, name)() if 8 in scope.keys else None
    )
    rig.fill(10)
    run = rig.drive()
    assert (run.state, run.processed, run.errored) == (State.COMPLETED, 9, 1)
    assert rig.handled() == {key: int(key != 8) for key in range(1, 11)}
    (error,) = [one for one in rig.outcomes(run) if one.outcome == "error"]
    assert "begin_nested" in (error.message or "")


def test_a_savepoint_is_the_jobs_own(rig: Rig, spy: type[Parcels]) -> None:
    def nested(scope: Scope) -> None:
        with scope.connection.begin_nested():
            pass

    spy.on_execute = staticmethod(nested)
    rig.fill(10)
    assert rig.drive().processed == 10
