"""A worker that is told to stop ends within ten seconds, and goes on meanwhile, whatever row somebody else keeps."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, text, update

from batchwright.engine import worker as engine_worker
from batchwright.engine.clock import SystemClock
from batchwright.engine.run import State
from batchwright.engine.store import database, engines, turnstile
from batchwright.engine.store.database import Database
from batchwright.engine.store.leases import LeaseStore
from batchwright.engine.store.notify import listener_for
from batchwright.engine.worker import Worker
from batchwright.notifications import outbox
from batchwright.notifications.tables import mail
from batchwright.operations.access.sealing import seal_committed
from batchwright.operations.app import Application, make_application
from batchwright.operations.mail import list_mail, retry_mail
from batchwright.operations.runs.submitting import submit_run
from batchwright.operations.worker import worker
from batchwright.operations.worker.worker import WorkerProcess
from batchwright.testing.clock import StandingClock
from tests.engine.jobs import Parcels
from tests.engine.rig import Rig
from tests.operations.working import JOB, ended_without_its_mail
from tests.support.application import ACTOR, NOW, make_settings
from tests.support.rungs import depth

WAIT = 60.0
SECONDS_TO_END = 10.0
on_postgresql = pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)


@pytest.fixture(autouse=True)
def short_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for seconds where tenths show the same."""
    monkeypatch.setattr(engines, "MILLISECONDS_FOR_LOCK", 500)
    monkeypatch.setattr(database, "LONGEST_SECONDS_SHORTENED", 0.3)
    monkeypatch.setattr(turnstile, "SECONDS_BETWEEN_LOOKS", 0.1)
    monkeypatch.setattr(engine_worker, "SECONDS_OF_WAITING_FOR_LOCKS", 1)
    monkeypatch.setattr(worker, "SECONDS_TO_END", 2.0)
    monkeypatch.setattr(worker, "SECONDS_FOR_DUTIES", 1.0)


@pytest.fixture
def other(migrated_url: str, tmp_path: Path) -> Iterator[Application]:
    """The application of a worker on the same database, on the machine's clock."""
    application = make_application(make_settings(migrated_url, tmp_path))
    yield application
    application.close()


@contextmanager
def kept(app: Application, statement: str) -> Iterator[Connection]:
    """Rows that somebody keeps, as by a transaction in a shell."""
    engine = create_engine(app.database.url)
    with engine.begin() as connection:
        connection.execute(text(statement))
        yield connection
    engine.dispose()


def seconds_to_end(process: WorkerProcess) -> float:
    """How long a worker takes to end that is told to once it has looked around."""
    thread = threading.Thread(target=process.run)
    thread.start()
    time.sleep(0.3)
    began = time.monotonic()
    process.drain()
    thread.join(WAIT)
    assert not thread.is_alive()
    return time.monotonic() - began


@on_postgresql
def test_a_mail_that_somebody_keeps_keeps_no_other_mail(app: Application, other: Application) -> None:
    first, second = (ended_without_its_mail_of(app) for _ in range(2))
    with kept(app, f"SELECT * FROM mail WHERE mail_id = '{first}' FOR UPDATE"):
        report = other.mailer.send_due()
        assert [attempt.mail_id for attempt in report.attempts] == [second]
    assert [attempt.mail_id for attempt in other.mailer.send_due().attempts] == [first]


def ended_without_its_mail_of(app: Application) -> str:
    """The mail that waits of one more run."""
    app.dispatcher.work(submit_run(app, JOB, {}, actor=ACTOR, claim=True).claim.run)
    mail_id: str = list_mail(app)[0]["mail_id"]
    return mail_id


@on_postgresql
def test_a_mail_whose_row_somebody_keeps_after_it_was_accepted_is_marked_later(
    app: Application, other: Application
) -> None:
    sent = ended_without_its_mail_of(app)
    keeping = kept(app, f"SELECT * FROM mail WHERE mail_id = '{sent}' FOR UPDATE")

    def keep(event: object) -> None:
        if getattr(event, "point", None) == "mail accepted":
            keeping.__enter__()

    other.events.subscribe(keep)
    other.mailer.send_due()
    assert list_mail(app)[0]["status"] == "waiting"
    keeping.__exit__(None, None, None)
    other.mailer.send_due()
    (line,) = list_mail(app)
    assert (line["status"], line["attempts"]) == ("sent", 1)


@on_postgresql
def test_a_sealer_that_stands_still_keeps_nobody(app: Application) -> None:
    submit_run(app, JOB, {}, actor=ACTOR)
    with kept(app, "SELECT * FROM audit_head FOR UPDATE"):
        assert seal_committed(app) == 0
    assert seal_committed(app) == 1


@on_postgresql
@pytest.mark.parametrize("table", depth(["run", "audit_head"], ["run", "mail", "audit_head", "heartbeat"]))
def test_a_worker_ends_whatever_rows_somebody_keeps(app: Application, other: Application, table: str) -> None:
    ended_without_its_mail(app)
    submit_run(app, JOB, {}, actor=ACTOR)
    with kept(app, f"LOCK TABLE {table} IN ROW SHARE MODE; SELECT * FROM {table} FOR UPDATE"):
        assert seconds_to_end(WorkerProcess(other)) < SECONDS_TO_END / 2


@on_postgresql
def test_a_transaction_that_stands_still_loses_its_session(app: Application) -> None:
    with app.database.write() as connection:
        shown = [connection.execute(text(f"SHOW {name}")).scalar() for name in LIMITS]
    with app.database.write(patient=True) as connection:
        patient = [connection.execute(text(f"SHOW {name}")).scalar() for name in LIMITS]
    with app.database.read() as connection:
        reading = [connection.execute(text(f"SHOW {name}")).scalar() for name in LIMITS]
    assert (shown, patient, reading) == (["500ms", "10s"], ["0", "0"], ["0", "0"])


LIMITS = ("lock_timeout", "idle_in_transaction_session_timeout")


@on_postgresql
@pytest.mark.parametrize("row", ["run", "parcel"])
def test_a_scope_that_waits_for_a_lock_is_handed_back_when_its_worker_is_to_stop(
    migrated_url: str, row: str
) -> None:
    rig = Rig(Database(migrated_url), [Waiting], clock=SystemClock())
    rig.fill(5)
    run = rig.submit("waiting")
    Waiting.reached.clear()
    keeper = create_engine(migrated_url)
    listener = listener_for(rig.database)
    driving = Worker(dispatcher=rig.dispatcher(), listener=listener, clock=rig.clock)
    with keeper.begin() as connection:
        if row == "parcel":
            connection.execute(text("SELECT * FROM parcel FOR UPDATE"))
        thread = threading.Thread(target=driving.run)
        thread.start()
        assert Waiting.reached.wait(WAIT)
        if row == "run":
            connection.execute(text("SELECT * FROM run FOR UPDATE"))
        Waiting.go.set()
        began = time.monotonic()
        driving.drain()
        thread.join(WAIT)
        assert time.monotonic() - began < SECONDS_TO_END / 2
    state = rig.read(run).state
    assert state is (State.QUEUED if row == "parcel" else State.PROCESSING)
    keeper.dispose()
    listener.close()
    rig.database.close()


class Waiting(Parcels):
    """The parcels job, which says when it begins, and waits until it may go on."""

    name = "waiting"
    reached = threading.Event()
    go = threading.Event()

    def execute(self, scope: object) -> None:
        self.reached.set()
        assert self.go.wait(WAIT)
        super().execute(scope)  # type: ignore[arg-type]


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
@pytest.mark.parametrize("how", ["the turn", "the lock"])
def test_a_worker_ends_while_somebody_keeps_writing(app: Application, other: Application, how: str) -> None:
    submit_run(app, JOB, {}, actor=ACTOR)
    process = WorkerProcess(other)
    if how == "the turn":
        with app.database.write():
            assert seconds_to_end(process) < SECONDS_TO_END / 2
    else:
        with app.database.engine.connect() as connection:
            connection.exec_driver_sql("SELECT 1")  # begins immediately, past the turnstile
            assert seconds_to_end(process) < SECONDS_TO_END / 2
    for thread in threading.enumerate():
        if thread.name == "maintenance":  # left under way, as the worker says: nobody keeps it now
            thread.join(WAIT)


def test_a_worker_ends_while_its_mail_goes_to_a_server_that_does_not_answer(
    app: Application, other: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended_without_its_mail(app)
    at_it, over = threading.Event(), threading.Event()

    def send_due(*_args: object, **_more: object) -> None:
        at_it.set()
        over.wait(WAIT)

    monkeypatch.setattr(other.mailer, "send_due", send_due)
    process = WorkerProcess(other)
    results: list[bool] = []
    thread = threading.Thread(target=lambda: results.append(process.run()))
    thread.start()
    assert at_it.wait(WAIT)
    began = time.monotonic()
    process.drain()
    thread.join(WAIT)
    assert time.monotonic() - began < SECONDS_TO_END / 2
    assert results == [False]
    over.set()


def test_the_mail_at_hand_is_told_when_its_worker_is_to_end(
    app: Application, other: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended_without_its_mail(app)
    at_it, over = threading.Event(), threading.Event()

    def send_due(*, stop: Callable[[], bool]) -> None:
        at_it.set()
        while not (stop() or over.is_set()):
            time.sleep(0.01)

    monkeypatch.setattr(other.mailer, "send_due", send_due)
    monkeypatch.setattr(worker, "SECONDS_TO_END", WAIT)
    process = WorkerProcess(other)
    results: list[bool] = []
    thread = threading.Thread(target=lambda: results.append(process.run()))
    thread.start()
    assert at_it.wait(WAIT)
    process.drain()
    thread.join(WAIT)
    over.set()
    assert results == [True], "nothing was left under way"


def test_a_mail_claimed_by_a_clock_that_was_ahead_is_sent_and_can_be_retried(
    app: Application, clock: StandingClock
) -> None:
    for retry in (True, False):
        mail_id = ended_without_its_mail_of(app)
        year = NOW + timedelta(days=365)
        with app.database.write() as connection:
            line = outbox.by_id(connection, mail_id)
            connection.execute(
                update(mail).where(mail.c.id == line.key).values(attempts=1, next_attempt_at=year)
            )
        if retry:
            assert retry_mail(app, mail_id, actor=ACTOR)["status"] == "sent"
        else:
            assert [attempt.result for attempt in app.mailer.send_due().attempts] == ["sent"]


def test_a_mail_that_is_being_sent_is_still_left_alone(app: Application) -> None:
    mail_id = ended_without_its_mail_of(app)
    with app.database.write() as connection:
        assert outbox.claim(connection, outbox.by_id(connection, mail_id), NOW)
    assert app.mailer.send_due().attempts == ()


@on_postgresql
def test_a_session_that_cannot_be_recorded_is_told_of(
    app: Application, capsys: pytest.CaptureFixture[str]
) -> None:
    from batchwright.engine.store.leases import Session

    LeaseStore(app.database).begin("run/1", 1, 1, Session("backend", 1_234_567, ""))
    assert "behind a pooler" in capsys.readouterr().err
