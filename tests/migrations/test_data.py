"""What migrations make of rows that are there: a database of an earlier revision, filled, then upgraded."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from importlib.resources import files

from alembic import command
from alembic.config import Config
from sqlalchemy import text

from batchwright.engine.store import schedules
from batchwright.engine.store.database import Database

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)

CAUSES = {
    "misfire skipped: policy all runs the last 24": "misfire",
    "misfire skipped: policy latest, grace 60 s": "misfire",
    "ended: found after the end of the schedule": "ended",
    "overlapped: JR-00000007 had not ended": "overlapped",
    "overlapped: the run of 2026-03-01T12:01:01Z had not ended": "overlapped",
    "paused": "paused",
    "held": "held",
    "refused: there is no job named 'uninstalled'": "refused",
    "changed: its expression or zone was replaced first": "changed",
    None: None,
}
"""Every reason that revision 0010 wrote, and that of a run; with the cause of revision 0011."""


def migrate(database: Database, revision: str) -> None:
    """Bring the database to a revision."""
    config = Config()
    config.set_main_option("script_location", str(files("batchwright.migrations")))
    config.set_main_option("path_separator", "os")
    with database.write() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def test_times_that_were_not_run_get_the_cause_that_their_reason_begins_with(
    database_url: str,
) -> None:
    database = Database(database_url)
    migrate(database, "0010")
    schedule = (
        "INSERT INTO schedule (id, name, cron, time_zone, job, parameters, misfire, cap, overlap, owner, notify,"
        " mail_owner, created_at, timed_at, paused) VALUES (1, 'Nightly', '0 0 * ? * *', 'UTC', 'parcels', '{}',"
        " 'latest', 24, 'skip', 'dana', '[]', true, :begin, :begin, false)"
    )
    fire = (
        "INSERT INTO schedule_fire (schedule_id, nominal_time, last_nominal_time, count, decision, reason,"
        " recorded_at) VALUES (1, :at, :at, 1, :decision, :reason, :at)"
    )
    times = [f"{BEGIN + number * HOUR:%Y-%m-%dT%H:%M:%S.%fZ}" for number in range(len(CAUSES))]
    with database.write() as connection:
        connection.execute(text(schedule), {"begin": times[0]})
        for at, reason in zip(times, CAUSES, strict=True):
            decision = "started" if reason is None else "not_run"
            connection.execute(text(fire), {"at": at, "decision": decision, "reason": reason})
    migrate(database, "head")
    with database.read() as connection:
        fires = schedules.fires(connection, 1)
    database.close()
    assert {fire.reason: fire.cause for fire in fires} == CAUSES
