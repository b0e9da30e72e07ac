"""A job in line on a throw-away database, on a clock of the test's, with its mail, and killed where the test says."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NoReturn

import pytest

from batchwright.engine.errors import Refused
from batchwright.engine.events import POINTS, Point
from batchwright.engine.job import Finish
from batchwright.engine.run import State
from batchwright.testing.clock import FakeClock
from batchwright.testing.mailbox import Mailbox
from batchwright.testing.runner import JobRunner
from tests.testing import sound_jobs as sound
from tests.testing.ledger_of_points import PURCHASES, member, points_data, purchase

OF_A_SCOPE = ("scope read", "scope executed", "scope saved", "scope committed")


@pytest.fixture
def runner(job_runner: JobRunner) -> JobRunner:
    """With members and purchases."""
    job_runner.fill(points_data)
    return job_runner


def test_a_job_is_driven_to_its_end_and_shows_what_it_wrote(runner: JobRunner) -> None:
    run = runner.run(sound.SetsPoints())
    assert (run.state, run.processed) == (State.COMPLETED, PURCHASES)
    assert [row.points for row in runner.rows(purchase)] == [1, 2, 3, 4, 5, 6, 7]


def test_outcomes_are_there_by_record(runner: JobRunner) -> None:
    run = runner.run(sound.ReportsBadRecords())
    outcomes = {key: one.outcome for key, one in runner.outcomes(run).items()}
    assert outcomes == {1: "ok", 2: "error", 3: "ok", 4: "ok", 5: "ok", 6: "skipped", 7: "ok"}


def test_the_mail_about_a_run_is_captured(runner: JobRunner, mailbox: Mailbox) -> None:
    runner.run(sound.SetsPoints())
    (mail,) = mailbox.messages
    assert mail["To"] == "reader@example.com"
    assert "7 processed" in mail["Subject"]


def test_the_job_s_time_is_the_clock_of_the_test(runner: JobRunner, fake_clock: FakeClock) -> None:
    fake_clock.sleep(3600)
    runner.run(sound.TakesNamedPurchases(ids=(1,)))
    at = datetime(2023, 6, 15, 13, 0, tzinfo=UTC)
    assert runner.rows(member)[0].balance == at.timestamp()


def test_a_dry_run_leaves_the_tables_as_they_were(runner: JobRunner) -> None:
    before = runner.rows(purchase)
    assert runner.run(sound.PointsInTwoHalves(), mode="dry_run").state is State.COMPLETED
    assert runner.rows(purchase) == before


@pytest.mark.parametrize("verdict", [pytest.fail, pytest.skip, pytest.exit])
def test_a_verdict_of_pytest_s_own_passes_through(
    runner: JobRunner, verdict: Callable[[str], NoReturn], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sound.SetsPoints, "execute", lambda *_: verdict("not so"))
    with pytest.raises(verdict.Exception, match="not so"):  # type: ignore[attr-defined]
        runner.run(sound.SetsPoints())


def test_a_job_that_exits_does_not_exit_the_tests(runner: JobRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sound.SetsPoints, "execute", lambda *_: sys.exit("enough"))
    assert runner.run(sound.SetsPoints()).errored == PURCHASES


class Leads(sound.SetsPoints):
    """To a job that BATCHWRIGHT_JOBS names, and to itself."""

    name = "leads"

    def finish(self, finish: Finish) -> None:
        finish.submit(sound.SetsPoints())
        finish.submit(Leads())


def test_a_job_may_submit_itself_and_those_that_the_settings_name(
    runner: JobRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BATCHWRIGHT_JOBS", "tests.testing.sound_jobs:SetsPoints")
    assert runner.run(Leads()).state is State.COMPLETED


def test_a_run_that_failed_is_no_success_unless_it_may_fail(
    runner: JobRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sound.SetsPoints, "finish", lambda *_: 1 / 0)
    with pytest.raises(AssertionError, match="failed: ZeroDivisionError"):
        runner.run(sound.SetsPoints())
    assert runner.run(sound.SetsPoints(), may_fail=True).state is State.FAILED


def test_what_the_job_refuses_at_submit_is_refused_here(runner: JobRunner) -> None:
    with pytest.raises(Refused, match=r"no such purchases: \[99\]"):
        runner.submit(sound.TakesNamedPurchases(ids=(99,)))


@pytest.mark.parametrize(
    ("point", "scope", "state", "done"),
    [
        pytest.param("planned", None, State.PROCESSING, 0, marks=pytest.mark.long),
        ("scope saved", 2, State.PROCESSING, 3),
        pytest.param("scope committed", 2, State.PROCESSING, 6, marks=pytest.mark.long),
        pytest.param("ended", None, State.COMPLETED, 7, marks=pytest.mark.long),
    ],
)
def test_a_run_that_is_killed_at_a_point_stands_there_and_is_finished_by_another(
    runner: JobRunner, point: Point, scope: int | None, state: State, done: int
) -> None:
    run = runner.submit(sound.AddsToBalances(), scope_size=3)
    killed = runner.kill_at(run, point, scope=scope)
    assert (killed.state, killed.processed) == (state, done)
    ended = killed if killed.ended else runner.drive(run)
    assert (ended.state, ended.processed) == (State.COMPLETED, PURCHASES)
    assert [row.balance for row in runner.rows(member)] == [1 + 2 + 3, 4 + 5, 6 + 7]


def test_a_point_that_is_not_reached_is_an_error_of_the_test(runner: JobRunner) -> None:
    run = runner.submit(sound.SetsPoints(), scope_size=3)
    with pytest.raises(AssertionError, match="JR-00000001 did not come to 'scope saved' of scope 9"):
        runner.kill_at(run, "scope saved", scope=9)


def test_a_job_inside_a_function_is_refused_with_the_remedy(runner: JobRunner) -> None:
    class Inside(sound.SetsPoints):
        name = "inside"

    run = runner.submit(Inside())
    with pytest.raises(TypeError, match="define the job at the top of a module"):
        runner.kill_at(run, "planned")


def test_every_point_of_a_run_is_one_that_kills(runner: JobRunner) -> None:
    """One run, killed at each point in turn; every process but the last dies."""
    run = runner.submit(sound.AddsToBalances(), scope_size=PURCHASES)
    for point in POINTS:
        runner.kill_at(run, point, scope=1 if point in OF_A_SCOPE else None)
    assert [row.balance for row in runner.rows(member)] == [6, 9, 13]
