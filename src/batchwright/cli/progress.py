"""How a run gets on, on stderr: a bar on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from batchwright.cli.output import say
from batchwright.config.texts import clean, clean_line
from batchwright.engine.claim import OnProgress, ignore_progress
from batchwright.engine.clock import Clock
from batchwright.engine.events import Event, Events, RunPlanned, RunWaiting, ScopeDone
from batchwright.engine.run import Run

LINE_EVERY_SECONDS = 10.0


@contextmanager
def shown_progress(events: Events, clock: Clock, *, verbosity: int) -> Iterator[OnProgress]:
    """Show the progress of the run that is driven inside the block: nothing with `-q`.

    Nor with `-v` where stderr is not a terminal: the log has a line for each scope, and nothing else is to be in it.
    What it gives is to be told of a run that another process drives, of which there are no events here.
    """
    if verbosity < 0:
        yield ignore_progress
    elif sys.stderr.isatty():
        with bar_on(Console(stderr=True)) as bar:
            shown = BarProgress(bar)
            events.subscribe(shown)
            yield shown.followed
    elif verbosity == 0:
        lines = LineProgress(clock)
        events.subscribe(lines)
        yield lines.followed
    else:
        yield ignore_progress


@contextmanager
def shown_import(*, quiet: bool) -> Iterator[Callable[[str, int, float], None] | None]:
    """A function that shows how far an import is in a file: name, rows so far, share read. Only on a terminal."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    with bar_on(Console(stderr=True)) as bar:
        yield ImportProgress(bar)


@contextmanager
def shown_steps(what: str, *, quiet: bool) -> Iterator[Callable[[int, int], None] | None]:
    """A function that shows how many of something are done, of how many. Only on a terminal."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    with bar_on(Console(stderr=True)) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def message_of(event: Event) -> str | None:
    """What to say about a run that stands still; of what goes wrong the log tells."""
    return f"{event.run_id} waits: {event.reason}" if isinstance(event, RunWaiting) else None


def following(run: Run) -> str:
    """What to say when another process turns out to drive the run."""
    return f"{run.run_id} is driven by {run.owner}; following it"


class LineProgress:
    """A line at most every ten seconds: records done, records per second, time left."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._started = self._said = clock.monotonic()
        self._done_before = 0
        self._followed: str | None = None

    def __call__(self, event: Event) -> None:
        """Take note of an event, and say so when it is time."""
        if message := message_of(event):
            say(message, err=True)
        elif isinstance(event, RunPlanned):
            self._started = self._said = self._clock.monotonic()
            self._done_before = event.done
        elif isinstance(event, ScopeDone):
            self._moved(event.run_id, event.done, event.total)

    def followed(self, run: Run, done: int) -> None:
        """Take note of how far a run is that another process drives."""
        if run.owner != self._followed and run.owner is not None:
            self._followed = run.owner
            self._started, self._done_before = self._clock.monotonic(), done
            say(following(run), err=True)
        elif run.total is not None:
            self._moved(run.run_id, done, run.total)

    def _moved(self, run_id: str, done: int, total: int) -> None:
        now = self._clock.monotonic()
        if now - self._said < LINE_EVERY_SECONDS:
            return
        self._said = now
        speed = (done - self._done_before) / (now - self._started)
        left = f", {(total - done) / speed:,.0f} s left" if speed else ""
        say(f"{run_id}: {done:,} of {total:,} records, {speed:,.0f} records/s{left}", err=True)


class BarProgress:
    """The bar of a run; it appears once the number of records is known."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._task = bar.add_task("planning", total=None)
        self._followed: str | None = None

    def __call__(self, event: Event) -> None:
        """Move the bar; say what is out of the ordinary above it."""
        if message := message_of(event):
            self._bar.console.print(Text(clean(message)))
        elif isinstance(event, RunPlanned):
            self._bar.reset(self._task, total=event.total, completed=event.done, description=event.run_id)
        elif isinstance(event, ScopeDone):
            self._bar.update(self._task, completed=event.done, total=event.total)

    def followed(self, run: Run, done: int) -> None:
        """Show how far a run is that another process drives."""
        if run.owner != self._followed and run.owner is not None:
            self._followed = run.owner
            self._bar.console.print(Text(clean(following(run))))
            self._bar.reset(self._task, total=run.total, completed=done, description=run.run_id)
        else:
            self._bar.update(self._task, completed=done, total=run.total)


class ImportProgress:
    """A bar for each file of an import, by the share of its bytes that has been read."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, file: str, rows: int, share: float) -> None:
        """Move the bar of ``file``; how many rows it has in all is estimated from those so far."""
        if file not in self._tasks:
            self._tasks[file] = self._bar.add_task(clean_line(file), total=None)
        total = rows / share if share else None
        self._bar.update(self._tasks[file], completed=rows, total=total)


class _Done(ProgressColumn):
    """Records done, of how many."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.completed:,.0f} of {task.total:,.0f}" if task.total is not None else "")


class _Speed(ProgressColumn):
    """How many per second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f} records/s" if task.speed else "")


def bar_on(console: Console, get_time: Callable[[], float] | None = None) -> Progress:
    """A bar with records done, records per second and the time left, on ``console``."""
    # Transient: what stays on the screen is the result, which the command prints.
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        _Done(),
        _Speed(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        get_time=get_time,
        transient=True,
    )
