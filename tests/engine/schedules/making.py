"""Schedules for tests."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from engine.schedules.schedule import Schedule, Wanted
from engine.store import schedules
from engine.store.database import Database

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def wanted(name: str = "Nightly", cron: str = "0 0 0 ? * * *", **values: Any) -> Wanted:
    """What somebody wants of a schedule."""
    return Wanted(name=name, cron=cron, **{"job": "parcels", "parameters": {}, "owner": "dana"} | values)


def add(database: Database, *args: Any, now: datetime = NOW, **values: Any) -> Schedule:
    """A schedule in the database."""
    with database.write() as connection:
        schedules.lock_changes(connection)
        return schedules.insert_schedule(connection, wanted(*args, **values), now)
