"""Rows of runs as tests of listings want them, and their start."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, insert, update

from batchwright.engine.store import queue, runs
from batchwright.engine.store.tables import run as run_table
from batchwright.operations.app import Application
from tests.support.application import NOW

CREATED = NOW - timedelta(hours=1)


def insert_runs(app: Application, number: int, first: int = 1, **values: Any) -> None:
    with app.database.write() as connection:
        connection.execute(
            insert(run_table), [{**a_run(key), **values} for key in range(first, first + number)]
        )


def a_run(key: int) -> dict[str, Any]:
    return {
        "id": key, "run_id": f"JR-{key:08}", "job": "usage-rating", "type": "Usage rating", "mode": "batch",
        "in_caller": False, "state": "Holding", "actor": "dana", "parameters": "{}", "trigger": "cli",
        "scope_size": 200, "notify": "[]", "mail_actor": False, "queue_key": "dana", "queue_position": key,
        "fence": 0, "created_at": CREATED,
    }  # fmt: skip


def start(app: Application, keys: list[int], at: datetime = NOW) -> None:
    """As claims do, in a transaction."""
    with app.database.write() as connection:
        queue.lock_queue(connection)
        first = runs.next_start_number(connection)
        started = update(run_table).where(run_table.c.id == bindparam("started_key"))
        started = started.values(state="Preparing", started_at=at, start_number=bindparam("place"))
        connection.execute(
            started, [{"started_key": key, "place": first + place} for place, key in enumerate(keys)]
        )
