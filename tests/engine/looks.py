"""The looks that listings and schedulers repeat, with the index that each is to use, and their plans."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, event

from batchwright.engine.store import runs, schedules, scopes
from batchwright.operations import audit_store

LOOKS: dict[str, tuple[Callable[[Connection], Any], str]] = {
    "runs list": (lambda connection: runs.listing(connection, limit=20), "ix_run_begun"),
    "runs list --job": (
        lambda connection: runs.listing(connection, job="usage-rating", limit=20),
        "ix_run_job_begun",
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
        lambda connection: scopes.scopes_around(connection, ["a"], 7),
        "ix_scope_run_id_last_group_first_group",
    ),
    "what people did to a record": (
        lambda connection: audit_store.acts_on(connection, "IN-1", ["a"], ["b"]),
        "ix_audit_entry_subject|ix_audit_entry_act",
    ),
}


@contextmanager
def planned(connection: Connection) -> Iterator[list[str]]:
    """The plan of each statement that is executed in the block, as the database tells it."""
    plans: list[str] = []

    def explain(_: Any, cursor: Any, statement: str, parameters: Any, *__: Any) -> None:
        word = "EXPLAIN QUERY PLAN" if connection.dialect.name == "sqlite" else "EXPLAIN"
        plans.append("\n".join(str(row[-1]) for row in cursor.execute(f"{word} {statement}", parameters)))

    event.listen(connection, "before_cursor_execute", explain)
    try:
        yield plans
    finally:
        event.remove(connection, "before_cursor_execute", explain)
