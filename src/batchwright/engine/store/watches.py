"""Statements on what is still to be said of schedules' times: late runs, and successes to be pinged."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update

from batchwright.engine.run import State
from batchwright.engine.schedule import Judgement, RunTimes, Watch
from batchwright.engine.store.tables import run as run_table
from batchwright.engine.store.tables import schedule_watch as watch_table

MOST = 1_000
"""Watches that one look takes, the oldest first."""

# What is watched, with what is known of the runs.
_WATCHED = (
    select(watch_table, run_table.c.state, run_table.c.started_at, run_table.c.ended_at)
    .join(run_table, run_table.c.run_id == watch_table.c.run_id, isouter=True)
    .order_by(watch_table.c.id)
    .limit(MOST)
)

# What is left of a watch, if it is still as it was read: of several that say a thing, one does.
_JUDGED = (
    update(watch_table)
    .where(
        watch_table.c.id == bindparam("of_key"),
        watch_table.c.start_by.is_not_distinct_from(
            bindparam("old_start_by", type_=watch_table.c.start_by.type)
        ),
        watch_table.c.finish_by.is_not_distinct_from(
            bindparam("old_finish_by", type_=watch_table.c.finish_by.type)
        ),
        watch_table.c.pings == bindparam("old_pings"),
    )
    .values(
        start_by=bindparam("new_start_by"), finish_by=bindparam("new_finish_by"), ping=bindparam("new_ping")
    )
)

# A watch of which nothing is left to be said.
_OVER = delete(watch_table).where(
    watch_table.c.id == bindparam("of_key"),
    watch_table.c.start_by.is_(None),
    watch_table.c.finish_by.is_(None),
    watch_table.c.ping.is_(None),
)

# The claim of a call: only of one that is due and that nobody has begun since it was read.
_CLAIM_PING = (
    update(watch_table)
    .where(
        watch_table.c.id == bindparam("of_key"),
        watch_table.c.pings == bindparam("old_pings"),
        watch_table.c.ping.is_not(None),
    )
    .values(pings=watch_table.c.pings + 1, ping_at=bindparam("held_until"))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredWatch(Watch):
    """A watch in the database: ``pings`` calls were begun, the next not before ``ping_at``."""

    id: int
    pings: int
    ping_at: datetime | None


def add(connection: Connection, watches: Iterable[Watch | None]) -> None:
    """Watch these times, as ``watch_of`` has them; ``None`` is left out."""
    rows = [{**asdict(watch), "pings": 0} for watch in watches if watch is not None]
    if rows:
        connection.execute(insert(watch_table), rows)


def watched(connection: Connection) -> list[tuple[StoredWatch, RunTimes | None]]:
    """What is watched, the oldest first, with what is known of each run."""
    return [(_watch(row), _times(row)) for row in connection.execute(_WATCHED)]


def settle(connection: Connection, watch: StoredWatch, judged: Judgement) -> bool:
    """Keep what is left of a watch, or delete it; ``False`` when somebody else did."""
    values = {
        "of_key": watch.id,
        "old_start_by": watch.start_by,
        "old_finish_by": watch.finish_by,
        "old_pings": watch.pings,
        "new_start_by": judged.start_by,
        "new_finish_by": judged.finish_by,
        "new_ping": judged.ping,
    }
    if connection.execute(_JUDGED, values).rowcount != 1:
        return False
    connection.execute(_OVER, {"of_key": watch.id})
    return True


def claim_ping(connection: Connection, watch: StoredWatch, held_until: datetime) -> bool:
    """Take the next call, if nobody else has. If the caller dies, it is due again at ``held_until``."""
    values = {"of_key": watch.id, "old_pings": watch.pings, "held_until": held_until}
    return connection.execute(_CLAIM_PING, values).rowcount == 1


def end_ping(connection: Connection, watch: StoredWatch) -> None:
    """It was called, or is given up."""
    connection.execute(update(watch_table).where(watch_table.c.id == watch.id).values(ping=None))
    connection.execute(_OVER, {"of_key": watch.id})


def put_off_ping(connection: Connection, watch: StoredWatch, until: datetime) -> None:
    """It did not answer, and is called again then. Nothing happens if another call has begun since."""
    own = (watch_table.c.id == watch.id, watch_table.c.pings == watch.pings + 1)
    connection.execute(update(watch_table).where(*own).values(ping_at=until))


def forget(connection: Connection, schedule_key: int) -> None:
    """Say nothing more of a schedule."""
    connection.execute(delete(watch_table).where(watch_table.c.schedule_id == schedule_key))


def _watch(row: Row[*tuple[Any, ...]]) -> StoredWatch:
    names = [field.name for field in fields(StoredWatch)]
    return StoredWatch(**{name: getattr(row, name) for name in names})


def _times(row: Row[*tuple[Any, ...]]) -> RunTimes | None:
    return None if row.state is None else RunTimes(State(row.state), row.started_at, row.ended_at)
