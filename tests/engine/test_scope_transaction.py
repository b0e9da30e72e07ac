"""What a scope writes, its ledger and its mark commit together or not at all; and only under the run's fence."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection

from batchwright.engine.errors import FenceLost
from batchwright.engine.job import Scope
from batchwright.engine.run import Run, State
from batchwright.engine.store import runs, scopes
from batchwright.engine.store.database import Database
from batchwright.engine.store.tables import outcome, preview_line, run_warning
from batchwright.engine.store.tables import scope as scope_table
from tests.engine.jobs import Parcels
from tests.engine.rig import Rig

pytestmark = pytest.mark.on_both

STATEMENTS = [
    (scopes, "read"),
    (scopes, "insert_outcomes"),
    (scopes, "insert_previews"),
    (runs, "add_warnings"),
    (runs, "hold_fence"),
    (scopes, "mark_done"),
]


class PowerCut(BaseException):
    """Nobody catches it: the process is as good as dead."""


def report(scope: Scope) -> None:
    """One of each thing that a scope can leave behind."""
    if 1 in scope.keys:
        scope.error(1, "no_price", "no price")
        scope.warn("partial_asset", "not all of it")


def traces(rig: Rig) -> dict[str, Any]:
    """Everything that a scope leaves behind."""
    return {
        "handled": sum(rig.handled().values()),
        "outcomes": len(rig.rows(outcome)),
        "previews": len(rig.rows(preview_line)),
        "warnings": len(rig.rows(run_warning)),
        "done": [row.ok for row in rig.rows(scope_table) if row.state == "done"],
    }


NOTHING = {"handled": 0, "outcomes": 0, "previews": 0, "warnings": 0, "done": []}


def at_first_scope(
    monkeypatch: pytest.MonkeyPatch, module: Any, name: str, act: Callable[[], None], *, after: bool
) -> None:
    """``act`` before or after the first call of a store's function once scopes are being executed."""
    real = getattr(module, name)
    started: list[bool] = []

    def patched(connection: Connection, *arguments: Any) -> Any:
        if not after:
            act()
        answer = real(connection, *arguments)
        if after:
            act()
        return answer

    def begin(*arguments: Any) -> Any:
        if not started:
            started.append(True)
            monkeypatch.setattr(module, name, patched)
        return pending(*arguments)

    pending = scopes.pending
    monkeypatch.setattr(scopes, "pending", begin)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("module", "name"), STATEMENTS, ids=[name for _, name in STATEMENTS])
def test_a_process_that_dies_at_any_statement_of_a_scope_leaves_nothing_of_it(
    rig: Rig, spy: type[Parcels], monkeypatch: pytest.MonkeyPatch, module: Any, name: str, after: bool
) -> None:
    def die() -> None:
        raise PowerCut

    spy.on_execute = staticmethod(report)
    rig.fill(5)
    run = rig.submit()
    with monkeypatch.context() as patch:
        at_first_scope(patch, module, name, die, after=after)
        with pytest.raises(PowerCut):
            rig.drive(run)
    assert traces(rig) == NOTHING

    assert rig.dispatcher().resume(run.id).state is State.COMPLETED
    assert traces(rig) == {"handled": 5, "outcomes": 1, "previews": 0, "warnings": 1, "done": [4]}


def test_all_that_a_dry_run_leaves_commits_with_its_mark(rig: Rig, spy: type[Parcels]) -> None:
    spy.on_execute = staticmethod(report)
    rig.fill(5)
    assert rig.drive(mode="dry_run").state is State.COMPLETED
    assert traces(rig) == {"handled": 0, "outcomes": 1, "previews": 5, "warnings": 1, "done": [4]}


def test_a_scope_under_an_old_fence_commits_nothing(rig: Rig, spy: type[Parcels]) -> None:
    """On SQLite nobody can raise it in the middle of a scope: there it is raised between two."""
    taken: list[Run] = []

    def take(scope: Scope) -> None:
        if not taken and not rig.database.is_sqlite:
            with rig.database.write() as other:
                runs.raise_fence(other, scope.run, "peer/2")
                taken.append(runs.by_key(other, scope.run.id))

    spy.on_execute = staticmethod(take)
    rig.fill(5)
    run = rig.submit()
    if rig.database.is_sqlite:
        dispatcher = rig.dispatcher()
        left = [True]

        def stop() -> bool:
            if left:
                left.clear()
                with rig.database.write() as other:
                    runs.raise_fence(other, runs.by_key(other, run.id), "peer/2")
                    taken.append(runs.by_key(other, run.id))
            return False

        seen = dispatcher.drive(run.id, stop)
    else:
        seen = rig.drive(run)
    assert (seen.state, seen.owner, seen.fence) == (State.PROCESSING, "peer/2", 2)
    assert traces(rig) == NOTHING
    assert rig.dispatcher().resume(run.id).fence == 3
    assert set(rig.handled().values()) == {1}


@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
def test_a_scope_that_somebody_marks_first_commits_nothing_of_its_own(
    rig: Rig, spy: type[Parcels], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On SQLite the owner of the turn is alone: nobody can mark it in the middle."""

    def mark() -> None:
        with rig.database.write() as other:
            done = {"state": "done", "ok": 5, "errored": 0, "skipped": 0, "totals": "{}"}
            other.execute(scope_table.update().where(scope_table.c.state != "done").values(done))

    spy.on_execute = staticmethod(report)
    rig.fill(5)
    run = rig.submit()
    with monkeypatch.context() as patch:
        at_first_scope(patch, scopes, "mark_done", mark, after=False)
        rig.drive(run)
    assert traces(rig) == NOTHING | {"done": [5]}


def test_a_scope_is_marked_once(rig: Rig) -> None:
    rig.fill(5)
    run = rig.drive()
    key = rig.rows(scope_table)[0].id
    values = {
        "ok": 0,
        "errored": 5,
        "skipped": 0,
        "totals": None,
        "amounts": None,
        "currencies": None,
        "about": None,
        "done_at": None,
    }
    with rig.database.write() as connection:
        assert not scopes.mark_done(connection, key, values)
    assert (run.state, [row.ok for row in rig.rows(scope_table)]) == (State.COMPLETED, [5])


def test_only_one_of_two_peers_raises_a_fence(rig: Rig) -> None:
    rig.fill(0)
    run = rig.claimed()
    with rig.database.write() as connection:
        runs.raise_fence(connection, run, "peer/1")
    with rig.database.write() as connection, pytest.raises(FenceLost):
        runs.raise_fence(connection, run, "peer/2")
    assert (rig.read(run).owner, rig.read(run).fence) == ("peer/1", run.fence + 1)


def test_a_run_that_is_taken_over_twice_has_the_third_fence(rig: Rig) -> None:
    rig.fill(3)
    run = rig.claimed()
    for fence in (2, 3):
        with rig.database.write() as connection:
            runs.raise_fence(connection, rig.read(run), f"peer/{fence}")
        assert rig.read(run).fence == fence
    assert rig.dispatcher().resume(run.id).fence == 4
    assert set(rig.handled().values()) == {1}


class Peer(threading.Thread):
    """Raises the fence of a run on a connection of its own, and commits once ``before_commit`` returns."""

    def __init__(self, database: Database, run: Run, before_commit: Callable[[], None]) -> None:
        super().__init__(daemon=True)
        self._database, self._run, self._before_commit = database, run, before_commit
        self.raised = threading.Event()

    def run(self) -> None:
        with self._database.write() as connection:
            runs.raise_fence(connection, runs.by_key(connection, self._run.id), "peer/2")
            self.raised.set()
            self._before_commit()


def wait_until_blocked(database: Database) -> None:
    """Until PostgreSQL says that a session waits for another's lock."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    while True:
        with database.read() as connection:
            if connection.exec_driver_sql(waiting).scalar_one():
                return


on_postgresql = pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)


@on_postgresql
def test_a_takeover_waits_for_a_scope_that_holds_the_fence(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.fill(5)
    run = rig.submit(scope_size=3)
    peer = Peer(rig.database, run, lambda: None)
    mark_done = scopes.mark_done

    def meanwhile(connection: Connection, scope_key: int, values: Any) -> bool:
        peer.start()
        wait_until_blocked(rig.database)
        assert not peer.raised.is_set()
        return mark_done(connection, scope_key, values)

    def stop() -> bool:
        if peer.ident is not None:
            peer.join()
        return False

    monkeypatch.setattr(scopes, "mark_done", meanwhile)
    seen = rig.dispatcher().drive(run.id, stop)
    assert (seen.fence, seen.owner, seen.state) == (2, "peer/2", State.PROCESSING)
    assert traces(rig)["done"] == [3]


@on_postgresql
def test_a_scope_waits_for_a_takeover_under_way_and_then_commits_nothing(
    rig: Rig, spy: type[Parcels]
) -> None:
    rig.fill(5)
    run = rig.submit()
    peer = Peer(rig.database, run, lambda: wait_until_blocked(rig.database))

    def meanwhile(scope: Scope) -> None:
        peer.start()
        assert peer.raised.wait(30)

    spy.on_execute = staticmethod(meanwhile)
    seen = rig.drive(run)
    peer.join()
    assert (seen.fence, seen.owner, seen.state) == (2, "peer/2", State.PROCESSING)
    assert traces(rig) == NOTHING
