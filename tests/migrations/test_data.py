"""What migrations make of rows that are there: a database of an earlier revision, filled, then upgraded."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from batchwright.billing.records.usage_files import imported_at
from batchwright.engine.store import schedules
from batchwright.engine.store.database import Database
from tests.migrations.revisions import migrate

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


def test_files_of_usage_inputs_imported_before_are_known_by_the_hashes_of_the_audit_trail(
    database_url: str,
) -> None:
    database = Database(database_url)
    migrate(database, "0019")
    entry = (
        "INSERT INTO audit_entry (at, actor, os_user, act, subject, after)"
        " VALUES (:at, 'dana', 'dana', :act, 'x', :after)"
    )
    first, second = (
        ("a" * 64, f"{BEGIN:%Y-%m-%dT%H:%M:%S.%fZ}"),
        ("b" * 64, f"{BEGIN + HOUR:%Y-%m-%dT%H:%M:%S.%fZ}"),
    )
    with database.write() as connection:
        for act, (sha256, at), file, loaded in (
            ("import", first, "usage_inputs.csv", 3),
            ("import", second, "usage_inputs.csv", 2),
            ("import", ("a" * 64, second[1]), "usage_inputs.csv", 3),
            ("import", ("c" * 64, first[1]), "usage_inputs.csv", 0),
            ("import", ("d" * 64, first[1]), "customers.csv", 2),
            ("amend", ("e" * 64, first[1]), "usage_inputs.csv", 2),
        ):
            after = json.dumps({"files": [{"file": file, "loaded": loaded, "sha256": sha256}]})
            connection.execute(text(entry), {"at": at, "act": act, "after": after})
        connection.execute(text(entry), {"at": at, "act": "import", "after": None})
    migrate(database, "0020")
    with database.read() as connection:
        rows = connection.execute(text("SELECT sha256, lines FROM usage_file ORDER BY sha256")).all()
        assert [tuple(row) for row in rows] == [("a" * 64, None), ("b" * 64, None)]
        assert imported_at(connection, "f" * 64, "a" * 64) == BEGIN + HOUR
        assert imported_at(connection, "f" * 64, "f" * 64) is None
    database.close()


def test_the_acts_on_several_from_before_are_found_by_each_of_them(database_url: str) -> None:
    database = Database(database_url)
    migrate(database, "0052")
    long, at = "N" * 255, f"{BEGIN:%Y-%m-%dT%H:%M:%S.%fZ}"
    file = {"added": {long: {}, "A": {}}, "changed": {"B": {}}, "removed": ["C"]}
    inputs = [{"usage_input_id": "IN-1"}, {"usage_input_id": "IN-2"}]
    acts: list[tuple[str, object, object]] = [
        ("schedule.apply", None, file),
        ("usage_input.delete", inputs, None),
        ("billing_schedule.set_status", {"BS-1": "Pending Billing"}, {"status": "Invoiced"}),
        ("import", None, {"files": [{"file": "accounts.csv"}, {"file": "prices.csv"}]}),
        ("usage_input.reset", {"IN-3": {}}, None),
        ("schedule.apply", None, ["damaged"]),
        ("schedule.apply", None, {"added": {"N" * 256: {}}, "changed": {}, "removed": []}),
        ("run.prune", None, {}),
    ]
    entry = (
        "INSERT INTO audit_entry (id, at, actor, os_user, act, subject, before, after)"
        " VALUES (:id, :at, 'dana', 'dana', :act, 'x', :before, :after)"
    )
    run = (
        "INSERT INTO run (run_id, job, type, mode, in_caller, state, actor, created_at, parameters, scope_size,"
        " notify, mail_actor, trigger, queue_key, queue_position, fence, pruned_at) VALUES"
        " (:run_id, 'parcels', 'x', 'batch', false, 'Completed', 'dana', :at, '{}', 1, '[]', false,"
        " 'cli', 'dana', 0, 0, :pruned_at)"
    )
    with database.write() as connection:
        for number, (act, *sides) in enumerate(acts, start=1):
            before, after = map(json.dumps, sides)
            values = {"id": number, "at": at, "act": act, "before": before, "after": after}
            connection.execute(text(entry), values)
        connection.execute(text("INSERT INTO audit_record (record_id, entry_id) VALUES ('IN-3', 5)"))
        for run_id, pruned_at in (("JR-1", at), ("JR-2", None)):
            connection.execute(text(run), {"run_id": run_id, "at": at, "pruned_at": pruned_at})
    migrate(database, "head")
    with database.read() as connection:
        rows = connection.execute(text("SELECT entry_id, record_id FROM audit_record")).all()
    database.close()
    assert {(row.entry_id, row.record_id) for row in rows} == {
        *((1, name) for name in (long, "A", "B", "C")),
        *((2, name) for name in ("IN-1", "IN-2")),
        (3, "BS-1"),
        *((4, name) for name in ("accounts.csv", "prices.csv")),
        (5, "IN-3"),
        (8, "JR-1"),
    }


def test_mail_from_before_routes_leaves_by_that_of_the_settings_it_was_recorded_under(
    database_url: str,
) -> None:
    database = Database(database_url)
    migrate(database, "0017")
    mail = (
        "INSERT INTO mail (mail_id, kind, recipient, facts, status, message_id, attempts, created_at)"
        " VALUES (:name, 'run_ended', 'eve@example.com', :facts, :status, :name, 0, :at)"
    )
    recorded: dict[str, tuple[str, dict[str, object]]] = {
        "ML-1": ("waiting", {"mail_only_to_files": True}),
        "ML-2": ("waiting", {"mail_only_to_files": False, "reason": '"mail_only_to_files": true'}),
        "ML-3": ("for_digest", {"mail_only_to_files": False}),
        "ML-4": ("waiting", {}),
        "ML-5": ("sent", {"mail_only_to_files": False}),
    }
    with database.write() as connection:
        for name, (status, facts) in recorded.items():
            values = {"name": name, "status": status, "facts": json.dumps(facts)}
            connection.execute(text(mail), {**values, "at": f"{BEGIN:%Y-%m-%dT%H:%M:%S.%fZ}"})
    migrate(database, "head")
    with database.read() as connection:
        rows = connection.execute(text("SELECT mail_id, route FROM mail")).all()
    database.close()
    assert {row.mail_id: row.route for row in rows} == {
        "ML-1": "file",
        "ML-2": "smtp",
        "ML-3": "smtp",
        "ML-4": None,
        "ML-5": None,  # nobody knows, and nobody asks
    }
