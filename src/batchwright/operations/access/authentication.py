"""Who comes in by a web door: a token or a session becomes the actor of its user."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from hashlib import sha256
from typing import Final, NamedTuple

import structlog
from sqlalchemy import Connection, RowMapping
from sqlalchemy.exc import SQLAlchemyError

from batchwright.config.settings import operating_system_user
from batchwright.engine.faults import reason_of
from batchwright.operations import session_store, token_store
from batchwright.operations.access.permissions import note_user
from batchwright.operations.actor import Actor, Door, Principal, Unauthenticated, check_actor
from batchwright.operations.app import Application
from batchwright.operations.session_store import EndedBy
from batchwright.operations.tables import ABSOLUTE_END, IDLE_END

LONGEST_TEXT: Final = 128
"""Characters; no token and no reference of ours is as long."""
NOTED_EVERY: Final = timedelta(minutes=1)
"""So often the last use of a session is noted."""

_ENDED: Final = {
    None: "Your session was ended.",
    EndedBy.ADMINISTRATOR: "An administrator ended your session.",
    EndedBy.OWN: "You ended this session from elsewhere.",
    EndedBy.PASSWORD: "Your password was changed, and that ended every session.",
    EndedBy.DISABLED: "Your user was disabled. Ask an administrator.",
}
_ABSOLUTE: Final = f"A session lasts {ABSOLUTE_END.days} days, and yours has ended."
_IDLE: Final = f"Your session ended, as it was not used for {IDLE_END // timedelta(hours=1)} hours."

log = structlog.get_logger()


class SessionUser(NamedTuple):
    """Who acts by a session, and the role that their user has now."""

    actor: Actor
    role: str


def authenticate_token(app: Application, text: str | None, address: str) -> Actor:
    """The user of a token, as they act by the API from that address.

    Raises `Unauthenticated`, alike for a token that is missing, unknown, expired or revoked and for a user who is
    disabled; the log tells them apart. Which hour a token was used in last is noted once an hour.
    """
    check_actor(address, "address")
    app.database.require()
    now = app.clock.now()
    token = _by_secret(app, token_store.token_by_hash, text)
    why = _fault(text, token, now)
    if token is None or why is not None:
        log.warning("a caller was not let in", why=why, address=address, token=token and token["token_id"])
        raise Unauthenticated(
            "the token is missing or not valid",
            field="token",
            remedy="Ask an administrator for one: `batchwright users token EMAIL`",
        )
    _note_use(app, token, now)
    principal = Principal(token["id"], token["token_id"], address)
    actor = Actor(token["email"], operating_system_user(), Door.API, principal)
    note_user(app.database, actor, token)
    return actor


def authenticate_session(
    app: Application, reference: str | None, address: str, *, by_hand: bool = True
) -> SessionUser:
    """The user of a session, by the reference that the browser holds, as they act on the pages from that address.

    Raises `Unauthenticated`, alike for a session that is unknown, has ended, or whose user is disabled. Its last use is
    noted at most once a minute; what a browser asks for by itself, and not `by_hand`, does not count as use.
    """
    check_actor(address, "address")
    app.database.require()
    now = app.clock.now()
    session = _by_secret(app, session_store.session_by_hash, reference)
    why = _fault_of_session(session, now)
    if session is None or why is not None:
        if reference:  # without one nobody claimed to be signed in
            log.info("a session is not good", why=why, address=address, session=session and session["id"])
        raise Unauthenticated("you are not signed in", field="session", remedy="Sign in")
    if by_hand and session["last_used_at"] <= now - NOTED_EVERY:
        _write(app, "session", session["id"], partial(session_store.note_use, key=session["id"], now=now))
    principal = Principal(session["user_id"], None, address, session["id"])
    actor = Actor(session["email"], operating_system_user(), Door.CONSOLE, principal)
    return SessionUser(actor, session["role"])


def why_signed_out(app: Application, reference: str | None) -> str | None:
    """Why the session of a reference that a browser holds is good no more, in a sentence for its user.

    `None` for a reference that no session had, for a session that is good, and where its browser signed out.
    """
    session = _by_secret(app, session_store.session_by_hash, reference)
    now = app.clock.now()
    if session is None or _fault_of_session(session, now) is None:
        return None
    if session["ended_at"] is not None:
        return _ENDED.get(session["ended_by"])
    if session["disabled"]:
        return _ENDED[EndedBy.DISABLED]
    return _ABSOLUTE if session["expires_at"] <= now else _IDLE


def secret_hash(text: str) -> str:
    """How a secret is kept."""
    return sha256(text.encode()).hexdigest()


def _by_secret(
    app: Application, by_hash: Callable[[Connection, str], RowMapping | None], text: str | None
) -> RowMapping | None:
    if not text or len(text) > LONGEST_TEXT or not text.isascii():
        return None
    with app.database.read_autocommit() as connection:
        return by_hash(connection, secret_hash(text))


def _fault_of_session(session: RowMapping | None, now: datetime) -> str | None:
    if session is None:
        return "it is unknown"
    if session["disabled"]:
        return f"{session['email']} is disabled"
    if session["ended_at"] is not None:
        return "it was ended"
    if session["expires_at"] <= now:
        return "it has expired"
    return "it was not used for long" if session["last_used_at"] <= now - IDLE_END else None


def _fault(text: str | None, token: RowMapping | None, now: datetime) -> str | None:
    if token is None:
        return "its token is unknown" if text else "it has no token"
    if token["disabled"]:
        return f"{token['email']} is disabled"
    if token["revoked_at"] is not None:
        return "its token was revoked"
    return "its token has expired" if token["expires_at"] <= now else None


def _note_use(app: Application, token: RowMapping, now: datetime) -> None:
    """A write may wait its turn, so each process tries once an hour, and whoever calls is let in either way."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    key = token["token_id"]
    noted = [token["last_used_at"], app.token_uses.get(key)]
    if any(at is not None and at >= hour for at in noted):
        return
    app.token_uses[key] = hour
    _write(app, "token", key, partial(token_store.note_use, key=key, hour=hour))


def _write(app: Application, what: str, key: int, note: Callable[[Connection], None]) -> None:
    try:
        with app.database.write() as connection:
            note(connection)
    except (SQLAlchemyError, OSError) as error:
        log.warning(f"the use of a {what} could not be noted", **{what: key}, reason=reason_of(error))
