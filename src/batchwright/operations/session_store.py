"""Statements on sessions: what browsers are signed in with."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, func, insert, select, update

from batchwright.engine.store.pages import Listing
from batchwright.operations.actor import network_of
from batchwright.operations.tables import IDLE_END, app_user, user_session


class EndedBy(StrEnum):
    """What ended a session before its time."""

    SIGNED_OUT = "signed_out"
    REPLACED = "replaced"
    """Its browser signed in anew."""
    OWN = "own"
    """Its user, from elsewhere."""
    ADMINISTRATOR = "administrator"
    PASSWORD = "password"
    """The user has another password."""
    DISABLED = "disabled"


# Before every page, so it is made once.
_BY_HASH = (
    select(user_session, app_user.c.email, app_user.c.role, app_user.c.disabled)
    .join_from(user_session, app_user)
    .where(user_session.c.hash == bindparam("hash"))
)


def session_by_hash(connection: Connection, hashed: str) -> RowMapping | None:
    """The session, good or not, with `email`, `role` and `disabled` of its user."""
    return connection.execute(_BY_HASH, {"hash": hashed}).mappings().one_or_none()


def session_listing(user_id: int, now: datetime) -> Listing:
    """The sessions of a user that are good now, oldest first."""
    statement = select(user_session).where(
        user_session.c.user_id == user_id,
        user_session.c.ended_at.is_(None),
        user_session.c.expires_at > now,
        user_session.c.last_used_at > now - IDLE_END,
    )
    return Listing(statement, (user_session.c.id,))


def add_session(connection: Connection, user_id: int, values: Mapping[str, Any]) -> RowMapping:
    """Add a session of that user, and give it back as it is read."""
    statement = insert(user_session).values(user_id=user_id, **values).returning(user_session)
    return connection.execute(statement).mappings().one()


def end_sessions(
    connection: Connection,
    user_id: int,
    now: datetime,
    ended_by: EndedBy,
    key: int | None = None,
    *,
    but: int | None = None,
) -> list[int]:
    """End the sessions of a user, the one of `key` alone or all `but` one; the keys of those that had not ended."""
    theirs = [user_session.c.user_id == user_id, user_session.c.ended_at.is_(None)]
    if key is not None:
        theirs.append(user_session.c.id == key)
    if but is not None:
        theirs.append(user_session.c.id != but)
    values = {"ended_at": now, "ended_by": ended_by}
    statement = update(user_session).where(*theirs).values(values).returning(user_session.c.id)
    return sorted(connection.scalars(statement))


def note_use(connection: Connection, key: int, now: datetime) -> None:
    """Write down when a session was used last."""
    later = (user_session.c.id == key) & (user_session.c.last_used_at < now)
    connection.execute(update(user_session).where(later).values(last_used_at=now))


def password_given_at(connection: Connection, key: int) -> datetime | None:
    """When the password was given last in a session; it begins with it. None where there is no such session."""
    given = func.coalesce(user_session.c.password_at, user_session.c.created_at)
    at: datetime | None = connection.scalar(select(given).where(user_session.c.id == key))
    return at


def note_password(connection: Connection, key: int, now: datetime) -> None:
    """Write down that the password was given again in a session."""
    connection.execute(update(user_session).where(user_session.c.id == key).values(password_at=now))


def signed_in_from(connection: Connection, user_id: int, network: str) -> bool:
    """Whether that user has signed in from that network, in a session that is kept."""
    statement = select(user_session.c.address).where(user_session.c.user_id == user_id).distinct()
    return network in map(network_of, connection.scalars(statement))
