"""The looks that listings and schedulers repeat, with the index that each is to use, and their plans."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, event

from batchwright.engine.run import State
from batchwright.engine.store import pruning, run_log, runs, schedules, scopes
from batchwright.engine.store.pages import Listing
from batchwright.engine.store.pruning import Old
from batchwright.engine.store.run_log import Place, RunQuery
from batchwright.engine.store.scopes import ReportedPlace
from batchwright.notifications import outbox
from batchwright.operations import audit_store
from batchwright.operations.audit_store import AuditFilter

AT = datetime(2026, 1, 2, tzinfo=UTC)
RUN_LISTS = {
    "all": (RunQuery(), "ix_run_begun_at_id"),
    "from, before": (RunQuery(since=AT, before=AT + timedelta(days=1)), "ix_run_begun_at_id"),
    "period": (RunQuery(period="2026-01"), "ix_run_begun_at_id_periods"),
    "errors": (RunQuery(with_errors=True), "ix_run_begun_at_id_errored"),
    "state": (RunQuery(states=(State.COMPLETED,)), "ix_run_state_begun_at_id"),
    "errors of an actor and a job": (
        RunQuery(with_errors=True, equal={"actor": "a", "job": "a"}),
        "ix_run_begun_at_id_errored|ix_run_actor_begun_at_id",
    ),
    "period of an actor": (
        RunQuery(period="2026-01", equal={"actor": "a"}),
        "ix_run_begun_at_id_periods|ix_run_actor_begun_at_id",
    ),
    **{
        name: (RunQuery(equal={name: "a"}), f"ix_run_{name}_begun_at_id")
        for name in ("job", "customer_id", "actor", "schedule", "trigger")
    },
}
"""A filter of each kind, with the index that gives its runs in order."""


def _listed(wanted: RunQuery) -> Callable[[Connection], Any]:
    """A page in the middle of the log."""
    return lambda connection: run_log.page(connection, wanted, 20, Place(50, 50, AT, 50))


def _reported(outcomes: tuple[str, ...], code: str | None) -> Callable[[Connection], Any]:
    place = ReportedPlace("error", "no_price", 7)
    return lambda connection: scopes.reported_page(connection, 1, outcomes, code, 20, place)


def _of_scopes(outcome: str) -> Callable[[Connection], Any]:
    return lambda connection: list(scopes.read_all(connection, 1, outcome, 50))


def _page_of(listing: Listing, **last: Any) -> Callable[[Connection], Any]:
    """A page in the middle of a listing, newest first."""
    return lambda connection: connection.execute(listing.page(last, 20)).all()


_AUDIT = {
    "all": (AuditFilter(), "ix_audit_entry_at_id"),
    "from, before": (AuditFilter(since=AT, before=AT + timedelta(days=1)), "ix_audit_entry_at_id"),
    "act and day": (AuditFilter(act="a", before=AT), "ix_audit_entry_act_at_id"),
    "act, actor and door": (AuditFilter(act="a", actor="a", door="api"), "ix_audit_entry_act_at_id"),
    "actor and door": (AuditFilter(actor="a", door="api"), "ix_audit_entry_actor_at_id"),
    "act": (AuditFilter(act="a"), "ix_audit_entry_act_at_id"),
    "actor": (AuditFilter(actor="a"), "ix_audit_entry_actor_at_id"),
    "door": (AuditFilter(door="a"), "ix_audit_entry_door_at_id"),
}
_MAIL = {
    "status": ({"status": "failed"}, "ix_mail_status_id"),
    "kind": ({"kind": "digest"}, "ix_mail_kind_id"),
    "recipient": ({"recipient": "Jane@Example.com"}, "ix_mail_recipient_id"),
    "run": ({"run_id": "JR-1"}, "ix_mail_run_id_id"),
    "status and kind": ({"status": "failed", "kind": "digest"}, "ix_mail_status_id"),
    "recipient and status": ({"recipient": "a", "status": "failed"}, "ix_mail_recipient_id"),
}
IN_ORDER: dict[str, tuple[Callable[[Connection], Any], str]] = {
    **{
        f"audit by {name}": (_page_of(audit_store.list_audit_entries(wanted=wanted), at=AT, id=50), index)
        for name, (wanted, index) in _AUDIT.items()
    },
    **{
        f"mail by {name}": (_page_of(outbox.pages_of(**wanted)[0], id=50), index)
        for name, (wanted, index) in _MAIL.items()
    },
    **{
        f"mail by {name}, what is gone through": (_page_of(walk, id=50), index)
        for name, (wanted, index) in _MAIL.items()
        if (walk := outbox.pages_of(**wanted)[1])
    },
}
"""Pages that are read in the order of an index."""

LOOKS: dict[str, tuple[Callable[[Connection], Any], str]] = {
    **{f"runs list, {name}": (_listed(wanted), index) for name, (wanted, index) in RUN_LISTS.items()},
    "runs list, by two states": (
        _listed(RunQuery(states=(State.FAILED, State.QUEUED))),
        "ix_run_state_begun_at_id",
    ),
    "runs list, started meanwhile": (
        _listed(RunQuery()),
        "USING COVERING INDEX ix_run_start_number|Scan using ix_run_start_number|Scan on ix_run_start_number",
    ),
    "outcomes, by code": (_reported(("error",), "no_price"), "ix_outcome_run_id_outcome_code_id"),
    "outcomes, errors and skips": (
        _reported(("error", "skipped"), None),
        "ix_outcome_run_id_outcome_code_id",
    ),
    **{
        f"outcomes, {outcome}": (_of_scopes(outcome), "ix_scope_progress")
        for outcome in ("ok", "error", "skipped", "not_reached")
    },
    "outcomes, counted": (
        lambda connection: scopes.reported_counts(connection, 1),
        "ix_outcome_run_id_outcome_code_id",
    ),
    "strip": (
        lambda connection: scopes.strip(connection, 1, 200),
        "USING COVERING INDEX ix_scope_progress|Only Scan using ix_scope_progress",
    ),
    "pace": (
        lambda connection: scopes.newest_done(connection, [1, 2], 2_000),
        "USING COVERING INDEX ix_scope_progress|scope_run_id",
    ),
    "runs of a job that have not ended": (
        lambda connection: runs.live_of_customers(connection, "a"),
        "ix_run_state_begun_at_id",
    ),
    "how long the newest runs of a job took": (
        lambda connection: list(run_log.seconds_taken(connection, "a", 200)),
        "ix_run_job_begun_at_id",
    ),
    "overlap": (lambda connection: schedules.newest_live(connection, ["a"]), "ix_run_schedule_live"),
    "dedup key": (lambda connection: runs.live_with_key(connection, "a", "b"), "ix_run_job_dedup_key"),
    "recorded ahead": (
        lambda connection: schedules.recorded_ahead(connection, [1]),
        "schedule_fire_schedule_id_nominal_time|sqlite_autoindex_schedule_fire_1",
    ),
    "last started": (
        lambda connection: schedules.last_started(connection, [1]),
        "schedule_fire_schedule_id_nominal_time|sqlite_autoindex_schedule_fire_1",
    ),
    "what became of a record": (
        lambda connection: scopes.scopes_around(connection, ["a"], 7, 10**9, 100),
        "ix_scope_run_id_last_group_first_group",
    ),
    "what can be pruned": (
        lambda connection: pruning.figures(connection, Old(AT, (), outbox.waits_for_records())),
        "ix_run_ended_at",
    ),
    "what pruned runs have left": (pruning.number_left, "ix_run_rows_left"),
    "the newest that is pruned": (
        lambda connection: pruning.newest_pruned(connection, ["a", "b"]),
        "ix_run_pruned",
    ),
    "what people did to a record": (
        lambda connection: audit_store.acts_on(connection, "IN-1", ["a"]),
        "ix_audit_entry_subject|ix_audit_entry_act_at_id",
    ),
}


@contextmanager
def planned(connection: Connection) -> Iterator[list[str]]:
    """The plan of each query that is executed in the block, as the database tells it."""
    plans: list[str] = []

    def explain(_: Any, cursor: Any, statement: str, parameters: Any, *__: Any) -> None:
        if not statement.startswith(("SELECT", "WITH")):
            return
        word = "EXPLAIN QUERY PLAN" if connection.dialect.name == "sqlite" else "EXPLAIN"
        plans.append("\n".join(str(row[-1]) for row in cursor.execute(f"{word} {statement}", parameters)))

    event.listen(connection, "before_cursor_execute", explain)
    try:
        yield plans
    finally:
        event.remove(connection, "before_cursor_execute", explain)
