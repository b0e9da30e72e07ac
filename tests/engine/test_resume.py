"""A run whose process was killed or put to sleep anywhere is finished by another, and no record is done twice."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator

import pytest

from batchwright.engine import events
from batchwright.engine.run import Run, State
from batchwright.engine.store.database import Database
from tests.engine.jobs import Parcels
from tests.engine.owners import Owner, owner_at
from tests.engine.rig import Rig

__all__ = ["owner_at"]

RECORDS = 30


@pytest.fixture
def rig(migrated_url: str) -> Iterator[Rig]:
    """An engine with 30 parcels in three scopes. A lease goes by on its clock alone: nobody waits for one."""
    rig = Rig(Database(migrated_url), [Parcels])
    rig.fill(RECORDS)
    yield rig
    rig.database.close()


def check_done_once(rig: Rig, run: Run) -> None:
    """The run is complete, and every record was done exactly once."""
    assert (run.state, run.error, run.total, run.processed) == (State.COMPLETED, None, RECORDS, RECORDS)
    assert rig.handled() == dict.fromkeys(range(1, RECORDS + 1), 1)
    assert rig.ledger(run) == {"ok": RECORDS}
    assert [one.run_id for one in rig.announced] == [run.run_id]


LONG = pytest.mark.long
PLACES = [pytest.param("start", marks=LONG), "execute:2", pytest.param("finish", marks=LONG)]


@pytest.mark.on_both
@pytest.mark.parametrize("place", PLACES)
def test_a_run_whose_process_was_killed_is_finished_by_another(
    rig: Rig, owner_at: Callable[[Run, str], Owner], place: str
) -> None:
    run = rig.submit()
    owner = owner_at(run, place)
    owner.kill()
    owner.wait()
    ended = rig.dispatcher().resume(run.id)
    check_done_once(rig, ended)
    assert ended.fence == 2
    assert [type(one) for one in rig.published[:2]] == [events.RunWaiting, events.RunTakenOver]


@pytest.mark.on_both
@pytest.mark.parametrize("place", PLACES)
def test_a_process_that_was_asleep_commits_nothing_when_it_wakes_up(
    rig: Rig, owner_at: Callable[[Run, str], Owner], place: str
) -> None:
    """On SQLite the taker ends the process itself; on PostgreSQL its session, and it finds that out when it wakes."""
    run = rig.submit()
    owner = owner_at(run, place)
    owner.send_signal(signal.SIGSTOP)
    ended = rig.dispatcher().resume(run.id)
    check_done_once(rig, ended)
    if rig.database.is_sqlite:
        assert owner.wait(timeout=30) == -signal.SIGKILL
    else:
        owner.send_signal(signal.SIGCONT)
        said, _ = owner.communicate("go on\n", timeout=60)
        assert said.splitlines()[-1] == "Completed"
    check_done_once(rig, rig.read(run))


@pytest.mark.long
def test_a_run_that_is_taken_over_twice_is_done_once(rig: Rig, owner_at: Callable[[Run, str], Owner]) -> None:
    run = rig.submit()
    first = owner_at(run, "execute:1")
    first.kill()
    first.wait()
    with pytest.raises(KeyboardInterrupt):
        rig.dispatcher().resume(run.id, stop=interrupt_at(rig, run, 10))
    assert rig.read(run).processed == 10
    ended = rig.dispatcher().resume(run.id)
    check_done_once(rig, ended)
    assert ended.fence == 3


def interrupt_at(rig: Rig, run: Run, processed: int) -> Callable[[], bool]:
    """A stop that breaks its process off once so many records are done."""

    def stop() -> bool:
        if rig.read(run).processed >= processed:
            raise KeyboardInterrupt
        return False

    return stop
