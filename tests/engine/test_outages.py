"""PostgreSQL breaks down, is away for a while, or comes back read-only: the run waits and goes on."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from batchwright.engine import events
from batchwright.engine.clock import SystemClock
from batchwright.engine.events import Point
from batchwright.engine.faults import LONGEST_PAUSE_SECONDS, MAX_ATTEMPTS, pause_before
from batchwright.engine.job import Scope
from batchwright.engine.run import State
from batchwright.engine.store.database import Database
from tests.engine.jobs import Parcels
from tests.engine.pooled import Spread
from tests.engine.rig import Rig
from tests.engine.threads import Threads
from tests.support.postgres import PostgresServer

RECORDS = 600
CUT = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"""


@pytest.fixture
def rig(postgres: PostgresServer, migrated_postgres_template: str, spy: type[Parcels]) -> Iterator[Rig]:
    """An engine on a PostgreSQL that keeps what it has committed when it breaks down."""
    name = f"outage_{os.getpid()}"
    url = postgres.create_database(name, template=migrated_postgres_template)
    with postgres.connect() as connection:
        connection.execute(f"ALTER DATABASE {name} SET synchronous_commit = on")
    rig = Rig(Database(url), [spy], clock=SystemClock(), lease_seconds=2.0)
    rig.fill(RECORDS)
    yield rig
    rig.database.close()
    postgres.drop_database(name)


def check_done_once(rig: Rig) -> None:
    assert set(rig.handled().values()) == {1}
    (run,) = rig.announced[-1:]
    assert (run.state, run.error, run.total, run.processed) == (State.COMPLETED, None, RECORDS, RECORDS)


@pytest.mark.parametrize("point", ["plan committed", "scope executed", "scope saved", "finish saved"])
def test_a_server_that_breaks_down_anywhere_loses_and_doubles_nothing(
    rig: Rig, postgres: PostgresServer, point: Point
) -> None:
    broken: list[object] = []

    def break_down(event: object) -> None:
        if isinstance(event, events.Reached) and event.point == point and not broken:
            broken.append(event)
            postgres.restart()

    rig.subscribers.append(break_down)
    assert rig.drive(scope_size=10).processed == RECORDS
    assert broken
    check_done_once(rig)


def test_a_server_that_breaks_down_under_a_crew_loses_and_doubles_nothing(
    rig: Rig, postgres: PostgresServer
) -> None:
    pool = Threads(rig)
    rig.executor = Spread(pool, rig.events)
    broken: list[object] = []

    def break_down(event: object) -> None:  # in the thread that drives the run, while the pool works
        if isinstance(event, events.ScopeDone) and event.done > RECORDS / 3 and not broken:
            broken.append(event)
            postgres.restart()

    rig.subscribers.append(break_down)
    assert rig.drive(scope_size=10).processed == RECORDS
    assert broken
    pool.close()
    check_done_once(rig)


def test_connections_cut_again_and_again_lose_and_double_nothing(rig: Rig, postgres: PostgresServer) -> None:
    cut: dict[int | None, int] = {}

    def cut_all(event: object) -> None:
        if not isinstance(event, events.Reached) or event.point != "scope executed":
            return
        if event.scope in range(1, 60, 9) and event.scope not in cut:
            with postgres.connect() as connection:
                gone = connection.execute(CUT, [rig.database.url.database]).fetchone()
                cut[event.scope] = gone[0] if gone else 0

    rig.subscribers.append(cut_all)
    assert rig.drive(scope_size=10).processed == RECORDS
    assert len(cut) == 7
    assert all(cut.values())
    check_done_once(rig)


def test_a_server_that_only_reads_for_a_while_is_left_for_one_that_writes(
    rig: Rig, spy: type[Parcels]
) -> None:
    """What a failover shows: the connection stands, and leads to a server that takes no writes any more."""
    backends: list[int] = []

    def demote(scope: Scope) -> None:
        if scope.number == 2:
            backends.append(scope.connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())
            if len(backends) == 1:
                scope.connection.exec_driver_sql("SET TRANSACTION READ ONLY")

    spy.on_execute = staticmethod(demote)
    assert rig.drive(scope_size=100).processed == RECORDS
    first, second = backends
    assert first != second
    check_done_once(rig)


def test_the_pauses_outlast_a_restart_of_half_a_minute() -> None:
    class Shortest:
        def random(self) -> float:
            return 0.0

    pauses = [pause_before(attempt, Shortest()) for attempt in range(2, MAX_ATTEMPTS + 1)]  # type: ignore[arg-type]
    assert sum(pauses) > 30
    assert max(pauses) <= LONGEST_PAUSE_SECONDS / 2
