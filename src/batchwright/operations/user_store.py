"""Statements on users."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, exists, func, insert, or_, select, text, update

from batchwright.engine.store.pages import Listing
from batchwright.operations.actor import Actor
from batchwright.operations.tables import IDLE_END, app_user, signing_key, user_session, user_token

# Before every act, so it is made once: the making takes longer than the answer.
_WITH_CREDENTIAL = (
    select(
        *(app_user.c.id, app_user.c.email, app_user.c.os_user, app_user.c.role, app_user.c.disabled),
        *(user_token.c.id.label("token_id"), user_token.c.role.label("token_role")),
        user_session.c.id.label("session_id"),
    )
    .join_from(
        app_user,
        user_token,
        (user_token.c.id == bindparam("token_id"))
        & (user_token.c.user_id == app_user.c.id)
        & user_token.c.revoked_at.is_(None)
        & (user_token.c.expires_at > bindparam("now")),
        isouter=True,
    )
    .outerjoin(
        user_session,
        (user_session.c.id == bindparam("session_id"))
        & (user_session.c.user_id == app_user.c.id)
        & user_session.c.ended_at.is_(None)
        & (user_session.c.expires_at > bindparam("now"))
        & (user_session.c.last_used_at > bindparam("idle_since")),
    )
)
_OF_PRINCIPAL = _WITH_CREDENTIAL.where(app_user.c.id == bindparam("user_id"))
_FOR_PERMISSION = _WITH_CREDENTIAL.where(
    or_(
        app_user.c.id == bindparam("user_id"),
        app_user.c.os_user == bindparam("os_user"),
        app_user.c.os_user.in_(bindparam("names", expanding=True)),
        app_user.c.email.in_(bindparam("names", expanding=True)),
        app_user.c.id == select(func.min(app_user.c.id)).scalar_subquery(),
    )
)

_GOOD = user_token.alias()
_WHO_ACTS = select(
    app_user,
    user_token.c.name.label("token"),
    user_token.c.role.label("token_role"),
    user_token.c.expires_at.label("token_expires_at"),
    exists()
    .where(
        _GOOD.c.user_id == app_user.c.id, _GOOD.c.revoked_at.is_(None), _GOOD.c.expires_at > bindparam("now")
    )
    .label("has_token"),
).outerjoin_from(
    app_user, user_token, (user_token.c.id == bindparam("token_id")) & (user_token.c.user_id == app_user.c.id)
)
_WHO_ACTS_BY_EMAIL = _WHO_ACTS.where(app_user.c.email == bindparam("name"))
_WHO_ACTS_BY_OS_USER = _WHO_ACTS.where(app_user.c.os_user == bindparam("name"))


def who_acts(connection: Connection, actor: Actor, now: datetime) -> RowMapping | None:
    """The row of who acts: behind a web door of their address, elsewhere of the operating system's user; with whether
    they have a good token, and name, role and end of that by which they act.
    """
    values: dict[str, Any] = {"now": now, "token_id": None, "name": actor.os_user}
    statement = _WHO_ACTS_BY_OS_USER
    if actor.principal is not None:
        values |= {"token_id": actor.principal.token_key, "name": actor.name}
        statement = _WHO_ACTS_BY_EMAIL
    return connection.execute(statement, values).mappings().one_or_none()


def users_for_permission(
    connection: Connection, actor: Actor, names: Collection[str], now: datetime
) -> Sequence[RowMapping]:
    """The users that the actor may be, and those of one of these names; where there are others only, the first of all,
    unless a principal alone is asked for.

    Beside the actor's principal `token_id` and `token_role` of their token, as long as that is good, or `session_id`.
    """
    principal = actor.principal
    values: dict[str, Any] = {
        "user_id": principal and principal.user_key,
        "token_id": principal and principal.token_key,
        "session_id": principal and principal.session_key,
        "now": now,
        "idle_since": now - IDLE_END,
    }
    if principal is not None and not names:  # at each call of the web
        return connection.execute(_OF_PRINCIPAL, values).mappings().all()
    values |= {"os_user": actor.os_user if principal is None else None, "names": list(names)}
    return connection.execute(_FOR_PERMISSION, values).mappings().all()


def list_users(connection: Connection, *, limit: int | None = None) -> Sequence[RowMapping]:
    """The users by mail address, `limit` of them at most."""
    return connection.execute(select(app_user).order_by(app_user.c.email).limit(limit)).mappings().all()


def user_listing() -> Listing:
    """The users by mail address."""
    return Listing(select(app_user), (app_user.c.email,))


def disabled_users(connection: Connection, names: Collection[str]) -> Sequence[str]:
    """Those of the names, addresses or login names, whose user may do nothing any more."""
    rows = connection.execute(
        select(app_user.c.email, app_user.c.os_user).where(
            app_user.c.disabled, or_(app_user.c.email.in_(names), app_user.c.os_user.in_(names))
        )
    )
    disabled = {name for row in rows for name in row}
    return [name for name in names if name in disabled]


def lock_users(connection: Connection) -> None:
    """Keep others from changing users until the transaction ends, so that a last administrator stays one.

    The table and not its rows: the first user has none to lock. (On SQLite a transaction that writes is alone.)
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("LOCK TABLE app_user IN SHARE ROW EXCLUSIVE MODE"))


def user_by_email(connection: Connection, email: str, *, kept: bool = False) -> RowMapping | None:
    """The user of that address in lower case; `kept` as they are until the transaction ends."""
    statement = select(app_user).where(app_user.c.email == email)
    if kept:
        statement = statement.with_for_update(key_share=True)
    return connection.execute(statement).mappings().one_or_none()


def user_by_key(connection: Connection, key: int | None) -> RowMapping | None:
    """The user of that key."""
    return connection.execute(select(app_user).where(app_user.c.id == key)).mappings().one_or_none()


def user_by_os_user(connection: Connection, os_user: str) -> RowMapping | None:
    """The user tied to that login name."""
    return connection.execute(select(app_user).where(app_user.c.os_user == os_user)).mappings().one_or_none()


def add_user(connection: Connection, values: Mapping[str, Any]) -> None:
    """Add one user."""
    connection.execute(insert(app_user).values(dict(values)))


def change_user(connection: Connection, key: int, values: Mapping[str, Any]) -> None:
    """Change these columns of one user."""
    connection.execute(update(app_user).where(app_user.c.id == key).values(dict(values)))


def key_of_links(connection: Connection) -> bytes:
    """By what links in mail are signed."""
    return bytes.fromhex(connection.execute(select(signing_key.c.value)).scalar_one())
