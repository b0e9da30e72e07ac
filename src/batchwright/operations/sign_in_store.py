"""Statements on tries to sign in, and on links that are good once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Connection, RowMapping, delete, exists, insert, or_, select, update

from batchwright.engine.store.upsert import insert_into
from batchwright.operations.tables import one_time_link, sign_in_try


def free_at(connection: Connection, hashes: Sequence[str]) -> datetime | None:
    """When the last of these is free again; ``None`` where nothing was counted."""
    statement = select(sign_in_try.c.free_at).where(sign_in_try.c.hash.in_(hashes))
    return max(connection.scalars(statement), default=None)


def lock_tries(connection: Connection, hashes: Sequence[str], now: datetime) -> dict[str, RowMapping]:
    """The counts of these, made where there are none, by hash; nobody else has them until the transaction ends."""
    wanted = sorted(hashes)  # in one order, or two who count would wait for each other
    new = [{"hash": hashed, "tries": 0, "last_at": now, "free_at": now} for hashed in wanted]
    connection.execute(insert_into(connection, sign_in_try).on_conflict_do_nothing(), new)
    statement = (
        select(sign_in_try)
        .where(sign_in_try.c.hash.in_(wanted))
        .order_by(sign_in_try.c.hash)
        .with_for_update()
    )
    return {row["hash"]: row for row in connection.execute(statement).mappings()}


def set_tries(connection: Connection, hashed: str, tries: int, last_at: datetime, free_at: datetime) -> None:
    """Write down one count."""
    values = {"tries": tries, "last_at": last_at, "free_at": free_at}
    connection.execute(update(sign_in_try).where(sign_in_try.c.hash == hashed).values(values))


def add_link(connection: Connection, values: Mapping[str, Any]) -> None:
    """Add a link."""
    connection.execute(insert(one_time_link).values(dict(values)))


def good_link(connection: Connection, hashed: str, now: datetime, *, kept: bool = False) -> RowMapping | None:
    """The link of that hash, if it was not used and has not expired; `kept` from others until the transaction ends."""
    statement = select(one_time_link).where(
        one_time_link.c.hash == hashed, one_time_link.c.used_at.is_(None), one_time_link.c.expires_at > now
    )
    if kept:
        statement = statement.with_for_update()
    return connection.execute(statement).mappings().one_or_none()


def use_links(connection: Connection, user_id: int | None, now: datetime) -> None:
    """End all links of a user, or those of the first administrator."""
    theirs = one_time_link.c.user_id.is_(None) if user_id is None else one_time_link.c.user_id == user_id
    connection.execute(
        update(one_time_link).where(theirs, one_time_link.c.used_at.is_(None)).values(used_at=now)
    )


def anything_before(connection: Connection, before: Mapping[Column[Any], datetime]) -> bool:
    """Whether a row of a table is older, by that column of it, than that moment."""
    return bool(
        connection.scalar(select(or_(*(exists().where(column < at) for column, at in before.items()))))
    )


def delete_before(connection: Connection, before: Mapping[Column[Any], datetime]) -> None:
    """Delete the rows that are."""
    for column, at in before.items():
        connection.execute(delete(column.table).where(column < at))
