"""The first administrator of a console, where there is no user yet: made by a link that `serve` prints."""

from __future__ import annotations

from batchwright.config.settings import operating_system_user
from batchwright.engine.errors import Refused
from batchwright.operations import sign_in_store, user_store
from batchwright.operations.access import audit
from batchwright.operations.access.own_password import LinkRefused
from batchwright.operations.access.passwords import check_password, hash_password
from batchwright.operations.access.permissions import Right
from batchwright.operations.access.sign_in import SignedIn, begin
from batchwright.operations.access.users import checked_address, existing_user, user_view
from batchwright.operations.app import Application
from batchwright.operations.links import link_of, new_code

ASK_AGAIN = "Start `batchwright serve` again: it prints another"


def has_users(app: Application) -> bool:
    """Whether anybody can sign in at all."""
    app.database.require()
    with app.database.read_autocommit() as connection:
        return bool(user_store.list_users(connection, limit=1))


def first_administrator_code(app: Application) -> str | None:
    """The code of a link that makes the first administrator, once and within an hour; `None` where there is a user.

    Who opens it becomes, on the command line, the operating system's user who asked for it: this process's.
    """
    if has_users(app):
        return None
    with app.database.write() as connection:
        return new_code(connection, app.clock.now(), os_user=operating_system_user())


def first_administrator_is_possible(app: Application, code: str) -> bool:
    """Whether the link of that code makes the first administrator; looking does not use it up."""
    if has_users(app):
        return False
    with app.database.read_autocommit() as connection:
        link = link_of(connection, code, app.clock.now())
    return link is not None and link["user_id"] is None


def add_first_administrator(
    app: Application, code: str, email: str, password: str, *, address: str, browser: str = ""
) -> SignedIn:
    """Make the first user, an administrator, and begin their session. The link is used up.

    Raises `LinkRefused`, also where there is a user already; and what is wrong with address or password: then the link
    stays good.
    """
    if not first_administrator_is_possible(app, code):
        raise _refused(app)
    email = checked_address(email)
    check_password(password, email)
    hashed = hash_password(password)
    now = app.clock.now()
    with app.database.write() as connection:
        user_store.lock_users(connection)
        link = link_of(connection, code, now, kept=True)
        if link is None or link["user_id"] is not None or user_store.list_users(connection, limit=1):
            raise LinkRefused(ASK_AGAIN)
        values = {"email": email, "role": Right.ADMINISTER, "os_user": link["os_user"], "mail": "always"}
        secret = {"password_hash": hashed, "disabled": False, "created_at": now}
        user_store.add_user(connection, values | secret)
        sign_in_store.use_links(connection, None, now)
        user = existing_user(connection, email)
        signed_in = begin(connection, user, address=address, browser=browser, now=now)
        after = user_view(user, holders=())
        reason = "the first administrator, by the link that serve printed"
        audit.record(connection, signed_in.actor, "user.add", email, reason=reason, after=after, now=now)
    return signed_in


def _refused(app: Application) -> Refused:
    return LinkRefused("Sign in: there is a user already" if has_users(app) else ASK_AGAIN)
