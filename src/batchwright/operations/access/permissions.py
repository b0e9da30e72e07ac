"""Who may do what: every operation begins with `permit`, before it looks at its parameters."""

from __future__ import annotations

import os
from collections.abc import Collection, Hashable, Iterable, Sequence
from contextlib import nullcontext, suppress

import structlog
from sqlalchemy import Connection, RowMapping
from sqlalchemy.exc import SQLAlchemyError

from batchwright.config.settings import login_name
from batchwright.engine.errors import Refused
from batchwright.engine.faults import reason_of
from batchwright.engine.store import runs
from batchwright.engine.store.database import Database
from batchwright.notifications.addresses import parse_address
from batchwright.operations import token_store, user_store
from batchwright.operations.access import audit
from batchwright.operations.actor import Actor, Principal
from batchwright.operations.app import Application
from batchwright.operations.roles import ROLES as ROLES
from batchwright.operations.roles import Right as Right
from batchwright.operations.roles import has_right, right_for_job

log = structlog.get_logger()


class Forbidden(Refused):
    """Who acts lacks the right to (HTTP: 403)."""


def permit(
    app: Application,
    actor: Actor | None,
    right: Right,
    act: str,
    connection: Connection | None = None,
    *,
    owner: str | None = None,
) -> None:
    """Refuse with `Forbidden` unless the actor has the right; the attempt is then in the audit trail.

    Call it before anything else, and outside a transaction of yours: the entry of a refusal has its own. Refuses a
    database that is not there, too.

    Behind a web door the authenticated person is the actor's principal: a user who is there now and not disabled, with
    a token or a session that is good now; they have the lower of the roles of user and token. Elsewhere it is the
    operating system's user.
    With a user row they have its role. Without one they are an administrator on an embedded database file that they
    own, and on a server database without a user; otherwise they may do nothing. Where the actor's name is that of a
    user, that user's role has to allow the act as well.

    Args:
        actor: `None` stands for the `default_actor` of the application, which behind a web door is nobody.
        act: what they are about to do, as in the audit trail: "usage_input.edit", "run.list".
        connection: where the caller of an operation handed in a transaction of theirs, that one.
        owner: in whose name it will be done; where that is a user, their role has to allow the act as well.
    """
    actor = actor or app.default_actor()
    if connection is None:
        app.database.require()
    names = _names(actor, owner)

    def look() -> Sequence[RowMapping]:
        with app.database.read_autocommit() if connection is None else nullcontext(connection) as reading:
            return user_store.users_for_permission(reading, actor, names, app.clock.now())

    users = app.database.once(_users_of(actor, names), look) if connection is None else look()
    refusal = _refusal(app, actor, users, right)
    claimed = (user for user in users if user["email"] in names or user["os_user"] in names)
    refusal = refusal or next(filter(None, (_lack(user, right) for user in claimed)), None)
    if refusal is not None:
        _record(app, connection, actor, right, act, refusal)
        raise refusal


def note_user(database: Database, actor: Actor, user: RowMapping) -> None:
    """Have `permit` take this row of an actor by a token, good, for as long as this thread reads one state of the
    database: it has just been read.
    """
    database.once(_users_of(actor, ()), lambda: [user])


def _users_of(actor: Actor, names: Collection[str]) -> Hashable:
    return "users", actor, frozenset(names)


def permitted(
    app: Application, connection: Connection, actors: Collection[Actor], right: Right
) -> set[Actor]:
    """Those of the actors who have the right by a token, found by one statement; about the others ask `permit`."""
    known = [(actor, actor.principal) for actor in actors if actor.principal is not None]
    keys = [one.token_key for _, one in known if one.token_key is not None]
    users = token_store.users_by_token(connection, keys, app.clock.now())
    return {
        actor
        for actor, one in known
        if one.token_key in users
        and _refusal_of_principal(actor.name, one, users[one.token_key], right) is None
    }


def right_to_run(app: Application, job_name: str) -> Right:
    """What running a job needs, see `right_for_job`. An unknown job needs an operator's, who gets the error."""
    try:
        return right_for_job(app.registry.get(job_name))
    except Refused:
        return Right.OPERATE


def permit_for_run(app: Application, actor: Actor, run_id: str, act: str) -> None:
    """Refuse unless the actor may do again what the run did: its job decides. Refuses an unknown run, too."""
    permit(app, actor, Right.OPERATE, act)
    with app.database.read() as connection:
        right = right_to_run(app, runs.by_id(connection, run_id).job)
    if right is not Right.OPERATE:
        permit(app, actor, right, act)


def user_of(users: Iterable[RowMapping], actor: Actor) -> RowMapping | None:
    """The row that the operating system's user is tied to."""
    return next((user for user in users if user["os_user"] == actor.os_user), None)


def owns_file(app: Application, os_user: str) -> bool:
    """Whether the database is an embedded file of that operating system's user."""
    return app.database.is_sqlite and login_name(os.stat(app.database.url.database or "").st_uid) == os_user


def _refusal(app: Application, actor: Actor, users: Sequence[RowMapping], right: Right) -> Forbidden | None:
    """Why the authenticated person may not, or `None` if they may."""
    if actor.principal is not None:
        return _refusal_of_principal(actor.name, actor.principal, users, right)
    own = user_of(users, actor)
    if own is not None:
        return _lack(own, right)
    if owns_file(app, actor.os_user) or not (users or app.database.is_sqlite):
        return None
    return Forbidden(
        f"{actor.os_user} is not a user of this database, and this needs the role {right}",
        field="actor",
        remedy=f"Ask an administrator: `batchwright users add EMAIL --role {typed(right)} "
        f"--os-user {actor.os_user}`",
    )


def _refusal_of_principal(
    email: str, principal: Principal, users: Iterable[RowMapping], right: Right
) -> Forbidden | None:
    # By both: SQLite gives the key of a row that is gone to another.
    own = next((user for user in users if (user["id"], user["email"]) == (principal.user_key, email)), None)
    if own is None:
        return Forbidden(
            f"{email} is no longer a user of this database",
            field="actor",
            remedy=f"Ask an administrator: `batchwright users add {email} --role {typed(right)}`",
        )
    if principal.session_key is not None:
        if own["session_id"] is None and not own["disabled"]:
            message = f"{principal.credential} of {email} has ended"
            return Forbidden(message, field="actor", remedy="Sign in again")
        return _lack(own, right)
    remedy = f"Ask an administrator for another: `batchwright users token {email}`"
    if own["token_id"] is None and not own["disabled"]:
        message = f"{principal.credential} of {email} was revoked or has expired"
        return Forbidden(message, field="actor", remedy=remedy)
    ceiling = own["token_role"]
    if ceiling is not None and not has_right(ceiling, right) and _lack(own, right) is None:
        message = (
            f"this needs the role {right}, and {principal.credential} of {email} allows {ceiling} at most"
        )
        return Forbidden(message, field="actor", remedy=remedy)
    return _lack(own, right)


def _lack(user: RowMapping, right: Right) -> Forbidden | None:
    """Why this user may not, or `None` if they may."""
    if user["disabled"]:
        return Forbidden(
            f"the user {user['email']} is disabled",
            field="actor",
            remedy=f"Ask an administrator: `batchwright users enable {user['email']}`",
        )
    if has_right(user["role"], right):
        return None
    return Forbidden(
        f"this needs the role {right}, and {user['email']} has the role {user['role']}",
        field="actor",
        remedy=f"Ask an administrator: `batchwright users role {user['email']} {typed(right)}`",
    )


def _record(
    app: Application, connection: Connection | None, actor: Actor, right: Right, act: str, refusal: Forbidden
) -> None:
    entry = audit.Entry(
        actor=actor,
        act="permission.refused",
        subject=act,
        after={"needed": right, "why": refusal.message},
        now=app.clock.now(),
    )

    def write() -> None:
        try:
            with app.database.write() if connection is None else nullcontext(connection) as writing:
                audit.record_all(writing, [entry])
        except (SQLAlchemyError, OSError) as error:
            # Who may not write the file at all is refused all the same.
            reason = reason_of(error)
            log.warning("a refused attempt could not be recorded", act=act, actor=actor.name, reason=reason)

    if connection is None:
        app.database.when_ended(write)
    else:
        write()


def _names(actor: Actor, owner: str | None) -> set[str]:
    """What a user row may have for a name that is claimed: as it stands, and the bare address in lower case."""
    if owner is None and actor.principal is not None:
        return set()  # who is authenticated by name claims none
    name = actor.name if owner is None else owner
    names = {name, name.lower()}
    with suppress(Refused):  # not an address
        names.add(parse_address(name).addr_spec.lower())
    return names


def typed(role: str) -> str:
    """The role as a shell wants it."""
    return f"'{role}'" if " " in role else role
