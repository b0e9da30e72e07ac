"""Ten sound jobs are killed at every point, and pass."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from batchwright.engine.job import BatchJob
from batchwright.testing.outside import Files
from tests.testing import sound_jobs as sound
from tests.testing.ledger_of_points import points_data

JOBS = [
    sound.SetsPoints(),
    sound.AddsToBalances(),
    sound.InsertsEntries(),
    sound.ReportsBadRecords(),
    sound.RaisesOnARecord(),
    sound.WholeMembers(),
    sound.SumsUpInFinish(),
    sound.PointsInTwoHalves(),
    sound.TakesNamedPurchases(ids=(1, 3, 4, 6)),
]


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
@pytest.mark.long
def test_a_sound_job_passes(assert_restart_safe: Callable[..., None], job: BatchJob) -> None:
    assert_restart_safe(job, points_data)


@pytest.mark.long
def test_a_sound_job_that_writes_a_report_passes(
    assert_restart_safe: Callable[..., None], tmp_path: Path
) -> None:
    report = tmp_path / "report.txt"
    job = sound.WritesAReport(file=str(report))
    assert_restart_safe(job, points_data, outside=[Files(report)])
    assert report.read_text(encoding="utf-8").startswith("1 1\n2 2\n")
