"""Sessions, by which browsers show the pages to a user: begun, listed and ended."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import Connection, RowMapping

from batchwright.engine.errors import NotFound, Refused
from batchwright.engine.store.pages import Listing, rows
from batchwright.operations import session_store
from batchwright.operations.access import audit
from batchwright.operations.access.authentication import secret_hash
from batchwright.operations.access.permissions import Right, permit
from batchwright.operations.access.users import existing_user, right_over
from batchwright.operations.actor import Actor
from batchwright.operations.app import Application
from batchwright.operations.paging import PAGE, Page, page_of
from batchwright.operations.session_store import EndedBy
from batchwright.operations.tables import ABSOLUTE_END, IDLE_END
from batchwright.operations.views import Row, View, instant, picked

LONGEST_BROWSER: Final = 200
"""Characters of what a browser calls itself that are kept."""


class Begun(NamedTuple):
    """A session and the reference that its browser holds, which is kept nowhere else."""

    reference: str
    key: int


def begin_session(
    connection: Connection, user_id: int, *, address: str, browser: str, now: datetime
) -> Begun:
    """A new session of a user who has shown who they are, in the caller's transaction."""
    reference = secrets.token_urlsafe(32)
    values = {
        "hash": secret_hash(reference),
        "address": address,
        "browser": "".join(filter(str.isprintable, browser))[:LONGEST_BROWSER] or None,
        "created_at": now,
        "last_used_at": now,
        "expires_at": now + ABSOLUTE_END,
    }
    return Begun(reference, session_store.add_session(connection, user_id, values)["id"])


def sign_out(app: Application, *, actor: Actor) -> None:
    """End the session that the actor acts by."""
    permit(app, actor, Right.LOOK, "user.sign_out")
    principal = actor.principal
    if principal is None or principal.session_key is None:
        raise Refused("only who is signed in signs out", field="actor", remedy="Sign in first")
    now = app.clock.now()
    with app.database.write() as connection:
        if session_store.end_sessions(
            connection, principal.user_key, now, EndedBy.SIGNED_OUT, principal.session_key
        ):
            audit.record(connection, actor, "user.sign_out", actor.name, now=now)


def list_sessions(app: Application, email: str, *, actor: Actor | None = None) -> list[View]:
    """The sessions of a user that are good now, oldest first: `session_id, address, browser, created_at, last_used_at,
    ends_at, current`.

    `current` is the one that the actor acts by. Everybody may look at their own.
    """
    _, listing = _listing(app, email, actor)
    return [_view(row, actor) for row in rows(app.database, listing)]


def sessions_page(
    app: Application, email: str, *, limit: int = PAGE, after: str | None = None, actor: Actor | None = None
) -> Page[View]:
    """A page of the sessions of a user that are good now, oldest first."""
    user, listing = _listing(app, email, actor)

    def view(row: RowMapping) -> View:
        return _view(row, actor)

    wanted = {"email": user["email"]}
    return page_of(app.database, "sessions", listing, wanted, view, limit=limit, after=after)


def end_session(
    app: Application, email: str, session_id: int, *, actor: Actor, reason: str | None = None
) -> View:
    """End a session of a user at once. Everybody may end their own."""
    ended_by = _permit_to_end(app, email, actor)
    now = app.clock.now()
    with app.database.write() as connection:
        user = existing_user(connection, email)
        there = connection.execute(session_store.session_listing(user["id"], now).statement).mappings()
        session = next((row for row in there if row["id"] == session_id), None)
        if session is None:
            raise NotFound(
                f"{user['email']} has no session {session_id}",
                field="session_id",
                remedy=f"See `batchwright users sessions {user['email']}` for those they have",
            )
        session_store.end_sessions(connection, user["id"], now, ended_by, session_id)
        _record(connection, actor, user["email"], [session_id], reason, now)
    return _view(session, actor)


def end_sessions(
    app: Application, email: str, *, actor: Actor, reason: str | None = None, but_own: bool = False
) -> int:
    """End all sessions of a user at once, and return how many they were; with `but_own` not the one that the actor
    acts by. Everybody may end their own.
    """
    ended_by = _permit_to_end(app, email, actor)
    now = app.clock.now()
    own = actor.principal.session_key if but_own and actor.principal else None
    with app.database.write() as connection:
        user = existing_user(connection, email)
        ended = session_store.end_sessions(connection, user["id"], now, ended_by, but=own)
        _record(connection, actor, user["email"], ended, reason, now)
    return len(ended)


def _permit_to_end(app: Application, email: str, actor: Actor) -> EndedBy:
    right = right_over(app, email, actor)
    permit(app, actor, right, "user.end_session")
    return EndedBy.OWN if right is Right.LOOK else EndedBy.ADMINISTRATOR


def _record(
    connection: Connection, actor: Actor, email: str, ended: list[int], reason: str | None, now: datetime
) -> None:
    audit.record(connection, actor, "user.end_session", email, reason=reason, after={"ended": ended}, now=now)


def _listing(app: Application, email: str, actor: Actor | None) -> tuple[RowMapping, Listing]:
    permit(app, actor, right_over(app, email, actor or app.default_actor()), "user.sessions")
    with app.database.read() as connection:
        user = existing_user(connection, email)
    return user, session_store.session_listing(user["id"], app.clock.now())


def _view(session: Row, actor: Actor | None) -> View:
    own = actor.principal.session_key if actor and actor.principal else None
    return {
        "session_id": session["id"],
        **picked(session, "address browser created_at last_used_at"),
        "ends_at": instant(min(session["expires_at"], session["last_used_at"] + IDLE_END)),
        "current": session["id"] == own,
    }
