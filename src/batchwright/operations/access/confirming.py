"""The password, asked again of who is signed in: whoever finds an open browser cannot widen what anybody may do.

The doors declare which acts ask; every other door takes a token, which is shown at each call.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import structlog

from batchwright.engine.errors import Refused
from batchwright.operations import session_store, user_store
from batchwright.operations.access import audit
from batchwright.operations.access.passwords import check_there_is_one, password_fits
from batchwright.operations.access.permissions import Right, permit
from batchwright.operations.access.tries import count_try, forgive_try, tries_at_password
from batchwright.operations.access.users import existing_user
from batchwright.operations.actor import Actor
from batchwright.operations.app import Application

GOOD_FOR: Final = timedelta(minutes=15)
"""So long after a password was given it is not asked again."""
PASSWORD: Final = "confirm_password"
"""The field of a refused one."""

log = structlog.get_logger()


def password_is_due(app: Application, actor: Actor) -> bool:
    """Whether the actor acts by a session in which their password was not given within `GOOD_FOR`."""
    if actor.principal is None or actor.principal.session_key is None:
        return False
    with app.database.read_autocommit() as connection:
        given_at = session_store.password_given_at(connection, actor.principal.session_key)
    # Of a clock that was ahead means nothing, but a little: web processes have clocks of their own.
    return given_at is None or abs(app.clock.now() - given_at) >= GOOD_FOR


def check_has_password(app: Application, actor: Actor) -> None:
    """Refuse, as `NoPassword`, where the actor could give none: they came by a link that signs in."""
    with app.database.read_autocommit() as connection:
        check_there_is_one(existing_user(connection, actor.name), PASSWORD)


def confirm_password(app: Application, password: str, *, actor: Actor) -> None:
    """Note that the actor, who is signed in, gave their password again in their session.

    It takes as long as a sign-in, in the same lane. Refuses a wrong one, and raises `TooManyTries` after several: they
    are counted with those at signing in. Who has no password, having come by a link, is told how to get one.
    """
    permit(app, actor, Right.LOOK, "user.confirm_password")
    principal = actor.principal
    if principal is None or principal.session_key is None:
        raise Refused(
            "only who is signed in gives their password again", field="actor", remedy="Sign in first"
        )
    with app.database.read() as connection:
        user = existing_user(connection, actor.name)
        counted = tries_at_password(connection, user["email"], user["id"], principal.address)
    check_there_is_one(user, PASSWORD)
    count_try(app, counted)
    fits = password_fits(user["password_hash"], password)
    now = app.clock.now()
    with app.database.write() as connection:
        there = user_store.user_by_email(connection, user["email"], kept=True)
        if fits and there is not None and there["password_hash"] == user["password_hash"]:
            # The next to sign in learns of the tries that failed.
            forgive_try(connection, counted, now, reported=False)
            session_store.note_password(connection, principal.session_key, now)
            audit.record(connection, actor, "user.confirm_password", user["email"], now=now)
            return
        audit.record(connection, actor, "user.confirm_password_failed", user["email"], now=now)
    log.warning("a password that was asked again was wrong", email=user["email"], address=principal.address)
    raise Refused("the password is wrong", field=PASSWORD, remedy="Type it again")
