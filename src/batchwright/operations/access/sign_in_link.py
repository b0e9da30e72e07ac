"""A link that signs in once: for who is at the machine, whom the operating system knows already."""

from __future__ import annotations

from batchwright.config.settings import operating_system_user
from batchwright.engine.errors import Conflict, Refused
from batchwright.operations import sign_in_store, user_store
from batchwright.operations.access import audit
from batchwright.operations.access.own_password import LinkRefused
from batchwright.operations.access.permissions import Right, permit
from batchwright.operations.access.sign_in import SignedIn, begin, end_replaced
from batchwright.operations.actor import Actor
from batchwright.operations.app import Application
from batchwright.operations.links import GOOD_FOR, link_of, new_code
from batchwright.operations.views import instant

ASK_ANOTHER = "Sign in with a password, or have a link sent by which you set one"


def own_sign_in_link(app: Application, *, actor: Actor) -> str:
    """A link by which the operating system's user of this process signs in, once and within an hour, as the user who is
    tied to them. Refuses where there is none, one who is disabled, and who asks over the web.
    """
    permit(app, actor, Right.LOOK, "user.sign_in_link")
    os_user, now = operating_system_user(), app.clock.now()
    if actor.principal is not None:
        raise Refused("such a link is for who is at the machine", field="actor", remedy="Sign in by password")
    with app.database.write() as connection:
        user_store.lock_users(connection)
        user = user_store.user_by_os_user(connection, os_user)
        if user is None or user["disabled"]:
            raise Conflict(
                f"no user who may sign in is tied to {os_user}",
                field="os_user",
                remedy=f"Add one: `batchwright users add EMAIL --role administrator --os-user {os_user}`",
            )
        code = new_code(connection, now, user_id=user["id"], os_user=os_user)
        until = {"good_until": instant(now + GOOD_FOR)}
        audit.record(connection, actor, "user.sign_in_link", user["email"], after=until, now=now)
    return f"{app.settings.base_url.rstrip('/')}/sign-in/link?code={code}"


def link_signs_in(app: Application, code: str) -> bool:
    """Whether the link of that code signs somebody in; looking does not use it up."""
    app.database.require()
    with app.database.read_autocommit() as connection:
        link = link_of(connection, code, app.clock.now())
    return link is not None and link["user_id"] is not None and link["os_user"] is not None


def sign_in_by_link(
    app: Application, code: str, *, address: str, browser: str = "", replaced: str | None = None
) -> SignedIn:
    """A new session for the user of a link, whose links are all used up; the one of the reference `replaced` ends.

    Raises `LinkRefused`, also where the user is disabled or tied to another of the operating system's users by now.
    """
    now = app.clock.now()
    with app.database.write() as connection:
        link = link_of(connection, code, now)
        user = user_store.user_by_key(connection, link["user_id"]) if link else None
        if user is not None:  # the user before the link, as who sets a password by one
            user = user_store.user_by_email(connection, user["email"], kept=True)
            link = link_of(connection, code, now, kept=True)
        if user is None or user["disabled"] or link is None or link["os_user"] is None:
            raise LinkRefused(ASK_ANOTHER)
        if user["os_user"] != link["os_user"]:
            raise LinkRefused(ASK_ANOTHER)
        sign_in_store.use_links(connection, user["id"], now)
        signed_in = begin(connection, user, address=address, browser=browser, now=now)
        end_replaced(connection, replaced, now)
        reason = "by a link that was printed on the machine"
        audit.record(connection, signed_in.actor, "user.sign_in", user["email"], reason=reason, now=now)
    return signed_in
