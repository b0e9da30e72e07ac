"""What whoever watches the service wants to know of it, as the database tells it. No record and nobody is named."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from batchwright.engine.run import ENDED
from batchwright.engine.store import figures
from batchwright.notifications import outbox
from batchwright.operations.app import Application
from batchwright.operations.workers import SILENT_AFTER

RUNS_OF: Final = timedelta(days=1)
"""Of runs that have ended those count that began so long ago at most."""
TIMES_OF: Final = timedelta(hours=1)
"""Of nominal times those that were recorded so long ago at most."""


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of one moment; ages are in seconds.

    `runs` and `oldest_runs` have the states of runs that have not ended, `ended` and `records` are of the last day,
    `times` (by decision and cause) and `latest` (seconds by which a time that was run was late) of the last hour.
    """

    runs: dict[str, int]
    oldest_runs: dict[str, float]
    takeovers: int
    ended: dict[str, int]
    records: dict[str, int]
    times: dict[tuple[str, str], int]
    latest: float
    mails: dict[str, int]
    mail_overdue: float
    workers: int


def service_figures(app: Application) -> Figures:
    """The figures of now; asks for no right, as what is measured names nobody.

    Raises what reading the database raises.
    """
    now = app.clock.now()
    with app.database.read() as connection:
        live = figures.live(connection)
        ended = figures.ended(connection, now - RUNS_OF)
        times = figures.times(connection, now - TIMES_OF)
        mails, due = outbox.backlog(connection)
        records = {
            name: sum(one.records[name] for one in ended.values())
            for name in ("ok", "error", "skipped", "not_reached")
        }
        return Figures(
            runs={state: one.number for state, one in live.items()},
            oldest_runs={state: _age(one.oldest, now) for state, one in live.items()},
            takeovers=figures.takeovers(connection),
            ended={state: ended[state].number if state in ended else 0 for state in ENDED},
            records=records,
            times={(time.decision, time.cause or ""): time.number for time in times},
            latest=max((time.latest_seconds for time in times if time.decision == "started"), default=0.0),
            mails=mails,
            mail_overdue=0.0 if due is None else _age(due, now),
            workers=figures.workers_since(connection, now - SILENT_AFTER),
        )


def _age(since: datetime, now: datetime) -> float:
    return max((now - since).total_seconds(), 0.0)
