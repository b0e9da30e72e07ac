"""Ids made here for records that may also be imported: ``IN-`` usage inputs, ``US-`` and ``BS-`` schedules."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, text

from batchwright.billing.records.loading import texts_there
from batchwright.billing.tables import billing_schedule, usage_input, usage_schedule

_COLUMNS: Final = {
    "IN-": usage_input.c.usage_input_id,
    "US-": usage_schedule.c.usage_schedule_id,
    "BS-": billing_schedule.c.billing_schedule_id,
}
_MOST_CANDIDATES: Final = 10_000

# Make the counter of a prefix, once.
_MAKE = text("INSERT INTO id_counter (prefix, last) VALUES (:prefix, 0) ON CONFLICT (prefix) DO NOTHING")
# Take the counter for the rest of the transaction: who else wants an id of this prefix waits.
_TAKE = text("UPDATE id_counter SET last = last WHERE prefix = :prefix RETURNING last")
# Say how far the numbers are used up.
_MOVE = text("UPDATE id_counter SET last = :last WHERE prefix = :prefix")


def next_ids(connection: Connection, prefix: str, count: int) -> list[str]:
    """``count`` fresh ids in rising order, ``IN-00000001`` and on, leaving out those that a record has already.

    ``prefix`` is ``IN-``, ``US-`` or ``BS-``. Needs a write transaction, with which the numbers are given back
    when it rolls back.
    """
    column = _COLUMNS[prefix]
    connection.execute(_MAKE, {"prefix": prefix})
    last: int = connection.execute(_TAKE, {"prefix": prefix}).scalar_one()
    found: list[str] = []
    step = count
    while len(found) < count:
        candidates = [f"{prefix}{number:08d}" for number in range(last + 1, last + 1 + step)]
        last += step
        taken = texts_there(connection, column, candidates)
        found += [candidate for candidate in candidates if candidate not in taken]
        # A long row of imported ids is passed in growing strides.
        step = min(_MOST_CANDIDATES, max(2 * step, count - len(found)))
    found = found[:count]
    if found:
        connection.execute(_MOVE, {"prefix": prefix, "last": int(found[-1].removeprefix(prefix))})
    return found
