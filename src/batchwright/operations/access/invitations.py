"""Links by which users set their first or another password: made for who hands them on, and good once."""

from __future__ import annotations

from typing import NamedTuple

from batchwright.engine.errors import Conflict
from batchwright.operations import user_store
from batchwright.operations.access import audit
from batchwright.operations.access.permissions import Right, permit
from batchwright.operations.access.users import add_user, existing_user
from batchwright.operations.actor import Actor
from batchwright.operations.app import Application
from batchwright.operations.links import GOOD_FOR, new_code
from batchwright.operations.views import View, instant


class Invited(NamedTuple):
    """A user who was added, as `list_users` has them, and the link by which they set their password."""

    view: View
    link: str


def invite_user(
    app: Application,
    email: str,
    role: str,
    *,
    os_user: str | None = None,
    actor: Actor,
    reason: str | None = None,
) -> Invited:
    """Add a user as `add_user` does, and make the link of `make_password_link`."""
    permit(app, actor, Right.ADMINISTER, "user.add")
    added = add_user(app, email, role, os_user=os_user, actor=actor, reason=reason)
    return Invited(added, make_password_link(app, added["email"], actor=actor, reason=reason))


def make_password_link(app: Application, email: str, *, actor: Actor, reason: str | None = None) -> str:
    """A link by which a user sets their password, good once and for an hour; it is kept nowhere. The password that
    they have stays good until then. Refuses for a disabled user.
    """
    permit(app, actor, Right.ADMINISTER, "user.link")
    now = app.clock.now()
    with app.database.write() as connection:
        user_store.lock_users(connection)
        user = existing_user(connection, email)
        if user["disabled"]:
            raise Conflict(
                f"the user {user['email']} is disabled",
                field="email",
                remedy=f"Enable them first: `batchwright users enable {user['email']}`",
            )
        code = new_code(connection, now, user_id=user["id"])
        until = {"good_until": instant(now + GOOD_FOR)}
        audit.record(connection, actor, "user.link", user["email"], reason=reason, after=until, now=now)
    return f"{app.settings.base_url.rstrip('/')}/reset?code={code}"
