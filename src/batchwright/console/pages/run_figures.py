"""How far a run is, in words and as a strip of its scopes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from batchwright.console.pages.formats import in_words, moment_of, roughly
from batchwright.engine.run import ACTIVE
from batchwright.operations.views import View

WIDTH: Final = 1_000
"""Of the strip, in its own units."""
FEW_SCOPES: Final = 5
SMALL_PART: Final = 0.03
"""Before so many scopes, and so much of the records, nothing is foretold."""
STILL: Final = 3
LEAST_STILL: Final = 20.0
"""Nothing done for three times what a scope takes, and so many seconds: that is said in place of a time."""


class Cell(NamedTuple):
    """A cell of the strip, in its own units; ``kind`` is done, part, errors or waiting, ``first_record`` a number."""

    x: float
    width: float
    kind: str
    title: str
    first_record: int


def done_of(run: View) -> int:
    """How many records are through."""
    return sum(run[name] or 0 for name in ("processed", "errored", "skipped"))


def left_of(run: View, progress: View, now: datetime) -> str | None:
    """What is left of a run at work, in words; None where nothing can be said yet, or it is not at work."""
    if run["status"] not in ACTIVE or run["total"] is None:
        return None
    done, total = done_of(run), run["total"]
    if done >= total:
        return "finishing"
    pace, seconds = progress["records_per_second"], progress["seconds_left"]
    finished = sum(cell["done"] for cell in progress["strip"])
    if not pace or seconds is None or (finished < FEW_SCOPES and done < SMALL_PART * total):
        return None
    last = max(moment_of(at) for at in (progress["last_done_at"], progress["claimed_at"]) if at)
    since = (now - last).total_seconds()
    usual = total / max(progress["scopes"], 1) / pace
    if since > max(STILL * usual, LEAST_STILL):
        return f"nothing finished for {in_words(since)}"
    return f"{roughly(max(seconds - since, 1.0))} left"


def figures_of(run: View, progress: View, now: datetime) -> View:
    """What stands beside the bar: `done`, `total`, `rate`, `left`, `says`."""
    done, total, pace = done_of(run), run["total"], progress["records_per_second"]
    left = left_of(run, progress, now)
    rate = (
        f"{pace:,.0f} records a second"
        if pace and pace >= 10
        else f"{pace:.1f} records a second"
        if pace
        else None
    )
    return {"done": done, "total": total, "rate": rate, "left": left}


def strip_of(strip: Sequence[View]) -> list[Cell]:
    """The cells of a run's scopes, each as wide as its scopes are many."""
    scopes = strip[-1]["last_scope"] - strip[0]["first_scope"] + 1 if strip else 0
    return [_cell(one, strip[0]["first_scope"], scopes) for one in strip]


def _cell(one: View, first: int, scopes: int) -> Cell:
    number = one["last_scope"] - one["first_scope"] + 1
    through = one["ok"] + one["errored"] + one["skipped"]
    kind = (
        "errors" if one["errored"] else "done" if one["done"] == number else "part" if through else "waiting"
    )
    last = one["first_record"] + one["records"] - 1
    said = {
        "errors": f"{one['errored']:,} errors",
        "done": "done",
        "part": "at work",
        "waiting": "not done yet",
    }[kind]
    place: Any = one["first_scope"] - first
    return Cell(
        round(place * WIDTH / scopes, 2),
        round(max(number * WIDTH / scopes - 0.6, 0.5), 2),
        kind,
        f"Records {one['first_record']:,} to {last:,}: {said}",
        one["first_record"],
    )
