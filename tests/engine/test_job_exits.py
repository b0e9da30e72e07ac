"""What a job raises that is no ``Exception``, such as ``sys.exit``, is the job's as any exception is."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
from sqlalchemy import Connection

from batchwright.cli.interrupt import StopOnInterrupt
from batchwright.engine.clock import SystemClock
from batchwright.engine.errors import JobExit, Refused
from batchwright.engine.events import Events
from batchwright.engine.job import Finish, Record, Scope, StartContext
from batchwright.engine.registry import Registry
from batchwright.engine.run import Run, State
from batchwright.engine.store.notify import listener_for
from batchwright.engine.worker import Worker
from tests.engine.jobs import Parcels
from tests.engine.rig import Rig


class Downfall(BaseException):
    """An author's own."""


EXITS: list[tuple[Callable[[], BaseException], str]] = [
    (lambda: SystemExit("done for today"), "SystemExit: done for today"),
    (lambda: SystemExit(0), "SystemExit: 0"),
    (lambda: GeneratorExit("closed"), "GeneratorExit: closed"),
    (lambda: asyncio.CancelledError("too late"), "CancelledError: too late"),
    (lambda: Downfall("it is over"), "Downfall: it is over"),
]
exits = pytest.mark.parametrize(("made", "text"), EXITS, ids=[text.partition(":")[0] for _, text in EXITS])


def raising(error: BaseException) -> Callable[..., NoReturn]:
    def raise_it(*_: Any, **__: Any) -> NoReturn:
        raise error

    return raise_it


def in_a_thread(call: Callable[[], Run]) -> Run:
    """As a worker calls it, where nobody's Ctrl-C arrives."""
    results: list[Run] = []
    thread = threading.Thread(target=lambda: results.append(call()))
    thread.start()
    thread.join()
    return results[0]


@exits
def test_what_execute_raises_of_one_record_is_its_outcome(
    rig: Rig, spy: type[Parcels], made: Callable[[], BaseException], text: str
) -> None:
    def bad(scope: Scope) -> None:
        if 7 in scope.keys:
            raise made()

    spy.on_execute = staticmethod(bad)
    rig.fill(10)
    run = rig.drive()
    assert (run.state, run.processed, run.errored) == (State.COMPLETED, 9, 1)
    (error,) = [one for one in rig.outcomes(run) if one.outcome == "error"]
    assert (error.record_key, error.code) == (7, "unforeseen")
    assert (error.message or "").startswith(text)


@exits
@pytest.mark.parametrize("where", ["start", "finish"])
def test_what_the_rest_of_a_job_raises_fails_its_run(
    rig: Rig, spy: type[Parcels], where: str, made: Callable[[], BaseException], text: str
) -> None:
    rig.fill(3)
    run = rig.submit()
    setattr(spy, where, raising(made()))
    ended = rig.drive(run)
    assert ended.state is State.FAILED
    assert (ended.error or "").startswith(text)
    assert rig.announced == [ended]


@exits
def test_what_its_constructor_raises_leaves_a_run_to_who_can_make_the_job(
    rig: Rig, spy: type[Parcels], made: Callable[[], BaseException], text: str
) -> None:
    rig.fill(3)
    run = rig.submit()
    spy.__init__ = raising(made())  # type: ignore[method-assign]
    with pytest.raises(Refused, match=f"cannot be driven here: JobExit: {text}"):
        rig.drive(run)
    assert rig.read(run) == run


@exits
def test_what_start_raises_between_two_records_fails_its_run(
    rig: Rig, spy: type[Parcels], made: Callable[[], BaseException], text: str
) -> None:
    def start(self: Parcels, context: StartContext) -> Iterator[Record]:
        yield Record(1)
        raise made()

    spy.start = start  # type: ignore[method-assign]
    rig.fill(1)
    ended = rig.drive()
    assert ended.state is State.FAILED
    assert (ended.error or "").startswith(text)


@exits
@pytest.mark.parametrize("where", ["select", "check"])
def test_what_a_job_raises_at_submit_is_an_exception_for_who_submits(
    rig: Rig, spy: type[Parcels], where: str, made: Callable[[], BaseException], text: str
) -> None:
    rig.fill(1)
    setattr(spy, where, raising(made()))
    with pytest.raises(JobExit) as caught:
        rig.submit()
    assert str(caught.value) == text


def test_a_job_whose_module_exits_keeps_nobody_from_the_others(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "exits_at_import.py").write_text("import sys\nsys.exit('not here')\n")
    monkeypatch.chdir(tmp_path)
    registry = Registry(["exits_at_import:Job", "tests.engine.jobs:Parcels"])
    assert "parcels" in registry.names()
    assert registry.broken() == ["cannot import the job 'exits_at_import:Job': SystemExit: not here"]


@pytest.mark.usefixtures("at_the_keyboard")
def test_ctrl_c_passes_where_no_handler_of_ours_stands(rig: Rig, spy: type[Parcels]) -> None:
    spy.on_execute = staticmethod(raising(KeyboardInterrupt()))
    rig.fill(2)
    run = rig.submit()
    with pytest.raises(KeyboardInterrupt):
        rig.drive(run)
    assert rig.read(run).state is State.PROCESSING


def test_a_keyboard_interrupt_of_the_job_is_its_own_where_ctrl_c_cannot_raise_one(
    rig: Rig, spy: type[Parcels]
) -> None:
    spy.on_execute = staticmethod(raising(KeyboardInterrupt("mine")))
    rig.fill(2)
    assert in_a_thread(rig.drive).errored == 2
    with StopOnInterrupt():
        assert rig.drive().errored == 2


@pytest.mark.parametrize("groups", [lambda key: None, lambda key: key % 2])
def test_a_job_that_raises_whatever_it_is_given_leaves_an_outcome_of_each_record(
    rig: Rig, spy: type[Parcels], groups: Callable[[int], int | None]
) -> None:
    spy.execute = raising(SystemExit(4))  # type: ignore[method-assign]
    rig.fill(4, groups=groups)
    run = rig.drive()
    assert (run.state, run.errored) == (State.COMPLETED, 4)
    assert rig.ledger(run) == {"error": 4}


def test_a_worker_goes_on_after_a_thread_that_nobody_expected_to_end(
    rig: Rig, spy: type[Parcels], capsys: pytest.CaptureFixture[str]
) -> None:
    """What passes the border all the same is logged, and ends one thread alone."""

    def no_more(connection: Connection, run: Run) -> None:
        rig.on_announce = lambda connection, run: worker.drain()
        raise SystemExit("a bug of ours")

    rig.fill(2)
    rig.clock = SystemClock()
    rig.lease_seconds = 0.4
    rig.on_announce = no_more
    run = rig.submit()
    with closing(listener_for(rig.database)) as listener:
        worker = Worker(dispatcher=rig.dispatcher(), listener=listener, clock=rig.clock)
        worker.run()
    assert rig.read(run).state is State.COMPLETED
    assert "run interrupted" in capsys.readouterr().out


def test_a_subscriber_of_a_package_that_exits_at_import_keeps_nobody_from_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from batchwright.engine import subscribers

    published: list[object] = []
    points = [
        SimpleNamespace(value="bad:tell", load=raising(SystemExit(1))),
        SimpleNamespace(value="good:tell", load=lambda: published.append),
    ]
    monkeypatch.setattr(subscribers, "entry_points", lambda group: points)
    assert list(subscribers.installed_subscribers()) == [published.append]


def test_finish_may_be_told_of_nothing_more_after_it_exited(rig: Rig, spy: type[Parcels]) -> None:
    """What it wrote before is rolled back with it."""

    def finish(self: Parcels, finish: Finish) -> None:
        finish.submit(spy())
        sys.exit(3)

    spy.finish = finish  # type: ignore[method-assign]
    rig.fill(1)
    ended = rig.drive()
    assert ended.state is State.FAILED
    assert (ended.error or "").startswith("SystemExit: 3")


def test_events_are_told_in_the_publishers_thread_whatever_a_subscriber_raises() -> None:
    events = Events()
    published: list[object] = []
    events.subscribe(raising(SystemExit()))
    events.subscribe(published.append)
    events.publish("anything")  # type: ignore[arg-type]
    assert published == ["anything"]


def test_a_copy_of_the_process_that_a_job_makes_ends_with_its_work(rig: Rig, spy: type[Parcels]) -> None:
    copies: list[int] = []

    def execute(scope: Scope) -> None:
        if copy := os.fork():
            copies.append(copy)
        else:
            sys.exit("its work is done")

    spy.on_execute = staticmethod(execute)
    rig.fill(10)
    owner = os.getpid()
    try:
        run = rig.drive()
    finally:
        if os.getpid() != owner:
            os._exit(77)
    assert (run.state, run.processed) == (State.COMPLETED, 10)
    (copy,) = copies
    assert os.waitstatus_to_exitcode(os.waitpid(copy, 0)[1]) == 1
