"""Signing in with a password."""

from __future__ import annotations

from datetime import datetime
from typing import Final, NamedTuple

import structlog
from sqlalchemy import Connection, RowMapping

from batchwright.config.settings import operating_system_user
from batchwright.engine.errors import Refused, storable
from batchwright.notifications.account import AFTER_FAILURES
from batchwright.notifications.preferences import bare_address
from batchwright.operations import session_store, user_store
from batchwright.operations.access import audit
from batchwright.operations.access.account_mail import record_account_mail
from batchwright.operations.access.authentication import secret_hash
from batchwright.operations.access.passwords import password_fits
from batchwright.operations.access.sessions import LONGEST_BROWSER, begin_session
from batchwright.operations.access.tries import count_try, forgive_try, tries_at_password
from batchwright.operations.actor import Actor, Door, Principal, check_actor
from batchwright.operations.app import Application
from batchwright.operations.session_store import EndedBy

LONGEST_ADDRESS: Final = 254
NOTIFY_AFTER_FAILURES: Final = 3
"""After so many failed tries a user is notified by mail that somebody signed in as them."""

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
    password; the log tells them apart. Raises `TooManyTries` where it comes too early after others.
    """
    check_actor(address, "address")
    app.database.require()
    email = bare_address(storable(email[:LONGEST_ADDRESS].strip()))
    with app.database.read() as connection:
        user = user_store.user_by_email(connection, email)
        counted = tries_at_password(connection, email, user["id"] if user else None, address)
    count_try(app, counted)
    if not password_fits(user["password_hash"] if user else None, password) or user is None:
        raise _failed(user, address)
    now = app.clock.now()
    with app.database.write() as connection:
        # As they are now: disabled, or with another password, while this one was checked.
        there = user_store.user_by_email(connection, email, kept=True)
        if there is None or there["disabled"] or there["password_hash"] != user["password_hash"]:
            raise _failed(user, address)
        failures = forgive_try(connection, counted, now)
        signed_in = begin(connection, there, address=address, browser=browser, now=now)
        if failures >= NOTIFY_AFTER_FAILURES:
            record_account_mail(
                app,
                connection,
                AFTER_FAILURES,
                email,
                address=address,
                browser=browser[:LONGEST_BROWSER],
                failures=failures,
                now=now,
            )
        end_replaced(connection, replaced, now)
        audit.record(connection, signed_in.actor, "user.sign_in", email, now=now)
    log.info("somebody signed in", email=email, address=address)
    return signed_in


def begin(connection: Connection, user: RowMapping, *, address: str, browser: str, now: datetime) -> SignedIn:
    """A new session of a user who has shown who they are, in the caller's transaction."""
    begun = begin_session(connection, user["id"], address=address, browser=browser, now=now)
    principal = Principal(user["id"], None, address, begun.key)
    return SignedIn(begun.reference, Actor(user["email"], operating_system_user(), Door.CONSOLE, principal))


def end_replaced(connection: Connection, reference: str | None, now: datetime) -> None:
    """End the session of that reference, which the browser holds no more."""
    old = session_store.session_by_hash(connection, secret_hash(reference)) if reference else None
    if old is not None:
        session_store.end_sessions(connection, old["user_id"], now, EndedBy.REPLACED, old["id"])


def _failed(user: RowMapping | None, address: str) -> SignInFailed:
    # An address of no user is not logged: it may be a password in the wrong field.
    email = user["email"] if user else None
    log.warning("somebody could not sign in", email=email, address=address)
    return SignInFailed(
        "the address or the password is wrong",
        field="password",
        remedy="Type both again, or have a link sent by which you set another password",
    )
