"""A password that its user sets: another in place of the one they know, or by a link that was sent to them."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import structlog
from sqlalchemy import Connection, RowMapping

from batchwright.engine.errors import Refused, storable
from batchwright.notifications.account import PASSWORD_CHANGED, RESET
from batchwright.notifications.preferences import bare_address
from batchwright.operations import session_store, sign_in_store, user_store
from batchwright.operations.access import audit
from batchwright.operations.access.account_mail import record_account_mail
from batchwright.operations.access.passwords import (
    check_password,
    check_there_is_one,
    hash_password,
    password_fits,
)
from batchwright.operations.access.permissions import Right, permit
from batchwright.operations.access.sign_in import LONGEST_ADDRESS, SignedIn, begin
from batchwright.operations.access.tries import (
    OF_ADDRESS,
    OF_MAILS,
    Counted,
    count_try,
    forgive_user,
    tries_at_password,
)
from batchwright.operations.access.users import existing_user
from batchwright.operations.actor import Actor, network_of
from batchwright.operations.app import Application
from batchwright.operations.links import link_of
from batchwright.operations.session_store import EndedBy

BY_LINK: Final = "by a one-time link"

log = structlog.get_logger()


class LinkRefused(Refused):
    """A link that was used, or has expired, or never was."""

    def __init__(self, remedy: str) -> None:
        super().__init__("this link is no longer valid", field="code", remedy=remedy)


def change_password(
    app: Application, current: str, password: str, *, browser: str = "", actor: Actor
) -> SignedIn:
    """Give the actor, who is signed in, another password: all their sessions end, and a new one begins.

    Refuses a `current` one that is wrong (`TooManyTries` after several), who has none (`NoPassword`), and what
    `check_password` refuses.
    """
    permit(app, actor, Right.LOOK, "user.own_password")
    principal = actor.principal
    if principal is None or principal.session_key is None:
        raise Refused(
            "only who is signed in changes their password so",
            field="actor",
            remedy="Ask an administrator: `batchwright users password EMAIL`",
        )
    with app.database.read() as connection:
        user = existing_user(connection, actor.name)
        counted = tries_at_password(connection, actor.name, user["id"], principal.address)
    check_there_is_one(user, "current")
    check_password(password, user["email"])
    count_try(app, counted)
    if not password_fits(user["password_hash"], current):
        log.warning("a password was not changed: the one before was wrong", email=user["email"])
        raise Refused("the current password is wrong", field="current", remedy="Type it again")
    hashed = hash_password(password)
    now = app.clock.now()
    with app.database.write() as connection:
        there = user_store.user_by_email(connection, user["email"], kept=True)
        if there is None or there["disabled"] or there["password_hash"] != user["password_hash"]:
            raise Refused("the password was changed meanwhile", field="current", remedy="Sign in again")
        return _set(app, connection, there, hashed, principal.address, browser, None, now)


def request_reset(app: Application, email: str, address: str) -> None:
    """Count that a link was asked for. Raises `TooManyTries` after several, whether there is such a user or not."""
    app.database.require()
    asked = [
        Counted(f"reset {_normal(email)}", OF_MAILS),
        Counted(f"reset from {network_of(address)}", OF_ADDRESS),
    ]
    count_try(app, asked)


def mail_reset(app: Application, email: str, address: str) -> None:
    """Send a link by which another password is set, where there is such a user who is not disabled.

    Who asks learns nothing of that: call it when they have been answered.
    """
    now = app.clock.now()
    with app.database.write() as connection:
        user = user_store.user_by_email(connection, _normal(email))
        if user is None or user["disabled"]:
            log.warning("a link was asked for and none is sent", address=address, known=user is not None)
            return
        record_account_mail(app, connection, RESET, user["email"], address=address, now=now)
    log.info("a link to set a password is sent", email=user["email"], address=address)


def email_of_reset(app: Application, code: str) -> str | None:
    """Whose password can be set by the link of that code, or `None`; looking does not use it up."""
    app.database.require()
    with app.database.read() as connection:
        link = link_of(connection, code, app.clock.now())
        if link is None or link["os_user"] is not None:
            return None
        user = user_store.user_by_key(connection, link["user_id"])
    return None if user is None else user["email"]


def reset_password(
    app: Application, code: str, password: str, *, address: str, browser: str = ""
) -> SignedIn:
    """Give the user of a link another password: all their sessions and links end, and a new session begins.

    Raises `LinkRefused`, and what `check_password` refuses; then the link stays good.
    """
    email = email_of_reset(app, code)
    if email is None:
        raise LinkRefused("Ask for another")
    check_password(password, email)
    hashed = hash_password(password)
    now = app.clock.now()
    with app.database.write() as connection:
        there = user_store.user_by_email(connection, email, kept=True)
        link = link_of(connection, code, now, kept=True)
        if there is None or there["disabled"] or link is None or link["user_id"] != there["id"]:
            raise LinkRefused("Ask for another")
        return _set(app, connection, there, hashed, address, browser, BY_LINK, now)


def _set(
    app: Application,
    connection: Connection,
    user: RowMapping,
    hashed: str,
    address: str,
    browser: str,
    reason: str | None,
    now: datetime,
) -> SignedIn:
    user_store.change_user(connection, user["id"], {"password_hash": hashed})
    session_store.end_sessions(connection, user["id"], now, EndedBy.PASSWORD)
    sign_in_store.use_links(connection, user["id"], now)
    forgive_user(connection, user["email"], address, now)
    signed_in = begin(connection, user, address=address, browser=browser, now=now)
    record_account_mail(app, connection, PASSWORD_CHANGED, user["email"], address=address, now=now)
    audit.record(connection, signed_in.actor, "user.own_password", user["email"], reason=reason, now=now)
    return signed_in


def _normal(email: str) -> str:
    return bare_address(storable(email[:LONGEST_ADDRESS].strip()))
