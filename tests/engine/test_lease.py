"""An owner is dead when its counter stood still for one lease on the peer's clock, and the store answered the peer."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from batchwright.engine import processes
from batchwright.engine.errors import FenceLost, Refused
from batchwright.engine.lease import Lease, OwnerMonitor, heartbeat_name, take_over
from batchwright.engine.run import Run, State
from batchwright.engine.store.database import Database
from batchwright.engine.store.leases import Heartbeat, LeaseStore, Session
from batchwright.engine.store.tables import heartbeat
from batchwright.testing.clock import FakeClock
from tests.engine.rig import NOW, Rig
from tests.support.postgres import PostgresServer
from tests.support.strangers import saying

pytestmark = pytest.mark.on_both

LEASE = 30.0


@pytest.fixture
def store(rig: Rig) -> Iterator[LeaseStore]:
    """Heartbeats of the rig's database."""
    leases = LeaseStore(rig.database)
    yield leases
    leases.close()


@pytest.fixture
def run(rig: Rig) -> Run:
    """A run that somebody elsewhere has claimed."""
    rig.fill(3)
    return rig.claimed()


class Peer:
    """Watches a run on a clock of its own."""

    def __init__(self, store: LeaseStore, run: Run) -> None:
        self.clock = FakeClock(NOW)
        self.run = run
        self.monitor = OwnerMonitor(store, LEASE, self.clock)

    def look(self) -> bool:
        """Look once; whether the owner is dead."""
        return self.monitor.look([self.run]) == [self.run]

    def claim(self) -> bool:
        """Claim the takeover."""
        return self.monitor.claim(self.run)

    def seconds_until_death(
        self, between: Callable[[], object] = lambda: None, most: float = 10 * LEASE
    ) -> float | None:
        """When it says that the owner is dead; ``None`` when it has not for ``most`` seconds."""
        while not self.look():
            if self.clock.monotonic() >= most:
                return None
            self.clock.sleep(self.monitor.interval)
            between()
        return self.clock.monotonic()


def test_a_peer_waits_for_the_longer_of_two_leases(store: LeaseStore, run: Run) -> None:
    store.begin(heartbeat_name(run), run.fence, lease_seconds=4 * LEASE)
    peer = Peer(store, run)
    with capture_logs() as lines:
        assert peer.seconds_until_death() == 4 * LEASE
    assert [line["event"] for line in lines] == ["leases of two lengths; waiting for the longer"]


def test_a_peer_does_not_wait_less_than_its_own_lease(store: LeaseStore, run: Run) -> None:
    store.begin(heartbeat_name(run), run.fence, lease_seconds=LEASE / 10)
    assert Peer(store, run).seconds_until_death() == LEASE


def test_an_owner_says_how_long_its_lease_is(store: LeaseStore, run: Run) -> None:
    with Lease(store, run, 17.0):
        heartbeat = store.look(heartbeat_name(run))
    assert heartbeat is not None
    assert heartbeat.lease_seconds == 17.0


def test_a_heartbeat_raises_its_counter(store: LeaseStore, run: Run) -> None:
    store.begin(heartbeat_name(run), run.fence)
    assert [store.beat(heartbeat_name(run), run.fence) for _ in range(3)] == [True] * 3
    assert store.look(heartbeat_name(run)) == Heartbeat(run.fence, 3)


def test_a_lease_beats_while_its_block_lasts_and_leaves_nothing(
    rig: Rig, store: LeaseStore, run: Run
) -> None:
    beaten = threading.Event()

    class Told(LeaseStore):
        def beat(self, name: str, fence: int) -> bool:
            answer = super().beat(name, fence)
            beaten.set()
            return answer

    with Lease(Told(rig.database), run, 0.01) as lease:
        lease.record(Session("process", 1, "then"))
        assert beaten.wait(30)
        heartbeat = store.look(heartbeat_name(run))
        assert heartbeat is not None
        assert heartbeat.counter >= 1
    assert store.look(heartbeat_name(run)) is None
    assert store.sessions(run.id, run.fence) == []


def test_a_heartbeat_goes_on_whatever_one_of_its_beats_raises(
    rig: Rig, store: LeaseStore, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    beat, kinds, later = store.beat, iter([SystemExit, MemoryError, ValueError]), threading.Event()

    def raises(name: str, fence: int) -> bool:
        for kind in kinds:
            raise kind("not now")
        later.set()
        return beat(name, fence)

    monkeypatch.setattr(store, "beat", raises)
    with Lease(store, run, 0.05):
        assert later.wait(20)


def test_a_beat_under_an_old_fence_raises_nothing(store: LeaseStore, run: Run) -> None:
    store.begin(heartbeat_name(run), 2)
    assert not store.beat(heartbeat_name(run), 1)
    assert store.look(heartbeat_name(run)) == Heartbeat(2, 0)


def test_an_owner_that_was_asleep_before_its_first_beat_does_not_silence_its_successor(
    store: LeaseStore, run: Run
) -> None:
    store.begin(heartbeat_name(run), run.fence + 1)
    with pytest.raises(FenceLost), Lease(store, run, LEASE):
        pass
    assert store.look(heartbeat_name(run)) == Heartbeat(run.fence + 1, 0)
    assert store.beat(heartbeat_name(run), run.fence + 1)


@pytest.mark.parametrize("begun", [True, False], ids=["silent", "never heard"])
def test_a_silent_owner_is_dead_after_one_lease(store: LeaseStore, run: Run, begun: bool) -> None:
    if begun:
        store.begin(heartbeat_name(run), run.fence)
    assert Peer(store, run).seconds_until_death() == LEASE


def test_an_owner_that_beats_lives(store: LeaseStore, run: Run) -> None:
    store.begin(heartbeat_name(run), run.fence)
    assert Peer(store, run).seconds_until_death(lambda: store.beat(heartbeat_name(run), run.fence)) is None


def test_one_beat_in_time_begins_the_lease_anew(store: LeaseStore, run: Run) -> None:
    store.begin(heartbeat_name(run), run.fence)
    peer = Peer(store, run)

    def once() -> None:
        if peer.clock.monotonic() == LEASE - peer.monitor.interval:
            store.beat(heartbeat_name(run), run.fence)

    assert peer.seconds_until_death(once) == 2 * LEASE - peer.monitor.interval


def test_a_peer_that_slept_through_a_lease_has_to_beat_twice_first(store: LeaseStore, run: Run) -> None:
    store.begin(heartbeat_name(run), run.fence)
    peer = Peer(store, run)
    assert not peer.look()
    peer.clock.sleep(10 * LEASE)
    assert not peer.look()
    assert peer.look()


def test_a_first_answer_that_took_long_counts_from_when_it_came(
    rig: Rig, store: LeaseStore, run: Run
) -> None:
    store.begin(heartbeat_name(run), run.fence)
    seconds = [2 * LEASE]

    class SlowAtFirst(LeaseStore):
        def heartbeats(self, names: Sequence[str]) -> dict[str, Heartbeat]:
            if seconds:
                peer.clock.sleep(seconds.pop())
            return super().heartbeats(names)

    peer = Peer(SlowAtFirst(rig.database), run)
    assert not peer.look()
    for _ in range(3):
        peer.clock.sleep(peer.monitor.interval)
        assert not peer.look()
    peer.clock.sleep(peer.monitor.interval)
    assert peer.look()


def test_nobody_is_dead_when_the_store_answers_again_after_ten_leases(
    rig: Rig, store: LeaseStore, run: Run
) -> None:
    class Silenced(LeaseStore):
        answers = True

        def beat(self, name: str, fence: int) -> bool:
            if not self.answers:
                raise OperationalError("UPDATE", {}, Exception("no answer"))
            return super().beat(name, fence)

    store.begin(heartbeat_name(run), run.fence)
    silenced = Silenced(rig.database)
    peer = Peer(silenced, run)
    assert not peer.look()
    silenced.answers = False
    for _ in range(10):
        with pytest.raises(OperationalError):
            peer.look()
        peer.clock.sleep(LEASE)
    silenced.answers = True
    assert not peer.look()
    assert peer.look()


def test_a_peer_whose_own_beats_do_not_count_calls_nobody_dead(rig: Rig, run: Run) -> None:
    class Deaf(LeaseStore):
        def beat(self, name: str, fence: int) -> bool:
            return False

    assert Peer(Deaf(rig.database), run).seconds_until_death() is None


def test_one_of_two_takers_claims(store: LeaseStore, run: Run) -> None:
    store.begin(heartbeat_name(run), run.fence)
    takers = [Peer(store, run), Peer(store, run)]
    assert [taker.seconds_until_death() for taker in takers] == [LEASE, LEASE]
    assert [taker.claim() for taker in takers] == [True, False]


def test_one_of_two_takers_claims_a_run_that_never_beat(store: LeaseStore, run: Run) -> None:
    takers = [Peer(store, run), Peer(store, run)]
    for taker in takers:
        taker.seconds_until_death()
    assert [taker.claim() for taker in takers] == [True, False]


def test_an_owner_that_wakes_up_before_the_claim_keeps_its_run(store: LeaseStore, run: Run) -> None:
    store.begin(heartbeat_name(run), run.fence)
    peer = Peer(store, run)
    peer.seconds_until_death()
    store.beat(heartbeat_name(run), run.fence)
    assert not peer.claim()


def test_a_taker_that_died_as_well_is_followed_by_another(store: LeaseStore, run: Run) -> None:
    store.begin(heartbeat_name(run), run.fence)
    dead = Peer(store, run)
    dead.seconds_until_death()
    assert dead.claim()
    next_one = Peer(store, run)
    assert next_one.seconds_until_death() == LEASE
    assert next_one.claim()


def test_a_watch_leaves_no_heartbeat_of_its_own(rig: Rig, store: LeaseStore, run: Run) -> None:
    peer = Peer(store, run)
    peer.seconds_until_death()
    with rig.database.lease_engine.begin() as connection:
        assert len(connection.execute(heartbeat.select()).all()) == 1
    peer.monitor.close()
    with rig.database.lease_engine.begin() as connection:
        assert connection.execute(heartbeat.select()).all() == []


def test_a_run_that_moved_on_is_not_taken_over(rig: Rig, store: LeaseStore, run: Run) -> None:
    taken = take_over(rig.database, store, run, rig.clock)
    assert (taken.fence, taken.state) == (run.fence + 1, State.PREPARING)
    with pytest.raises(FenceLost):
        take_over(rig.database, store, run, rig.clock)


def test_a_run_whose_owner_lives_is_not_resumed(rig: Rig, store: LeaseStore, run: Run) -> None:
    store.begin(heartbeat_name(run), run.fence)
    sleep = rig.clock.sleep

    class Beating(FakeClock):
        def sleep(self, seconds: float) -> None:
            sleep(seconds)
            store.beat(heartbeat_name(run), run.fence)

    rig.clock = Beating(NOW)
    with pytest.raises(Refused, match="is being worked on by elsewhere/1"):
        rig.dispatcher().resume(run.id)
    assert rig.read(run) == run


def test_an_ended_run_is_not_resumed(rig: Rig) -> None:
    rig.fill(1)
    run = rig.drive()
    with pytest.raises(Refused, match=r"has ended \(Completed\)"):
        rig.dispatcher().resume(run.id)


def test_a_waiting_run_is_resumed_at_once(rig: Rig) -> None:
    rig.fill(1)
    assert rig.dispatcher().resume(rig.submit().id).state is State.COMPLETED
    assert rig.clock.monotonic() == 0


def test_a_process_number_that_is_used_again_is_left_alone() -> None:
    bystander = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        started = processes.started(bystander.pid)
        assert started is not None
        processes.end(Session("process", bystander.pid, started + "0"), Path(sys.executable))
        bystander.communicate(b"\n", timeout=30)
        assert bystander.returncode == 0
    finally:
        bystander.kill()
        bystander.wait()


def test_a_process_never_ends_itself() -> None:
    program = (
        "import sys; from pathlib import Path; from batchwright.engine import processes;"
        " lease = open(sys.executable); processes.end(processes.this_process(), Path(sys.executable))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 0


def test_a_process_that_is_gone_has_no_start() -> None:
    dead = subprocess.Popen([sys.executable, "-c", "pass"])
    dead.wait()
    assert processes.started(dead.pid) is None
    assert processes.end(Session("process", dead.pid, "then"), Path(sys.executable)) is None


@contextmanager
def holder_of(file: Path) -> Iterator[tuple[subprocess.Popen[str], Session]]:
    """A process that has the file open until its stdin is closed, and how it was recorded."""
    program = f"import sys; file = open({str(file)!r}, 'a'); print('open', flush=True); sys.stdin.read()"
    with saying([sys.executable, "-c", program], "open") as process:
        yield process, Session("process", process.pid, processes.started(process.pid) or "")


def test_an_owner_is_ended_by_the_file_of_leases_that_it_has_open(tmp_path: Path) -> None:
    with holder_of(tmp_path / "books.db-lease") as (owner, recorded):
        assert processes.end(recorded, tmp_path / "books.db-lease") is None
        assert owner.wait(10) == -signal.SIGKILL


def test_the_owner_of_the_original_is_left_alone_by_who_works_on_a_copy(tmp_path: Path) -> None:
    original, copy = tmp_path / "books.db-lease", tmp_path / "copy.db-lease"
    with holder_of(original) as (owner, recorded):
        shutil.copy(original, copy)
        assert processes.end(recorded, copy) is None
        assert owner.poll() is None


def test_an_owner_in_another_container_is_not_taken_for_ourselves(tmp_path: Path) -> None:
    ours = processes.this_process()
    elsewhere = Session("process", ours.pid, f"{ours.started.partition(' ')[0]} pid:[1]")
    said = processes.end(elsewhere, tmp_path / "books.db-lease")
    assert said == "it runs in another pid namespace, such as another container"


def test_an_owner_of_another_user_is_said_to_be_out_of_reach(tmp_path: Path) -> None:
    user = os.geteuid()
    with holder_of(tmp_path / "books.db-lease") as (owner, recorded):
        if user == 0:
            os.seteuid(pwd.getpwnam("nobody").pw_uid)
        else:  # whoever runs the tests may look into none of root's
            recorded = Session("process", 1, processes.started(1) or "")
        try:
            said = processes.end(recorded, tmp_path / "books.db-lease")
        finally:
            os.seteuid(user)
        assert said == "it belongs to another user"
        assert owner.poll() is None


@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
def test_a_session_number_that_is_used_again_is_left_alone(rig: Rig, store: LeaseStore) -> None:
    with rig.database.read() as bystander:
        pid = bystander.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        store.terminate(Session("backend", pid, "123.456"))
        assert bystander.exec_driver_sql("SELECT 1").scalar_one() == 1


@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
def test_a_session_of_the_original_is_left_alone_by_who_works_on_a_restored_dump(
    rig: Rig, store: LeaseStore, postgres: PostgresServer
) -> None:
    with closing(Database(postgres.url("postgres"))) as other, other.read() as original:
        recorded = _session_of(original)
        assert store.terminate(recorded) is None
        assert original.exec_driver_sql("SELECT 1").scalar_one() == 1


@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
def test_a_session_of_another_role_is_said_to_be_out_of_reach(rig: Rig) -> None:
    role = f"taker_{os.getpid()}"
    with rig.database.write() as connection:
        connection.exec_driver_sql(f"CREATE ROLE {role} LOGIN")
    store = LeaseStore(Database(rig.database.url.set(username=role).render_as_string(hide_password=False)))
    try:
        with rig.database.read() as owner:
            assert store.terminate(_session_of(owner)) == "it belongs to another role"
            assert owner.exec_driver_sql("SELECT 1").scalar_one() == 1
    finally:
        store.close()
        with rig.database.write() as connection:
            connection.exec_driver_sql(f"DROP ROLE {role}")


def _session_of(connection: Connection) -> Session:
    row = connection.exec_driver_sql(
        "SELECT pid, extract(epoch FROM backend_start)::text FROM pg_stat_get_activity(pg_backend_pid())"
    ).one()
    return Session("backend", *row)


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_heartbeats_need_no_write_lock_of_the_database(rig: Rig, store: LeaseStore, run: Run) -> None:
    with closing(Database(rig.database.url.render_as_string())) as other, other.write():
        store.begin(heartbeat_name(run), run.fence)
        assert store.beat(heartbeat_name(run), run.fence)
        assert store.look(heartbeat_name(run)) == Heartbeat(run.fence, 1)
