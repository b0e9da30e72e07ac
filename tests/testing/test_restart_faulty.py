"""Ten jobs with one fault each, which a mere run does not show: every fault is found, and named."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from batchwright.engine.job import BatchJob
from batchwright.engine.run import State
from batchwright.testing.outside import Files, Outside, SmtpCapture
from batchwright.testing.restart import NotRestartSafe
from batchwright.testing.runner import JobRunner
from tests.testing import faulty_jobs as faulty
from tests.testing.ledger_of_points import points_data

Found = Callable[..., str]


@pytest.fixture
def found(assert_restart_safe: Callable[..., None]) -> Found:
    """What is said of a job."""

    def check(job: BatchJob, outside: Sequence[Outside] = ()) -> str:
        with pytest.raises(NotRestartSafe) as raised:
            assert_restart_safe(job, points_data, outside=outside)
        return str(raised.value)

    return check


@pytest.mark.long
def test_what_is_written_outside_the_transaction_is_found(found: Found, tmp_path: Path) -> None:
    file = tmp_path / "done.txt"
    said = found(faulty.WritesOutsideTheTransaction(file=str(file)), [Files(file)])
    assert "killed at 'scope executed' of scope 1, and taken over by another process" in said
    assert (
        r"file done.txt: b'1\n2\n3\n1\n2\n3\n4\n5\n6\n7\n'; undisturbed it is b'1\n2\n3\n4\n5\n6\n7\n'"
        in said
    )
    assert "leave mails, calls and files to finish or to afterwards" in said


@pytest.mark.long
def test_a_mail_that_execute_sends_is_found(found: Found, smtp_capture: SmtpCapture) -> None:
    job = faulty.MailsInExecute(host=smtp_capture.host, port=smtp_capture.port)
    said = found(job, [smtp_capture])
    assert "killed at 'scope executed' of scope 1" in said
    assert "mail 'Subject: points for purchase 1': came 2 times; undisturbed it is came 1 time" in said


@pytest.mark.long
def test_a_sum_that_is_kept_in_memory_is_found(found: Found) -> None:
    said = found(faulty.KeepsASumInMemory())
    assert "killed at 'scope committed' of scope 1" in said
    assert "table summary, row name='all': points is 22; undisturbed it is 28" in said
    assert "Keep nothing in memory from one scope to the next" in said


def test_a_start_that_changes_its_mind_is_found(found: Found) -> None:
    said = found(faulty.ChangesItsMind())
    assert "start changed its mind when it was called again on the same data" in said
    assert "call of start: item " in said


def test_a_job_that_commits_by_itself_is_found(found: Found) -> None:
    assert "the job ended the transaction of scope 1 by itself" in found(faulty.CommitsByItself())


@pytest.mark.long
def test_a_count_that_is_kept_in_a_file_is_found(found: Found, tmp_path: Path) -> None:
    file = tmp_path / "count.txt"
    said = found(faulty.CountsInAFile(file=str(file)), [Files(file)])
    assert "killed at 'scope executed' of scope 1" in said
    assert "table purchase, row id=1: points is 4; undisturbed it is 1" in said


def test_an_amount_from_the_wall_clock_is_found(found: Found) -> None:
    said = found(faulty.DrawsAtRandom())
    assert "a second undisturbed run on the same data came to something else" in said
    assert "table purchase, row id=1: points is " in said


@pytest.mark.long
def test_an_amount_that_depends_on_the_scope_is_found(found: Found) -> None:
    said = found(faulty.DependsOnItsScopes())
    assert "in scopes of 1 in place of 3" in said
    assert "table purchase, row id=2: points is 1002; undisturbed it is 2" in said


@pytest.mark.long
def test_an_error_that_is_swallowed_after_half_of_the_work_is_found(found: Found) -> None:
    said = found(faulty.SwallowsItsErrors())
    assert "a passing fault of the database at statement 4 of the first scope" in said
    assert "record 2: error (failed); undisturbed it is ok" in said


@pytest.mark.long
def test_a_finish_that_cannot_be_repeated_is_found(found: Found, tmp_path: Path) -> None:
    file = tmp_path / "report.txt"
    said = found(faulty.FinishesTwice(file=str(file)), [Files(file)])
    assert "killed at 'finish called', and taken over by another process" in said
    assert r"file report.txt: b'7 purchases\n7 purchases\n'; undisturbed it is b'7 purchases\n'" in said


@pytest.mark.parametrize(
    "job",
    [faulty.KeepsASumInMemory(), faulty.ChangesItsMind(), faulty.DependsOnItsScopes(), faulty.SwallowsItsErrors()],
    ids=lambda job: job.name,
)  # fmt: skip
def test_a_mere_run_does_not_show_the_fault(job_runner: JobRunner, job: BatchJob) -> None:
    job_runner.fill(points_data)
    run = job_runner.run(job)
    assert (run.state, run.processed, run.errored) == (State.COMPLETED, 7, 0)
