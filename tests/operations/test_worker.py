"""What a worker does beside driving runs: mail; and what a caller sees of a run that another process drives."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import update

from batchwright.cli.commands.worker import worker as worker_command
from batchwright.cli.exits import FAILED
from batchwright.cli.verbosity import Verbosity
from batchwright.engine import events
from batchwright.engine.job import BatchJob, Record, Scope, StartContext
from batchwright.engine.run import Run, State
from batchwright.engine.schedules.scheduler import Scheduler
from batchwright.engine.store import runs
from batchwright.engine.store.notify import notify
from batchwright.notifications.tables import mail
from batchwright.operations.access.audit_trail import list_audit, verify_audit
from batchwright.operations.app import Application, make_application
from batchwright.operations.mail import list_mail
from batchwright.operations.runs.driving import drive_run, drive_submitted, resume_run
from batchwright.operations.runs.looking import show_run
from batchwright.operations.runs.submitting import submit_run
from batchwright.operations.views import View
from batchwright.operations.worker.background_loop import BackgroundLoop
from batchwright.operations.worker.maintenance import Maintenance
from batchwright.operations.worker.worker import WorkerProcess
from batchwright.testing.clock import StandingClock
from tests.operations.working import JOB, WAIT, ended_without_its_mail, wait_for, working
from tests.support.application import ACTOR, make_settings


@pytest.fixture
def other(migrated_url: str, tmp_path: Path) -> Iterator[Application]:
    """The application of another process on the same database, on the machine's clock."""
    application = make_application(make_settings(migrated_url, tmp_path, lease_seconds=1))
    yield application
    application.close()


def only_mail(app: Application) -> View:
    (line,) = list_mail(app)
    return line


def test_a_worker_sends_the_mail_of_runs_that_ended_elsewhere(app: Application, other: Application) -> None:
    with working(other):
        ended_without_its_mail(app)
        wait_for(lambda: only_mail(app)["status"] == "sent")


def test_a_worker_sends_the_mail_of_the_runs_it_drives(app: Application, other: Application) -> None:
    with working(other):
        run_id = submit_run(app, JOB, {}, actor=ACTOR).run_id
        wait_for(lambda: bool(list_mail(app)) and only_mail(app)["status"] == "sent")
    assert show_run(app, run_id)["status"] == "Completed"


def test_a_worker_tries_a_mail_again_when_its_time_has_come_and_not_before(
    app: Application, other: Application
) -> None:
    other.settings.mail.directory.write_text("in the way")
    ended_without_its_mail(app)
    with working(other):
        wait_for(lambda: only_mail(app)["error"] is not None)
        submit_run(app, JOB, {}, actor=ACTOR)
        # The mail of this run is tried in a later round: the first one had its chance by then.
        wait_for(lambda: [line["error"] is not None for line in list_mail(app)] == [True, True])
        assert [line["attempts"] for line in list_mail(app)] == [1, 1]
        other.settings.mail.directory.unlink()
        with app.database.write() as connection:
            connection.execute(update(mail).values(next_attempt_at=datetime.now(UTC)))
        wait_for(lambda: {line["status"] for line in list_mail(app)} == {"sent"})
    assert [line["attempts"] for line in list_mail(app)] == [2, 2]


@pytest.mark.parametrize("sync", [False, True], ids=["batch", "synchronous"])
def test_a_run_that_another_process_drives_is_followed_to_its_end(
    app: Application, other: Application, clock: StandingClock, sync: bool
) -> None:
    mode = "sync" if sync else "batch"
    submitted = submit_run(other, JOB, {}, actor=ACTOR, mode=mode, sync=sync, claim=True)
    acts = [lambda: drive_submitted(other, submitted)]
    clock.meanwhile = lambda: acts.pop()() if acts else None
    seen: list[tuple[str, int]] = []

    def look(run: Run, done: int) -> None:
        seen.append((run.state, done))

    view = drive_run(app, submitted.run_id, on_progress=look)
    assert view["status"] == "Completed"
    assert ("outcomes" in view) == sync
    assert seen == [("Preparing", 0), ("Completed", 0)]


def test_a_run_whose_process_dies_while_it_is_followed_is_gone_on_with_here(
    app: Application, other: Application
) -> None:
    run_id = submit_run(other, JOB, {}, actor=ACTOR, claim=True).run_id
    assert drive_run(app, run_id)["status"] == "Completed"


def test_who_stops_following_gets_the_run_as_it_stands(app: Application, other: Application) -> None:
    run_id = submit_run(other, JOB, {}, actor=ACTOR, claim=True).run_id
    assert drive_run(app, run_id, lambda: True)["status"] == "Preparing"


def test_a_run_whose_caller_died_at_its_submit_can_be_resumed(app: Application, other: Application) -> None:
    run_id = submit_run(other, JOB, {}, actor=ACTOR, mode="sync", sync=True).run_id
    view = resume_run(app, run_id, actor=ACTOR)
    assert (view["status"], view["outcomes"]) == ("Completed", [])


def test_a_worker_seals_the_audit_trail_at_its_start_and_at_its_end(
    app: Application, other: Application
) -> None:
    submit_run(app, JOB, {}, actor=ACTOR)
    with working(other):
        wait_for(lambda: verify_audit(app)["sealed"] >= 1)
        edited = submit_run(app, JOB, {}, actor=ACTOR).view
    found = verify_audit(app)
    assert found["unsealed"]["count"] == 0
    assert found["problems"] == []
    assert [entry["subject"] for entry in list_audit(app, 1)] == [edited["run_id"]]


def test_a_worker_goes_on_while_sealing_fails(
    app: Application, other: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Application) -> int:
        raise OSError("no space left on device")

    monkeypatch.setattr("batchwright.operations.worker.maintenance.seal_committed", broken)
    run_id = submit_run(app, JOB, {}, actor=ACTOR).run_id
    with working(other):
        wait_for(lambda: show_run(app, run_id)["status"] == "Completed")
    assert verify_audit(app)["unsealed"]["count"] == 1


class Slow(BatchJob):
    """Three scopes of a record each."""

    name = "slow"
    type = "Slow"
    scope_size = 1

    def start(self, context: StartContext) -> list[Record]:
        return [Record(1), Record(2), Record(3)]

    def execute(self, scope: Scope) -> None:
        pass


@pytest.mark.on_both
def test_two_workers_whose_schema_is_upgraded_hand_their_run_back_and_stop(
    app: Application, other: Application
) -> None:
    processes: dict[int, WorkerProcess] = {}

    def upgrade(event: events.Event) -> None:
        """Between two scopes of the run; the run goes on when its worker has seen it."""
        if isinstance(event, events.ScopeDone) and event.scope == 1:
            with app.database.write() as connection:
                connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
                notify(connection)
            wait_for(lambda: all(process.upgraded_to == "9999" for process in processes.values()))

    for one in (app, other):
        one.registry.add(Slow)
        one.events.subscribe(upgrade)
        processes[id(one)] = WorkerProcess(one)
    run_id = submit_run(app, "slow", {}, actor=ACTOR).run_id
    threads = [threading.Thread(target=process.run) for process in processes.values()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
        assert not thread.is_alive()
    with app.database.read() as connection:
        left = runs.by_id(connection, run_id)
    assert (left.state, left.processed, left.owner, left.fence) == (State.QUEUED, 1, None, 1)


@pytest.mark.parametrize(
    ("owner", "duty", "name"),
    [
        (Scheduler, "run", "schedules"),
        (BackgroundLoop, "_loop", "mail"),
        (Maintenance, "_loop", "maintenance"),
    ],
    ids=["schedules", "mail", "maintenance"],
)
@pytest.mark.parametrize(
    "raised", [RuntimeError("no more memory"), SystemExit("done")], ids=["raises", "exits"]
)
def test_a_worker_one_of_whose_threads_ends_by_an_exception_stops_and_says_so(
    app: Application,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    owner: type,
    duty: str,
    name: str,
    raised: BaseException,
) -> None:
    def fail(self: object) -> None:
        raise raised

    monkeypatch.setattr(owner, duty, fail)
    process = WorkerProcess(app)
    assert process.run() is True
    assert process.failure is raised
    assert f'"thread": "{name}"' in capsys.readouterr().err


def test_the_command_worker_ends_with_1_when_one_of_its_threads_has(
    app: Application, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(self: object) -> None:
        raise RuntimeError("no more memory")

    monkeypatch.setattr(Scheduler, "run", fail)
    monkeypatch.setenv("BATCHWRIGHT_DATABASE_URL", app.database.url.render_as_string(hide_password=False))
    monkeypatch.setattr(signal, "signal", lambda number, handler: None)
    assert CliRunner().invoke(worker_command, obj=Verbosity(), standalone_mode=False).return_value == FAILED
