"""What a page says of how far a run is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from batchwright.console.pages.run_figures import WIDTH, left_of, strip_of

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def run(done: int, total: int | None = 1_000, status: str = "Processing") -> dict[str, Any]:
    return {"status": status, "total": total, "processed": done, "errored": 0, "skipped": 0}


def progress(
    done_scopes: int,
    seconds_left: float | None,
    pace: float | None = 10.0,
    ago: float = 0,
    claimed_ago: float = 900,
) -> dict[str, Any]:
    """Of a run of a hundred scopes, of which so many are done, the last so many seconds ago."""
    return {
        "records_per_second": pace,
        "seconds_left": seconds_left,
        "last_done_at": (NOW - timedelta(seconds=ago)).isoformat(),
        "claimed_at": (NOW - timedelta(seconds=claimed_ago)).isoformat(),
        "scopes": 100,
        "strip": [{"done": done_scopes}],
    }


@pytest.mark.parametrize(
    ("shown", "of", "words"),
    [
        (run(10), progress(1, 99.0), None),
        (run(50), progress(5, 95.0), "about 1.5 min left"),
        (run(30), progress(3, 97.0), "about 1.5 min left"),
        (run(500), progress(50, 50.0, ago=2), "about 50 s left"),
        (run(500), progress(50, 50.0, ago=40), "nothing finished for 40 s"),
        (run(500), progress(50, 50.0, ago=3_600, claimed_ago=2), "about 50 s left"),
        (run(1_000), progress(100, 0.0), "finishing"),
        (run(500, status="Paused"), progress(50, 50.0), None),
        (run(0, total=None, status="Preparing"), progress(0, None, None), None),
        (run(50), progress(5, None, None), None),
    ],
)
def test_what_is_left_is_said_in_steps_and_only_where_it_is_known(
    shown: dict[str, Any], of: dict[str, Any], words: str | None
) -> None:
    assert left_of(shown, of, NOW) == words


def test_the_strip_has_a_cell_for_each_part_as_wide_as_its_scopes_and_says_what_it_is() -> None:
    part = {"first_record": 1, "records": 10, "ok": 0, "errored": 0, "skipped": 0, "done": 0}
    cells = strip_of(
        [
            {**part, "first_scope": 0, "last_scope": 1, "done": 2, "ok": 10},
            {**part, "first_record": 11, "first_scope": 2, "last_scope": 2, "done": 1, "errored": 2, "ok": 8},
            {**part, "first_scope": 3, "last_scope": 3},
        ]
    )
    assert [(cell.x, cell.kind) for cell in cells] == [
        (0, "done"),
        (WIDTH / 2, "errors"),
        (WIDTH * 3 / 4, "waiting"),
    ]
    assert cells[1].title == "Records 11 to 20: 2 errors"
    assert cells[1].first_record == 11
    assert strip_of([]) == []
