"""Users: who they are for the operating system, their role, their password and token, and the mail they want."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import Connection, RowMapping
from sqlalchemy.exc import IntegrityError

from batchwright.engine.errors import Conflict, NotFound, Refused
from batchwright.notifications.addresses import check_address, parse_address
from batchwright.notifications.preferences import CHOICES, bare_address
from batchwright.operations import session_store, token_store, user_store
from batchwright.operations.access import audit
from batchwright.operations.access.passwords import check_password, hash_password
from batchwright.operations.access.permissions import ROLES, Right, owns_file, permit, typed
from batchwright.operations.actor import Actor
from batchwright.operations.app import Application
from batchwright.operations.checks import check_limit, check_one_of
from batchwright.operations.paging import PAGE, Page, page_of
from batchwright.operations.session_store import EndedBy
from batchwright.operations.views import View, instant, picked


def add_user(
    app: Application,
    email: str,
    role: str,
    *,
    os_user: str | None = None,
    actor: Actor,
    reason: str | None = None,
) -> View:
    """Add a user and return it as `list_users` does.

    The first user of a server database has to be an administrator, and is tied to the operating system's user who
    adds it unless `os_user` says otherwise: from then on who has no row may do nothing there.
    """
    permit(app, actor, Right.ADMINISTER, "user.add")
    address = checked_address(email)
    check_one_of(role, ROLES, field="role")
    os_user = None if os_user is None else _login_name(os_user)
    try:
        with app.database.write() as connection:
            user_store.lock_users(connection)
            if not app.database.is_sqlite:
                # Once more: without users everybody may, and somebody may have become the first one meanwhile.
                permit(app, actor, Right.ADMINISTER, "user.add")
                if not user_store.list_users(connection, limit=1):
                    _check_first(role)
                    os_user = os_user or actor.os_user
            values = {"email": address, "role": role, "os_user": os_user, "mail": "always", "disabled": False}
            user_store.add_user(connection, {**values, "created_at": app.clock.now()})
            _check_administered(app, connection)
            added = user_view(existing_user(connection, address), holders=())
            audit.record(
                connection, actor, "user.add", address, reason=reason, after=added, now=app.clock.now()
            )
    except IntegrityError:
        raise _taken(app, address, os_user) from None
    return added


def list_users(app: Application, limit: int | None = None, *, actor: Actor | None = None) -> list[View]:
    """The users by address: `email, role, os_user, mail, disabled, has_password, has_token, created_at`."""
    permit(app, actor, Right.ADMINISTER, "user.list")
    check_limit(limit)
    with app.database.read() as connection:
        holders = token_store.holders(connection, app.clock.now())
        return [user_view(row, holders) for row in user_store.list_users(connection, limit=limit)]


def users_page(
    app: Application, *, limit: int = PAGE, after: str | None = None, actor: Actor | None = None
) -> Page[View]:
    """A page of the users by address."""
    permit(app, actor, Right.ADMINISTER, "user.list")
    with app.database.read() as connection:
        holders = token_store.holders(connection, app.clock.now())

    def view(row: RowMapping) -> View:
        return user_view(row, holders)

    return page_of(app.database, "users", user_store.user_listing(), {}, view, limit=limit, after=after)


def show_user(app: Application, email: str, *, actor: Actor | None = None) -> View:
    """One user as in `list_users`. Refuses one that there is not."""
    permit(app, actor, Right.ADMINISTER, "user.show")
    with app.database.read() as connection:
        holders = token_store.holders(connection, app.clock.now())
        return user_view(existing_user(connection, email), holders)


def show_me(app: Application, *, actor: Actor | None = None) -> View:
    """Who acts: their user as in `list_users`, and `right`, the role that they act with, by their token or their own.

    On the command line it refuses whoever is not a user.
    """
    permit(app, actor, Right.LOOK, "user.me")
    actor = actor or app.default_actor()
    now = app.clock.now()
    with app.database.read() as connection:
        user = user_store.who_acts(connection, actor, now)
    if user is None:
        raise NotFound(
            f"{actor.os_user} is not a user",
            remedy="`batchwright users add EMAIL --os-user NAME` makes one",
        )
    return {
        **user_view(user, [user["id"]] if user["has_token"] else []),
        "right": min(user["role"], user["token_role"] or user["role"], key=ROLES.index),
        "token": user["token"],
        "token_expires_at": instant(user["token_expires_at"]),
    }


def own_user(connection: Connection, actor: Actor) -> RowMapping | None:
    """The row of who acts: behind a web door of their address, elsewhere of the operating system's user."""
    if actor.principal is not None:
        return user_store.user_by_email(connection, actor.name)
    return user_store.user_by_os_user(connection, actor.os_user)


def set_role(
    app: Application,
    email: str,
    role: str,
    *,
    os_user: str | None = None,
    actor: Actor,
    reason: str | None = None,
) -> View:
    """Give a user another role; refuses to take it from the last who may manage users.

    `os_user` ties them to another login name, "" to none; with `None` it stays.
    """
    permit(app, actor, Right.ADMINISTER, "user.role")
    check_one_of(role, ROLES, field="role")
    values: dict[str, Any] = {"role": role}
    if os_user is not None:
        values["os_user"] = _login_name(os_user) if os_user else None
    try:
        return _change(app, email, values, actor, "user.role", reason)
    except IntegrityError:
        raise _tied(app, values["os_user"]) from None


def disable_user(app: Application, email: str, *, actor: Actor, reason: str | None = None) -> View:
    """Let a user do nothing any more; their tokens and sessions end. Refuses for the last who may manage users."""
    permit(app, actor, Right.ADMINISTER, "user.disable")
    return _change(app, email, {"disabled": True}, actor, "user.disable", reason)


def enable_user(app: Application, email: str, *, actor: Actor, reason: str | None = None) -> View:
    """Let a disabled user act again, with the role they had."""
    permit(app, actor, Right.ADMINISTER, "user.enable")
    return _change(app, email, {"disabled": False}, actor, "user.enable", reason)


def set_password(
    app: Application, email: str, password: str, *, actor: Actor, reason: str | None = None
) -> View:
    """Give a user a password, of which an argon2 hash is kept. Their sessions end."""
    permit(app, actor, Right.ADMINISTER, "user.password")
    check_password(password, bare_address(email))
    hashed = hash_password(password)
    return _change(app, email, {"password_hash": hashed}, actor, "user.password", reason)


def set_mail(app: Application, email: str, mail: str, *, actor: Actor, reason: str | None = None) -> View:
    """Say which mail of ended runs a user gets: a key of `CHOICES`. Everybody may say so for themselves."""
    permit(app, actor, right_over(app, email, actor), "user.preferences")
    check_one_of(mail, CHOICES, field="mail")
    return _change(app, email, {"mail": mail}, actor, "user.preferences", reason)


def right_over(app: Application, email: str, actor: Actor) -> Right:
    """What an act on a user's own choices and sessions needs: a viewer's right for oneself, an administrator's else."""
    app.database.require()
    with app.database.read() as connection:
        own = own_user(connection, actor)
    return Right.LOOK if own is not None and own["email"] == bare_address(email) else Right.ADMINISTER


def _change(
    app: Application,
    email: str,
    values: Mapping[str, Any],
    actor: Actor,
    act: str,
    reason: str | None,
) -> View:
    now = app.clock.now()
    with app.database.write() as connection:
        user_store.lock_users(connection)
        user = existing_user(connection, email)
        before = user_view(user, token_store.holders(connection, now))
        user_store.change_user(connection, user["id"], values)
        if values.get("disabled"):
            token_store.revoke_all(connection, user["id"], now)
        if values.get("disabled") or "password_hash" in values:
            ended_by = EndedBy.DISABLED if values.get("disabled") else EndedBy.PASSWORD
            session_store.end_sessions(connection, user["id"], now, ended_by)
        _check_administered(app, connection)
        after = user_view(existing_user(connection, email), token_store.holders(connection, now))
        audit.record(
            connection, actor, act, user["email"], reason=reason, before=before, after=after, now=now
        )
    return after


def existing_user(connection: Connection, email: str) -> RowMapping:
    """The user of that address. Refuses one that there is not."""
    user = user_store.user_by_email(connection, bare_address(email))
    if user is None:
        raise NotFound(
            f"there is no user {email!r}",
            field="email",
            remedy="See `batchwright users list` for who there is",
        )
    return user


def _check_administered(app: Application, connection: Connection) -> None:
    """Refuse what would leave nobody who can manage users on the command line."""
    users = user_store.list_users(connection)
    if any(user["role"] == Right.ADMINISTER and user["os_user"] and not user["disabled"] for user in users):
        return
    tied = {user["os_user"] for user in users}
    if app.database.is_sqlite and not any(owns_file(app, os_user) for os_user in tied if os_user):
        return
    raise Conflict(
        "nobody would be left who may manage users",
        field="role",
        remedy="Make somebody else one first: `batchwright users role EMAIL administrator --os-user NAME`",
    )


def _check_first(role: str) -> None:
    if role != Right.ADMINISTER:
        raise Refused(
            f"the first user of a database cannot have the role {role}: nobody could add another",
            field="role",
            remedy=f"Add an administrator first: `batchwright users add EMAIL --role {Right.ADMINISTER}`",
        )


def checked_address(text: str) -> str:
    """The address of a user in lower case. Refuses anything else."""
    try:
        check_address(text)
    except Refused as error:
        raise Refused(
            error.message, field="email", remedy="Give an address such as jane@example.com"
        ) from None
    return parse_address(text).addr_spec.lower()


def _login_name(text: str) -> str:
    name = text.strip()
    if not name or not name.isprintable() or len(name) > 64:
        raise Refused(
            f"{text!r} cannot be a login name",
            field="os_user",
            remedy="Give the name that `whoami` says, at most 64 characters",
        )
    return name


def _taken(app: Application, email: str, os_user: str | None) -> Conflict:
    with app.database.read() as connection:
        if user_store.user_by_email(connection, email) is not None:
            return Conflict(
                f"there is a user {email} already",
                field="email",
                remedy=f"Change their role: `batchwright users role {email} ROLE`",
            )
    return _tied(app, os_user)


def _tied(app: Application, os_user: str | None) -> Conflict:
    with app.database.read() as connection:
        tied = os_user and user_store.user_by_os_user(connection, os_user)
    if not tied:  # gone again meanwhile
        return Conflict(f"{os_user} was tied to another user", field="os_user", remedy="Try it again")
    untie = f"batchwright users role {tied['email']} {typed(tied['role'])} --os-user ''"
    return Conflict(
        f"{os_user} is tied to {tied['email']} already",
        field="os_user",
        remedy=f"One login name is one user: name another, or untie that one first: `{untie}`",
    )


def user_view(row: RowMapping, holders: Collection[int]) -> View:
    """A user as `list_users` shows them; `holders` are the keys of who has a good token."""
    return {
        **picked(row, "email role os_user mail disabled"),
        "has_password": row["password_hash"] is not None,
        "has_token": row["id"] in holders,
        "created_at": instant(row["created_at"]),
    }
