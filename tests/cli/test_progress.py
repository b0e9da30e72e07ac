"""Progress of a run on stderr."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import pytest
from rich.console import Console
from rich.progress import Progress

from batchwright.cli.progress import BarProgress, LineProgress, bar_on
from batchwright.engine.events import RunPlanned, RunWaiting, ScopeDone
from batchwright.testing.clock import FakeClock

RUN = "JR-00000007"


@pytest.fixture
def clock() -> FakeClock:
    """A clock that moves only when told."""
    return FakeClock(datetime(2023, 7, 1, tzinfo=UTC))


def scope_done(scope: int, done: int, total: int) -> ScopeDone:
    """A scope of the run has committed, with which ``done`` of ``total`` records are through."""
    return ScopeDone(
        run_id=RUN,
        job="parcels",
        scope=scope,
        ok=200,
        errored=0,
        skipped=0,
        seconds=0.1,
        done=done,
        total=total,
    )


def test_in_a_pipe_a_short_run_says_nothing(clock: FakeClock, capsys: pytest.CaptureFixture[str]) -> None:
    progress = LineProgress(clock)
    progress(RunPlanned(RUN, 400, 2, 0))
    clock.sleep(9)
    progress(scope_done(1, 200, 400))
    assert capsys.readouterr() == ("", "")


def test_in_a_pipe_a_long_run_says_now_and_then_how_far_it_is(
    clock: FakeClock, capsys: pytest.CaptureFixture[str]
) -> None:
    progress = LineProgress(clock)
    progress(RunPlanned(RUN, 100_000, 500, 10_000))
    for scope in range(1, 5):
        clock.sleep(6)
        progress(scope_done(scope, 10_000 + scope * 6_000, 100_000))
    assert capsys.readouterr().err == (
        "JR-00000007: 22,000 of 100,000 records, 1,000 records/s, 78 s left\n"
        "JR-00000007: 34,000 of 100,000 records, 1,000 records/s, 66 s left\n"
    )


def test_why_a_run_stands_still_is_said_at_once(clock: FakeClock, capsys: pytest.CaptureFixture[str]) -> None:
    LineProgress(clock)(RunWaiting(RUN, "5 runs are active"))
    assert capsys.readouterr().err == "JR-00000007 waits: 5 runs are active\n"


def test_on_a_terminal_a_bar_shows_records_speed_and_time_left(clock: FakeClock) -> None:
    screen = Console(file=io.StringIO(), force_terminal=True, width=100)
    bar: Progress = bar_on(screen, get_time=clock.monotonic)
    with bar:
        progress = BarProgress(bar)
        progress(RunPlanned(RUN, 1_000, 5, 0))
        for scope in (1, 2):
            clock.sleep(1)
            progress(scope_done(scope, scope * 200, 1_000))
        shown = screen_text(bar)
    assert "JR-00000007" in shown
    assert "400 of 1,000" in shown
    assert "200 records/s" in shown
    assert "0:00:03" in shown


def screen_text(bar: Progress) -> str:
    console = Console(file=io.StringIO(), width=100)
    console.print(bar.get_renderable())
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()
