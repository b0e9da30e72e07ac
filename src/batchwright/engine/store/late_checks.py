"""Statements on what is still to be notified of schedules' times: late runs, and successes to be pinged."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, delete, insert, or_, select, update

from batchwright.engine.run import ENDED, State
from batchwright.engine.schedule import Judgement, LateCheck, RunTimes
from batchwright.engine.store.tables import run as run_table
from batchwright.engine.store.tables import schedule_watch as check_table
from batchwright.engine.store.types import UtcTime

MOST = 1_000
"""Checks that one look takes, the oldest first."""

_NOW = bindparam("now", type_=UtcTime())
_HAS_ENDED = run_table.c.state.in_([str(state) for state in sorted(ENDED)])

_WITH_RUN = select(check_table, run_table.c.state, run_table.c.started_at, run_table.c.ended_at).join(
    run_table, run_table.c.run_id == check_table.c.run_id, isouter=True
)

# What may be decided now, with what is known of the runs: a deadline that has come; of a run that has ended, or is
# gone, everything but a ping.
_DUE = (
    _WITH_RUN.where(
        or_(
            check_table.c.start_by <= _NOW,
            check_table.c.finish_by <= _NOW,
            and_(
                or_(_HAS_ENDED, run_table.c.id.is_(None)),
                or_(
                    check_table.c.start_by.is_not(None),
                    check_table.c.finish_by.is_not(None),
                    run_table.c.id.is_(None),
                    run_table.c.state != str(State.COMPLETED),
                ),
            ),
        )
    )
    .order_by(check_table.c.id)
    .limit(MOST)
)

# The pings of runs that have completed, but for those that are put off; one put off too far was so by a wrong clock.
_PINGS_DUE = (
    _WITH_RUN.where(
        check_table.c.ping.is_not(None),
        run_table.c.state == str(State.COMPLETED),
        or_(
            check_table.c.ping_at.is_(None),
            check_table.c.ping_at <= _NOW,
            check_table.c.ping_at > bindparam("furthest", type_=UtcTime()),
        ),
    )
    .order_by(check_table.c.id)
    .limit(MOST)
)

# Of these, those that nobody keeps: one that is kept keeps nobody from the others.
_FREE = (
    select(check_table.c.id)
    .where(check_table.c.id.in_(bindparam("keys", expanding=True)))
    .order_by(check_table.c.id)
    .with_for_update(skip_locked=True)
)

# What is left of a check, if it is still as it was read: of several that notify the same, one does.
_JUDGED = (
    update(check_table)
    .where(
        check_table.c.id == bindparam("of_key"),
        check_table.c.start_by.is_not_distinct_from(
            bindparam("old_start_by", type_=check_table.c.start_by.type)
        ),
        check_table.c.finish_by.is_not_distinct_from(
            bindparam("old_finish_by", type_=check_table.c.finish_by.type)
        ),
        check_table.c.pings == bindparam("old_pings"),
    )
    .values(
        start_by=bindparam("new_start_by"), finish_by=bindparam("new_finish_by"), ping=bindparam("new_ping")
    )
)

# A check with nothing left to notify.
_OVER = delete(check_table).where(
    check_table.c.id == bindparam("of_key"),
    check_table.c.start_by.is_(None),
    check_table.c.finish_by.is_(None),
    check_table.c.ping.is_(None),
)

# The claim of a call: only of one that is due and that nobody has begun since it was read.
_CLAIM_PING = (
    update(check_table)
    .where(
        check_table.c.id == bindparam("of_key"),
        check_table.c.pings == bindparam("old_pings"),
        check_table.c.ping.is_not(None),
    )
    .values(pings=check_table.c.pings + 1, ping_at=bindparam("held_until"))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredLateCheck(LateCheck):
    """A check in the database: ``pings`` calls were begun, the next not before ``ping_at``."""

    id: int
    pings: int
    ping_at: datetime | None


def add(connection: Connection, checks: Iterable[LateCheck | None]) -> None:
    """Record checks, as ``late_check_of`` makes them; ``None`` is left out."""
    rows = [{**asdict(check), "pings": 0} for check in checks if check is not None]
    if rows:
        connection.execute(insert(check_table), rows)


def due(connection: Connection, now: datetime) -> list[tuple[StoredLateCheck, RunTimes | None]]:
    """Checks of which something may be decided now, the oldest first, with what is known of each run."""
    return [(_late_check(row), _times(row)) for row in connection.execute(_DUE, {"now": now})]


def pings_due(connection: Connection, now: datetime, furthest: timedelta) -> list[StoredLateCheck]:
    """Checks whose ping is to be called now, the oldest first; none is put off longer than ``furthest``."""
    values = {"now": now, "furthest": now + furthest}
    return [_late_check(row) for row in connection.execute(_PINGS_DUE, values)]


def lock_free(connection: Connection, keys: Iterable[int]) -> set[int]:
    """Those of the checks that nobody keeps, kept until the transaction ends."""
    return set(connection.scalars(_FREE, {"keys": list(keys)}))


def settle(connection: Connection, check: StoredLateCheck, judged: Judgement) -> bool:
    """Keep what is left of a check, or delete it; ``False`` when somebody else did."""
    values = {
        "of_key": check.id,
        "old_start_by": check.start_by,
        "old_finish_by": check.finish_by,
        "old_pings": check.pings,
        "new_start_by": judged.start_by,
        "new_finish_by": judged.finish_by,
        "new_ping": judged.ping,
    }
    if connection.execute(_JUDGED, values).rowcount != 1:
        return False
    connection.execute(_OVER, {"of_key": check.id})
    return True


def claim_ping(connection: Connection, check: StoredLateCheck, held_until: datetime) -> bool:
    """Take the next call, if nobody else has. If the caller dies, it is due again at ``held_until``."""
    values = {"of_key": check.id, "old_pings": check.pings, "held_until": held_until}
    return connection.execute(_CLAIM_PING, values).rowcount == 1


def end_ping(connection: Connection, check: StoredLateCheck) -> None:
    """It was called, or is given up."""
    connection.execute(update(check_table).where(check_table.c.id == check.id).values(ping=None))
    connection.execute(_OVER, {"of_key": check.id})


def put_off_ping(connection: Connection, check: StoredLateCheck, until: datetime) -> None:
    """It did not answer, and is called again then. Nothing happens if another call has begun since."""
    own = (check_table.c.id == check.id, check_table.c.pings == check.pings + 1)
    connection.execute(update(check_table).where(*own).values(ping_at=until))


def forget(connection: Connection, schedule_key: int, after: datetime | None = None) -> None:
    """Delete the checks of a schedule, all or those of times after ``after``: nothing more is notified of them."""
    statement = delete(check_table).where(check_table.c.schedule_id == schedule_key)
    connection.execute(statement if after is None else statement.where(check_table.c.nominal_time > after))


def _late_check(row: Row[*tuple[Any, ...]]) -> StoredLateCheck:
    names = [field.name for field in fields(StoredLateCheck)]
    return StoredLateCheck(**{name: getattr(row, name) for name in names})


def _times(row: Row[*tuple[Any, ...]]) -> RunTimes | None:
    return None if row.state is None else RunTimes(State(row.state), row.started_at, row.ended_at)
