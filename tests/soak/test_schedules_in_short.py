"""Ten seconds of five workers that fire a schedule each second while they are killed by turns."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak import schedules


@pytest.mark.timeout(300)
@pytest.mark.long
def test_each_second_has_one_run_or_one_reason_while_workers_are_killed(
    database_url: str, tmp_path: Path
) -> None:
    found = schedules.kill_by_turns(database_url, tmp_path, seconds=10, seed=20260101, say=lambda _: None)
    assert found.faults == []
    assert found.kills == 1
