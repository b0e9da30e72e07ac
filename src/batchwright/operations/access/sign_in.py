"""Signing in with a password."""

from __future__ import annotations

import secrets
import unicodedata
from functools import cache
from typing import Final, NamedTuple

import structlog

from batchwright.config.settings import operating_system_user
from batchwright.engine.errors import Refused
from batchwright.notifications.preferences import bare
from batchwright.operations import session_store, user_store
from batchwright.operations.access import audit
from batchwright.operations.access.authentication import secret_hash
from batchwright.operations.access.sessions import begin_session
from batchwright.operations.access.users import LONGEST_PASSWORD
from batchwright.operations.actor import Actor, Door, Principal, check_actor
from batchwright.operations.app import Application

LONGEST_ADDRESS: Final = 254

log = structlog.get_logger()


class SignInFailed(Refused):
    """Address and password do not let anybody in."""


class SignedIn(NamedTuple):
    """The reference that the browser holds from now on, and who acts by it."""

    reference: str
    actor: Actor


def sign_in(
    app: Application,
    email: str,
    password: str,
    *,
    address: str,
    browser: str = "",
    replaced: str | None = None,
) -> SignedIn:
    """A new session for who knows the password of a user; the one of the reference `replaced` ends.

    It takes a processor for some tenths of a second and 64 MiB, also where there is no such user: call it in a lane of
    few. Raises `SignInFailed`, alike for an unknown address, a wrong password, and a user who is disabled or has no
    password; the log tells them apart.
    """
    check_actor(address, "address")
    app.database.require()
    email = bare(email[:LONGEST_ADDRESS].strip())
    with app.database.read() as connection:
        user = user_store.user_by_email(connection, email)
    fits = password_fits(user["password_hash"] if user else None, password)
    now = app.clock.now()
    with app.database.write() as connection:
        # As they are now: disabled, or with another password, while this one was checked.
        there = user_store.user_by_email(connection, email, kept=True)
        if not (
            fits
            and user
            and there
            and there["password_hash"] == user["password_hash"]
            and not there["disabled"]
        ):
            log.warning("somebody could not sign in", email=email, address=address, known=there is not None)
            raise SignInFailed(
                "the address or the password is wrong",
                field="password",
                remedy="Type both again, or have a link sent by which you set another password",
            )
        begun = begin_session(connection, there["id"], address=address, browser=browser, now=now)
        actor = Actor(
            email, operating_system_user(), Door.CONSOLE, Principal(there["id"], None, address, begun.key)
        )
        if replaced is not None:
            old = session_store.session_by_hash(connection, secret_hash(replaced))
            if old is not None:
                session_store.end_sessions(connection, old["user_id"], now, old["id"])
        audit.record(connection, actor, "user.sign_in", email, now=now)
    log.info("somebody signed in", email=email, address=address, session=begun.key)
    return SignedIn(begun.reference, actor)


def password_fits(hashed: str | None, password: str) -> bool:
    """Whether it is the password that was hashed so; it takes as long where there is none."""
    # Not at the top: only who signs in needs it.
    from argon2 import PasswordHasher
    from argon2.exceptions import InvalidHashError, VerificationError

    decoy = _decoy()
    try:
        return (
            PasswordHasher().verify(hashed or decoy, normal(password)[:LONGEST_PASSWORD])
            and hashed is not None
        )
    except (VerificationError, InvalidHashError):
        return False


def normal(password: str) -> str:
    """The password as it is hashed: the same however a keyboard composes its letters."""
    return unicodedata.normalize("NFKC", password)


@cache
def _decoy() -> str:
    """A hash of nothing that anybody knows, so that an unknown user takes as long as a known one."""
    from argon2 import PasswordHasher

    return PasswordHasher().hash(secrets.token_urlsafe(32))
