"""A write in the middle of one's own write is refused at once on SQLite, where it would hang for ever."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from batchwright.engine.errors import NestedWrite
from batchwright.engine.job import Finish, Scope
from batchwright.engine.run import State
from batchwright.engine.store.database import Database
from tests.engine.jobs import Parcels
from tests.engine.rig import Rig

pytestmark = [
    pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True),
    pytest.mark.timeout(60),
]


@pytest.mark.parametrize("through", ["the same object", "another object of the same database"])
def test_a_write_within_ones_own_write_is_refused_and_the_first_goes_on(rig: Rig, through: str) -> None:
    url = rig.database.url.render_as_string(hide_password=False)
    inner = rig.database if through == "the same object" else Database(url)
    with rig.database.write() as connection:
        with pytest.raises(NestedWrite, match=r"`connection=`.*`finish\.submit`"), inner.write():
            pass
        connection.exec_driver_sql("DELETE FROM run")
    with inner.write():  # and is not left behind
        pass
    inner.close()


def test_writes_of_other_threads_and_reads_within_a_write_are_free(rig: Rig) -> None:
    def write() -> str:
        with rig.database.write():
            return "written"

    with ThreadPoolExecutor(1) as pool:
        with rig.database.write(), rig.database.read():
            writing = pool.submit(write)
        assert writing.result(30) == "written"


def test_a_job_that_enqueues_another_in_finish_without_its_connection_fails_at_once(
    rig: Rig, spy: type[Parcels]
) -> None:
    def finish(job: Parcels, finish: Finish) -> None:
        rig.submit()

    spy.finish = finish  # type: ignore[method-assign, assignment]
    rig.fill(3)
    run = rig.drive()
    assert run.state is State.FAILED
    assert run.error is not None
    assert "finish.submit" in run.error


def test_a_job_that_enqueues_another_in_execute_without_its_connection_is_told_so(
    rig: Rig, spy: type[Parcels]
) -> None:
    def enqueue(scope: Scope) -> None:
        rig.submit()

    spy.on_execute = staticmethod(enqueue)
    rig.fill(2)
    run = rig.drive()
    assert run.errored == 2
    assert {"connection=" in (one.message or "") for one in rig.outcomes(run)} == {True}
