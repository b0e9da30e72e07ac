"""Statements on tokens."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, insert, or_, select, update

from batchwright.engine.store.pages import Listing
from batchwright.operations.tables import app_user, user_token

# Before every call of the API, so it is made once.
_BY_HASH = (
    select(
        *(app_user.c.id, app_user.c.email, app_user.c.os_user, app_user.c.role, app_user.c.disabled),
        *(user_token.c.id.label("token_id"), user_token.c.role.label("token_role")),
        *(user_token.c.revoked_at, user_token.c.expires_at, user_token.c.last_used_at),
    )
    .join_from(user_token, app_user)
    .where(user_token.c.hash == bindparam("hash"))
)


def token_by_hash(connection: Connection, hashed: str) -> RowMapping | None:
    """The user of a token, as `user_store.users_for_permission` gives them, with `revoked_at`, `expires_at` and
    `last_used_at` of the token, good or not.
    """
    return connection.execute(_BY_HASH, {"hash": hashed}).mappings().one_or_none()


def users_by_token(
    connection: Connection, keys: Collection[int], now: datetime
) -> dict[int, Sequence[RowMapping]]:
    """For each of the tokens that is good its user, as `user_store.users_for_permission` gives them."""
    statement = (
        select(app_user, user_token.c.id.label("token_id"), user_token.c.role.label("token_role"))
        .join_from(user_token, app_user)
        .where(user_token.c.id.in_(keys), user_token.c.revoked_at.is_(None), user_token.c.expires_at > now)
    )
    return {row["token_id"]: [row] for row in connection.execute(statement).mappings()}


def token_listing(user_id: int) -> Listing:
    """All tokens that a user ever had, oldest first."""
    return Listing(select(user_token).where(user_token.c.user_id == user_id), (user_token.c.id,))


def tokens_of(connection: Connection, user_id: int) -> Sequence[RowMapping]:
    """All tokens that a user ever had, oldest first."""
    statement = select(user_token).where(user_token.c.user_id == user_id).order_by(user_token.c.id)
    return connection.execute(statement).mappings().all()


def holders(connection: Connection, now: datetime) -> set[int]:
    """The keys of users who have a token that is good."""
    good = user_token.c.revoked_at.is_(None) & (user_token.c.expires_at > now)
    return set(connection.scalars(select(user_token.c.user_id).where(good)))


def add_token(connection: Connection, user_id: int, values: Mapping[str, Any]) -> RowMapping:
    """Add a token of that user, and give it back as it is read."""
    statement = insert(user_token).values(user_id=user_id, **values).returning(user_token)
    return connection.execute(statement).mappings().one()


def revoke_token(connection: Connection, key: int, now: datetime) -> None:
    """End one token."""
    connection.execute(update(user_token).where(user_token.c.id == key).values(revoked_at=now))


def revoke_all(connection: Connection, user_id: int, now: datetime) -> None:
    """End the tokens of a user."""
    theirs = (user_token.c.user_id == user_id) & user_token.c.revoked_at.is_(None)
    connection.execute(update(user_token).where(theirs).values(revoked_at=now))


def tokens_expiring(connection: Connection, until: datetime) -> Sequence[RowMapping]:
    """Tokens that expire by then, their users not notified, with `email` of these; the first to expire first."""
    statement = (
        select(user_token, app_user.c.email)
        .join_from(user_token, app_user)
        .where(
            user_token.c.told_at.is_(None),
            user_token.c.revoked_at.is_(None),
            user_token.c.expires_at <= until,
        )
        .order_by(user_token.c.expires_at, user_token.c.id)
    )
    return connection.execute(statement).mappings().all()


def note_notified(connection: Connection, key: int, now: datetime) -> bool:
    """Mark that a token's user is notified that it expires; `False` where they were, or it was revoked meanwhile."""
    unnotified = user_token.c.told_at.is_(None) & user_token.c.revoked_at.is_(None)
    marked = update(user_token).where(user_token.c.id == key, unnotified).values(told_at=now)
    return connection.execute(marked).rowcount == 1


def note_use(connection: Connection, key: int, hour: datetime) -> None:
    """Write down in which hour a token was used last, once an hour whatever the number of processes."""
    is_later = or_(user_token.c.last_used_at.is_(None), user_token.c.last_used_at < hour)
    statement = update(user_token).where(user_token.c.id == key, is_later)
    connection.execute(statement.values(last_used_at=hour))
